/*
 * xvb_abuse.h - a block front end that breaks the rules: raw entries on the ring of a live disk.
 * For people who write or try a back end.
 *
 * Who may call it: the shell's `blkabuse`, and whoever tries a back end likewise. It makes the
 * other end close the disk, or forget it, and overwrites the sectors from XVB_SCRATCH on.
 *
 * A session holds the disk, not its ring: that is taken by xvb_abuse_seize() and gone when the back
 * end goes. While it is seized, the disk's users wait. What the entries name are pages of the
 * session's own, granted for the session: nothing else of this kernel's memory is shown to anybody.
 * All functions in thread context; xvb_abuse_alter() also beside the others.
 *
 * Types: struct xvb_abuse, owned by its caller; one thread, but for xvb_abuse_alter(). Locks: the
 * disk's own, within each call. Suspend: in another domain the ring is new and no longer seized:
 * -ENOTCONN, and the session's grants are gone.
 */
#ifndef HOSTILE_XVB_ABUSE_H
#define HOSTILE_XVB_ABUSE_H

#include <stdint.h>

#include "hostile/xvb_requests.h"
#include "io/blk.h"
#include "os/gnttab.h"

/* A request that is not answered; answers come in any order. */
struct xvb_sent {
    bool open;
    uint8_t operation, inner; /* the same twice if it is not indirect */
    uint64_t id;
};

struct xvb_abuse {
    struct blk_dev *dev;
    struct xvb_disk disk;
    uint8_t *data[XVB_PAGES]; /* of disk.data */
    uint8_t *guard;           /* of disk.guard */
    struct xvb_sent sent[XVB_RING];
    union xvb_raw there[XVB_RING]; /* what was put into each place of the ring last */
    bool altered; /* entries are changed while they are out: their answers may be, too */
};

/* Answers that came. */
struct xvb_answers {
    uint64_t okay, error, unsupported;
    uint64_t senseless, leaking;
    const char *why; /* what the last senseless or leaking one was */
};

/**
 * xvb_abuse_open() - begin a session with a disk
 * @a: zeroed; owned by the caller until xvb_abuse_close()
 *
 * Return: 0, -ENODEV, -EOPNOTSUPP if it is no xvbd disk, -EINVAL if it is too small or has other
 * sectors than of 512 bytes, -ENOMEM, -ENOSPC, or what the store answered.
 */
int xvb_abuse_open(struct xvb_abuse *a, const char *name) __must_check;

/** xvb_abuse_close() - the reverse. A ring that is still seized is lost until the next connection.
 */
void xvb_abuse_close(struct xvb_abuse *a);

/** xvb_abuse_seize(), xvb_abuse_release() - as xvbd_seize() and xvbd_let_go(). */
int xvb_abuse_seize(struct xvb_abuse *a) __must_check;
int xvb_abuse_release(struct xvb_abuse *a) __must_check;

/**
 * xvb_abuse_put() - publish entries as they are, and notify if the back end wants it
 *
 * Return: 0, -EAGAIN if there are fewer free places than @n, -ENOTCONN.
 */
int xvb_abuse_put(struct xvb_abuse *a, const union xvb_raw *entries, unsigned n) __must_check;

/** xvb_abuse_index() - add @by to the producer's index alone, and notify. 0, -ENOTCONN. */
int xvb_abuse_index(struct xvb_abuse *a, uint32_t by) __must_check;

/** xvb_abuse_kick() - notify, for nothing. 0, -ENOTCONN. */
int xvb_abuse_kick(struct xvb_abuse *a) __must_check;

/**
 * xvb_abuse_take() - take what answers there are and add them to @sum
 *
 * Return: how many entries are unanswered now (after xvb_abuse_index(), any number), -EBADMSG if
 * there are more answers than entries, -ENOTCONN.
 */
int xvb_abuse_take(struct xvb_abuse *a, struct xvb_answers *sum) __must_check;

/** xvb_abuse_alter() - change what is out: xvb_alter() of each. 0, -ENOTCONN. */
int xvb_abuse_alter(struct xvb_abuse *a, unsigned what, unsigned turn) __must_check;

/** xvb_abuse_clean() - whether the ring's page holds nothing where neither end writes. */
bool xvb_abuse_clean(struct xvb_abuse *a);

/** xvb_abuse_revoke() - end the grant of data page @i; -EBUSY while the back end uses it. */
int xvb_abuse_revoke(struct xvb_abuse *a, unsigned i) __must_check;

/** xvb_abuse_grant() - grant it again. */
void xvb_abuse_grant(struct xvb_abuse *a, unsigned i);

/** xvb_abuse_say() - write a state of xenbus as the front end's. 0 or what the store answered. */
int xvb_abuse_say(struct xvb_abuse *a, unsigned state);

#endif /* HOSTILE_XVB_ABUSE_H */
