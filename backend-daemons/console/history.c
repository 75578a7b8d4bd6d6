/*
 * A ring of bytes addressed by position: see history.h.
 */
#include "history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void cons_history_init(struct cons_history *history, size_t size)
{
    *history = (struct cons_history){.size = size};
}

void cons_history_free(struct cons_history *history)
{
    free(history->data);
    history->data = NULL;
}

int cons_history_append(struct cons_history *history, const char *data, size_t len)
{
    if (history->data == NULL) {
        history->data = malloc(history->size);
        if (history->data == NULL) {
            return -ENOMEM;
        }
    }
    if (len > history->size) {
        history->head += len - history->size;
        data += len - history->size;
        len = history->size;
    }
    while (len > 0) {
        size_t at = history->head % history->size;
        size_t piece = history->size - at < len ? history->size - at : len;

        memcpy(history->data + at, data, piece);
        history->head += piece;
        data += piece;
        len -= piece;
    }
    return 0;
}

uint64_t cons_history_oldest(const struct cons_history *history)
{
    return history->head > history->size ? history->head - history->size : 0;
}

size_t cons_history_from(const struct cons_history *history, uint64_t *position, const char **data)
{
    uint64_t oldest = cons_history_oldest(history);
    size_t at, left;

    if (*position < oldest) {
        *position = oldest;
    }
    if (history->data == NULL || *position >= history->head) {
        return 0;
    }
    at = *position % history->size;
    left = (size_t)(history->head - *position);
    *data = history->data + at;
    return history->size - at < left ? history->size - at : left;
}
