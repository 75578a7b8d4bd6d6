/*
 * The table of fitting states: see pairs.h. Each cell answers whether a frontend in this state may
 * stand beside a backend in that one.
 */
#include "pairs.h"

#include <stddef.h>
#include <xen/io/xenbus.h>

static const char *const names[] = {
    [XenbusStateUnknown] = "Unknown",
    [XenbusStateInitialising] = "Initialising",
    [XenbusStateInitWait] = "InitWait",
    [XenbusStateInitialised] = "Initialised",
    [XenbusStateConnected] = "Connected",
    [XenbusStateClosing] = "Closing",
    [XenbusStateClosed] = "Closed",
    [XenbusStateReconfiguring] = "Reconfiguring",
    [XenbusStateReconfigured] = "Reconfigured",
};

#define N_STATES ((int)(sizeof(names) / sizeof(names[0])))

/* The states by what they mean to the other end. */
enum phase {
    PHASE_NONE,
    PHASE_OPENING,
    PHASE_UP,
    PHASE_CLOSING,
    PHASE_CLOSED,
};

int state_parse(const char *text)
{
    if (text == NULL) {
        return STATE_ABSENT;
    }
    if (text[0] < '0' || text[0] > '8' || text[1] != '\0') {
        return STATE_MALFORMED;
    }
    return text[0] - '0';
}

const char *state_name(int state)
{
    if (state == STATE_ABSENT) {
        return "none";
    }
    return state >= 0 && state < N_STATES ? names[state] : "malformed";
}

static enum phase phase_of(int state)
{
    switch (state) {
    case XenbusStateInitialising:
    case XenbusStateInitWait:
    case XenbusStateInitialised:
        return PHASE_OPENING;
    case XenbusStateConnected:
    case XenbusStateReconfiguring:
    case XenbusStateReconfigured:
        return PHASE_UP;
    case XenbusStateClosing:
        return PHASE_CLOSING;
    case XenbusStateClosed:
        return PHASE_CLOSED;
    default:
        return PHASE_NONE;
    }
}

struct verdict {
    enum fit fit;
    const char *why;
};

/* By the frontend's phase, then the backend's. The backend opens first, and closes last. */
static const struct verdict verdicts[][PHASE_CLOSED + 1] = {
    [PHASE_OPENING] = {[PHASE_OPENING] = {FIT_MOVING, "connecting"},
                       [PHASE_UP] = {FIT_MOVING, "frontend is about to connect"},
                       [PHASE_CLOSING] = {FIT_MOVING, "backend is closing"},
                       [PHASE_CLOSED] = {FIT_BROKEN, "backend is closed, frontend waits for it"}},
    [PHASE_UP] = {[PHASE_OPENING] = {FIT_MOVING, "backend is about to connect"},
                  [PHASE_UP] = {FIT_SETTLED, NULL},
                  [PHASE_CLOSING] = {FIT_MOVING, "backend is closing"},
                  [PHASE_CLOSED] = {FIT_BROKEN, "backend closed under a connected frontend"}},
    [PHASE_CLOSING] = {[PHASE_OPENING] = {FIT_MOVING, "frontend is closing"},
                       [PHASE_UP] = {FIT_MOVING, "frontend is closing"},
                       [PHASE_CLOSING] = {FIT_MOVING, "both are closing"},
                       [PHASE_CLOSED] = {FIT_MOVING, "frontend is closing"}},
    [PHASE_CLOSED] = {[PHASE_OPENING] = {FIT_MOVING, "backend waits for the frontend to come back"},
                      [PHASE_UP] = {FIT_BROKEN, "backend is connected to a closed frontend"},
                      [PHASE_CLOSING] = {FIT_MOVING, "backend is closing"},
                      [PHASE_CLOSED] = {FIT_SETTLED, NULL}},
};

enum fit pair_judge(const struct device_end *front, const struct device_end *back, const char **why)
{
    const struct verdict *verdict;

    if (!front->there || !back->there) {
        *why = front->there  ? "no backend directory"
               : back->there ? "no frontend directory"
                             : "neither end stands in the store";
        return FIT_BROKEN;
    }
    if (phase_of(front->state) == PHASE_NONE || phase_of(back->state) == PHASE_NONE) {
        *why = phase_of(front->state) == PHASE_NONE ? "frontend has no valid state"
                                                    : "backend has no valid state";
        return FIT_BROKEN;
    }
    verdict = &verdicts[phase_of(front->state)][phase_of(back->state)];
    *why = verdict->why;
    /* A backend that is up counts on a frontend that has published its rings, which is state 3. */
    if (phase_of(back->state) == PHASE_UP &&
        (front->state == XenbusStateInitialising || front->state == XenbusStateInitWait)) {
        *why = "backend is connected, frontend has started over";
        return FIT_BROKEN;
    }
    return verdict->fit;
}
