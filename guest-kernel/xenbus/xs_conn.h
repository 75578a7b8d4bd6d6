/*
 * xs_conn.h - the ring to the store, for the files of this folder.
 *
 * See xs_conn.c for locks and suspend.
 */
#ifndef XENBUS_XS_CONN_H
#define XENBUS_XS_CONN_H

#include "xenbus/xs.h"

/* A piece of a request's body. */
struct xs_part {
    const void *data;
    size_t len;
};

/* The body of a reply; kfree() it. One NUL stands behind its @len bytes. */
struct xs_reply {
    char *body;
    size_t len;
};

/** xs_conn_init() - map the ring and bind its event channel; panics without one. */
void xs_conn_init(void);

/**
 * xs_talk() - send a request and wait for its reply
 * @type: XS_*
 * @reply: filled in on success; NULL if nobody wants it
 *
 * Return: 0, the store's error, -E2BIG for a body over XENSTORE_PAYLOAD_MAX, -EIO for a broken
 * ring, -ENOMEM.
 */
int xs_talk(uint32_t type, xs_txn_t t, const struct xs_part *parts, unsigned nparts,
            struct xs_reply *reply);

/**
 * xs_talk_short() - the same for a reply of less than XS_SHORT bytes, which needs no memory
 * @buf: of XS_SHORT bytes; NUL-terminated on success
 *
 * For what the store acts upon: its answer must not be lost. Return: as xs_talk(); -EIO for a
 * longer reply.
 */
#define XS_SHORT 32
int xs_talk_short(uint32_t type, xs_txn_t t, const struct xs_part *parts, unsigned nparts,
                  char *buf);

/** xs_conn_txn_ended() - a transaction is over, as far as a waiting suspend is concerned. */
void xs_conn_txn_ended(void);

/** xs_watch_init() / xs_watch_deliver() - start the watch thread; hand it an event's body. */
void xs_watch_init(void);
void xs_watch_deliver(const char *body, size_t len);

/** xs_watch_again() - set all watches anew after a resume: 0, or the first error of any. */
int xs_watch_again(void) __must_check;

/** xs_watch_get_stats() - fill in the watches' part of the statistics. */
void xs_watch_get_stats(struct xs_stats *stats);

#endif /* XENBUS_XS_CONN_H */
