/*
 * What the configuration says: see conf.h. Reading it is conf_file.c's.
 */
#include "conf.h"

#include <stdlib.h>
#include <string.h>

/* Names differ by the case of letters, uuids do not. */
static const struct conf_line *conf_compare(const struct conf *conf, const char *key,
                                            const char *guest,
                                            int (*compare)(const char *a, const char *b))
{
    for (const struct conf_line *l = conf->lines; l != NULL; l = l->next) {
        if (strcmp(l->rule->name, key) == 0 && compare(l->guest, guest) == 0) {
            return l;
        }
    }
    return NULL;
}

const struct conf_line *conf_find(const struct conf *conf, const char *key)
{
    return conf_compare(conf, key, "", strcmp);
}

uint64_t conf_of_guest(const struct conf *conf, const char *key, const char *name, const char *uuid,
                       uint64_t general)
{
    const struct conf_line *l = NULL;

    if (uuid != NULL && *uuid != '\0') {
        l = conf_compare(conf, key, uuid, strcasecmp);
    }
    if (l == NULL && name != NULL && *name != '\0') {
        l = conf_compare(conf, key, name, strcmp);
    }
    return l != NULL ? l->value : general;
}

void conf_free(struct conf *conf)
{
    while (conf->lines != NULL) {
        struct conf_line *next = conf->lines->next;

        free(conf->lines);
        conf->lines = next;
    }
}
