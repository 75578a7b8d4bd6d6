/*
 * cons_ring.c - the console ring that the domain builder makes for a domU (xen/io/console.h).
 *
 * Two byte queues in one page, shared with the console's daemon; each side moves its own index,
 * which it keeps for itself and only shows in the page, and reads the other's once per use. An
 * index out of range is the daemon's fault: output then waits as if the ring were full, input is
 * thrown away. Owns the page's mapping and the port. Locks: the caller's cons_lock. Suspend:
 * start_info names the page and port of the other host, found again by open().
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
static XENCONS_RING_IDX out_prod, in_cons; /* ours; the ring's are for the daemon */
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
    out_prod = ring->out_prod;
    in_cons = ring->in_cons;
    on_event = event;
    port = start_info->console.domU.evtchn;
    return evtchn_bind_existing(port, "console", IPL_CONSOLE, ring_event, NULL);
}

static size_t ring_write(const char *text, size_t len)
{
    uint32_t used = out_prod - READ_ONCE(ring->out_cons);
    size_t n = used > OUT_SIZE ? 0 : MIN(len, OUT_SIZE - used);

    mb(); /* the reader took what we overwrite before it moved out_cons */
    for (size_t i = 0; i < n; i++) {
        ring->out[MASK_XENCONS_IDX(out_prod + i, ring->out)] = text[i];
    }
    wmb();
    out_prod += (XENCONS_RING_IDX)n;
    WRITE_ONCE(ring->out_prod, out_prod);
    return n;
}

static size_t ring_read(char *buf, size_t size)
{
    XENCONS_RING_IDX prod = READ_ONCE(ring->in_prod);
    uint32_t there = prod - in_cons;

    rmb();
    if (there > IN_SIZE) {
        in_cons = prod;
        WRITE_ONCE(ring->in_cons, in_cons);
        return 0;
    }
    size_t n = MIN(size, there);
    for (size_t i = 0; i < n; i++) {
        buf[i] = ring->in[MASK_XENCONS_IDX(in_cons + i, ring->in)];
    }
    mb();
    in_cons += (XENCONS_RING_IDX)n;
    WRITE_ONCE(ring->in_cons, in_cons);
    return n;
}

static void ring_again(void)
{
    evtchn_again(port);
}

static void ring_notify(void)
{
    evtchn_notify(port);
}

static bool ring_drained(void)
{
    return READ_ONCE(ring->out_cons) == out_prod;
}

const struct cons_ops cons_ring_ops = {
    .name = "ring",
    .open = ring_open,
    .write = ring_write,
    .read = ring_read,
    .again = ring_again,
    .notify = ring_notify,
    .drained = ring_drained,
};
