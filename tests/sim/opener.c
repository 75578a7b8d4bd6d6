/*
 * An opener: see opener.h. There is one image, which one description at a time has locked.
 */
#include "opener.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "disk.h"
#include "image_wire.h"

static struct opener {
    struct peer *peer;    /* NULL: unused */
    struct file *lock;    /* NULL: not locked */
    struct file *joining; /* the socket on which the lock comes from another; NULL: none */
    bool found, wants_lock, patient, told_busy;
} openers[PEERS];

static struct opener *opener_of(const struct peer *p)
{
    return &openers[p - peers];
}

void opener_begin(struct peer *p)
{
    *opener_of(p) = (struct opener){.peer = p};
}

static void opener_end(struct opener *o, int status)
{
    struct peer *p = o->peer;

    if (o->lock != NULL) {
        file_put(o->lock);
    }
    if (o->joining != NULL) {
        file_put(o->joining);
    }
    *o = (struct opener){.peer = NULL};
    peer_exits(p, status);
}

void opener_kill(struct peer *p)
{
    if (opener_of(p)->peer != NULL) {
        opener_end(opener_of(p), SIGKILL);
    }
}

static struct file *locked; /* by whom; its `refs` may be 0, and then it is not */

static bool is_locked(void)
{
    return locked != NULL && locked->refs != 0 && locked->type == FILE_LOCK;
}

static void tell(const struct opener *o, uint32_t kind, int err)
{
    static struct image_report r;

    memset(&r, 0, sizeof(r));
    r.kind = kind;
    r.err = err;
    r.key = (struct image_key){.dev = 1, .ino = 7};
    r.facts.sectors = DISK_SECTORS;
    r.facts.physical_sector_bytes = DISK_SECTOR_BYTES;
    r.facts.discard_granularity = DISK_SECTOR_BYTES;
    if (kind == IMAGE_REPORT_FAILED || kind == IMAGE_REPORT_BUSY) {
        snprintf(r.text, sizeof(r.text), "image: is locked by another program");
    }
    peer_says(o->peer, &r, sizeof(r));
}

static void try_to_lock(struct opener *o)
{
    if (!is_locked()) {
        o->lock = disk_open(FILE_LOCK);
        locked = o->lock;
        o->wants_lock = false;
        tell(o, IMAGE_REPORT_OPENED, 0);
    } else if (!o->patient) {
        tell(o, IMAGE_REPORT_FAILED, 16 /* EBUSY */);
        opener_end(o, 1 << 8);
    } else if (!o->told_busy) {
        o->told_busy = true;
        tell(o, IMAGE_REPORT_BUSY, 0);
    }
}

static bool join_is_ready(const struct opener *o)
{
    return o->joining != NULL && (o->joining->passed != NULL || o->joining->refs == 1);
}

/* The lock comes, or nobody is left to send it. */
static void join(struct opener *o)
{
    struct file *socket = o->joining;

    o->joining = NULL;
    if (socket->passed != NULL) {
        o->lock = socket->passed;
        file_get(o->lock);
        tell(o, IMAGE_REPORT_OPENED, 0);
    } else {
        tell(o, IMAGE_REPORT_FOUND, 0);
    }
    file_put(socket);
}

/* The worker's first message, with the image and its lock before its other descriptors. */
static void give(const struct opener *o, const struct message *m)
{
    struct peer *worker = m->files[0]->peer;
    struct message *first;

    if (!worker->used || worker->exited || worker->pid != m->files[0]->peer_pid) {
        return;
    }
    first = message_new(m->bytes + sizeof(struct image_order), m->len - sizeof(struct image_order));
    first->files[0] = disk_open(FILE_IMAGE);
    first->files[1] = o->lock;
    file_get(o->lock);
    for (unsigned int i = 1; i < m->nr_files; i++) {
        first->files[i + 1] = m->files[i];
        file_get(m->files[i]);
    }
    first->nr_files = m->nr_files + 1;
    message_add(&worker->to_child, first);
}

static void obey(struct opener *o, const struct message *m)
{
    struct image_order order;

    memcpy(&order, m->bytes, sizeof(order));
    switch (order.kind) {
    case IMAGE_ORDER_OPEN:
        o->found = true;
        o->patient = order.patient;
        tell(o, IMAGE_REPORT_FOUND, 0);
        break;
    case IMAGE_ORDER_LOCK:
        o->wants_lock = true;
        try_to_lock(o);
        break;
    case IMAGE_ORDER_GIVE:
        sim_require(o->lock != NULL);
        give(o, m);
        break;
    case IMAGE_ORDER_SHARE:
        sim_require(o->lock != NULL && m->files[0]->passed == NULL);
        m->files[0]->passed = o->lock;
        file_get(o->lock);
        break;
    case IMAGE_ORDER_JOIN:
        o->joining = m->files[0];
        file_get(o->joining);
        break;
    default:
        sim_found("an order %u that there is not here", order.kind);
    }
}

bool opener_has_work(void)
{
    for (unsigned int i = 0; i < PEERS; i++) {
        const struct opener *o = &openers[i];

        if (o->peer != NULL &&
            (o->joining != NULL ? join_is_ready(o)
                                : o->peer->to_child.nr != 0 || (o->wants_lock && !is_locked()))) {
            return true;
        }
    }
    return false;
}

void opener_step(void)
{
    unsigned int first = sim_below(PEERS);

    for (unsigned int n = 0; n < PEERS; n++) {
        struct opener *o = &openers[(first + n) % PEERS];
        struct message *m = NULL;

        if (o->peer != NULL && o->joining != NULL) {
            if (join_is_ready(o)) {
                join(o);
                return;
            }
            continue; /* it waits for nothing else */
        }
        m = o->peer != NULL ? message_take(&o->peer->to_child) : NULL;
        if (m != NULL) {
            obey(o, m);
            message_free(m);
            return;
        }
        if (o->peer != NULL && o->wants_lock && !is_locked()) {
            try_to_lock(o);
            return;
        }
    }
}

void opener_reset(void)
{
    memset(openers, 0, sizeof(openers));
    locked = NULL;
}
