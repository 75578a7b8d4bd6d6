/*
 * cons_ring.c - the console ring that the domain builder makes for a domU (xen/io/console.h).
 *
 * Two byte queues in one page, shared with the console's daemon; each side moves its own index and
 * reads the other's once per use. An index out of range is the daemon's fault: output then waits
 * as if the ring were full, input is thrown away.
 * Owns the page's mapping and the port. Locks: the caller's cons_lock. Suspend: start_info
 * names the page and port of the other host, found again by open().
 */
#include <stdint.h>
#include <xen/xen.h>
#include <xen/io/console.h>

#include "hat/p2m.h"
#include "io/xencons/cons_ops.h"
#include "kern/string.h"
#include "os/evtchn.h"
#include "os/start_info.h"

static struct xencons_interface *ring;
static evtchn_port_t port;
static void (*on_event)(void);

#define OUT_SIZE sizeof(ring->out)
#define IN_SIZE  sizeof(ring->in)

static void ring_event(evtchn_port_t p __unused, void *arg __unused)
{
    on_event();
}

static int ring_open(void (*event)(void))
{
    pfn_t pfn;

    if (!m2p_get(MFN(start_info->console.domU.mfn), &pfn)) {
        return -ENXIO;
    }
    ring = pfn_to_virt(pfn);
    on_event = event;
    port = start_info->console.domU.evtchn;
    return evtchn_bind_existing(port, "console", IPL_CONSOLE, ring_event, NULL);
}

static size_t ring_write(const char *text, size_t len)
{
    XENCONS_RING_IDX prod = ring->out_prod;
    uint32_t used = prod - READ_ONCE(ring->out_cons);
    size_t n = used > OUT_SIZE ? 0 : MIN(len, OUT_SIZE - used);

    mb(); /* the reader took what we overwrite before it moved out_cons */
    for (size_t i = 0; i < n; i++) {
        ring->out[MASK_XENCONS_IDX(prod + i, ring->out)] = text[i];
    }
    wmb();
    WRITE_ONCE(ring->out_prod, prod + (XENCONS_RING_IDX)n);
    return n;
}

static size_t ring_read(char *buf, size_t size)
{
    XENCONS_RING_IDX cons = ring->in_cons;
    XENCONS_RING_IDX prod = READ_ONCE(ring->in_prod);
    uint32_t there = prod - cons;

    rmb();
    if (there > IN_SIZE) {
        WRITE_ONCE(ring->in_cons, prod);
        return 0;
    }
    size_t n = MIN(size, there);
    for (size_t i = 0; i < n; i++) {
        buf[i] = ring->in[MASK_XENCONS_IDX(cons + i, ring->in)];
    }
    mb();
    WRITE_ONCE(ring->in_cons, cons + (XENCONS_RING_IDX)n);
    return n;
}

static void ring_notify(void)
{
    evtchn_notify(port);
}

static bool ring_drained(void)
{
    return READ_ONCE(ring->out_cons) == ring->out_prod;
}

const struct cons_ops cons_ring_ops = {
    .name = "ring",
    .open = ring_open,
    .write = ring_write,
    .read = ring_read,
    .notify = ring_notify,
    .drained = ring_drained,
};
