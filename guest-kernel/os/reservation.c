/*
 * reservation.c - XENMEM_decrease_reservation and XENMEM_populate_physmap, one frame each.
 */
#include "os/reservation.h"

#include "os/hypercall.h"

static long memory_op(unsigned op, xen_pfn_t *frames, unsigned count)
{
    struct xen_memory_reservation r = {.nr_extents = count, .domid = DOMID_SELF};

    set_xen_guest_handle(r.extent_start, frames);
    return HYPERVISOR_memory_op(op, &r);
}

long frames_give(xen_pfn_t *frames, unsigned count)
{
    return memory_op(XENMEM_decrease_reservation, frames, count);
}

long frames_take(xen_pfn_t *frames, unsigned count)
{
    return memory_op(XENMEM_populate_physmap, frames, count);
}
