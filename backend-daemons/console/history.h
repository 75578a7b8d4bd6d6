/*
 * The last bytes that a console printed, addressed by position: the number of bytes printed before.
 * Readers hold a position and fetch from there. What has been overwritten meanwhile is gone for
 * them.
 *
 * Types: struct cons_history (its memory is allocated with the first byte).
 */
#ifndef DUET_CONSOLE_HISTORY_H
#define DUET_CONSOLE_HISTORY_H

#include <stddef.h>
#include <stdint.h>

struct cons_history {
    char *data;
    size_t size;
    /* Position behind the last byte. */
    uint64_t head;
};

/* Prepares an empty history that keeps @size bytes (at least 1). */
void cons_history_init(struct cons_history *history, size_t size);

/* Frees its memory. */
void cons_history_free(struct cons_history *history);

/* Appends; of more than the size only the end is kept. Returns 0 or -ENOMEM. */
int cons_history_append(struct cons_history *history, const char *data, size_t len);

/* The oldest position that is still there. */
uint64_t cons_history_oldest(const struct cons_history *history);

/*
 * Bytes from *@position on: moves *@position up to the oldest one first if it was overwritten, sets
 * *@data to a contiguous piece and returns its length (0: nothing beyond *@position). The piece is
 * valid until the next append. The caller adds to *@position what it used.
 */
size_t cons_history_from(const struct cons_history *history, uint64_t *position, const char **data);

#endif
