/*
 * clock.c - reads Xen's clock of each vCPU, and makes of them one that never runs backwards.
 *
 * Xen publishes for each vCPU a time, the TSC at that time, and a scale (xen/xen.h, struct
 * vcpu_time_info). The time now is that time plus the scaled TSC since. A reader takes the numbers
 * only if the version was even and the same before and after. The vCPUs' clocks differ by a few
 * nanoseconds; where Xen does not vouch for a stable TSC, clock_now() never returns less than it
 * has returned to any vCPU.
 *
 * Suspend: Xen's time jumps between hosts, and `epoch` takes up the jump. Whoever reckons with
 * `epoch` and a time of Xen's keeps upcalls masked meanwhile, so that both are from before the
 * suspend or both from after it.
 */
#include "psm/clock.h"

#include "os/start_info.h"
#include "psm/cpu.h"

static nsec_t epoch;                 /* Xen's time that is clock_now()'s zero */
static nsec_t latest;                /* the largest clock_now() given to anybody */
static nsec_t stopped, stopped_wall; /* clock_now() and clock_wall() at the last suspend */
static nsec_t away;                  /* for how long clock_now() stood still, in all */

static inline uint64_t rdtsc(void)
{
    uint32_t low, high;

    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

/*
 * A delta of the TSC in nanoseconds: shifted, then multiplied by a 32-bit fraction.
 *
 * A processor whose TSC is a little behind the one that Xen took the stamp on gives a negative
 * delta. Taken for a large one it would carry clock_now() centuries ahead, where it would stay.
 */
static uint64_t scale(uint64_t delta, int8_t shift, uint32_t mul)
{
    if ((int64_t)delta < 0) {
        return 0;
    }
    delta = shift < 0 ? delta >> -shift : delta << shift;
    return (uint64_t)(((unsigned __int128)delta * mul) >> 32);
}

/* Xen's time here, upcalls masked; says also whether Xen vouches for the TSC across vCPUs. */
static nsec_t read_pvclock(bool *stable)
{
    const struct vcpu_time_info *time = &this_cpu()->info.time;
    uint32_t version;
    nsec_t now;

    do {
        version = READ_ONCE(time->version);
        rmb();
        now = READ_ONCE(time->system_time) + scale(rdtsc() - READ_ONCE(time->tsc_timestamp),
                                                   time->tsc_shift, time->tsc_to_system_mul);
        *stable = time->flags & XEN_PVCLOCK_TSC_STABLE_BIT;
        rmb();
    } while ((version & 1) != 0 || version != READ_ONCE(time->version));
    return now;
}

nsec_t clock_xen(void)
{
    bool stable;
    upcall_state_t state = upcalls_save();
    nsec_t now = read_pvclock(&stable);

    upcalls_restore(state);
    return now;
}

nsec_t clock_now(void)
{
    bool stable;
    upcall_state_t state = upcalls_save();
    nsec_t now = read_pvclock(&stable) - epoch;

    upcalls_restore(state);
    if (stable) {
        return now;
    }
    nsec_t seen = __atomic_load_n(&latest, __ATOMIC_RELAXED);
    do {
        if (seen >= now) {
            return seen;
        }
    } while (!__atomic_compare_exchange_n(&latest, &seen, now, true, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    return now;
}

nsec_t clock_to_xen(nsec_t now)
{
    return now + epoch;
}

/* The wall clock when Xen's time was zero. Upcalls masked. */
static nsec_t wall_zero(void)
{
    uint32_t version;
    uint64_t sec;
    uint32_t nsec;

    do {
        version = READ_ONCE(shared_info->wc_version);
        rmb();
        sec = (uint64_t)shared_info->wc_sec_hi << 32 | shared_info->wc_sec;
        nsec = shared_info->wc_nsec;
        rmb();
    } while ((version & 1) != 0 || version != READ_ONCE(shared_info->wc_version));
    return sec * NSEC_PER_SEC + nsec;
}

nsec_t clock_wall(void)
{
    upcall_state_t state = upcalls_save();
    nsec_t wall = wall_zero() + clock_xen();

    upcalls_restore(state);
    return wall;
}

nsec_t clock_from_wall(nsec_t wall)
{
    upcall_state_t state = upcalls_save();
    nsec_t zero = wall_zero() + epoch;

    upcalls_restore(state);
    return wall > zero ? wall - zero : 0;
}

void clock_suspend(void)
{
    stopped = clock_now();
    stopped_wall = clock_wall();
}

nsec_t clock_resume(void)
{
    nsec_t wall = clock_wall();

    epoch = clock_xen() - stopped;
    nsec_t stood = wall > stopped_wall ? wall - stopped_wall : 0;
    away += stood;
    return stood;
}

nsec_t clock_since_boot(void)
{
    return clock_now() + READ_ONCE(away);
}

void clock_boot(void)
{
    epoch = clock_xen();
}

/* Days since 1970 to a civil date, by counting eras of 400 years from 1 March of year 0. */
void date_from_wall(nsec_t wall, struct date *date)
{
    static const char *const weekdays[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    uint64_t seconds = wall / NSEC_PER_SEC;
    uint64_t days = seconds / 86400, shifted = days + 719468;
    uint64_t era = shifted / 146097, day_of_era = shifted % 146097;
    uint64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t month = (5 * day_of_year + 2) / 153; /* from March */

    date->day = (unsigned)(day_of_year - (153 * month + 2) / 5 + 1);
    date->month = (unsigned)(month < 10 ? month + 3 : month - 9);
    date->year = (int)(year_of_era + era * 400 + (date->month <= 2));
    date->hour = (unsigned)(seconds / 3600 % 24);
    date->minute = (unsigned)(seconds / 60 % 60);
    date->second = (unsigned)(seconds % 60);
    date->weekday = weekdays[days % 7];
}
