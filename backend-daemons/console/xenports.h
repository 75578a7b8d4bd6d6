/*
 * What the consoles have of Xen: event channels, all on one descriptor, and the mapping of a
 * guest's ring page.
 *
 * Types owned: struct xenports (one per daemon), struct xenport (in each console). No locks. After
 * a guest was suspended its channel and page may be others: console.c binds and maps anew.
 */
#ifndef DUET_CONSOLE_XENPORTS_H
#define DUET_CONSOLE_XENPORTS_H

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>
#include <xen/io/console.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>

#include "loop.h"

struct xenport {
    /* Our end of the channel; negative: not bound. */
    int local;
    loop_fn *fn;
    void *arg;
    UT_hash_handle hh;
};

struct xenports {
    struct loop *loop;
    xenevtchn_handle *events;
    xengnttab_handle *grants;
    /* Only with --foreign-map. */
    xenforeignmemory_handle *foreign;
    struct loop_fd watch;
    struct xenport *ports;
};

/* Where the ring of a console is mapped, and how. */
struct ring_page {
    struct xencons_interface *intf;
    bool by_frame;
};

/*
 * Opens the devices. @with_foreign also /dev/xen/privcmd, through which any guest's memory can be
 * reached. Returns 0 or -errno, with *@what naming the device that failed.
 */
int xenports_open(struct xenports *xen, struct loop *loop, bool with_foreign, const char **what);

void xenports_close(struct xenports *xen);

/*
 * Binds @port to channel @remote of @domid; fn(arg) is called for each event, after which the
 * channel stays masked until xenport_unmask(). Returns 0 or -errno.
 */
int xenport_bind(struct xenports *xen, struct xenport *port, unsigned int domid, uint32_t remote,
                 loop_fn *fn, void *arg);

/* Closes our end; the guest's becomes unbound. Harmless when it is not bound. */
void xenport_unbind(struct xenports *xen, struct xenport *port);

/* Lets the next event through. */
void xenport_unmask(struct xenports *xen, struct xenport *port);

/* Kicks the guest. */
void xenport_notify(struct xenports *xen, struct xenport *port);

/*
 * Maps the console page of @domid: grant GNTTAB_RESERVED_CONSOLE, which the toolstack sets up;
 * where that fails and the foreign mapping is allowed, frame @frame. Returns 0 or -errno (of the
 * grant).
 */
int ring_page_map(struct xenports *xen, struct ring_page *page, unsigned int domid, uint64_t frame);

/* Harmless when nothing is mapped. */
void ring_page_unmap(struct xenports *xen, struct ring_page *page);

#endif
