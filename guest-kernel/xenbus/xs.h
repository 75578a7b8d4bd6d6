/*
 * xs.h - the client of xenstore.
 *
 * Any number of threads may talk to the store at once; each request has its number and waits for
 * its own reply. A path is named by a directory and a key under it, or by @key = NULL and the whole
 * path in @dir; relative paths start at /local/domain/SELF. Values from the store are copies owned
 * by the caller (kfree()), always NUL-terminated, of whatever content the other side chose: parse
 * them as such. Watches deliver their events in one thread, in the order in which they came.
 * Functions return 0 or -errno: what the store answered (-ENOENT, -EACCES, -EAGAIN, ...),
 * -EIO when the ring or a reply was garbled, -ENOMEM. All may sleep: thread context.
 * Locks: see xs_conn.c and xs_watch.c; callers hold no spinlock. Suspend: xenbus_suspend() waits
 * for what is under way, requests made meanwhile wait for xenbus_resume(), which sets the watches
 * anew.
 */
#ifndef XENBUS_XS_H
#define XENBUS_XS_H

#include <xen_list.h>

#include "kern/types.h"

typedef uint32_t xs_txn_t;
#define XS_NO_TXN 0u

/**
 * xenbus_init() - connect to the store's ring of start_info, start the threads
 *
 * Threads exist, event channels work. Panics if there is no ring: a domain without a store
 * has no devices and no way to be told anything. Only the initial domain starts without one, since
 * nobody has made a store yet.
 */
void xenbus_init(void);

/**
 * xenbus_suspend() - wait for what is under way, let nobody but the caller start more
 *
 * Then one of: xenbus_resume(), in a new domain: find the ring, set the watches anew, let the
 * others in (0, -ENXIO, or what the store answered; they are let in anyhow); xenbus_cancel(),
 * in the same domain: let them in.
 */
void xenbus_suspend(void);
int xenbus_resume(void) __must_check;
void xenbus_cancel(void);

/** xs_available() - whether there is a store; else everything below fails with -ENODEV. */
bool xs_available(void);

/** xs_read() - a node's value; @len may be NULL. */
int xs_read(xs_txn_t t, const char *dir, const char *key, char **value, size_t *len) __must_check;

/** xs_write() - set a node's value to a string; makes the node and its parents if need be. */
int xs_write(xs_txn_t t, const char *dir, const char *key, const char *value);

/** xs_writef() - the same, formatted. At most 255 characters: -E2BIG. */
int xs_writef(xs_txn_t t, const char *dir, const char *key, const char *fmt, ...)
    __printf_like(4, 5);

/** xs_mkdir() - make an empty node; one that exists already is no error. */
int xs_mkdir(xs_txn_t t, const char *dir, const char *key);

/** xs_rm() - remove a node with all below it. */
int xs_rm(xs_txn_t t, const char *dir, const char *key);

/* A list of strings in one allocation. */
struct xs_list {
    char *text;
    size_t len;
    unsigned count;
};

/** xs_directory() - the names below a node, sorted as the store has them; also long lists. */
int xs_directory(xs_txn_t t, const char *dir, const char *key, struct xs_list *list) __must_check;

/** xs_get_perms() - a node's permissions as the protocol writes them: "n1" owner first, then "r2".
 */
int xs_get_perms(xs_txn_t t, const char *dir, const char *key, struct xs_list *list) __must_check;

/** xs_list_each() - the string after @cur, the first for NULL; NULL at the end. */
const char *xs_list_each(const struct xs_list *list, const char *cur);
void xs_list_free(struct xs_list *list);

enum xs_type { XS_U32, XS_U64, XS_BOOL, XS_STRING };

/* One value to gather: a decimal number, 0 or 1, or a string to kfree(). */
struct xs_field {
    const char *key;
    enum xs_type type;
    void *out;     /* uint32_t *, uint64_t *, bool *, char ** */
    bool optional; /* not there: *out stays as it is */
};

/**
 * xs_gather() - read and check several values of one directory
 * @bad: on error the key that was missing or malformed; may be NULL
 *
 * Return: 0; or the first error, -EINVAL for a malformed value: then no string is left allocated
 * and the XS_STRING outputs are NULL.
 */
int xs_gather(xs_txn_t t, const char *dir, const struct xs_field *fields, size_t n,
              const char **bad) __must_check;

/* One value to scatter: a string, or if that is NULL a number. */
struct xs_value {
    const char *key;
    const char *text;
    uint32_t number;
};

/** xs_scatter() - write several values into one directory: 0, or the first error, which ends it. */
int xs_scatter(xs_txn_t t, const char *dir, const struct xs_value *values, size_t n) __must_check;

/**
 * xs_transaction() - do several things at once or not at all
 * @fn: does them with the transaction it is given; run again when somebody else got in between
 *
 * Return: 0, what @fn returned (then nothing was done), or -EAGAIN after many attempts.
 */
int xs_transaction(int (*fn)(xs_txn_t t, void *arg), void *arg) __must_check;

struct xs_watch;

/* An event on its way from the store to the thread that delivers it. */
struct xs_event {
    XEN_TAILQ_ENTRY(struct xs_event) link;
    struct xs_watch *watch;
    char path[]; /* empty: the watch's own path (events were merged: look at everything) */
};

/**
 * struct xs_watch - be told when something below a path changes
 * @path: what to watch; must stay until xs_watch_remove()
 * @fn: called in the watch thread with the path that changed; may sleep and talk to the store.
 *      Events are hints: several changes may arrive as one, and one comes at registration.
 */
struct xs_watch {
    const char *path;
    void (*fn)(struct xs_watch *w, const char *path);
    void *arg;

    uint32_t token; /* the rest belongs to xs_watch.c */
    unsigned queued;
    bool merged;
    XEN_TAILQ_ENTRY(struct xs_watch) link;
    XEN_TAILQ_ENTRY(struct xs_watch) merged_link;
};

/** xs_watch_add() - start watching. */
int xs_watch_add(struct xs_watch *w) __must_check;

/**
 * xs_watch_remove() - stop; no call of @w->fn is running or comes after this returned
 *
 * Called from the watch thread itself, it returns inside the running call.
 */
void xs_watch_remove(struct xs_watch *w);

/** xs_watch_forget() - stop, in a domain whose store never heard of this watch: after a restore. */
void xs_watch_forget(struct xs_watch *w);

/**
 * xs_watches_hold(), xs_watches_release() - no callback runs between the two
 *
 * xs_watches_hold() waits for the running one; events that come meanwhile are kept.
 * Not from a callback. May sleep.
 */
void xs_watches_hold(void);
void xs_watches_release(void);

/** xs_watch_poke() - have @w->fn called with the watched path, as if it had changed. Any context.
 */
void xs_watch_poke(struct xs_watch *w);

struct xs_stats {
    uint64_t requests, events, merged, garbled;
    unsigned watches;
    bool broken;
};
void xs_get_stats(struct xs_stats *stats);

#endif /* XENBUS_XS_H */
