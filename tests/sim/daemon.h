/*
 * The supervisor, duet-blockd, as a process of the simulation, and the service manager that starts
 * it again.
 */
#ifndef DUET_SIM_DAEMON_H
#define DUET_SIM_DAEMON_H

#include "host.h"

/* The one that runs; NULL: none does. */
extern struct process *daemon_process;

/* Whether its guests' disks have a limit (throttle.h): workers wait for time then. False at first.
 */
extern bool daemon_limits;

/* How many came to an end by themselves without having been told to. */
extern unsigned int daemon_failures;

void daemon_start(void);

/* SIGTERM; SIGKILL. */
void daemon_stop(void);
void daemon_kill(void);

/* When a timer of its loop is due. */
uint64_t daemon_next(void);

/* Its clock is the simulation's. */
void daemon_set_clock(void);

/* Pieces of memory that it has more than when it began, while it has no device. */
int daemon_memory(void);

bool daemon_has_devices(void);

/* How the device is, as it sees it. */
const char *daemon_phase(void);

void daemon_reset(void);

#endif
