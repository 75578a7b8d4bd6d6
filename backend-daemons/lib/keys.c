/*
 * Tables of store keys: see keys.h.
 */
#include "keys.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static void key_put(void *out, const struct key_rule *rule, uint64_t n)
{
    void *where = (char *)out + rule->where;

    switch (rule->type) {
    case KEY_BOOL:
        *(bool *)where = n != 0;
        break;
    case KEY_U32:
        *(uint32_t *)where = (uint32_t)n;
        break;
    case KEY_U64:
        *(uint64_t *)where = n;
        break;
    }
}

int keys_read(struct store *st, xs_transaction_t t, const char *dir, const struct key_rule *rules,
              unsigned int nr, void *out, char *why, unsigned long why_size)
{
    for (unsigned int i = 0; i < nr; i++) {
        const struct key_rule *r = &rules[i];
        uint64_t max = r->type == KEY_BOOL ? 1 : r->max;
        uint64_t n = 0;
        int err = r->required ? store_read_uint(st, t, dir, r->key, max, &n)
                              : store_read_uint_def(st, t, dir, r->key, max, r->def, &n);

        if (err != 0) {
            snprintf(why, why_size, "%s", store_error(st));
            return err;
        }
        if (n < r->min) {
            snprintf(why, why_size, "%s/%s = \"%" PRIu64 "\": at least %" PRIu64 " is needed", dir,
                     r->key, n, r->min);
            return -ERANGE;
        }
        key_put(out, r, n);
    }
    return 0;
}

int keys_write(struct store *st, xs_transaction_t t, const char *dir,
               const struct key_value *values, unsigned int nr)
{
    int err = 0;

    for (unsigned int i = 0; i < nr && err == 0; i++) {
        const struct key_value *v = &values[i];

        if (v->omitted) {
            continue;
        }
        if (v->removed) {
            err = store_rm(st, t, dir, v->key);
            continue;
        }
        err = v->text != NULL ? store_write(st, t, dir, v->key, "%s", v->text)
                              : store_write(st, t, dir, v->key, "%" PRIu64, v->number);
    }
    return err;
}

int keys_read_text(struct store *st, xs_transaction_t t, const char *dir, const char *key,
                   unsigned int max_len, char **out, char *why, unsigned long why_size)
{
    int err = store_read_str(st, t, dir, key, max_len, out);

    if (err == -ENOENT) {
        return 0;
    }
    if (err != 0) {
        snprintf(why, why_size, "%s", store_error(st));
    }
    return err;
}
