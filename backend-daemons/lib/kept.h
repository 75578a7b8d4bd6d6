/*
 * What is kept of a worker when it dies: a memfd that its supervisor makes, keeps, hands to each
 * worker of the same rings in turn, and has the service manager keep for the next daemon. What it
 * holds is the class's business (inflight.h, ../net/net_kept.h); it begins with a struct kept_head,
 * the same for all, by which the supervisor sees, without asking, whether the worker moves.
 *
 * `state`, `magic` and `version` stay where they are in every version, so that one of another
 * version is known as such, and never guessed at.
 *
 * A worker writes all of it, and a guest may have taken the worker over: what the supervisor reads
 * there may be wrong, and decides nothing but when the worker is replaced.
 *
 * Types: struct kept_head. One worker at a time writes; the supervisor reads at any time.
 */
#ifndef DUET_LIB_KEPT_H
#define DUET_LIB_KEPT_H

#include <stdbool.h>
#include <stdint.h>

enum kept_state {
    KEPT_FRESH, /* of zeros: the rings are new */
    KEPT_OPEN,  /* a worker serves them, or has died while it did */
    KEPT_CLEAN, /* a worker ended in good order: nothing is in flight */
};

struct kept_head {
    uint32_t state; /* enum kept_state */
    uint32_t magic;
    uint32_t version;
    uint32_t turns;    /* of the worker's loop */
    uint32_t progress; /* changes when something was done for the guest */
};

/* For the supervisor: makes one of zeros, whose size is sealed. Returns the descriptor or -errno.
 */
int kept_create(const char *name, unsigned long size);

/* Whether it has this size, and keeps it. */
bool kept_is_sealed(int fd, unsigned long size);

/*
 * For the supervisor: maps the head, to be read only. Returns NULL when `fd` cannot have been made
 * by kept_create() or there is no memory. kept_look_away() undoes it; NULL is harmless there.
 */
const struct kept_head *kept_look(int fd);
void kept_look_away(const struct kept_head *head);

/* Maps all of it. Returns the memory, or NULL with errno set. */
void *kept_map(int fd, unsigned long size);

/*
 * For the worker, still as root and before it maps or binds anything of its guest's: opens `fd`,
 * which is to have this size, by a description of its own, locks that, and maps it. A worker of the
 * same rings that has not quite ended holds the lock until its last operation has: then *waits is
 * called, and it is waited for. Returns the new descriptor, which holds the lock for as long as
 * anything refers to it, or -errno (-EPROTO: it is of another size).
 */
int kept_open(int fd, unsigned long size, void (*waits)(void), void **mem);

/* A store that is neither moved before an earlier access nor behind a later one. */
static inline void kept_put(uint32_t *p, uint32_t value)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(p, value, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

#endif
