/*
 * Domains by name or number: see domain.h.
 */
#include "domain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xen/xen.h>

/* The value of a key of the domain; "" when there is none. The caller frees it. */
static char *read_key(struct xs_handle *xs, unsigned int domid, const char *key)
{
    char path[64], *value;

    snprintf(path, sizeof(path), "/local/domain/%u%s%s", domid, key[0] != '\0' ? "/" : "", key);
    value = xs_read(xs, XBT_NULL, path, NULL);
    return value != NULL ? value : must_strdup("");
}

bool domain_read(struct xs_handle *xs, unsigned int domid, struct domain *domain)
{
    char path[64], *there;

    snprintf(path, sizeof(path), "/local/domain/%u", domid);
    there = xs_read(xs, XBT_NULL, path, NULL);
    if (there == NULL) {
        return false;
    }
    free(there);
    *domain = (struct domain){
        .domid = domid,
        .name = read_key(xs, domid, "name"),
        .type = read_key(xs, domid, "console/type"),
        .tty = read_key(xs, domid, "console/tty"),
    };
    return true;
}

static bool is_number(const char *text, unsigned int *domid)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    *domid = (unsigned int)value;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && value < DOMID_FIRST_RESERVED;
}

int domain_find(struct xs_handle *xs, const char *text, struct domain *domain)
{
    unsigned int nr = 0, domid;
    char **all;
    int err = -ENOENT;

    if (is_number(text, &domid)) {
        return domain_read(xs, domid, domain) ? 0 : -errno;
    }
    all = xs_directory(xs, XBT_NULL, "/local/domain", &nr);
    if (all == NULL) {
        return -errno;
    }
    for (unsigned int i = 0; i < nr && err != 0; i++) {
        struct domain one;

        if (!is_number(all[i], &domid) || !domain_read(xs, domid, &one)) {
            continue;
        }
        if (strcmp(one.name, text) == 0) {
            *domain = one;
            err = 0;
        } else {
            domain_free(&one);
        }
    }
    free(all);
    return err;
}

int domain_want(const struct command *self, const char *text, struct domain *domain)
{
    struct xs_handle *xs = store_open(self);
    int err;

    if (xs == NULL) {
        return EXIT_FAILED;
    }
    err = domain_find(xs, text, domain);
    xs_close(xs);
    if (err == -ENOENT) {
        return command_failed(self, "%s: there is no such domain; 'duet-console list' shows them",
                              text);
    }
    return err != 0 ? command_failed(self, "%s: %s", text, store_error(-err)) : -1;
}

bool domain_has_xenconsoled(const struct domain *domain)
{
    return domain->type[0] == '\0' || strcmp(domain->type, "xenconsoled") == 0;
}

void domain_free(struct domain *domain)
{
    free(domain->name);
    free(domain->type);
    free(domain->tty);
    *domain = (struct domain){.domid = 0};
}
