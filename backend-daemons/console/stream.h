/*
 * The bytes of one console: from the guest's ring into its log and history, from there to whoever
 * has the terminal open, and from the terminal back into the ring.
 *
 * Flow. Output is copied from the ring, logged, remembered, and only then given back to the guest
 * (cons_ring.h), so that whatever kills the daemon loses nothing. Three things may hold it back,
 * each on its own: the guest has used up its rate; a reader is behind by the whole history (the
 * guest waits for it, but not longer than STALL_NS: a reader that has stopped loses output
 * instead); a turn of the loop has been spent on this guest. While output is held back the event
 * channel stays masked. A guest that prints line by line would cost an event, and a handful of
 * system calls, for each: so after some output the channel stays masked for another LOOK_AGAIN_NS,
 * which gathers what follows. Nobody attached holds nothing back: the history keeps the end for who
 * comes later.
 *
 * Types owned: struct shared (what all consoles have in common), struct stream. One thread, no
 * locks. A guest that is suspended and resumed gets a new page or channel: stream_attach() again.
 * History, log and terminal stay.
 */
#ifndef DUET_CONSOLE_STREAM_H
#define DUET_CONSOLE_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "bucket.h"
#include "history.h"
#include "log.h"
#include "logfile.h"
#include "loop.h"
#include "pty.h"
#include "readers.h"
#include "store.h"
#include "xenports.h"

struct stream_settings {
    /* Bytes of output kept for who attaches later; at least 1. */
    size_t history;
    /* Bytes per second that a guest may print; 0: no limit. */
    uint64_t rate;
};

struct shared {
    struct loop *loop;
    struct store *store;
    struct xenports xen;
    struct readers readers;
    struct log_dir logs;
    struct stream_settings settings;
};

struct stream {
    struct shared *shared;
    struct log_id id;
    struct logfile *log;
    struct history history;

    struct bucket rate; /* of bytes that the guest prints */
    /* Comes back when the rate allows more, or for a second look. */
    struct loop_timer later;
    struct loop_work more;
    /* The last look found a little output: look once more before events are let through again. */
    bool look_again;

    struct ring_page page;
    struct xenport port;
    /* The channel is masked until the ring was seen empty. */
    bool masked;

    struct pty pty;
    /* Watched while somebody is attached; at other times it only hangs up. */
    struct loop_fd master;
    uint32_t master_events;
    struct reader_watch opened;
    bool attached;
    /* What the reader gets of the time before it came, and how much of that it has. */
    char *replay;
    size_t replay_len, replay_done;
    /* Where the reader is in the history. */
    uint64_t cursor;
    struct loop_timer stall_timer;
    bool stall_timer_set;
    bool stalled;

    struct log_limit complaints;
};

/* Prepares a stream of domain @domid; nothing is opened. */
void stream_init(struct stream *stream, struct shared *shared, unsigned int domid);

/* Logs under @guest's name from now on. Returns 0 or -ENOMEM. */
int stream_set_log(struct stream *stream, const char *guest);

/*
 * Opens the terminal if it is not open yet. @seed: begin the history with the end of the log, for a
 * guest that was running before the daemon did. Returns 0 or -errno.
 */
int stream_open(struct stream *stream, bool seed);

/*
 * Maps the ring (@frame is its frame, for what cannot be granted) and binds the channel @remote,
 * letting go of what was there, then takes what is in the ring and kicks the guest once: kicks sent
 * while nobody was bound are lost. Returns 0 or -errno with *@what naming what failed.
 */
int stream_attach(struct stream *stream, uint64_t frame, uint32_t remote, const char **what);

/* Takes what is left in the ring, then unmaps and unbinds. Harmless when not attached. */
void stream_detach(struct stream *stream);

/* Detaches and frees everything. */
void stream_close(struct stream *stream);

#endif
