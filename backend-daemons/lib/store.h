/*
 * A session with xenstored: typed reads, writes and transactions, and watches that arrive as
 * callbacks through the event loop. It wraps libxenstore and follows docs/misc/xenstore.txt of Xen.
 *
 * Values below a front end's directory are written by the guest. So every read checks the whole
 * value (length, digits, range) and explains a refusal in a sentence that names path and value,
 * which store_error() returns. A path is given as a directory and an optional key below it.
 *
 * What this domain may not read does not exist for it (-ENOENT): in a driver domain that is most of
 * what belongs to other domains, their devices' front ends excepted.
 *
 * A request waits for the answer of xenstored, which is a trusted process on this machine; nothing
 * waits for a guest. When xenstored goes away, the call at hand fails and `on_lost` is called from
 * the loop, once.
 *
 * Types: struct store (the session, owned by whoever opened it), struct store_watch (lives in its
 * user's structure). libxenstore has a reader thread of its own: a child that fork()s must exec and
 * not use the session.
 */
#ifndef DUET_LIB_STORE_H
#define DUET_LIB_STORE_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <xenstore.h>
#include <uthash.h>

#include "loop.h"

/* Longest absolute path with its final NUL (XENSTORE_ABS_PATH_MAX + 1). */
#define STORE_PATH_MAX 3073

/* No transaction. */
#define STORE_NO_TX XBT_NULL

struct store;
struct store_watch;

/* `path` is the node that changed (or the watched one, on registration). */
typedef void store_watch_fn(void *arg, const char *path);

/* A watch. Zero-initialise. */
struct store_watch {
    store_watch_fn *fn;
    void *arg;
    char *path;     /* as registered; NULL: not registered */
    char token[20]; /* unique for the session */
    UT_hash_handle hh;
};

/* A transaction's body: reads and writes with `t`. Returns 0 to commit, -errno to give up. */
typedef int store_tx_fn(struct store *st, xs_transaction_t t, void *arg);

/*
 * Connects to xenstored and registers with `loop`. `on_lost(arg)` may be NULL.
 * Returns NULL with errno set.
 */
struct store *store_open(struct loop *loop, loop_fn *on_lost, void *arg);

/* Ends the session; watches that still exist are unregistered by that. NULL is fine. */
void store_close(struct store *st);

/* libxenstore's handle, for the calls that few programs need (store_rights.h). */
struct xs_handle *store_handle(const struct store *st);

/* The domain this process runs in (key `domid`; 0 when there is none). */
unsigned int store_self_domid(const struct store *st);

/*
 * Whether an error, -errno, tells of xenstored or of memory alone: whoever gets it has learned
 * nothing of what the store holds, and looks again later.
 */
static inline bool store_error_passes(int err)
{
    return err == -EIO || err == -ENOMEM || err == -EAGAIN || err == -EINTR;
}

/*
 * Whether this process waits for an answer of xenstored just now. May be called by a signal
 * handler, which is the only one who can see that.
 */
bool store_is_asking(void);

/*
 * The sentence that explains the last failure of a call of this file, e.g.
 * "/local/domain/5/device/vbd/51712/ring-ref = \"x\": not a number from 0 to 4294967295".
 * Valid until the next call. Guest-written bytes in it are escaped already.
 */
const char *store_error(const struct store *st);

/*
 * Reads a value as a string of at most `max_len` bytes without control characters.
 * Returns 0 with *out malloc()ed (the caller frees it), or -errno with *out NULL: -ENOENT no such
 * node, -EINVAL malformed, -E2BIG too long, or what xenstored said.
 */
int store_read_str(struct store *st, xs_transaction_t t, const char *dir, const char *key,
                   unsigned int max_len, char **out);

/*
 * Reads a decimal number from 0 to `max`, nothing before or after it.
 * Returns 0, or -errno: -ENOENT no such node, -EINVAL not a number, -ERANGE too large.
 */
int store_read_uint(struct store *st, xs_transaction_t t, const char *dir, const char *key,
                    uint64_t max, uint64_t *out);

/* As store_read_uint(), but gives `def` when the node does not exist. */
int store_read_uint_def(struct store *st, xs_transaction_t t, const char *dir, const char *key,
                        uint64_t max, uint64_t def, uint64_t *out);

/* 1 when the node exists and may be read, 0 when there is none, or -errno. */
int store_has(struct store *st, xs_transaction_t t, const char *dir, const char *key);

/* True when the node exists and may be read; an error is taken for none. */
bool store_exists(struct store *st, xs_transaction_t t, const char *dir, const char *key);

/*
 * Names of the nodes below `dir`. Returns an array to free() in one go, *count long, or NULL with
 * *count 0; then errno tells why (ENOENT: no such directory).
 */
char **store_list(struct store *st, xs_transaction_t t, const char *dir, unsigned int *count);

/* Writes a printf-formatted value. Returns 0 or -errno. */
int store_write(struct store *st, xs_transaction_t t, const char *dir, const char *key,
                const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Removes a node and all below it. A node that is not there is no error. Returns 0 or -errno. */
int store_rm(struct store *st, xs_transaction_t t, const char *dir, const char *key);

/*
 * Runs fn in a transaction, again from the start when xenstored reports a conflict (at most 100
 * times, then -EAGAIN). Returns 0, what fn returned, or -errno; nothing is committed when one of
 * its requests got no answer (store_error_passes()), whatever fn made of that.
 */
int store_transaction(struct store *st, store_tx_fn *fn, void *arg);

/*
 * Calls fn(arg, path) from the loop once at registration and whenever `path` or a node below it
 * changes. Special paths are "@introduceDomain" and "@releaseDomain". A callback may add and remove
 * watches, its own included. Returns 0 or -errno (-EEXIST: `w` is registered already).
 */
int store_watch_add(struct store *st, struct store_watch *w, const char *path, store_watch_fn *fn,
                    void *arg);

/* Unregisters; no callback comes after it. Harmless when not registered. */
void store_watch_del(struct store *st, struct store_watch *w);

#endif
