/*
 * Event channels and the ring's page on the worker's side: see xen_worker.h. Plain system calls on
 * the shared descriptors: each stands in the worker's filter (cage_worker.c).
 */
#include "xen_worker.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/event_channel.h>
#include <xen/sys/evtchn.h>
#include <xen/sys/gntdev.h>

#include "log.h"

#define PAGE_BYTES 4096

/* One event; epoll is level-triggered, so the others come in the next turn. */
static void on_channel(void *arg, uint32_t events)
{
    struct cons_xen *xen = arg;
    struct cons_port *port = NULL;
    evtchn_port_t pending;
    ssize_t n = read(xen->events, &pending, sizeof(pending));
    int local = (int)pending;

    (void)events;
    if (n != sizeof(pending)) {
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
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

int cons_xen_open(struct cons_xen *xen, struct loop *loop, int events, int grants, bool foreign)
{
    *xen = (struct cons_xen){.loop = loop, .events = events, .grants = grants};
    if (foreign) {
        xen->foreign = xenforeignmemory_open(NULL, 0);
        if (xen->foreign == NULL) {
            return -errno;
        }
    }
    return loop_fd_add(loop, &xen->watch, events, EPOLLIN, on_channel, xen);
}

void cons_port_listen(struct cons_xen *xen, struct cons_port *port, int local, loop_fn *fn,
                      void *arg)
{
    *port = (struct cons_port){.local = local, .fn = fn, .arg = arg};
    HASH_ADD_INT(xen->ports, local, port);
    /* An event that came before we listened is lost, and has masked the channel. */
    cons_port_unmask(xen, port);
}

void cons_port_forget(struct cons_xen *xen, struct cons_port *port)
{
    if (port->local < 0) {
        return;
    }
    HASH_DEL(xen->ports, port);
    port->local = -1;
}

void cons_port_unmask(struct cons_xen *xen, struct cons_port *port)
{
    evtchn_port_t local = (evtchn_port_t)port->local;

    if (port->local >= 0 && write(xen->events, &local, sizeof(local)) < 0) {
        log_msg(LOG_DEBUG, NULL, "cannot unmask event channel %u: %m", local);
    }
}

void cons_port_notify(struct cons_xen *xen, struct cons_port *port)
{
    struct ioctl_evtchn_notify notify = {.port = (unsigned int)port->local};

    if (port->local >= 0) {
        ioctl(xen->events, IOCTL_EVTCHN_NOTIFY, &notify);
    }
}

static void give_back(struct cons_xen *xen, uint64_t index)
{
    struct ioctl_gntdev_unmap_grant_ref unmap = {.index = index, .count = 1};

    ioctl(xen->grants, IOCTL_GNTDEV_UNMAP_GRANT_REF, &unmap);
}

int cons_page_map(struct cons_xen *xen, struct cons_page *page, unsigned int domid, uint64_t index,
                  uint64_t frame)
{
    const int prot = PROT_READ | PROT_WRITE;
    void *mapped = mmap(NULL, PAGE_BYTES, prot, MAP_SHARED, xen->grants, (off_t)index);
    xen_pfn_t pfn = frame;
    int err;

    page->index = index;
    page->by_frame = false;
    if (mapped != MAP_FAILED) {
        page->intf = mapped;
        return 0;
    }
    err = errno != 0 ? -errno : -EIO;
    give_back(xen, index);
    if (xen->foreign == NULL) {
        return err;
    }
    page->by_frame = true;
    page->intf = xenforeignmemory_map(xen->foreign, domid, prot, 1, &pfn, NULL);
    return page->intf != NULL ? 0 : err;
}

void cons_page_unmap(struct cons_xen *xen, struct cons_page *page)
{
    if (page->intf == NULL) {
        return;
    }
    if (page->by_frame) {
        xenforeignmemory_unmap(xen->foreign, page->intf, 1);
    } else {
        munmap(page->intf, PAGE_BYTES);
        give_back(xen, page->index);
    }
    page->intf = NULL;
}
