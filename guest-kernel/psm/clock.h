/*
 * clock.h - what time it is.
 *
 * clock_now() is Xen's system time made monotonic: nanoseconds since boot of this kernel, the same
 * on every vCPU, never backwards, also over save and restore or a move to another host. clock_xen()
 * is Xen's own count, which timers are programmed in and which jumps at a restore. Locks: none;
 * pvclock's version protocol (xen/xen.h, struct vcpu_time_info).
 */
#ifndef PSM_CLOCK_H
#define PSM_CLOCK_H

#include "kern/types.h"

/** clock_now() - monotonic nanoseconds since this kernel booted. Any context. */
nsec_t clock_now(void);

/** clock_xen() - Xen's system time on this vCPU. Any context. */
nsec_t clock_xen(void);

/** clock_to_xen() - a clock_now() time as Xen's, to program timers with. Any context. */
nsec_t clock_to_xen(nsec_t now);

/** clock_boot() - let clock_now() begin at zero. Once, by the boot CPU. */
void clock_boot(void);

/** clock_wall() - nanoseconds since 1970-01-01 UTC. Any context. */
nsec_t clock_wall(void);

/* A civil date, UTC. */
struct date {
    int year;
    unsigned month, day, hour, minute, second; /* month and day from 1 */
    const char *weekday;                       /* "Sun" ... */
};

/** date_from_wall() - break nanoseconds since 1970 down. Any context. */
void date_from_wall(nsec_t wall, struct date *date);

#endif /* PSM_CLOCK_H */
