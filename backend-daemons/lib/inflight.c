/*
 * The in-flight log of a ring: see inflight.h for the protocol.
 */
#include "inflight.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

_Static_assert(sizeof(struct inflight_slot) == 128, "two cache lines");
_Static_assert(INFLIGHT_SLOTS == 64, "inflight_check() has a bit for each in a word");

int inflight_create(void)
{
    return kept_create("duet-inflight", sizeof(struct inflight_log));
}

int inflight_open(int fd, void (*waits)(void), struct inflight_log **out)
{
    void *mem = NULL;
    int own = kept_open(fd, sizeof(struct inflight_log), waits, &mem);

    *out = mem;
    return own;
}

/*
 * A slot whose request is taken. Returns whether that is possible; *counted tells whether it is.
 * Any number of newer ones may have been taken, and answered, while the disk was at this one.
 */
static bool inflight_check_taken(const struct inflight_log *log, unsigned int slot, bool *counted)
{
    uint32_t age = log->taken - log->slots[slot].request;

    *counted = age != 0;
    if (age > INT32_MAX) {
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
static int inflight_check(const struct inflight_log *log)
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
            if (!inflight_check_taken(log, i, &counted)) {
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
    log->head.magic = INFLIGHT_MAGIC;
    log->head.version = INFLIGHT_VERSION;
    log->ring = *ring;
    log->taken = log->written = log->published = first;
    kept_put(&log->head.state, KEPT_OPEN);
}

int inflight_begin(struct inflight_log *log, const struct inflight_ring *ring, uint32_t first,
                   struct inflight_place *place, const char **why)
{
    int unwritten;

    if (log->head.state == KEPT_FRESH) {
        inflight_begin_fresh(log, ring, first);
    }
    if (log->head.state > KEPT_CLEAN || log->head.magic != INFLIGHT_MAGIC ||
        log->head.version != INFLIGHT_VERSION) {
        *why = "the log of requests in flight is of another version";
        return -EPROTO;
    }
    if (memcmp(&log->ring, ring, sizeof(*ring)) != 0) {
        *why = "the log of requests in flight is of another ring";
        return -ESTALE;
    }
    unwritten = inflight_check(log);
    if (unwritten < 0 || (log->head.state == KEPT_CLEAN && log->taken != log->written)) {
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
                                     .published = log->published,
                                     .answered = log->written + (uint32_t)unwritten};
    kept_put(&log->head.state, KEPT_OPEN);
    return 0;
}

void inflight_take(struct inflight_log *log, unsigned int slot, uint32_t index)
{
    log->slots[slot].request = index;
    kept_put(&log->slots[slot].state, INFLIGHT_TAKEN);
    kept_put(&log->taken, index + 1);
}

void inflight_answer(struct inflight_log *log, unsigned int slot, uint32_t index, int32_t status)
{
    log->slots[slot].response = index;
    log->slots[slot].status = status;
    kept_put(&log->slots[slot].state, INFLIGHT_ANSWERED);
}

void inflight_written(struct inflight_log *log, uint32_t index)
{
    kept_put(&log->written, index);
    log->head.progress = index;
}

void inflight_published(struct inflight_log *log)
{
    kept_put(&log->published, log->written);
}

void inflight_free(struct inflight_log *log, unsigned int slot)
{
    kept_put(&log->slots[slot].state, INFLIGHT_FREE);
}

void inflight_end(struct inflight_log *log)
{
    kept_put(&log->head.state, KEPT_CLEAN);
}
