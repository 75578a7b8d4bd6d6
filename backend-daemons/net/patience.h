/*
 * How long an idle worker looks at its rings before it waits for an event.
 *
 * Waiting costs the worker two system calls, and the guest a hypercall for the event that ends the
 * wait. A guest that sends one small packet after another makes us pay that for each. Looking again
 * pays if the next packet comes sooner. So the worker remembers how long its last waits were: short
 * ones make it look more often, up to NET_PATIENCE_LOOKS_MAX times, long ones less often, down to
 * not at all. Between two looks it yields to whoever else wants the processor.
 *
 * Time is in ticks of the processor's counter; only ratios matter.
 *
 * Types: struct net_patience.
 */
#ifndef DUET_NET_PATIENCE_H
#define DUET_NET_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

#define NET_PATIENCE_LOOKS_MAX 32U

/* Zero-initialise. */
struct net_patience {
    unsigned int limit;    /* looks before the next wait */
    unsigned int looks;    /* done since there was work */
    uint64_t look_ticks;   /* what one costs, smoothed */
    uint64_t last_look_at; /* 0: the last turn was no look */
};

/* There was work. */
void net_patience_busy(struct net_patience *p);

/* There is none at `now`. Returns whether to look again (after yielding), false to wait. */
bool net_patience_look(struct net_patience *p, uint64_t now);

/* A wait from `begin` to `end` is over. */
void net_patience_waited(struct net_patience *p, uint64_t begin, uint64_t end);

#endif
