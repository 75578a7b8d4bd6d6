/*
 * The in-flight log of a ring: see inflight.h for the protocol.
 */
#include "inflight.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(sizeof(struct inflight_slot) == 128, "two cache lines");
_Static_assert(INFLIGHT_SLOTS == 64, "inflight_check() has a bit for each in a word");

int inflight_create(void)
{
    int fd = memfd_create("duet-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int err = 0;

    if (fd < 0) {
        return -errno;
    }
    if (ftruncate(fd, sizeof(struct inflight_log)) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        err = -errno;
        close(fd);
    }
    return err != 0 ? err : fd;
}

/* Whether it has the size that inflight_create() gave it, and keeps it. */
static bool inflight_is_sealed(int fd)
{
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW;
    struct stat st;

    return fstat(fd, &st) == 0 && st.st_size == sizeof(struct inflight_log) &&
           (fcntl(fd, F_GET_SEALS) & seals) == seals;
}

int inflight_state(int fd)
{
    uint32_t head[3]; /* state, magic, version */

    if (!inflight_is_sealed(fd)) {
        return -EPROTO;
    }
    if (pread(fd, head, sizeof(head), 0) != sizeof(head)) {
        return -EIO;
    }
    if (head[0] != INFLIGHT_FRESH &&
        (head[0] > INFLIGHT_CLEAN || head[1] != INFLIGHT_MAGIC || head[2] != INFLIGHT_VERSION)) {
        return -EPROTO;
    }
    return (int)head[0];
}

int inflight_open(int fd, void (*waits)(void), struct inflight_log **out)
{
    char path[40];
    void *mem;
    int own;

    if (!inflight_is_sealed(fd)) {
        return -EPROTO;
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    own = open(path, O_RDWR | O_CLOEXEC);
    if (own < 0) {
        return -errno;
    }
    if (flock(own, LOCK_EX | LOCK_NB) < 0) {
        waits();
        if (flock(own, LOCK_EX) < 0) {
            int err = -errno;

            close(own);
            return err;
        }
    }
    mem = mmap(NULL, sizeof(struct inflight_log), PROT_READ | PROT_WRITE, MAP_SHARED, own, 0);
    if (mem == MAP_FAILED) {
        int err = -errno;

        close(own);
        return err;
    }
    *out = mem;
    return own;
}

/* A store that is neither moved before an earlier access nor behind a later one. */
static void inflight_put(uint32_t *p, uint32_t value)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(p, value, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* A slot whose request is taken. Returns whether that is possible; *counted tells whether it is. */
static bool inflight_check_taken(const struct inflight_log *log, uint32_t nr_entries,
                                 unsigned int slot, bool *counted)
{
    uint32_t age = log->taken - log->slots[slot].request;

    *counted = age != 0;
    if (age > nr_entries) {
        return false;
    }
    for (unsigned int i = 0; i < slot; i++) {
        if (log->slots[i].state == INFLIGHT_TAKEN &&
            log->slots[i].request == log->slots[slot].request) {
            return false;
        }
    }
    return true;
}

/* Whether the log is one that a worker may have left. Returns how many responses are unwritten, or
 * -EBADMSG. */
static int inflight_check(const struct inflight_log *log, uint32_t nr_entries)
{
    uint64_t unwritten = 0; /* a bit for each place behind `written` */
    uint32_t held = 0, nr = 0;

    for (unsigned int i = 0; i < INFLIGHT_SLOTS; i++) {
        const struct inflight_slot *s = &log->slots[i];
        uint32_t ahead = s->response - log->written;
        bool counted = false;

        switch (s->state) {
        case INFLIGHT_FREE:
            break;
        case INFLIGHT_TAKEN:
            if (!inflight_check_taken(log, nr_entries, i, &counted)) {
                return -EBADMSG;
            }
            held += counted ? 1 : 0;
            break;
        case INFLIGHT_ANSWERED:
            if (ahead < INFLIGHT_SLOTS) {
                unwritten |= UINT64_C(1) << ahead;
                nr++;
            } else if (-ahead > INFLIGHT_SLOTS) {
                return -EBADMSG;
            }
            break;
        default:
            return -EBADMSG;
        }
    }
    /* in a row, none twice, and nothing lost */
    if (unwritten != (nr == 64 ? UINT64_MAX : (UINT64_C(1) << nr) - 1) ||
        log->taken - log->written != nr + held) {
        return -EBADMSG;
    }
    return (int)nr;
}

static void inflight_begin_fresh(struct inflight_log *log, const struct inflight_ring *ring,
                                 uint32_t first)
{
    log->magic = INFLIGHT_MAGIC;
    log->version = INFLIGHT_VERSION;
    log->ring = *ring;
    log->taken = log->written = first;
    inflight_put(&log->state, INFLIGHT_OPEN);
}

int inflight_begin(struct inflight_log *log, const struct inflight_ring *ring, uint32_t nr_entries,
                   uint32_t first, struct inflight_place *place, const char **why)
{
    int unwritten;

    if (log->state == INFLIGHT_FRESH) {
        inflight_begin_fresh(log, ring, first);
    }
    if (log->state > INFLIGHT_CLEAN || log->magic != INFLIGHT_MAGIC ||
        log->version != INFLIGHT_VERSION) {
        *why = "the log of requests in flight is of another version";
        return -EPROTO;
    }
    if (memcmp(&log->ring, ring, sizeof(*ring)) != 0) {
        *why = "the log of requests in flight is of another ring";
        return -ESTALE;
    }
    unwritten = inflight_check(log, nr_entries);
    if (unwritten < 0 || (log->state == INFLIGHT_CLEAN && log->taken != log->written)) {
        *why = "the log of requests in flight contradicts itself";
        return -EBADMSG;
    }
    for (unsigned int i = 0; i < INFLIGHT_SLOTS; i++) {
        if (log->slots[i].state == INFLIGHT_TAKEN && log->slots[i].request == log->taken) {
            inflight_free(log, i); /* it still stands in the ring */
        }
    }
    *place = (struct inflight_place){.taken = log->taken,
                                     .written = log->written,
                                     .answered = log->written + (uint32_t)unwritten};
    inflight_put(&log->state, INFLIGHT_OPEN);
    return 0;
}

void inflight_take(struct inflight_log *log, unsigned int slot, uint32_t index)
{
    log->slots[slot].request = index;
    inflight_put(&log->slots[slot].state, INFLIGHT_TAKEN);
    inflight_put(&log->taken, index + 1);
}

void inflight_answer(struct inflight_log *log, unsigned int slot, uint32_t index, int32_t status)
{
    log->slots[slot].response = index;
    log->slots[slot].status = status;
    inflight_put(&log->slots[slot].state, INFLIGHT_ANSWERED);
}

void inflight_written(struct inflight_log *log, uint32_t index)
{
    inflight_put(&log->written, index);
}

void inflight_free(struct inflight_log *log, unsigned int slot)
{
    inflight_put(&log->slots[slot].state, INFLIGHT_FREE);
}

void inflight_end(struct inflight_log *log)
{
    inflight_put(&log->state, INFLIGHT_CLEAN);
}
