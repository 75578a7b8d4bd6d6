/*
 * Where a reader is in a console's output: first a copy of what was printed before it came, made
 * fit to be shown again (replay.h), then the history as it grows. The terminal is a reader, and so
 * is each session at the socket.
 *
 * Types: struct cons_view; all zeros is one at the very beginning, without a copy.
 */
#ifndef DUET_CONSOLE_VIEW_H
#define DUET_CONSOLE_VIEW_H

#include <stddef.h>
#include <stdint.h>

#include "history.h"

struct cons_view {
    char *replay;
    size_t replay_len, replay_done;
    uint64_t cursor; /* in the history */
};

/* Begins with what is printed from now on. */
void cons_view_begin(struct cons_view *view, const struct cons_history *history);

/* The same, and before that what the history has. Without memory for it that is left out. */
void cons_view_replay(struct cons_view *view, const struct cons_history *history);

/*
 * The history is about to be freed: keeps what this reader has not had of it as a copy, as far as
 * there is memory. From then on cons_view_pending() takes NULL for the history. Returns how many
 * bytes had been overwritten before.
 */
uint64_t cons_view_keep(struct cons_view *view, const struct cons_history *history);

/* Frees the copy. */
void cons_view_end(struct cons_view *view);

/*
 * What the reader has to get next: sets *@data, valid until the history grows, and returns its
 * length; 0: it has all. Adds to *@missed what was overwritten before the reader had it.
 */
size_t cons_view_pending(struct cons_view *view, const struct cons_history *history,
                         const char **data, uint64_t *missed);

/* The reader has @len of these bytes. */
void cons_view_done(struct cons_view *view, size_t len);

/* How much may be printed before this reader would miss some of it. */
size_t cons_view_room(const struct cons_view *view, const struct cons_history *history);

#endif
