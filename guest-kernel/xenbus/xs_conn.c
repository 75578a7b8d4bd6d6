/*
 * xs_conn.c - the shared ring to the store: messages out, messages in, who waits for which.
 *
 * A sender writes its whole message into the request ring under tx_lock and sleeps until the reader
 * thread has found its request by number and handed it the reply. The reader takes each message off
 * the ring by itself: the ring's bytes and both foreign indices are copied once and checked. A
 * message that is too long, or an index out of range, leaves no way to find the next message: the
 * connection is then broken, every request fails with -EIO, and the log says so once.
 *
 * Short replies need no memory: most of them only say that the store did as it was told, and must
 * not be taken for a failure because memory is out here.
 *
 * Owns: the ring page's mapping, the port, struct request (each on its sender's stack).
 * Locks, in order: gate_lock (mutex: who may start, for suspend), tx_lock (mutex: the request
 * ring), conn.lock (spinlock: list of requests, counters). Wait queues are leaves.
 * Suspend: xenbus_suspend() closes the gate and waits until no request and no transaction is open;
 * xenbus_resume() finds the ring again in start_info, sets the watches and opens the gate;
 * xenbus_cancel() only opens it.
 */
#include "xenbus/xs_conn.h"

#include <xen/xen.h>
#include <xen/io/xs_wire.h>

#include "hat/p2m.h"
#include "kern/lock.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "kern/wait.h"
#include "os/evtchn.h"
#include "os/panic.h"
#include "os/start_info.h"
#include "psm/clock.h"
#include "xenbus/xs_parse.h"

#define PATIENCE (30 * NSEC_PER_SEC) /* then the log says that the store does not answer */

/* A request that waits for its reply. */
struct request {
    uint32_t id, type;
    struct xs_reply reply; /* body NULL: it is in small[] */
    char small[XS_SHORT];
    int rc;
    bool done;
    struct waitq wq;
    XEN_TAILQ_ENTRY(struct request) link;
};

static struct {
    struct xenstore_domain_interface *ring;
    evtchn_port_t port;
    uint32_t req_prod, rsp_cons; /* our own indices; the ring's copies are for the store */
    struct waitq ring_wq;        /* woken by each event */
    struct mutex tx_lock;

    spinlock_t lock;
    XEN_TAILQ_HEAD(request_list, struct request) requests;
    uint32_t next_id;
    bool absent; /* the initial domain: there never was a store */
    bool broken;
    uint64_t sent, garbled;

    struct mutex gate_lock;
    struct cond gate;
    unsigned busy;          /* requests outside of transactions, plus open transactions */
    bool closed;            /* suspending */
    struct thread *resumer; /* may pass while it is closed */

    unsigned generation; /* one more at each resume: what was half received is void */
} conn;

/* Event handler. */
static void ring_moved(evtchn_port_t port __unused, void *arg __unused)
{
    waitq_wake_all(&conn.ring_wq);
}

/* Fails everything that waits and all that comes. */
static void break_connection(const char *why, uint32_t a, uint32_t b)
{
    upcall_state_t s = spin_lock(&conn.lock);
    bool first = !conn.broken;
    struct request *r;

    conn.broken = true;
    conn.garbled++;
    while ((r = XEN_TAILQ_FIRST(&conn.requests))) {
        XEN_TAILQ_REMOVE(&conn.requests, r, link);
        r->rc = -EIO;
        r->done = true;
        waitq_wake_all(&r->wq);
    }
    spin_unlock(&conn.lock, s);
    waitq_wake_all(&conn.ring_wq);
    if (first) {
        log_err("xenbus: the store's ring is unusable: %s (%u, %u); devices keep working, nothing "
                "can be looked up or changed until the domain is saved and restored",
                why, a, b);
    }
}

/* Room in the request ring; SIZE_MAX when the connection is broken (so that nobody waits). */
static size_t tx_room(void)
{
    uint32_t used = conn.req_prod - READ_ONCE(conn.ring->req_cons);

    if (READ_ONCE(conn.broken)) {
        return SIZE_MAX;
    }
    if (used > XENSTORE_RING_SIZE) {
        break_connection("request indices are further apart than the ring", conn.req_prod, used);
        return SIZE_MAX;
    }
    return XENSTORE_RING_SIZE - used;
}

/* Copies bytes into the request ring, waiting for room. Caller holds tx_lock. */
static int tx_bytes(const char *data, size_t len)
{
    while (len != 0) {
        wait_event(&conn.ring_wq, tx_room() > 0);
        size_t room = tx_room();
        if (room == SIZE_MAX) {
            return -EIO;
        }
        size_t at = MASK_XENSTORE_IDX(conn.req_prod);
        size_t n = MIN(len, MIN(room, XENSTORE_RING_SIZE - at));

        mb(); /* the store read what we overwrite before it moved req_cons */
        memcpy(conn.ring->req + at, data, n);
        conn.req_prod += n;
        wmb();
        WRITE_ONCE(conn.ring->req_prod, conn.req_prod);
        evtchn_notify(conn.port);
        data += n;
        len -= n;
    }
    return 0;
}

/* Bytes to read in the reply ring; SIZE_MAX when its indices make no sense. */
static size_t rx_bytes_there(void)
{
    uint32_t n = READ_ONCE(conn.ring->rsp_prod) - conn.rsp_cons;

    return n > XENSTORE_RING_SIZE ? SIZE_MAX : n;
}

/*
 * Takes bytes off the reply ring, waiting for them; @buf NULL throws them away. -ENOTCONN if the
 * connection was made anew meanwhile.
 */
static int rx_bytes(char *buf, size_t len, unsigned generation)
{
    while (len != 0) {
        wait_event(&conn.ring_wq, READ_ONCE(conn.generation) != generation ||
                                      (!READ_ONCE(conn.broken) && rx_bytes_there() > 0));
        if (READ_ONCE(conn.generation) != generation) {
            return -ENOTCONN;
        }
        size_t there = rx_bytes_there();
        if (there == SIZE_MAX) {
            break_connection("reply indices are further apart than the ring", conn.rsp_cons,
                             READ_ONCE(conn.ring->rsp_prod));
            return -EIO;
        }
        size_t at = MASK_XENSTORE_IDX(conn.rsp_cons);
        size_t n = MIN(len, MIN(there, XENSTORE_RING_SIZE - at));

        rmb();
        if (buf != NULL) {
            memcpy(buf, conn.ring->rsp + at, n);
            buf += n;
        }
        conn.rsp_cons += n;
        mb();
        WRITE_ONCE(conn.ring->rsp_cons, conn.rsp_cons);
        evtchn_notify(conn.port);
        len -= n;
    }
    return 0;
}

static bool is_short(uint32_t len)
{
    return len < XS_SHORT;
}

/* Hands a body over to a request; a short one is copied. NULL: there was no memory for it. */
static void xs_conn_take_body(struct request *r, char *body, uint32_t len)
{
    r->reply = (struct xs_reply){is_short(len) ? NULL : body, len};
    if (is_short(len)) {
        memcpy(r->small, body, len + 1);
    } else if (body == NULL) {
        r->rc = -ENOMEM;
    }
}

/* Gives a reply to the request that waits for it. Takes a @body over that is not short. */
static void xs_conn_answer(const struct xsd_sockmsg *msg, char *body)
{
    upcall_state_t s = spin_lock(&conn.lock);
    struct request *r;

    XEN_TAILQ_FOREACH (r, &conn.requests, link) {
        if (r->id == msg->req_id) {
            break;
        }
    }
    if (r == NULL) {
        conn.garbled++;
        spin_unlock(&conn.lock, s);
        log_warn("xenbus: reply to request %u, which nobody made, thrown away", msg->req_id);
        if (!is_short(msg->len)) {
            kfree(body);
        }
        return;
    }
    XEN_TAILQ_REMOVE(&conn.requests, r, link);
    xs_conn_take_body(r, body, msg->len);
    if (r->rc == 0 && msg->type == XS_ERROR) {
        r->rc = xs_parse_error(body, msg->len);
    } else if (r->rc == 0 && msg->type != r->type) {
        r->rc = -EIO;
        conn.garbled++;
    }
    r->done = true;
    waitq_wake_all(&r->wq);
    spin_unlock(&conn.lock, s);
}

/* Takes one message off the ring and sends it where it belongs. */
static int xs_conn_receive(void)
{
    struct xsd_sockmsg msg;
    unsigned generation = READ_ONCE(conn.generation);
    int rc = rx_bytes((char *)&msg, sizeof(msg), generation);

    if (rc != 0) {
        return rc;
    }
    if (msg.len > XENSTORE_PAYLOAD_MAX) {
        break_connection("message longer than the protocol allows", msg.type, msg.len);
        return -EIO;
    }
    char small[XS_SHORT];
    char *body = is_short(msg.len) ? small : kmalloc(msg.len + 1);
    char *owned = body != small ? body : NULL;
    rc = rx_bytes(body, msg.len, generation);
    if (rc != 0) {
        kfree(owned);
        return rc;
    }
    if (body != NULL) {
        body[msg.len] = '\0';
    }
    if (msg.type == XS_WATCH_EVENT) {
        xs_watch_deliver(body, body != NULL ? msg.len : 0);
        kfree(owned);
    } else {
        xs_conn_answer(&msg, body);
    }
    return 0;
}

/* The reader thread. After a break it sleeps until a resume makes the ring good again. */
static void reader(void *arg __unused)
{
    for (;;) {
        (void)xs_conn_receive();
    }
}

/* Through the gate: not while suspending, except inside of a transaction. */
static void xs_conn_enter(xs_txn_t t)
{
    if (t != XS_NO_TXN) {
        return;
    }
    mutex_lock(&conn.gate_lock);
    while (conn.closed && conn.resumer != thread_self()) {
        cond_wait(&conn.gate, &conn.gate_lock);
    }
    conn.busy++;
    mutex_unlock(&conn.gate_lock);
}

static void xs_conn_leave(void)
{
    mutex_lock(&conn.gate_lock);
    conn.busy--;
    cond_broadcast(&conn.gate);
    mutex_unlock(&conn.gate_lock);
}

void xs_conn_txn_ended(void)
{
    xs_conn_leave();
}

/* Puts a request on the list, or refuses it because the ring is broken. */
static int enlist(struct request *r)
{
    upcall_state_t s = spin_lock(&conn.lock);
    int rc = conn.absent ? -ENODEV : conn.broken ? -EIO : 0;

    if (rc == 0) {
        r->id = conn.next_id++;
        conn.sent++;
        XEN_TAILQ_INSERT_TAIL(&conn.requests, r, link);
    }
    spin_unlock(&conn.lock, s);
    return rc;
}

static int xs_conn_send(const struct request *r, xs_txn_t t, const struct xs_part *parts,
                        unsigned nparts, size_t len)
{
    struct xsd_sockmsg msg = {.type = r->type, .req_id = r->id, .tx_id = t, .len = (uint32_t)len};

    mutex_lock(&conn.tx_lock);
    int rc = tx_bytes((const char *)&msg, sizeof(msg));
    for (unsigned i = 0; rc == 0 && i < nparts; i++) {
        rc = tx_bytes(parts[i].data, parts[i].len);
    }
    mutex_unlock(&conn.tx_lock);
    return rc;
}

/* Sends @r and sleeps until it is done. */
static void xs_conn_send_and_wait(struct request *r, xs_txn_t t, const struct xs_part *parts,
                                  unsigned nparts, size_t len)
{
    r->rc = enlist(r);
    if (r->rc != 0) {
        return;
    }
    /* A failure to send has broken the connection, and that ends the wait below. */
    (void)xs_conn_send(r, t, parts, nparts, len);
    while (wait_event_until(&r->wq, READ_ONCE(r->done), clock_now() + PATIENCE)) {
        log_warn("xenbus: the store has not answered request %u of type %u for 30 s", r->id,
                 r->type);
    }
    /* Who woke us holds the lock until it has let go of r. */
    spin_unlock(&conn.lock, spin_lock(&conn.lock));
}

/* Sends a request and waits for its reply, which is in @r then. Return: its error. */
static int talk(struct request *r, xs_txn_t t, const struct xs_part *parts, unsigned nparts)
{
    size_t len = 0;

    for (unsigned i = 0; i < nparts; i++) {
        len += parts[i].len;
    }
    if (len > XENSTORE_PAYLOAD_MAX) {
        return -E2BIG;
    }
    waitq_init(&r->wq, "xenbus-reply");
    xs_conn_enter(t);
    xs_conn_send_and_wait(r, t, parts, nparts, len);
    /* A started transaction stays counted until xs_conn_txn_ended(). */
    if (t == XS_NO_TXN && (r->type != XS_TRANSACTION_START || r->rc != 0)) {
        xs_conn_leave();
    }
    return r->rc;
}

/* Makes a reply the caller's. */
static int hand_over(struct request *r, struct xs_reply *reply)
{
    *reply = r->reply;
    if (is_short((uint32_t)reply->len)) {
        reply->body = kmalloc(reply->len + 1);
        if (reply->body == NULL) {
            return -ENOMEM;
        }
        memcpy(reply->body, r->small, reply->len + 1);
    }
    return 0;
}

int xs_talk(uint32_t type, xs_txn_t t, const struct xs_part *parts, unsigned nparts,
            struct xs_reply *reply)
{
    struct request r = {.type = type};
    int rc = talk(&r, t, parts, nparts);

    if (rc == 0 && reply != NULL) {
        return hand_over(&r, reply);
    }
    kfree(r.reply.body);
    return rc;
}

int xs_talk_short(uint32_t type, xs_txn_t t, const struct xs_part *parts, unsigned nparts,
                  char *buf)
{
    struct request r = {.type = type};
    int rc = talk(&r, t, parts, nparts);

    kfree(r.reply.body);
    if (rc == 0 && !is_short((uint32_t)r.reply.len)) {
        rc = -EIO;
    }
    if (rc == 0) {
        memcpy(buf, r.small, r.reply.len + 1);
    }
    return rc;
}

/* Finds the ring that start_info names and binds its port. */
static int xs_conn_attach(void)
{
    pfn_t pfn;

    if (!m2p_get(MFN(start_info->store_mfn), &pfn)) {
        log_err("xenbus: start_info's store_mfn %#lx is no page of this domain",
                (unsigned long)start_info->store_mfn);
        return -ENXIO;
    }
    upcall_state_t s = spin_lock(&conn.lock);
    conn.ring = pfn_to_virt(pfn);
    conn.req_prod = conn.ring->req_prod;
    /* Whatever lies there was meant for who had the ring before. */
    conn.rsp_cons = conn.ring->rsp_prod;
    conn.ring->rsp_cons = conn.rsp_cons;
    conn.generation++;
    conn.broken = false;
    spin_unlock(&conn.lock, s);
    conn.port = start_info->store_evtchn;
    return evtchn_bind_existing(conn.port, "xenbus", IPL_STORE, ring_moved, NULL);
}

void xs_conn_init(void)
{
    waitq_init(&conn.ring_wq, "xenbus-ring");
    mutex_init(&conn.tx_lock, "xenbus-tx");
    mutex_init(&conn.gate_lock, "xenbus-gate");
    cond_init(&conn.gate, "xenbus-gate");
    spin_init(&conn.lock, "xenbus");
    XEN_TAILQ_INIT(&conn.requests);

    if (is_dom0() && start_info->store_evtchn == EVTCHN_NONE) {
        log_info("xenbus: dom0 has no store, so no split devices either");
        conn.absent = true;
        return;
    }
    int rc = xs_conn_attach();
    if (rc != 0) {
        panic("xenbus: no way to the store: %s", errno_name(rc));
    }
    struct thread *t = thread_create("xenbus", reader, NULL, PRIO_HIGH);
    if (t == NULL) {
        panic("xenbus: no memory for the reader thread");
    }
    thread_detach(t);
}

bool xs_available(void)
{
    return !conn.absent;
}

void xenbus_suspend(void)
{
    mutex_lock(&conn.gate_lock);
    conn.closed = true;
    while (conn.busy != 0) {
        cond_wait(&conn.gate, &conn.gate_lock);
    }
    conn.resumer = thread_self();
    mutex_unlock(&conn.gate_lock);
}

/* Opens the gate. */
void xenbus_cancel(void)
{
    mutex_lock(&conn.gate_lock);
    conn.closed = false;
    conn.resumer = NULL;
    cond_broadcast(&conn.gate);
    mutex_unlock(&conn.gate_lock);
}

int xenbus_resume(void)
{
    int rc = xs_conn_attach();

    waitq_wake_all(&conn.ring_wq);
    if (rc == 0) {
        rc = xs_watch_again();
    }
    xenbus_cancel();
    return rc;
}

void xs_get_stats(struct xs_stats *stats)
{
    upcall_state_t s = spin_lock(&conn.lock);

    *stats =
        (struct xs_stats){.requests = conn.sent, .garbled = conn.garbled, .broken = conn.broken};
    spin_unlock(&conn.lock, s);
    xs_watch_get_stats(stats);
}
