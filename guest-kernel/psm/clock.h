/*
 * clock.h - what time it is.
 *
 * clock_now() is Xen's system time made monotonic: nanoseconds that this kernel has run, the same
 * on every vCPU, never backwards. It stands still while the domain is saved, also when the save is
 * cancelled, and goes on from there on whatever host; a pause by the toolstack is not seen and
 * counts. clock_wall() is the host's wall clock and counts everything. clock_xen()
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

/**
 * clock_suspend(), clock_resume() - stop clock_now() and let it go on from there
 *
 * On vCPU 0 with upcalls masked and the other vCPUs parked. Between the two nobody may ask for the
 * time. clock_resume() returns for how long the clock stood still, by the wall clocks of the two
 * hosts (0 if the second is behind the first).
 */
void clock_suspend(void);
nsec_t clock_resume(void);

/** clock_since_boot() - clock_now() and for how long it stood still, in all. Any context. */
nsec_t clock_since_boot(void);

/** clock_wall() - nanoseconds since 1970-01-01 UTC. Any context. */
nsec_t clock_wall(void);

/** clock_from_wall() - the clock_now() at which clock_wall() is @wall; 0 if before boot. Any
 * context.
 */
nsec_t clock_from_wall(nsec_t wall);

/* A civil date, UTC. */
struct date {
    int year;
    unsigned month, day, hour, minute, second; /* month and day from 1 */
    const char *weekday;                       /* "Sun" ... */
};

/** date_from_wall() - break nanoseconds since 1970 down. Any context. */
void date_from_wall(nsec_t wall, struct date *date);

#endif /* PSM_CLOCK_H */
