/*
 * The life of a back end's device, whatever its class: its phases, and what each event does in
 * each, as one table (life.c).
 *
 *   NEW         found in the store; nothing is known yet
 *   OPENING     its image, tap, ... is being opened, which may take its time: OPENED goes on
 *   WAITING     offered (state 2): the front end is to publish its rings
 *   CALLED      the front end has done so; before a worker can be started, the toolstack's script
 *               may have to end, or another device may have to let go
 *   PAUSING     a worker is to be started, but not so soon after the last
 *   STARTING    the worker connects and enters its cage: SERVING goes on
 *   CONNECTED   the worker serves (state 4)
 *   STOPPING    the worker was told to finish what it took, and to end
 *   TERMINATED  it was sent SIGTERM: it is late, or has said that it cannot go on
 *   KILLED      it was killed: only the kernel is waited for
 *   YIELDED     the guest goes on at another end, which has its disk; the store does not show it
 *   CLOSED      state 6; the front end may start anew, or the toolstack removes the device
 *   FREED       no longer there
 *
 * A worker that dies is replaced (PAUSING). STOPPING, TERMINATED and KILLED lead from a worker to
 * its end; what comes after that was decided when the first of them was entered: `after`.
 *
 * Whoever is waited for has a deadline: the one who opens, the script, the worker that starts, the
 * worker that stops. The guest has none, because a device that it never uses may wait for ever. Nor
 * has a ring that is in use while what it needs is being opened: its guest waits in any case. Nor
 * has a process that was killed, because there is nobody left to ask.
 *
 * Six events say what the store shows of the front end and of what the toolstack wants. They say
 * how things are and not what changed, and may come at any time and again. So each is harmless when
 * nothing is new.
 *
 * A device without worker and handshake can use the same table: it opens, goes from CALLED straight
 * to CONNECTED by raising SERVING there, and ends a STOPPING at once by EXIT.
 *
 * Types: struct life, which lives in the device, and life_ops.
 */
#ifndef DUET_LIB_LIFE_H
#define DUET_LIB_LIFE_H

#include <stdint.h>

#include "loop.h"

enum life_phase {
    LIFE_NEW,
    LIFE_OPENING,
    LIFE_WAITING,
    LIFE_CALLED,
    LIFE_PAUSING,
    LIFE_STARTING,
    LIFE_CONNECTED,
    LIFE_STOPPING,
    LIFE_TERMINATED,
    LIFE_KILLED,
    LIFE_YIELDED,
    LIFE_CLOSED,
    LIFE_FREED,
    LIFE_NR_PHASES,
};

enum life_event {
    /* how the store looks */
    LIFE_ON_IDLE,         /* the front end is there, and has published nothing */
    LIFE_ON_READY,        /* it has published its rings */
    LIFE_ON_CLOSING,      /* it is about to close */
    LIFE_ON_CLOSED,       /* it has closed, or is gone */
    LIFE_ON_REMOVE,       /* the toolstack takes the device away from a front end that is idle */
    LIFE_ON_REMOVE_READY, /* ... from one that still uses it */
    LIFE_ON_GONE,         /* the back end's directory is gone */
    /* what the device found */
    LIFE_ON_OPENED,   /* the opening has ended, well or with a verdict that the offer tells */
    LIFE_ON_REFUSED,  /* it cannot be served; why was told */
    LIFE_ON_TOO_SOON, /* no worker may be started yet: pause_ns says for how long */
    LIFE_ON_STARTED,  /* a worker is on its way */
    LIFE_ON_LOST,     /* what was opened is, and is to be opened again */
    LIFE_ON_YIELD,    /* the guest goes on elsewhere */
    LIFE_ON_RESUME,   /* ... and is back */
    LIFE_ON_ANEW,     /* a closed device begins another life */
    /* what the worker does */
    LIFE_ON_SERVING,  /* it serves */
    LIFE_ON_FAILED,   /* it said that it cannot go on; it will exit */
    LIFE_ON_HUNG,     /* it does not move any more */
    LIFE_ON_EXIT,     /* it ended as it should */
    LIFE_ON_DEATH,    /* it ended otherwise */
    LIFE_ON_GIVEN_UP, /* ... and so often that no other follows */
    /* the rest */
    LIFE_ON_LEAVE,    /* the daemon ends; the store is left as it is */
    LIFE_ON_DEADLINE, /* of the phase */
    LIFE_NR_EVENTS,
};

enum life_action {
    LIFE_DO_NOTHING,
    LIFE_DO_OPEN,         /* raise OPENED or REFUSED, now or later */
    LIFE_DO_OPEN_LATE,    /* nobody waits for it any more: say so, in a verdict for the offer */
    LIFE_DO_OFFER,        /* publish features and state 2 */
    LIFE_DO_TRY_OPEN,     /* what could not be found before may be there now */
    LIFE_DO_CONNECT,      /* raise STARTED, TOO_SOON, YIELD, REFUSED, DEATH or GIVEN_UP, or wait for
                             a next time */
    LIFE_DO_CONNECT_LATE, /* raise REFUSED after saying what did not come, or go on waiting */
    LIFE_DO_SERVE,        /* publish state 4 */
    LIFE_DO_UPDATE,       /* look at what may change while connected; may raise YIELD */
    LIFE_DO_TELL_CLOSING, /* publish state 5 */
    LIFE_DO_STOP,         /* tell the worker to finish */
    LIFE_DO_TERMINATE,    /* SIGTERM */
    LIFE_DO_KILL,         /* SIGKILL */
    LIFE_DO_REST,         /* let go what the other end wants */
    LIFE_DO_RESUME,       /* raise RESUME when the guest is back */
    LIFE_DO_CLOSE,        /* let go, publish state 6 */
    LIFE_DO_STAY_CLOSED,  /* raise ANEW when the front end starts anew */
    LIFE_DO_FREE,         /* the device's memory goes; nothing is called after it */
    LIFE_NR_ACTIONS,
};

struct life;

struct life_ops {
    /* Does it; may raise events. The phase is the one entered already. */
    void (*act)(struct life *life, enum life_action action);
};

/* Zero-initialise, then set ops and loop. */
struct life {
    const struct life_ops *ops;
    struct loop *loop;
    enum life_phase phase;
    enum life_phase after; /* from STOPPING, TERMINATED and KILLED: once the worker has ended */
    uint64_t pause_ns;     /* how long a PAUSING lasts: set before it begins */
    struct loop_timer deadline;
};

/* Something happened. The life may be over, and its memory gone, when this returns. */
void life_happens(struct life *life, enum life_event event);

/* Ends it without any action. No deadline is pending any more. */
void life_release(struct life *life);

/* How long a phase may last, in milliseconds; 0: for ever. */
unsigned int life_deadline_ms(enum life_phase phase);

/* "CONNECTED" and so on, for messages. */
const char *life_phase_name(enum life_phase phase);

#endif
