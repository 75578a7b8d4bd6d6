/*
 * What XenBus asks of every back end, whatever its class: the names of the states, reading and
 * writing a `state` node, and where an error is written so that people and the toolstack find it.
 * Follows xen/io/xenbus.h.
 */
#ifndef DUET_LIB_XENBUS_H
#define DUET_LIB_XENBUS_H

#include <xen/io/xenbus.h>

#include "store.h"

/* "Initialising" and so on, for messages. */
const char *xenbus_state_name(enum xenbus_state state);

/*
 * Reads `dir`/state. A missing node is XenbusStateUnknown with 0 returned, because that is what a
 * destroyed front end looks like. Returns 0 or -errno (-EINVAL, -ERANGE: not a state).
 */
int xenbus_read_state(struct store *st, xs_transaction_t t, const char *dir,
                      enum xenbus_state *state);

/*
 * Writes `dir`/state, only if the node is still there: creating it again after the toolstack has
 * removed the device would leave a stray node for ever. Returns 0, -ENOENT, or -errno.
 */
int xenbus_write_state(struct store *st, const char *dir, enum xenbus_state state);

/*
 * Writes a sentence to `error/BACKEND-PATH/error` of this domain, as Linux's xenbus_dev_error()
 * does. `dir` is the back end's absolute directory. Returns 0 or -errno.
 */
int xenbus_write_error(struct store *st, const char *dir, int err, const char *sentence);

/* Removes what xenbus_write_error() wrote for this back end. */
void xenbus_clear_error(struct store *st, const char *dir);

#endif
