/*
 * XenBus conventions common to all classes: see xenbus.h.
 */
#include "xenbus.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

#define SENTENCE_MAX 1024 /* in the store */

const char *xenbus_state_name(enum xenbus_state state)
{
    static const char *const names[] = {"Unknown",     "Initialising",  "InitWait",
                                        "Initialised", "Connected",     "Closing",
                                        "Closed",      "Reconfiguring", "Reconfigured"};

    return (unsigned int)state < sizeof(names) / sizeof(names[0]) ? names[state] : "invalid";
}

int xenbus_read_state(struct store *st, xs_transaction_t t, const char *dir,
                      enum xenbus_state *state)
{
    uint64_t n;
    int err =
        store_read_uint_def(st, t, dir, "state", XenbusStateReconfigured, XenbusStateUnknown, &n);

    *state = err == 0 ? (enum xenbus_state)n : XenbusStateUnknown;
    return err;
}

struct state_write {
    const char *dir;
    enum xenbus_state state;
};

static int write_state_tx(struct store *st, xs_transaction_t t, void *arg)
{
    const struct state_write *w = arg;

    if (!store_exists(st, t, w->dir, "state")) {
        return -ENOENT;
    }
    return store_write(st, t, w->dir, "state", "%d", w->state);
}

int xenbus_write_state(struct store *st, const char *dir, enum xenbus_state state)
{
    struct state_write w = {.dir = dir, .state = state};

    return store_transaction(st, write_state_tx, &w);
}

/* "/local/domain/B/error/backend/…" for "/local/domain/B/backend/…". */
static int error_dir(struct store *st, const char *dir, char out[STORE_PATH_MAX])
{
    char home[64];
    int n = snprintf(home, sizeof(home), "/local/domain/%u/", store_self_domid(st));

    if (strncmp(dir, home, (unsigned int)n) != 0) {
        return -EINVAL;
    }
    n = snprintf(out, STORE_PATH_MAX, "%serror/%s", home, dir + n);
    return n < STORE_PATH_MAX ? 0 : -ENAMETOOLONG;
}

int xenbus_write_error(struct store *st, const char *dir, int err, const char *sentence)
{
    char path[STORE_PATH_MAX], shown[SENTENCE_MAX];
    int ret = error_dir(st, dir, path);

    if (ret != 0) {
        return ret;
    }
    log_escape(shown, sizeof(shown), sentence); /* a guest's or a worker's words may be in it */
    return store_write(st, STORE_NO_TX, path, "error", "%d %s", err, shown);
}

void xenbus_clear_error(struct store *st, const char *dir)
{
    char path[STORE_PATH_MAX];

    if (error_dir(st, dir, path) == 0) {
        store_rm(st, STORE_NO_TX, path, NULL);
    }
}
