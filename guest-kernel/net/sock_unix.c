/*
 * sock_unix.c - sockets of programs of this kernel with one another (AF_UNIX); see sock_impl.h.
 *
 * What is sent is queued at its receiver at once. What is unread counts for who sends: his room is
 * what his SOCK_SEND_ROOM leaves of the receiver's queue. Names are of a table: one lasts as long
 * as its socket is open; a file that it is of may last longer, and is nobody's then.
 *
 * A message may carry files, a cargo. Files that are carried and that nobody can ever receive would
 * stay for good, so no ring of sockets can come about: a socket that is carried has no message
 * with sockets in its queue when it is sent, and gets none on its way; nor does a listener by the
 * connections that wait at it. So what is carried ends with the socket in whose queue it is.
 * Between a socket's end and the end of what it carried, that may get messages with sockets, and so
 * may those: such a chain may be long, and sock.c ends it link by link.
 * Locks: lwIP's is held throughout, for packets are its memory. A name's references are atomic.
 */
#include "kern/string.h"
#include "net/heap.h"
#include "net/sock_impl.h"

#define MESSAGE_MAX 65535u /* a packet's */
#define ROOM        212992 /* bytes unread, at first; as Linux */
#define FLYING_MAX  1024   /* files under way, of all programs */

struct unix_name {
    unsigned refs;
    struct sock_path path;
};

XEN_TAILQ_HEAD(unix_list, struct unix_sock);

struct unix_sock {
    struct sock *sock;
    struct sock *peer;        /* whom it sends to; NULL: nobody, or not any more */
    struct unix_list callers; /* those whose peer it is */
    XEN_TAILQ_ENTRY(struct unix_sock) caller;
    XEN_TAILQ_ENTRY(struct unix_sock) bound; /* in the table, if `listed` */
    bool listed;
    bool awaited;          /* somebody found no room in its queue who need not be a caller */
    bool refused;          /* whom it sent to has closed, which is not told yet */
    struct sock *listener; /* at which it waits to be accepted; NULL: not */
    struct unix_name *name, *peer_name;
    unsigned pid, peer_pid; /* of who connected, or listens; 0: nobody did */
    unsigned flying;        /* how often a message under way carries it */
    unsigned carries;       /* messages with sockets in its queue, and in those that wait at it */
};

static struct unix_list names = XEN_TAILQ_HEAD_INITIALIZER(names);
static unsigned flying; /* files */

/* ---- names ---- */

static struct unix_name *name_get(struct unix_name *name)
{
    if (name != NULL) {
        __atomic_add_fetch(&name->refs, 1, __ATOMIC_RELAXED);
    }
    return name;
}

void unix_name_put(struct unix_name *name)
{
    if (name != NULL && __atomic_sub_fetch(&name->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        heap_free(name);
    }
}

void unix_name_read(const struct unix_name *name, struct sock_path *path)
{
    *path = name != NULL ? name->path : (struct sock_path){.len = 0};
}

static bool is_alike(const struct sock *a, const struct sock *b)
{
    return a->stream == b->stream && a->connects == b->connects;
}

static bool is_same(const struct sock_path *a, const struct sock_path *b)
{
    return a->file == b->file &&
           (a->file != 0 || (a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0));
}

/* Names that are of no file each kind of socket has for itself. @s: of the kind. */
static struct unix_sock *name_find(const struct sock *s, const struct sock_path *path)
{
    struct unix_sock *u;

    XEN_TAILQ_FOREACH (u, &names, bound) {
        if (is_same(&u->name->path, path) && (path->file != 0 || is_alike(u->sock, s))) {
            return u;
        }
    }
    return NULL;
}

int unix_sock_bind(struct sock *s, const struct sock_path *path)
{
    struct unix_sock *u = s->un;

    if (u->name != NULL) {
        return -EINVAL;
    }
    if (name_find(s, path) != NULL) {
        return -EADDRINUSE;
    }
    u->name = heap_users_may_take() ? heap_alloc(sizeof(*u->name)) : NULL;
    if (u->name == NULL) {
        return -ENOBUFS;
    }
    *u->name = (struct unix_name){.refs = 1, .path = *path};
    u->listed = true;
    XEN_TAILQ_INSERT_TAIL(&names, u, bound);
    return 0;
}

static void unlist(struct unix_sock *u)
{
    if (u->listed) {
        XEN_TAILQ_REMOVE(&names, u, bound);
        u->listed = false;
    }
}

int unix_sock_name(const struct sock *s, bool of_peer, struct sock_path *path)
{
    unix_name_read(of_peer ? s->un->peer_name : s->un->name, path);
    return of_peer && s->state != SOCK_CONNECTED ? -ENOTCONN : 0;
}

int unix_sock_peer_pid(const struct sock *s)
{
    return (int)s->un->peer_pid;
}

/* ---- birth, and whom one talks to ---- */

struct sock *unix_sock_new(bool stream, bool connects)
{
    struct unix_sock *u = heap_users_may_take() ? heap_calloc(1, sizeof(*u)) : NULL;
    struct sock *s = u == NULL ? NULL : sock_new(stream, false);

    if (s == NULL) {
        heap_free(u);
        return NULL;
    }
    u->sock = s;
    XEN_TAILQ_INIT(&u->callers);
    s->un = u;
    s->connects = connects;
    s->options[SOCK_SEND_ROOM] = ROOM;
    return s;
}

void unix_sock_free(struct sock *s)
{
    unix_name_put(s->un->name);
    unix_name_put(s->un->peer_name);
    heap_free(s->un);
}

static void leave_peer(struct unix_sock *u)
{
    if (u->peer != NULL) {
        XEN_TAILQ_REMOVE(&u->peer->un->callers, u, caller);
        u->peer = NULL;
    }
    unix_name_put(u->peer_name);
    u->peer_name = NULL;
}

static void join_peer(struct sock *s, struct sock *peer)
{
    struct unix_sock *u = s->un;

    leave_peer(u);
    u->peer = peer;
    u->peer_name = name_get(peer->un->name);
    u->peer_pid = peer->un->pid;
    u->refused = false;
    XEN_TAILQ_INSERT_TAIL(&peer->un->callers, u, caller);
    s->state = SOCK_CONNECTED;
    s->connect_told = true;
}

void unix_sock_pair(struct sock *a, struct sock *b, unsigned pid)
{
    a->un->pid = b->un->pid = pid;
    join_peer(a, b);
    join_peer(b, a);
}

/* Who has a name, if @s can talk to him. */
static int look_up(const struct sock *s, const struct sock_path *path, struct sock **found)
{
    const struct unix_sock *u = name_find(s, path);

    if (u == NULL) {
        return -ECONNREFUSED;
    }
    *found = u->sock;
    return is_alike(s, u->sock) ? 0 : -LINUX_EPROTOTYPE;
}

static int connect_datagrams(struct sock *s, const struct sock_path *path)
{
    struct sock *to;

    if (path == NULL) {
        leave_peer(s->un);
        s->state = SOCK_IDLE;
        return 0;
    }
    int rc = look_up(s, path, &to);
    if (rc == 0 && to->un->peer != NULL && to->un->peer != s) {
        rc = -EPERM;
    }
    if (rc == 0) {
        join_peer(s, to);
    }
    return rc;
}

/* The other end of a connection that begins, which waits to be accepted. */
static int arrive(struct sock *s, struct sock *listener)
{
    if (listener->waiting >= listener->backlog) {
        return -EAGAIN;
    }
    struct sock *end = unix_sock_new(s->stream, true);
    if (end == NULL) {
        return -ENOBUFS;
    }
    memcpy(end->options, listener->options, sizeof(end->options));
    end->un->name = name_get(listener->un->name);
    end->un->pid = listener->un->pid;
    end->un->listener = listener;
    join_peer(s, end);
    join_peer(end, s);
    XEN_TAILQ_INSERT_TAIL(&listener->arrived, end, link);
    listener->waiting++;
    sock_changed(listener);
    return 0;
}

int unix_sock_connect(struct sock *s, const struct sock_path *path, unsigned pid)
{
    struct sock *listener;

    if (!s->connects) {
        return connect_datagrams(s, path);
    }
    if (path == NULL || s->state != SOCK_IDLE) {
        return s->state == SOCK_CONNECTED ? -EISCONN : -EINVAL;
    }
    int rc = look_up(s, path, &listener);
    if (rc == 0) {
        s->un->pid = pid;
        rc = listener->state != SOCK_LISTENING ? -ECONNREFUSED : arrive(s, listener);
    }
    return rc;
}

int unix_sock_listen(struct sock *s, unsigned backlog, unsigned pid)
{
    if (s->un->name == NULL || (s->state != SOCK_IDLE && s->state != SOCK_LISTENING)) {
        return -EINVAL;
    }
    s->backlog = MIN(MAX(backlog, 1u), BACKLOG_MAX);
    s->un->pid = pid;
    s->state = SOCK_LISTENING;
    sock_changed(s); /* there may be more room */
    return 0;
}

void unix_sock_accepted(struct sock *listener, struct sock *s)
{
    listener->un->carries -= s->un->carries;
    s->un->listener = NULL;
    sock_changed(listener); /* who waits for a place */
}

/* ---- the end ---- */

/* Whom it talked to hears of it: a connection is over, a datagram's sender is refused. */
static void leave_callers(struct sock *s)
{
    struct unix_sock *u;

    while ((u = XEN_TAILQ_FIRST(&s->un->callers)) != NULL) {
        struct sock *caller = u->sock;

        XEN_TAILQ_REMOVE(&s->un->callers, u, caller);
        u->peer = NULL;
        if (!caller->connects) {
            caller->state = SOCK_IDLE;
            u->refused = true;
        } else {
            caller->ended = caller->write_shut = true;
            if (s->first != NULL || s->un->listener != NULL) {
                caller->error = LINUX_ECONNRESET; /* it did not read all */
            }
        }
        sock_changed(caller);
    }
}

void unix_sock_close(struct sock *s)
{
    unlist(s->un);
    leave_callers(s);
    leave_peer(s->un);
    sock_forget_arrived(s);
    sock_changed(s); /* who waits for a place: there will be none */
}

int unix_sock_shutdown(struct sock *s, bool reading, bool writing)
{
    struct sock *peer = s->connects ? s->un->peer : NULL;

    if (s->state == SOCK_LISTENING && reading) {
        sock_forget_arrived(s);
        s->state = SOCK_IDLE;
    }
    if (peer != NULL) {
        peer->ended = peer->ended || writing;
        peer->write_shut = peer->write_shut || reading;
        sock_changed(peer);
    }
    return 0;
}

/* ---- cargo ---- */

/* Who has what is in a socket's queue: whoever has the listener at which it waits. */
static struct sock *holder(struct sock *s)
{
    return s->un->listener != NULL ? s->un->listener : s;
}

static bool may_carry(struct sock *to, const struct sock_cargo *cargo)
{
    bool may = flying + cargo->n <= FLYING_MAX;

    for (unsigned i = 0; i < cargo->n && may; i++) {
        const struct sock *s = cargo->items[i].sock;

        may = s == NULL || (s->un->carries == 0 && s != holder(to) && holder(to)->un->flying == 0);
    }
    return may;
}

/* A cargo is under way now, or not any more: @by is 1 or -1. */
static void count_cargo(struct sock *to, const struct sock_cargo *cargo, int by)
{
    bool sockets = false;

    for (unsigned i = 0; i < cargo->n; i++) {
        flying += (unsigned)by;
        if (cargo->items[i].sock != NULL) {
            cargo->items[i].sock->un->flying += (unsigned)by;
            sockets = true;
        }
    }
    if (sockets) {
        to->un->carries += (unsigned)by;
        if (to->un->listener != NULL) {
            to->un->listener->un->carries += (unsigned)by;
        }
    }
}

struct sock_cargo *unix_sock_unload(struct sock *s, struct sock_packet *packet)
{
    struct sock_cargo *cargo = packet->cargo;

    if (cargo != NULL) {
        count_cargo(s, cargo, -1);
        packet->cargo = NULL;
    }
    return cargo;
}

/* ---- data ---- */

/* Bytes that can be queued at @to now. */
static size_t room_at(const struct sock *s, const struct sock *to)
{
    size_t limit = (size_t)s->options[SOCK_SEND_ROOM];

    return to->packets >= PACKETS_MAX || to->bytes >= limit ? 0 : limit - to->bytes;
}

static bool can_write(struct sock *s)
{
    const struct sock *peer = s->un->peer;
    bool can =
        peer == NULL || s->write_shut || room_at(s, peer) >= (size_t)s->options[SOCK_SEND_ROOM] / 3;

    s->wants_room = s->wants_room || !can;
    return can;
}

unsigned unix_sock_ready(struct sock *s)
{
    unsigned ready = can_write(s) ? SOCK_CAN_WRITE : 0;

    if (s->state == SOCK_LISTENING) {
        return XEN_TAILQ_EMPTY(&s->arrived) ? 0 : SOCK_CAN_READ;
    }
    return ready | (s->connects && s->state == SOCK_IDLE ? SOCK_HUNG_UP : sock_ends(s));
}

void unix_sock_read(struct sock *s)
{
    struct unix_sock *u;

    if (s->un->awaited) {
        s->un->awaited = false;
        sock_changed(s);
    }
    XEN_TAILQ_FOREACH (u, &s->un->callers, caller) {
        if (u->sock->wants_room && can_write(u->sock)) {
            u->sock->wants_room = false;
            sock_changed(u->sock);
        }
    }
}

/* Whom a message goes to. */
static int receiver(struct sock *s, const struct sock_path *path, struct sock **to)
{
    int rc = 0;

    *to = s->un->peer;
    if (s->write_shut) {
        return -LINUX_EPIPE;
    }
    if (path != NULL && !s->connects) {
        rc = look_up(s, path, to);
    } else if (*to == NULL) {
        rc = s->un->refused ? -ECONNREFUSED : -ENOTCONN;
        s->un->refused = false;
    }
    if (rc == 0 && (*to)->read_shut) {
        rc = -LINUX_EPIPE;
    }
    if (rc == 0 && !s->connects && (*to)->un->peer != NULL && (*to)->un->peer != s) {
        rc = -EPERM;
    }
    return rc;
}

/* How much of it can go now: of what is not a stream all or nothing. */
static ssize_t part_for(struct sock *s, struct sock *to, size_t n)
{
    size_t room = room_at(s, to);

    if (!s->stream && (n > MESSAGE_MAX || n > (size_t)s->options[SOCK_SEND_ROOM])) {
        return -EMSGSIZE;
    }
    if (room == 0 || (!s->stream && n > room)) {
        s->wants_room = true;
        to->un->awaited = to->un->awaited || s->un->peer != to;
        return -EAGAIN;
    }
    return (ssize_t)MIN(MIN(n, room), MESSAGE_MAX);
}

static int unix_enqueue(const struct sock *s, struct sock *to, const void *data, size_t n,
                        struct sock_cargo *cargo)
{
    struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)n, PBUF_RAM);

    if (p == NULL) {
        return -ENOBUFS;
    }
    memcpy(p->payload, data, n);
    struct sock_packet *packet = sock_queue(to, p, IP4_ADDR_ANY, 0, false);
    if (packet == NULL) {
        (void)pbuf_free(p);
        return -ENOBUFS;
    }
    packet->name = name_get(s->un->name);
    packet->cargo = cargo;
    if (cargo != NULL) {
        count_cargo(to, cargo, 1);
    }
    sock_changed(to);
    return 0;
}

ssize_t unix_sock_send(struct sock *s, const void *data, size_t n, const struct sock_path *path,
                       struct sock_cargo **cargo)
{
    struct sock *to;
    ssize_t rc = receiver(s, path, &to);

    if (rc == 0 && *cargo != NULL && !may_carry(to, *cargo)) {
        rc = -LINUX_ETOOMANYREFS;
    }
    rc = rc == 0 ? part_for(s, to, n) : rc;
    if (rc >= 0) {
        n = (size_t)rc;
        rc = unix_enqueue(s, to, data, n, *cargo);
        *cargo = rc == 0 ? NULL : *cargo;
    }
    return rc == 0 ? (ssize_t)n : rc;
}
