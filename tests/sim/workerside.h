/*
 * What a worker meets of its host before and in its cage: its socket, its signals, its start.
 */
#ifndef DUET_SIM_WORKERSIDE_H
#define DUET_SIM_WORKERSIDE_H

#include "host.h"

/* A worker of this supervisor begins. */
void worker_begin(struct peer *p);

/* Whether its socket says something: a message, or the end of its supervisor. */
bool worker_socket_speaks(const struct process *p);

#endif
