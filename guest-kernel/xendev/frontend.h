/*
 * frontend.h - the life of a front end: what is the same for disks, interfaces and all others.
 *
 * A front end shares rings with a back end that another domain runs, loses it, finds it again, and
 * goes at last. frontend.c holds that life as one table; a driver gives it the few steps that are
 * its own, as struct frontend_ops, and need not know in which phase it is.
 * Locks: everything but frontend_break() runs with the xendev's lock held, in the watch thread or,
 * around a suspend, in the suspending one. Suspend: frontend_suspend(), then frontend_cancel() in
 * the same domain or frontend_resume() in another.
 */
#ifndef XENDEV_FRONTEND_H
#define XENDEV_FRONTEND_H

#include "xenbus/xenbus.h"

struct xendev;
struct frontend;

/* Told in full at the top of frontend.c. */
enum frontend_phase {
    FRONTEND_WAITING,
    FRONTEND_OFFERED,
    FRONTEND_UP,
    FRONTEND_LEFT,
    FRONTEND_FAILED,
    FRONTEND_BROKEN,
    FRONTEND_GONE,
};

/*
 * What the phases come down to for a data path, which keeps it under a lock of its own:
 *
 *   DOWN ---start()---> UP ---frontend_break()---> BROKEN
 *    ^                 |  \                          |
 *    +----stop(DOWN)---+   \----stop(GONE)-------> GONE
 *
 * Users' requests wait in DOWN, run in UP, and fail in BROKEN and GONE.
 */
enum frontend_path { PATH_DOWN, PATH_UP, PATH_BROKEN, PATH_GONE };

/**
 * struct frontend_ops - a driver's own steps
 * @offered: the state that says "my rings are there": Initialised, or Connected for classes whose
 *           back end connects second
 * @open: read what the back end can do, make the rings and all that goes with them for
 *        fe->otherend_id. Nonzero, by frontend_refuse(): with nothing left behind
 * @publish: write the rings' keys, in a transaction that the engine makes and may repeat
 * @refresh: the back end is connected: read what it says of itself now. Before @start, and
 *           whenever something changed. Nonzero, by frontend_refuse(): it makes no sense
 * @start: the data path goes to UP. Nonzero, by frontend_refuse(): it stayed where it was
 * @stop: the data path goes to @path: after this nobody touches a ring any more. Called again in
 *        any order; it is what comes before every @close
 * @close: free what @open made. @lost: it was shared in another domain, whose ports are not ours
 *         to close
 * @leaving: the device goes for good: unlist it and let what is under way end, for a time that the
 *           driver bounds. May be NULL
 * @gone: it has gone: the data path is GONE, the rings are freed. May be NULL
 * @pause: hold still for a suspend, for a time that the driver bounds; @unpause goes on
 * @release: the directory is gone: let go of the device, free it when its users have, too
 *
 * An error of open(), publish() or refresh() that passes (xs_error_passes()) does not count against
 * the back end: the step is tried again.
 */
struct frontend_ops {
    enum xenbus_state offered;
    int (*open)(struct frontend *fe);
    int (*publish)(struct frontend *fe, xs_txn_t t);
    int (*refresh)(struct frontend *fe);
    int (*start)(struct frontend *fe);
    void (*stop)(struct frontend *fe, enum frontend_path path);
    void (*close)(struct frontend *fe, bool lost);
    void (*leaving)(struct frontend *fe);
    void (*gone)(struct frontend *fe);
    void (*pause)(struct frontend *fe);
    void (*unpause)(struct frontend *fe);
    void (*release)(struct frontend *fe);
};

/* A driver's structure has one. All but @ops, @dev and @name belongs to frontend.c. */
struct frontend {
    const struct frontend_ops *ops;
    struct xendev *dev;
    const char *name;     /* "xvda", for the log; lives as long */
    uint16_t otherend_id; /* whom the rings are shared with; set before open() */
    enum frontend_phase phase;
    enum xenbus_state seen; /* the back end's last state */
    bool open;              /* open() has run, close() has not */
    bool may_ask;           /* it was up since it was last asked to offer itself again */
    bool stuck;             /* an error that passes was logged, nothing has succeeded since */
    const char *breach;     /* frontend_break()'s sentence until the store was told */
    char why[96];           /* frontend_refuse()'s sentence */
};

/**
 * frontend_alloc() - zeroed memory for a driver's structure, from its probe()
 * @name: the device's, for the log and the store when memory is out
 *
 * Return: for frontend_init(), or to be kfree()d; NULL if memory is out, which has been reported.
 */
void *frontend_alloc(const struct xendev *dev, const char *name, size_t size);

/**
 * frontend_init() - hand @dev over to a front end, which waits for the back end
 *
 * The last thing that a driver's probe() does.
 */
void frontend_init(struct frontend *fe, const struct frontend_ops *ops, struct xendev *dev,
                   const char *name);

/** frontend_event() - the back end's state is @state, or something of it is to be looked at. */
void frontend_event(struct frontend *fe, enum xenbus_state state);

/** frontend_hidden() - the back end cannot be read any more, as when its domain has died. */
void frontend_hidden(struct frontend *fe);

/** frontend_take_breach() - whatever its state is, take away what frontend_break() found broken. */
void frontend_take_breach(struct frontend *fe);

/** frontend_remove() - the device's directory is gone. Frees @fe, by release(). */
void frontend_remove(struct frontend *fe);

/** frontend_suspend() - hold still; frontend_cancel() - go on, on the same rings. */
void frontend_suspend(struct frontend *fe);
void frontend_cancel(struct frontend *fe);

/**
 * frontend_move() - another domain serves the device from now on; the store says so already
 *
 * All grants and ports of the old one are taken back; what was under way is sent to the new one.
 * Not for a front end that is GONE.
 */
void frontend_move(struct frontend *fe);

/** frontend_resume() - this is another domain: what was shared is lost, all begins anew. */
void frontend_resume(struct frontend *fe);

/**
 * frontend_break() - the back end broke the protocol: no more of it until it is attached again
 * @breach: what it did; a constant
 *
 * From the data path, which has gone to PATH_BROKEN already. Any context.
 */
void frontend_break(struct frontend *fe, const char *breach);

/** frontend_refuse() - say why open(), refresh() or start() fail. Returns @err, nonzero. */
int frontend_refuse(struct frontend *fe, int err, const char *fmt, ...) __printf_like(3, 4);

/** frontend_gather() - xs_gather() from the back end's directory, with frontend_refuse(). */
int frontend_gather(struct frontend *fe, const struct xs_field *fields, size_t n);

/** frontend_otherend() - the back end's directory; valid within the call. */
const char *frontend_otherend(const struct frontend *fe);

/* A ring as the debugger shows it. */
struct frontend_ring {
    const char *name;
    unsigned entries;
    const void *shared; /* its page */
    uint32_t gref, port;
    uint32_t req_prod_pvt, rsp_cons;
};

#define FRONTEND_RING(ringname, ring, ring_gref, ring_port)      \
    ((struct frontend_ring){.name = (ringname),                  \
                            .entries = (ring).nr_ents,           \
                            .shared = (ring).sring,              \
                            .gref = (ring_gref),                 \
                            .port = (ring_port),                 \
                            .req_prod_pvt = (ring).req_prod_pvt, \
                            .rsp_cons = (ring).rsp_cons})

/** frontend_show_ring() - a ring's place and indices, for show_rings(). Takes no lock. */
void frontend_show_ring(void (*say)(const char *fmt, ...), const struct frontend_ring *ring);

/** frontend_path_name() - "up" and the like, for `lsdev`. */
const char *frontend_path_name(enum frontend_path path);

#endif /* XENDEV_FRONTEND_H */
