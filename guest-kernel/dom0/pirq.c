/*
 * pirq.c - binding physical interrupts to event channels.
 *
 * PHYSDEVOP_setup_gsi tells Xen how the line is wired (it knows already for ISA lines),
 * PHYSDEVOP_map_pirq gives the line a number, EVTCHNOP_bind_pirq opens a channel for that, and
 * PHYSDEVOP_irq_status_query says whether Xen waits for an end of interrupt.
 * Owns the list of bound interrupts. Locks: pirq_lock (mutex) over the list. Suspend: a dom0 is not
 * saved.
 */
#include "dom0/pirq.h"

#include "kern/log.h"
#include "kern/wait.h"
#include "os/hypercall.h"

static struct mutex pirq_lock;
static XEN_TAILQ_HEAD(pirq_list, struct pirq) bound = XEN_TAILQ_HEAD_INITIALIZER(bound);

static void pirq_event(evtchn_port_t port __unused, void *arg)
{
    struct pirq *p = arg;
    struct physdev_eoi eoi = {.irq = p->number};

    WRITE_ONCE(p->count, p->count + 1);
    p->handler(p->arg);
    if (p->needs_eoi) {
        /* Cannot fail for an interrupt that is bound. */
        (void)HYPERVISOR_physdev_op(PHYSDEVOP_eoi, &eoi);
    }
}

/* Has Xen set the line up and give it a number. */
static int map_line(struct pirq *p)
{
    struct physdev_setup_gsi setup = {
        .gsi = (int)p->line.gsi, .triggering = p->line.level, .polarity = p->line.active_low};
    struct physdev_map_pirq map = {.domid = DOMID_SELF,
                                   .type = MAP_PIRQ_TYPE_GSI,
                                   .index = (int)p->line.gsi,
                                   .pirq = (int)p->line.gsi};
    long rc = HYPERVISOR_physdev_op(PHYSDEVOP_setup_gsi, &setup);

    if (rc != 0 && rc != -EEXIST) {
        return (int)rc;
    }
    rc = HYPERVISOR_physdev_op(PHYSDEVOP_map_pirq, &map);
    p->number = (unsigned)map.pirq;
    return (int)rc;
}

static void unmap_line(const struct pirq *p)
{
    struct physdev_unmap_pirq unmap = {.domid = DOMID_SELF, .pirq = (int)p->number};
    long rc = HYPERVISOR_physdev_op(PHYSDEVOP_unmap_pirq, &unmap);

    if (rc != 0) {
        log_warn("irq %u (%s): Xen keeps it mapped: %s", p->line.gsi, p->name, errno_name((int)rc));
    }
}

int pirq_bind(struct pirq *p)
{
    int rc = map_line(p);

    if (rc != 0) {
        return rc;
    }
    struct physdev_irq_status_query status = {.irq = p->number};
    rc = (int)HYPERVISOR_physdev_op(PHYSDEVOP_irq_status_query, &status);
    if (rc == 0) {
        p->needs_eoi = status.flags & XENIRQSTAT_needs_eoi;
        rc = evtchn_bind_pirq(p->number, status.flags & XENIRQSTAT_shared, p->name, p->ipl,
                              pirq_event, p);
    }
    if (rc < 0) {
        unmap_line(p);
        return rc;
    }
    p->port = (evtchn_port_t)rc;
    mutex_lock(&pirq_lock);
    XEN_TAILQ_INSERT_TAIL(&bound, p, link);
    mutex_unlock(&pirq_lock);
    return 0;
}

void pirq_unbind(struct pirq *p)
{
    mutex_lock(&pirq_lock);
    XEN_TAILQ_REMOVE(&bound, p, link);
    mutex_unlock(&pirq_lock);
    evtchn_close(p->port);
    unmap_line(p);
}

void pirq_mask(struct pirq *p)
{
    evtchn_mask(p->port);
}

void pirq_foreach(void (*fn)(const struct pirq *p, void *arg), void *arg)
{
    const struct pirq *p;

    mutex_lock(&pirq_lock);
    XEN_TAILQ_FOREACH (p, &bound, link) {
        fn(p, arg);
    }
    mutex_unlock(&pirq_lock);
}

void pirq_init(void)
{
    mutex_init(&pirq_lock, "pirq");
}
