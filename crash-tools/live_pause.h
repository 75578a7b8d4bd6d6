/*
 * A domain that stays paused while it is read, and goes on whatever becomes of the reader.
 */
#ifndef DUET_CRASH_LIVE_PAUSE_H
#define DUET_CRASH_LIVE_PAUSE_H

#include <stdbool.h>
#include <sys/types.h>

struct live_pause {
    pid_t keeper;
    int fd; /* whose end is the pause's */
};

/* Calls @pause(@domid, true) at the beginning and @pause(@domid, false) at the end. */
typedef int live_pause_fn(unsigned int domid, bool pause);

/* Pauses. Returns 0, for live_pause_end(), or -errno. */
int live_pause_begin(struct live_pause *p, unsigned int domid, live_pause_fn *pause);

/* Unpauses. Returns 0, or -errno if the domain may be paused still. */
int live_pause_end(struct live_pause *p);

#endif
