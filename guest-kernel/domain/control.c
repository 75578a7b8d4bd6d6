/*
 * control.c - taking a request out of control/ of the store; see control.h.
 */
#include "domain/control.h"

#include "kern/mem.h"
#include "kern/string.h"
#include "xenbus/xs.h"

struct request {
    const char *key;
    char *word;
    size_t size;
};

/* One attempt; an empty request is left alone. */
static int control_try_take(xs_txn_t t, void *arg)
{
    const struct request *r = arg;
    char *text;

    *r->word = '\0';
    int rc = xs_read(t, "control", r->key, &text, NULL);
    if (rc != 0) {
        return rc == -ENOENT ? 0 : rc;
    }
    strlcpy(r->word, text, r->size);
    kfree(text);
    return *r->word != '\0' ? xs_write(t, "control", r->key, "") : 0;
}

int control_take(const char *key, char *word, size_t size)
{
    struct request r = {.key = key, .word = word, .size = size};

    return xs_transaction(control_try_take, &r);
}
