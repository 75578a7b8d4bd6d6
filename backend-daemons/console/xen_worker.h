/*
 * What the worker has of Xen: event channels that the supervisor has bound, all on one descriptor,
 * and the mapping of a guest's ring page by the grant that the supervisor has named
 * (xen_supervisor.h). The descriptors are shared with the supervisor.
 *
 * Types: struct cons_xen (one per worker), struct cons_port and struct cons_page (in each console).
 */
#ifndef DUET_CONSOLE_XEN_WORKER_H
#define DUET_CONSOLE_XEN_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>
#include <xen/io/console.h>
#include <xenforeignmemory.h>

#include "loop.h"

struct cons_port {
    /* Our end of the channel; negative: none. */
    int local;
    loop_fn *fn;
    void *arg;
    UT_hash_handle hh;
};

struct cons_xen {
    struct loop *loop;
    int events;
    int grants;
    /* Only with --foreign-map. */
    xenforeignmemory_handle *foreign;
    struct loop_fd watch;
    struct cons_port *ports;
};

/* Where the ring of a console is mapped, and how. */
struct cons_page {
    struct xencons_interface *intf;
    bool by_frame;
    uint64_t index;
};

/*
 * Listens to @events through @loop. @foreign: opens /dev/xen/privcmd as well, through which all
 * memory of all guests can be reached. Returns 0 or -errno.
 */
int cons_xen_open(struct cons_xen *xen, struct loop *loop, int events, int grants, bool foreign);

/* Calls fn(arg) for each event of channel @local, which then stays masked until cons_port_unmask().
 */
void cons_port_listen(struct cons_xen *xen, struct cons_port *port, int local, loop_fn *fn,
                      void *arg);

/* Ends that. Harmless when it never began. */
void cons_port_forget(struct cons_xen *xen, struct cons_port *port);

/* Lets the next event through. */
void cons_port_unmask(struct cons_xen *xen, struct cons_port *port);

/* Kicks the guest. */
void cons_port_notify(struct cons_xen *xen, struct cons_port *port);

/*
 * Maps the console page of @domid by the grant at @index, which is given back in any case at the
 * end; where that fails and the foreign mapping is allowed, frame @frame. Returns 0 or -errno (of
 * the grant).
 */
int cons_page_map(struct cons_xen *xen, struct cons_page *page, unsigned int domid, uint64_t index,
                  uint64_t frame);

/* Harmless when nothing is mapped. */
void cons_page_unmap(struct cons_xen *xen, struct cons_page *page);

#endif
