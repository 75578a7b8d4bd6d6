/*
 * The opener of one image: see opener.h.
 *
 * Files are watched with inotify for a change of their size. A guest that writes changes its image
 * all the time, so the watch is for one event only, and is renewed a moment later, after another
 * look at the size. Where this host's kernel does not see a change (network file systems), the size
 * is looked at now and then. The supervisor tells when a block device has changed.
 *
 * An NBD server's export has one connection for each life of its opener, which one worker gets. The
 * opener keeps a descriptor of it, and ends when the server does: who opens it then waits for the
 * server. One that has waited for too long says that it is dead, so that the guest gets its errors,
 * and goes on trying.
 */
#include "opener.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "imagefile.h"
#include "loop.h"
#include "remote.h"

#define WATCH_PAUSE_MS   100
#define LOOK_MS          30000
#define BUSY_MS          100
#define CONNECT_AGAIN_MS 1000
#define NS_PER_S         UINT64_C(1000000000)

struct opener {
    int sock;
    int inotify; /* -1: none */
    bool paused; /* the watch is to be renewed */
    bool open;
    bool patient;
    bool busy; /* somebody else has the lock, and may let it go; or the server is away */
    bool remote;
    bool given;        /* its connection, to a worker */
    int connection;    /* -1: none */
    uint64_t began_ns; /* to wait for the server */
    uint32_t wait_s;
    struct imagefile file;
    struct image_key key;
    struct image_facts facts;
    char path[IMAGE_PATH_MAX];
};

/* An order as it comes. */
struct order {
    struct image_order head;
    char rest[IMAGE_REST_MAX];
    unsigned long rest_bytes;
    int fds[CHILD_FDS_MAX];
    unsigned int nr_fds;
};

static void tell(const struct opener *o, struct image_report *r, enum image_report_kind kind)
{
    r->kind = kind;
    child_send_over(o->sock, r, sizeof(*r), NULL, 0);
}

/* Tells that it cannot be done; the text is in the report. Returns `err`. */
static int give_up(const struct opener *o, struct image_report *r, int err)
{
    r->err = -err;
    tell(o, r, IMAGE_REPORT_FAILED);
    return err;
}

static int find(struct opener *o, const struct order *order)
{
    struct image_report r = {0};
    int err;

    if (order->rest_bytes == 0 || order->rest_bytes > sizeof(o->path) ||
        order->rest[order->rest_bytes - 1] != '\0') {
        return -EPROTO;
    }
    memcpy(o->path, order->rest, order->rest_bytes);
    o->patient = order->head.patient;
    o->wait_s = order->head.wait_s;
    o->remote = image_is_remote(o->path);
    o->began_ns = loop_now_ns();
    o->file = (struct imagefile){.path = o->path,
                                 .read_only = order->head.read_only,
                                 .forced = order->head.forced,
                                 .path_fd = -1,
                                 .lock_fd = -1};
    if (o->remote) {
        remote_find(o->path, &r.key);
    } else {
        err = imagefile_find(&o->file, &r.key, r.text, sizeof(r.text));
        if (err != 0) {
            return give_up(o, &r, err);
        }
    }
    o->key = r.key;
    tell(o, &r, IMAGE_REPORT_FOUND);
    return 0;
}

static void watch(struct opener *o)
{
    char path[32];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", o->file.lock_fd);
    inotify_add_watch(o->inotify, path, IN_MODIFY | IN_ONESHOT);
    o->paused = false;
}

/* The lock is there: measures the image, watched from now on, and tells. */
static int begin(struct opener *o)
{
    struct image_report r = {0};
    int err;

    if (S_ISREG(o->file.st.st_mode)) {
        o->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        watch(o);
    }
    err = imagefile_measure(&o->file, &o->facts, r.text, sizeof(r.text));
    if (err == 0 && o->facts.sectors == 0) {
        snprintf(r.text, sizeof(r.text), "image %s: is smaller than one sector of 512 bytes",
                 o->path);
        err = -ENODATA;
    }
    if (err != 0) {
        return give_up(o, &r, err);
    }
    o->open = true;
    r.facts = o->facts;
    tell(o, &r, IMAGE_REPORT_OPENED);
    return 0;
}

/* Says that another opener is to do it. Returns what ends this one. */
static int lose(const struct opener *o, const char *why)
{
    struct image_report r = {.err = ENOTCONN};

    snprintf(r.text, sizeof(r.text), "image %s: %s", o->path, why);
    tell(o, &r, IMAGE_REPORT_LOST);
    return -ECONNRESET;
}

/* The server has been away for too long: workers get a connection to nobody, and use it not. */
static int take_for_dead(struct opener *o)
{
    struct image_report r = {.facts = {.nbd = true, .dead = true}};
    int sv[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0) {
        return 0; /* the next time */
    }
    o->connection = sv[0]; /* the other end stays open until this process ends */
    o->busy = false;
    o->open = true;
    o->facts = r.facts;
    tell(o, &r, IMAGE_REPORT_OPENED);
    return 0;
}

/* There is no server, or none that can be used. */
static int stay_away(struct opener *o, struct image_report *r, int err)
{
    if (!o->patient) {
        return give_up(o, r, err);
    }
    if (!o->busy) {
        tell(o, r, IMAGE_REPORT_BUSY);
    }
    o->busy = true;
    if (o->wait_s != 0 && loop_now_ns() - o->began_ns >= o->wait_s * NS_PER_S) {
        return take_for_dead(o);
    }
    return 0;
}

/* The export's lock() and begin(). */
static int connect_to_server(struct opener *o)
{
    struct image_report r = {0};
    int fd = remote_connect(o->path, o->file.read_only, &r.facts, r.text, sizeof(r.text));

    if (fd < 0) {
        return stay_away(o, &r, fd);
    }
    o->connection = fd;
    o->facts = r.facts;
    o->busy = false;
    o->open = true;
    tell(o, &r, IMAGE_REPORT_OPENED);
    return 0;
}

/* Whether the server is back. */
static int try_dead(struct opener *o)
{
    struct image_report r = {0};
    int fd = remote_connect(o->path, o->file.read_only, &r.facts, r.text, sizeof(r.text));

    if (fd < 0) {
        return 0;
    }
    close(fd);
    return lose(o, "the server answers again");
}

static int lock(struct opener *o)
{
    struct image_report r = {0};
    int err;

    if (o->remote) {
        return connect_to_server(o);
    }
    err = imagefile_lock(&o->file, r.text, sizeof(r.text));

    if (err == -EBUSY && o->patient) {
        if (!o->busy) {
            tell(o, &r, IMAGE_REPORT_BUSY);
        }
        o->busy = true;
        return 0;
    }
    o->busy = false;
    return err != 0 ? give_up(o, &r, err) : begin(o);
}

/* The lock comes from an opener of the same image; which may have ended meanwhile. */
static int join(struct opener *o, const struct order *order)
{
    char byte;

    if (order->nr_fds != 1) {
        return -EPROTO;
    }
    if (o->remote) {
        return connect_to_server(o); /* there is no lock */
    }
    if (child_receive(order->fds[0], &byte, sizeof(byte), &o->file.lock_fd, 1) != sizeof(byte)) {
        o->file.lock_fd = -1;
        tell(o, &(struct image_report){.key = o->key}, IMAGE_REPORT_FOUND);
        return 0;
    }
    return begin(o);
}

static int share(struct opener *o, const struct order *order)
{
    if (order->nr_fds != 1) {
        return -EPROTO;
    }
    if (!o->remote) {
        child_send_over(order->fds[0], "", 1, &o->file.lock_fd, 1);
    }
    return 0;
}

/* The connection is the worker's. Returns a descriptor, or -errno with *end set to what ends us. */
static int give_connection(struct opener *o, int *end)
{
    int fd;

    if (o->given && !o->facts.dead) {
        const bool ended = remote_end(o->connection);

        o->connection = -1;
        *end = lose(o, ended ? "its connection was another worker's"
                             : "its connection was another worker's, and the server does not end "
                               "it: what that one wrote last may be written late");
        return -ENOTCONN;
    }
    fd = dup(o->connection);
    *end = fd < 0 ? lose(o, strerror(errno)) : 0;
    o->given = true;
    return fd;
}

/*
 * A worker's first message goes on to it, with the image before its other descriptors; and with the
 * lock, for what it writes may reach the storage after both of us are gone (engine.h).
 */
static int give(struct opener *o, struct order *order)
{
    struct image_report r = {0};
    int fds[CHILD_FDS_MAX];
    int fd, err;

    if (order->nr_fds == 0 || order->nr_fds - 1 + IMAGE_GIVEN_FDS > CHILD_FDS_MAX) {
        return -EPROTO;
    }
    if (o->remote) {
        fd = give_connection(o, &err);
        if (fd < 0) {
            return err;
        }
    } else {
        fd = imagefile_open(&o->file, r.text, sizeof(r.text));
        if (fd < 0) {
            return give_up(o, &r, fd);
        }
    }
    fds[0] = fd;
    fds[1] = o->remote ? fd : o->file.lock_fd;
    memcpy(&fds[IMAGE_GIVEN_FDS], &order->fds[1], (order->nr_fds - 1) * sizeof(int));
    err = child_send_over(order->fds[0], order->rest, order->rest_bytes, fds,
                          order->nr_fds - 1 + IMAGE_GIVEN_FDS);
    close(fd);
    if (err != 0 && err != -EPIPE) {
        snprintf(r.text, sizeof(r.text), "image %s: cannot be handed to the worker: %s", o->path,
                 strerror(-err));
        return give_up(o, &r, err);
    }
    return 0; /* a worker that has ended is its supervisor's business */
}

/* Looks at the size again, and tells when it is another. */
static void measure(struct opener *o)
{
    struct image_report r = {0};

    if (!o->remote && imagefile_measure(&o->file, &r.facts, r.text, sizeof(r.text)) == 0 &&
        r.facts.sectors != o->facts.sectors) {
        o->facts.sectors = r.facts.sectors;
        tell(o, &r, IMAGE_REPORT_SIZE);
    }
}

/* Returns 0, or -errno when the opener has nothing more to do. */
static int obey(struct opener *o, struct order *order)
{
    if (order->head.kind == IMAGE_ORDER_OPEN && o->path[0] == '\0') {
        return find(o, order);
    }
    if (o->path[0] == '\0' || o->open != (order->head.kind >= IMAGE_ORDER_SHARE)) {
        return -EPROTO;
    }
    switch (order->head.kind) {
    case IMAGE_ORDER_LOCK:
        return lock(o);
    case IMAGE_ORDER_JOIN:
        return join(o, order);
    case IMAGE_ORDER_SHARE:
        return share(o, order);
    case IMAGE_ORDER_GIVE:
        return give(o, order);
    case IMAGE_ORDER_MEASURE:
        measure(o);
        return 0;
    default:
        return -EPROTO;
    }
}

/* Takes one order. Returns 0, or -errno (-ECONNRESET at the end of file) to end. */
static int take_order(struct opener *o)
{
    struct order order = {0};
    char message[CHILD_MESSAGE_MAX];
    long n = child_receive_any(o->sock, message, sizeof(message), order.fds, CHILD_FDS_MAX,
                               &order.nr_fds);
    int err;

    if (n < (long)sizeof(order.head)) {
        return n < 0 ? (int)n : -ECONNRESET;
    }
    order.rest_bytes = (unsigned long)n - sizeof(order.head);
    memcpy(&order.head, message, sizeof(order.head));
    memcpy(order.rest, message + sizeof(order.head), order.rest_bytes);
    err = obey(o, &order);
    for (unsigned int i = 0; i < order.nr_fds; i++) {
        close(order.fds[i]);
    }
    return err;
}

/* The image was written to: looks at it, and again after a moment in which nobody watches. */
static void on_change(struct opener *o)
{
    char events[1024];

    while (read(o->inotify, events, sizeof(events)) > 0) {
    }
    o->paused = true;
    measure(o);
}

/* How long nothing has to happen until the size is looked at, or the lock is tried again. */
static int patience(const struct opener *o)
{
    if (o->busy) {
        return o->remote ? CONNECT_AGAIN_MS : BUSY_MS;
    }
    if (o->open && o->facts.dead) {
        return CONNECT_AGAIN_MS;
    }
    if (!o->open || o->facts.block_device || o->remote) {
        return -1;
    }
    return o->paused ? WATCH_PAUSE_MS : LOOK_MS;
}

/* Nothing has happened for as long as patience() says. Returns as obey() does. */
static int on_nothing(struct opener *o)
{
    if (o->paused) {
        watch(o);
    }
    if (o->busy) {
        return lock(o);
    }
    if (o->open && o->facts.dead) {
        return try_dead(o);
    }
    measure(o);
    return 0;
}

int opener_run(int sock)
{
    static struct opener o = {.inotify = -1, .connection = -1};
    int err = 0;

    /*
     * The supervisor's end ends us, also while we wait for the storage; the service manager does
     * not: workers still use what we lock.
     */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    child_take_name();
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    o.sock = sock;
    while (err == 0) {
        struct pollfd fds[] = {{.fd = sock, .events = POLLIN},
                               {.fd = o.paused ? -1 : o.inotify, .events = POLLIN},
                               {.fd = o.connection, .events = POLLRDHUP}};
        int n = poll(fds, 3, patience(&o));

        if (n == 0) {
            err = on_nothing(&o);
        }
        if (n > 0 && fds[1].revents != 0) {
            on_change(&o);
        }
        if (n > 0 && fds[0].revents != 0) {
            err = take_order(&o);
        } else if (n > 0 && fds[2].revents != 0) {
            err = lose(&o, "the connection to the server is lost");
        }
    }
    imagefile_close(&o.file);
    return err == -ECONNRESET ? 0 : 1;
}
