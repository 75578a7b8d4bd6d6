/*
 * A reader's place: see view.h.
 */
#include "view.h"

#include <stdlib.h>
#include <string.h>

#include "replay.h"

void cons_view_begin(struct cons_view *view, const struct cons_history *history)
{
    cons_view_end(view);
    view->cursor = history->head;
}

/* Copies the history from @position on. Returns its length, 0 when there is nothing or no memory.
 */
static size_t copy(struct cons_view *view, const struct cons_history *history, uint64_t position)
{
    size_t len = (size_t)(history->head - position), piece;
    const char *data;

    view->replay = len > 0 ? malloc(len) : NULL;
    if (view->replay == NULL) {
        return 0;
    }
    for (size_t at = 0; (piece = cons_history_from(history, &position, &data)) > 0;
         at += piece, position += piece) {
        memcpy(view->replay + at, data, piece);
    }
    view->replay_len = len;
    return len;
}

void cons_view_replay(struct cons_view *view, const struct cons_history *history)
{
    size_t len;

    cons_view_begin(view, history);
    len = copy(view, history, cons_history_oldest(history));
    if (len > 0) {
        view->replay_len = cons_replay_filter(view->replay, len, view->replay);
    }
    if (view->replay_len == 0) {
        cons_view_end(view);
    }
}

uint64_t cons_view_keep(struct cons_view *view, const struct cons_history *history)
{
    struct cons_view rest = {.cursor = history->head};
    uint64_t from = view->cursor;
    const size_t old = view->replay_len - view->replay_done;
    const char *data;
    uint64_t missed;
    size_t new;

    cons_history_from(history, &from, &data);
    missed = from - view->cursor;
    new = copy(&rest, history, from);
    if (old > 0) {
        char *both = realloc(rest.replay, old + new);

        if (both != NULL) {
            memmove(both + old, both, new);
            memcpy(both, view->replay + view->replay_done, old);
            rest.replay = both;
            rest.replay_len = old + new;
        }
    }
    cons_view_end(view);
    *view = rest;
    return missed;
}

void cons_view_end(struct cons_view *view)
{
    free(view->replay);
    view->replay = NULL;
    view->replay_len = view->replay_done = 0;
}

size_t cons_view_pending(struct cons_view *view, const struct cons_history *history,
                         const char **data, uint64_t *missed)
{
    const uint64_t before = view->cursor;
    size_t len;

    if (view->replay_done < view->replay_len) {
        *data = view->replay + view->replay_done;
        return view->replay_len - view->replay_done;
    }
    if (history == NULL) {
        return 0;
    }
    len = cons_history_from(history, &view->cursor, data);
    *missed += view->cursor - before;
    return len;
}

void cons_view_done(struct cons_view *view, size_t len)
{
    if (view->replay == NULL) {
        view->cursor += len;
        return;
    }
    view->replay_done += len;
    if (view->replay_done == view->replay_len) {
        cons_view_end(view);
    }
}

size_t cons_view_room(const struct cons_view *view, const struct cons_history *history)
{
    uint64_t behind = history->head - view->cursor;

    return behind < history->size ? (size_t)(history->size - behind) : 0;
}
