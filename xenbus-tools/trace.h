/*
 * The time line of handshakes: changes of the store, in order, become steps of devices, with the
 * time since the device's step before; at the end, the step that each unfinished handshake lacks.
 * Pure: the changes come from watches or from a recording, the steps go to a function.
 *
 * Types owned: `struct trace`, `struct trace_step`. Memory grows with the number of devices, not of
 * changes.
 */
#ifndef DUET_XENBUS_TRACE_H
#define DUET_XENBUS_TRACE_H

#include <stdbool.h>
#include <stddef.h>

enum trace_side {
    TRACE_FRONT,
    TRACE_BACK,
};

enum trace_kind {
    /* The end's state has changed, or stood so when the trace began. */
    TRACE_STATE,
    /* Keys were written, one after the other. */
    TRACE_KEYS,
    /* The end's directory has gone. */
    TRACE_GONE,
    /* A driver has left a sentence below error/. */
    TRACE_ERROR,
    /* At the end: what has not come. */
    TRACE_MISSING,
};

struct trace_step {
    enum trace_kind kind;
    enum trace_side side;
    unsigned int domid;
    const char *class;
    const char *device;
    /* Seconds since the trace began; since the device's step before, negative if this is its first.
     */
    double time, since;
    /* It took longer than the trace's limit. */
    bool slow;
    /* It was so when the trace began. */
    bool initial;
    /* Of TRACE_STATE: 0..8, STATE_MALFORMED. */
    int state;
    /* Keys, an error, what is missing; guests write these bytes. */
    const char *text;
};

/* One change: what a watch told, and what was read then. */
struct trace_change {
    double time;
    const char *path;
    /* NULL: the node is gone. As text: behind a NUL nothing is looked at. */
    const char *value;
    bool initial;
};

struct trace;

/* A trace of the devices of @domain (an id or a name) and @class; NULL for all. Free with
 * trace_free(). */
struct trace *trace_new(const char *domain, const char *class, double slow,
                        void (*emit)(void *context, const struct trace_step *step), void *context);
void trace_free(struct trace *trace);

/* Takes one change; changes come in the order of their times. */
void trace_change(struct trace *trace, const struct trace_change *change);

/* Whether a change at @path can matter to any trace: of a device, an error, a domain's name. */
bool trace_concerns(const char *path);

/* Whether there are devices, and none of them is on its way. */
bool trace_settled(const struct trace *trace);

/* Tells what is missing at @time. Returns how many devices lack a step. */
unsigned int trace_end(struct trace *trace, double time);

/*
 * Whose step it is when the two ends are in these states (STATE_ABSENT: no directory), and which
 * one, as a sentence; NULL when nothing is waited for.
 */
const char *trace_next(int front, int back, enum trace_side *side);

#endif
