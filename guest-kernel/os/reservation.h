/*
 * reservation.h - frames go back to Xen, and come from it.
 *
 * What a frame was or will be mapped as is the caller's business: nothing may map one that is
 * given. Locks: none. Suspend: callers hold frames_hold() (kern/thread.h).
 */
#ifndef OS_RESERVATION_H
#define OS_RESERVATION_H

#include "kern/types.h"

#include <xen/xen.h>

/**
 * frames_give() - give frames that nothing maps any more to Xen
 *
 * Return: how many Xen took, from the first on, or what it refused with. Any context.
 */
long frames_give(xen_pfn_t *frames, unsigned count) __must_check;

/**
 * frames_take() - ask Xen for frames
 * @frames: in: the pfn that each is for; out: the mfn that it got
 *
 * Return: how many came, from the first on, or what Xen refused with. Any context.
 */
long frames_take(xen_pfn_t *frames, unsigned count) __must_check;

#endif /* OS_RESERVATION_H */
