/*
 * Event channels and the ring's page, see xenports.h.
 */
#include "xenports.h"

#include <errno.h>
#include <sys/mman.h>

#include "log.h"

/* One event; epoll is level-triggered, so the others come in the next turn. */
static void on_event(void *arg, uint32_t events)
{
    struct xenports *xen = arg;
    int local = xenevtchn_pending(xen->events);
    struct xenport *port = NULL;

    (void)events;
    if (local < 0) {
        if (errno == EAGAIN || errno == EINTR) {
            return;
        }
        log_msg(LOG_CRIT, NULL, "the event channel device fails: %m");
        loop_stop(xen->loop, 1);
        return;
    }
    HASH_FIND_INT(xen->ports, &local, port);
    if (port != NULL) {
        port->fn(port->arg);
    }
}

int xenports_open(struct xenports *xen, struct loop *loop, bool with_foreign, const char **what)
{
    *xen = (struct xenports){.loop = loop};
    *what = "/dev/xen/evtchn";
    xen->events = xenevtchn_open(NULL, 0);
    if (xen->events == NULL) {
        return -errno;
    }
    *what = "/dev/xen/gntdev";
    xen->grants = xengnttab_open(NULL, 0);
    if (xen->grants == NULL) {
        return -errno;
    }
    *what = "/dev/xen/privcmd";
    if (with_foreign) {
        xen->foreign = xenforeignmemory_open(NULL, 0);
        if (xen->foreign == NULL) {
            return -errno;
        }
    }
    *what = "epoll";
    return loop_fd_add(loop, &xen->watch, xenevtchn_fd(xen->events), EPOLLIN, on_event, xen);
}

void xenports_close(struct xenports *xen)
{
    loop_fd_del(xen->loop, &xen->watch);
    if (xen->events != NULL) {
        xenevtchn_close(xen->events);
    }
    if (xen->grants != NULL) {
        xengnttab_close(xen->grants);
    }
    if (xen->foreign != NULL) {
        xenforeignmemory_close(xen->foreign);
    }
    xen->events = NULL;
    xen->grants = NULL;
    xen->foreign = NULL;
}

int xenport_bind(struct xenports *xen, struct xenport *port, unsigned int domid, uint32_t remote,
                 loop_fn *fn, void *arg)
{
    int local = xenevtchn_bind_interdomain(xen->events, domid, remote);

    if (local < 0) {
        return -errno;
    }
    *port = (struct xenport){.local = local, .fn = fn, .arg = arg};
    HASH_ADD_INT(xen->ports, local, port);
    return 0;
}

void xenport_unbind(struct xenports *xen, struct xenport *port)
{
    if (port->local < 0) {
        return;
    }
    HASH_DEL(xen->ports, port);
    xenevtchn_unbind(xen->events, (evtchn_port_t)port->local);
    port->local = -1;
}

void xenport_unmask(struct xenports *xen, struct xenport *port)
{
    if (port->local >= 0) {
        xenevtchn_unmask(xen->events, (evtchn_port_t)port->local);
    }
}

void xenport_notify(struct xenports *xen, struct xenport *port)
{
    if (port->local >= 0) {
        xenevtchn_notify(xen->events, (evtchn_port_t)port->local);
    }
}

int ring_page_map(struct xenports *xen, struct ring_page *page, unsigned int domid, uint64_t frame)
{
    const int prot = PROT_READ | PROT_WRITE;
    xen_pfn_t pfn = frame;
    int err;

    page->by_frame = false;
    page->intf = xengnttab_map_grant_ref(xen->grants, domid, GNTTAB_RESERVED_CONSOLE, prot);
    if (page->intf != NULL) {
        return 0;
    }
    err = errno ? -errno : -EIO;
    if (xen->foreign == NULL) {
        return err;
    }
    page->by_frame = true;
    page->intf = xenforeignmemory_map(xen->foreign, domid, prot, 1, &pfn, NULL);
    return page->intf != NULL ? 0 : err;
}

void ring_page_unmap(struct xenports *xen, struct ring_page *page)
{
    if (page->intf == NULL) {
        return;
    }
    if (page->by_frame) {
        xenforeignmemory_unmap(xen->foreign, page->intf, 1);
    } else {
        xengnttab_unmap(xen->grants, page->intf, 1);
    }
    page->intf = NULL;
}
