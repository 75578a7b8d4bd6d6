/*
 * xenbus.c - states and error reports; see xenbus.h.
 */
#include "xenbus/xenbus.h"

#include "kern/log.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "xenbus/xs_parse.h"

static const char *const state_names[] = {
    [XenbusStateUnknown] = "Unknown",
    [XenbusStateInitialising] = "Initialising",
    [XenbusStateInitWait] = "InitWait",
    [XenbusStateInitialised] = "Initialised",
    [XenbusStateConnected] = "Connected",
    [XenbusStateClosing] = "Closing",
    [XenbusStateClosed] = "Closed",
    [XenbusStateReconfiguring] = "Reconfiguring",
    [XenbusStateReconfigured] = "Reconfigured",
};

const char *xenbus_state_name(unsigned state)
{
    return state < ARRAY_SIZE(state_names) ? state_names[state] : "?";
}

int xenbus_read_state(const char *dir, enum xenbus_state *state)
{
    uint32_t n = XenbusStateUnknown;
    const struct xs_field field = {"state", XS_U32, &n, true};
    int rc = xs_gather(XS_NO_TXN, dir, &field, 1, NULL);

    if (rc == 0 && n >= ARRAY_SIZE(state_names)) {
        rc = -EINVAL;
    }
    if (rc == 0) {
        *state = (enum xenbus_state)n;
    }
    return rc;
}

struct state_change {
    const char *dir;
    enum xenbus_state from, state;
};

/*
 * Reading first keeps a write from bringing back a device that the toolstack removes, and from
 * closing the next one of the same name.
 */
static int write_if_there(xs_txn_t t, void *arg)
{
    const struct state_change *c = arg;
    char *old;

    int rc = xs_read(t, c->dir, "state", &old, NULL);
    if (rc != 0) {
        return rc;
    }
    bool another = strcmp(old, "1") == 0 && c->from > XenbusStateInitialising;
    kfree(old);
    if (another) {
        return -ENOENT;
    }
    return xs_writef(t, c->dir, "state", "%d", c->state);
}

int xenbus_write_state(const char *dir, enum xenbus_state from, enum xenbus_state state)
{
    struct state_change change = {dir, from, state};

    return xs_transaction(write_if_there, &change);
}

void xenbus_dev_error(const char *dir, int err, const char *fmt, ...)
{
    char text[160];
    char node[96];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    log_err("%s: %s: %s", dir, text, errno_name(err));
    snprintf(node, sizeof(node), "error/%s", dir);
    int rc = xs_writef(XS_NO_TXN, node, "error", "%d %s", err < 0 ? -err : err, text);
    if (rc != 0) {
        log_debug("%s: the store does not take the error report: %s", dir, errno_name(rc));
    }
}
