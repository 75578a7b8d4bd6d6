/*
 * xnf_abuse.h - a front end that breaks the rules: raw slots on a live transmit ring, and receive
 * rings that nobody serves. For people who write or try a back end.
 *
 * Who may call it: the shell's `netabuse`, and whoever tries a back end likewise. It makes the
 * other end close the interface, or forget it; the rest of the kernel sends by net_transmit().
 *
 * A session holds the interface, not its rings: they are taken by xnf_abuse_seize() and gone when
 * the back end goes. While the transmit ring of the first queue is seized, the stack finds it full.
 * What the session's slots name is one page of its own, granted for the session: nothing else of
 * this kernel's memory is shown to anybody. All functions in thread context.
 *
 * Types: struct xnf_abuse, owned by its caller, one thread. Locks: a queue's own, within each call.
 * Suspend: in another domain the rings are new and no longer seized: -ENOTCONN.
 */
#ifndef HOSTILE_XNF_ABUSE_H
#define HOSTILE_XNF_ABUSE_H

#include <stdint.h>

#include "hostile/xnf_packets.h"
#include "io/net.h"
#include "os/gnttab.h"

struct xnf_abuse {
    struct net_dev *dev;
    void *page;
    gref_t gref;
};

/* Answers that came, by their status. */
struct xnf_answers {
    uint64_t okay, error, null, other;
};

/**
 * xnf_abuse_open() - begin a session with an interface
 * @a: filled in; owned by the caller until xnf_abuse_close()
 *
 * The page is zeroed; @a->page may be written at will, also while the back end reads it.
 * Return: 0, -ENODEV, -EOPNOTSUPP if it is no xennetf interface, -ENOTCONN before it ever was
 * connected, -ENOMEM, -ENOSPC.
 */
int xnf_abuse_open(struct xnf_abuse *a, const char *name) __must_check;

/** xnf_abuse_close() - the reverse. A ring that is still seized is lost until the next connection.
 */
void xnf_abuse_close(struct xnf_abuse *a);

/**
 * xnf_abuse_seize() - take the first queue's transmit ring from the stack
 *
 * Return: 0; -EAGAIN while frames of the stack are under way: call again; -ENOTCONN while the
 * interface is not connected; -EBUSY if an earlier session left something on it.
 */
int xnf_abuse_seize(struct xnf_abuse *a) __must_check;

/** xnf_abuse_release() - give it back. -EBUSY: not all slots are answered; -ENOTCONN. */
int xnf_abuse_release(struct xnf_abuse *a) __must_check;

/**
 * xnf_abuse_put() - publish slots as they are, and notify if the back end wants it
 *
 * Return: 0, -EAGAIN if there are fewer free places than @n, -ENOTCONN.
 */
int xnf_abuse_put(struct xnf_abuse *a, const union xnf_raw *slots, unsigned n) __must_check;

/** xnf_abuse_index() - add @by to the producer's index alone, and notify. 0, -ENOTCONN. */
int xnf_abuse_index(struct xnf_abuse *a, uint32_t by) __must_check;

/** xnf_abuse_kick() - notify, for nothing. 0, -ENOTCONN. */
int xnf_abuse_kick(struct xnf_abuse *a) __must_check;

/**
 * xnf_abuse_take() - take what answers there are and add them to @sum
 *
 * Return: how many slots are unanswered now (after xnf_abuse_index(), any number), -EBADMSG if
 * there are more answers than slots, -ENOTCONN.
 */
int xnf_abuse_take(struct xnf_abuse *a, struct xnf_answers *sum) __must_check;

/**
 * xnf_abuse_deafen() - no longer take what is received, by any queue; or take it again
 *
 * Return: how many answers of the back end wait, of all queues; -ENOTCONN.
 */
int xnf_abuse_deafen(struct xnf_abuse *a, bool deaf) __must_check;

#endif /* HOSTILE_XNF_ABUSE_H */
