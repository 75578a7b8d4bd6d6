/*
 * The bytes of one console: from the guest's ring into its log and history, from there to whoever
 * has the terminal open, and from the terminal back into the ring.
 *
 * Output is copied from the ring, logged, remembered, and only then given back to the guest
 * (cons_ring.h), so that nothing is lost whatever kills the daemon. Three things may hold it back,
 * each on its own: the guest has used up its rate; the terminal's reader, or who writes at the
 * socket, is behind by the whole history (the guest waits for it, but not longer than
 * CONS_STALL_NS: a reader that has stopped loses output instead); a turn of the loop has been spent
 * on this guest. While output is held back the event
 * channel stays masked.
 *
 * A guest that prints line by line would cost an event and a handful of system calls for each line.
 * So after some output the channel stays masked for another LOOK_AGAIN_NS, which gathers what
 * follows. If nobody is attached nothing is held back: the history keeps the end for whoever comes
 * later.
 *
 * Types: struct cons_shared (what all consoles have in common), struct cons_stream. A guest that is
 * suspended and resumed gets a new page or channel: cons_stream_attach() again. History, log and
 * terminal stay, and so do the sessions.
 */
#ifndef DUET_CONSOLE_STREAM_H
#define DUET_CONSOLE_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "bucket.h"
#include "cons_wire.h"
#include "history.h"
#include "ledger.h"
#include "log.h"
#include "logfile.h"
#include "loop.h"
#include "pty.h"
#include "readers.h"
#include "session.h"
#include "view.h"
#include "xen_worker.h"

/* How long one who does not read may hold its guest. */
#define CONS_STALL_NS UINT64_C(1000000000)

struct cons_shared {
    struct loop *loop;
    struct cons_xen xen;
    struct cons_readers readers;
    struct cons_logs logs;
    struct figures *ledger;
};

struct cons_stream {
    struct cons_shared *shared;
    struct log_id id;
    struct cons_log *log;
    struct cons_history history;

    struct bucket rate; /* of bytes that the guest prints */
    /* Comes back when the rate allows more, or for a second look. */
    struct loop_timer later;
    struct loop_work more;
    /* The last look found a little output: look once more before events are let through again. */
    bool look_again;

    struct cons_page page;
    struct cons_port port;
    /* The channel is masked until the ring was seen empty. */
    bool masked;

    struct cons_pty pty;
    /* Watched while somebody is attached; at other times it only hangs up. */
    struct loop_fd master;
    uint32_t master_events;
    struct cons_reader opened;
    bool attached;
    struct cons_view view; /* who has the terminal open */
    struct loop_timer stall_timer;
    bool stalled;

    struct cons_audience audience; /* at the socket */

    struct figures *figures; /* ledger.h */

    struct log_limit complaints;
};

/* Prepares the stream of domain @domid, which is counted in @figures; nothing is opened. */
void cons_stream_init(struct cons_stream *stream, struct cons_shared *shared, unsigned int domid,
                      const struct cons_terms *terms, struct figures *figures);

/* From now on it may print so much. Its history stays as long as it is. */
void cons_stream_set_rate(struct cons_stream *stream, uint64_t rate);

/* Logs to the file @name.log from now on. Returns 0 or -ENOMEM. */
int cons_stream_set_log(struct cons_stream *stream, const char *name);

/*
 * Takes over the terminal of @master, which is this stream's to close, watched as @wd. @seed: the
 * history begins with the end of the log, for a guest that was running before the daemon did.
 * Returns 0 or -errno when the terminal cannot be made raw; it is served nevertheless.
 */
int cons_stream_open(struct cons_stream *stream, int master, int wd, bool seed);

/*
 * Lets go of what was there, maps the ring (by the grant at @index, or by its frame @frame if there
 * is no grant) and listens to the channel @local. Then takes what is in the ring and kicks the
 * guest once, because kicks that it sent while nobody was bound are lost. Returns 0, or -errno of
 * the mapping.
 */
int cons_stream_attach(struct cons_stream *stream, uint64_t index, uint64_t frame, int local);

/* Takes what is left in the ring, then unmaps. Harmless when not attached. */
void cons_stream_detach(struct cons_stream *stream);

/* Looks at the ring again soon: somebody who held the guest back does not any more. */
void cons_stream_go_on(struct cons_stream *stream);

/* Puts input into the guest's ring and kicks the guest. Returns how many bytes fitted. */
size_t cons_stream_type(struct cons_stream *stream, const char *data, size_t len);

/* Detaches and frees everything. Its sessions get the rest, and the end. */
void cons_stream_close(struct cons_stream *stream);

#endif
