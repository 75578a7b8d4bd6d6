/*
 * Whether the two ends of a XenBus device fit: judged without I/O, from what was read of the store.
 * States and their order follow xen/io/xenbus.h.
 *
 * Types: struct device_end, enum fit.
 */
#ifndef DUET_XENBUS_PAIRS_H
#define DUET_XENBUS_PAIRS_H

#include <stdbool.h>

#define STATE_MALFORMED (-1)
#define STATE_ABSENT    (-2)

struct device_end {
    /* The end's directory stands in the store. */
    bool there;
    /* XenbusState 0..8, STATE_MALFORMED or STATE_ABSENT. */
    int state;
};

enum fit {
    /* Connected, or closed on both ends. */
    FIT_SETTLED,
    /* On the way from one to the other: normal for a moment, a finding if it stays. */
    FIT_MOVING,
    /* No driver that keeps the protocol leaves the two like this. */
    FIT_BROKEN,
};

/* The state in @text (NULL: absent): 0..8, STATE_MALFORMED or STATE_ABSENT. */
int state_parse(const char *text);

/* The state's name as xen/io/xenbus.h spells it, without its prefix. */
const char *state_name(int state);

/* Judges a pair; *@why becomes a sentence (static), NULL when there is nothing to say. */
enum fit pair_judge(const struct device_end *front, const struct device_end *back,
                    const char **why);

#endif
