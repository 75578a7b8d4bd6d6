/*
 * suspend.h - going away and coming back: save, restore, checkpoint, migration.
 *
 * Locks and order: see suspend.c, which is where all other files' "Suspend:" paragraphs meet.
 */
#ifndef DOMAIN_SUSPEND_H
#define DOMAIN_SUSPEND_H

#include "kern/types.h"

/**
 * suspend_init() - let the toolstack suspend us, by word or by event
 *
 * control/shutdown, the store and the devices work. Nothing in a dom0. Thread context, once.
 */
void suspend_init(void);

struct suspend_stats {
    unsigned resumed;   /* came back in another domain */
    unsigned cancelled; /* came back in the same: checkpoint, failed save */
    nsec_t away;        /* how long the last one took, from the last instruction to the first */
};
/** suspend_get_stats() - any context. */
void suspend_get_stats(struct suspend_stats *stats);

/**
 * suspend_starve() - the next suspend finds no memory on its way back, until threads run again
 *
 * For tests: it must come back all the same. Any context.
 */
void suspend_starve(void);

#endif /* DOMAIN_SUSPEND_H */
