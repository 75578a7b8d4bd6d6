/*
 * One schedule: a device is made, the guest works on it, chance decides who runs and what fails;
 * then nothing fails any more, and all has to come to rest as it must.
 */
#ifndef DUET_SIM_SCHEDULE_H
#define DUET_SIM_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

/* Runs the schedule of the seed that sim_run() has set. */
void schedule_run(void);

/* Whether faults are left out together that are known to end badly (README.md). True at first. */
extern bool schedule_spares;

/* What happened in all schedules so far. */
struct schedule_counts {
    uint64_t steps, requests, kills, daemon_kills, opener_kills, restarts, saves, detaches;
};
extern struct schedule_counts schedule_counts;

#endif
