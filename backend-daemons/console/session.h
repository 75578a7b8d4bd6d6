/*
 * Who reads and writes consoles at the daemon's socket, each with a stream of its own: many readers
 * of a console, of whom one at a time writes.
 *
 * A reader gets the history, then what is printed. What it does not read waits in its socket, which
 * is bounded, then in the history, which all of a console share: so a reader costs its guest no
 * memory. One that falls behind by more than that is told how many bytes it missed. Who only reads
 * never holds the guest back. Who writes does as a terminal does: the guest waits for it, but not
 * longer than STALL_NS (stream.h), and not a second time before it has read again.
 *
 * One that was asked to write, and may, writes from its first byte on if nobody else does. One that
 * takes the writing makes the other a reader. Who writes is told to all who might.
 *
 * The supervisor has accepted the connection and knows that root is at its other end. A session
 * that does not say in time what it wants is closed, and so is one that says anything else.
 *
 * Types: struct cons_hall (one per worker), struct cons_session (allocated here).
 */
#ifndef DUET_CONSOLE_SESSION_H
#define DUET_CONSOLE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen_list.h>

#include "cons_talk.h"
#include "loop.h"
#include "view.h"

#define CONS_SESSIONS_MAX     256U /* of all consoles */
#define CONS_SESSIONS_OF_EACH 32U  /* of one console */

struct cons_stream;

struct cons_session {
    XEN_TAILQ_ENTRY(struct cons_session) link;      /* in the hall */
    XEN_TAILQ_ENTRY(struct cons_session) neighbour; /* at the stream */
    struct cons_hall *hall;
    struct cons_stream *stream; /* NULL: has not asked for one yet, or it has gone */
    struct loop_fd socket;
    uint32_t events;
    uint32_t pid;    /* who it is, for the others */
    uint32_t wishes; /* enum cons_talk_wish */
    /* To ask; to read on, of who writes; to read the rest when the console has gone. */
    struct loop_timer timer;
    struct loop_timer lost; /* the other side reads no more: closes it */
    bool stalled;           /* writes, has not read for too long, and holds nobody */
    bool blocked;           /* the socket is full */
    bool parting;           /* the console has gone, the rest is in the view */
    bool owes_role, owes_taken;
    struct cons_view view;
    uint64_t missed; /* not told yet */
    uint64_t taken;  /* bytes of input that the guest's ring took */
    char input[CONS_TALK_INPUT_MAX];
    size_t input_len, input_done;
};

XEN_TAILQ_HEAD(cons_sessions, struct cons_session);

/* What a stream has of its sessions. */
struct cons_audience {
    struct cons_sessions sessions;
    unsigned int nr;
    struct cons_session *writer; /* NULL: nobody writes */
};

/* Finds the stream of a domain, or NULL. */
typedef struct cons_stream *cons_find_fn(void *arg, unsigned int domid);

struct cons_hall {
    struct loop *loop;
    struct cons_sessions sessions;
    unsigned int nr;
    cons_find_fn *find;
    void *arg;
};

/* Prepares an empty hall, which finds streams by find(arg, domid). */
void cons_hall_init(struct cons_hall *hall, struct loop *loop, cons_find_fn *find, void *arg);

/* Lets somebody in: the connection @fd, non-blocking and from now on the hall's, of process @pid.
 */
void cons_hall_admit(struct cons_hall *hall, int fd, uint32_t pid);

/* Closes all sessions without a word: whoever reads knows by that that the daemon has ended. */
void cons_hall_close(struct cons_hall *hall);

/* Prepares an audience of nobody. */
void cons_audience_init(struct cons_audience *audience);

/* Gives everybody what there is, as far as they take it. */
void cons_audience_pump(struct cons_audience *audience);

/* Puts what the writer has typed into the guest's ring, as far as there is room. */
void cons_audience_feed(struct cons_audience *audience);

/* How much the guest may print before a writer that still reads would miss some of it. */
size_t cons_audience_room(const struct cons_audience *audience, const struct cons_history *history);

/* The console goes: everybody gets the rest of it, and the end. */
void cons_audience_part(struct cons_audience *audience, const struct cons_history *history);

#endif
