/*
 * duet-console-worker: moves the bytes of all consoles, and can do nothing else.
 *
 *   1. as root: receive struct cons_wire_config and the descriptors from the supervisor
 *   2. set up what all consoles share: event loop, event channels, readers, logs
 *   3. enter the cage (cage_worker.h)
 *   4. tell the supervisor READY, then serve: orders from the socket, events from guests, input
 *      from terminals, until WIRE_STOP or the end of the supervisor
 *
 * There is one worker for all guests, because what a guest writes is a ring of bytes and two
 * indices, and there is nothing to parse. On the way out the last words of every guest are taken
 * from its ring. A worker that is killed loses nothing either, since output is given back to the
 * guest only when it is logged.
 *
 * Types: struct seat (a console by its domain), struct worker.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cage_worker.h"
#include "child.h"
#include "cons_wire.h"
#include "kept.h"
#include "ledger.h"
#include "stream.h"

struct seat {
    unsigned int domid;
    struct cons_stream stream;
    UT_hash_handle hh;
};

struct worker {
    struct cons_wire_config config;
    int fds[CONS_NR_FDS];
    struct cons_shared shared;
    struct loop_fd socket;
    struct seat *seats;
    struct cons_hall hall;
};

static void report(uint32_t kind, const struct cons_order *order, int err, const char *text)
{
    struct cons_report r = {.report = {.kind = kind, .err = -err}};

    if (order != NULL) {
        r.domid = order->domid;
        r.serial = order->serial;
    }
    snprintf(r.report.text, sizeof(r.report.text), "%s", text);
    /* Without a supervisor there is nobody to tell; the end of file on the socket ends us. It never
     * waits for us, so that this wait is a short one. */
    send(CHILD_SOCKET_FD, &r, sizeof(r), MSG_NOSIGNAL);
}

/* What is about a console goes to the supervisor, which knows whose it is; the rest, and what the
 * supervisor cannot have at once, to standard error. */
static bool say(int priority, const struct log_id *id, const char *text)
{
    struct cons_report r = {.report = {.kind = CONS_SAYS, .err = priority}};
    const unsigned long size = sizeof(r.report.text);

    if (id == NULL || snprintf(r.report.text, size, "%s", text) >= (int)size) {
        return false;
    }
    r.domid = (uint32_t)id->domid;
    return send(CHILD_SOCKET_FD, &r, sizeof(r), MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(r);
}

/* Stage 1. Returns 0 or -errno. */
static int receive_config(struct worker *w)
{
    struct cons_wire_config *c = &w->config;
    long n = child_receive(CHILD_SOCKET_FD, c, sizeof(*c), w->fds, CONS_NR_FDS);

    if (n != sizeof(*c) || c->head.magic != CONS_WIRE_MAGIC) {
        return n < 0 ? (int)n : -EPROTO;
    }
    c->log_dir[sizeof(c->log_dir) - 1] = '\0';
    log_set_level(c->head.log_level);
    log_prepare();
    log_set_sink(say);
    return 0;
}

/* Stage 2. Returns 0 or -errno with *@what naming what failed. */
static int set_up(struct worker *w, const char **what)
{
    struct cons_shared *shared = &w->shared;
    const struct cons_wire_config *c = &w->config;
    int err;

    *what = "the event loop";
    shared->loop = loop_new();
    if (shared->loop == NULL) {
        return -errno;
    }
    *what = "Xen's devices";
    err = cons_xen_open(&shared->xen, shared->loop, w->fds[CONS_FD_EVENTS], w->fds[CONS_FD_GRANTS],
                        c->foreign != 0);
    if (err != 0) {
        return err;
    }
    *what = "inotify";
    err = cons_readers_open(&shared->readers, shared->loop, w->fds[CONS_FD_READERS]);
    if (err != 0) {
        return err;
    }
    *what = "the ledger";
    shared->ledger = kept_map(w->fds[CONS_FD_LEDGER], CONS_LEDGER_BYTES);
    if (shared->ledger == NULL) {
        return -errno;
    }
    *what = "the logs";
    err = cons_logs_open(&shared->logs, w->fds[CONS_FD_LOGS], c->log_dir, c->limits.size,
                         c->limits.keep);
    shared->logs.stamps = c->limits.stamps != 0;
    return err;
}

/* Stage 3. Returns 0 or -errno with *@what naming what failed. */
static int enter_cage(const struct worker *w, const char **what)
{
    const struct cons_cage cage = {
        .uid = w->config.head.uid,
        .gid = w->config.gid,
        .events = w->fds[CONS_FD_EVENTS],
        .grants = w->fds[CONS_FD_GRANTS],
        .readers = w->fds[CONS_FD_READERS],
        .logs = w->fds[CONS_FD_LOGS],
        .foreign = w->config.foreign != 0,
    };

    return cons_cage_enter(&cage, what);
}

static struct seat *find_seat(struct worker *w, unsigned int domid)
{
    struct seat *seat = NULL;

    HASH_FIND_INT(w->seats, &domid, seat);
    return seat;
}

static struct cons_stream *find_stream(void *arg, unsigned int domid)
{
    struct seat *seat = find_seat(arg, domid);

    return seat != NULL ? &seat->stream : NULL;
}

static void close_seat(struct worker *w, struct seat *seat)
{
    HASH_DEL(w->seats, seat);
    cons_stream_close(&seat->stream);
    free(seat);
}

static void close_all_seats(struct worker *w)
{
    struct seat *next = w->seats;

    HASH_CLEAR(hh, w->seats);
    while (next != NULL) {
        struct seat *seat = next;

        next = seat->hh.next;
        cons_stream_close(&seat->stream);
        free(seat);
    }
}

/* Where the console is counted from now on: from zero. */
static struct figures *figures_of(const struct worker *w, const struct cons_order *order)
{
    struct figures *figures =
        &w->shared.ledger[order->seat < CONS_LEDGER_SEATS ? order->seat : CONS_LEDGER_NOBODY];

    for (unsigned int i = 0; i < FIGURES_MAX; i++) {
        figures_set(figures, i, 0);
    }
    return figures;
}

static void open_seat(struct worker *w, const struct cons_order *order, int master)
{
    struct seat *seat = find_seat(w, order->domid);
    int err;

    if (seat != NULL) { /* closed first by every supervisor there is */
        log_msg(LOG_ERR, &seat->stream.id, "a second terminal is refused");
        close(master);
        return;
    }
    seat = calloc(1, sizeof(*seat));
    if (seat == NULL) {
        log_msg(LOG_ERR, NULL, "domain %u: no memory for its console", order->domid);
        close(master);
        return;
    }
    seat->domid = order->domid;
    cons_stream_init(&seat->stream, &w->shared, order->domid, &order->terms, figures_of(w, order));
    HASH_ADD_INT(w->seats, domid, seat);
    err = cons_stream_set_log(&seat->stream, order->log);
    if (err != 0) {
        log_msg(LOG_ERR, &seat->stream.id, "no memory for the log; output goes on without it");
    }
    err = cons_stream_open(&seat->stream, master, order->wd, order->seed != 0);
    if (err != 0) {
        log_msg(LOG_WARNING, &seat->stream.id, "cannot make the terminal raw: %s", strerror(-err));
    }
}

static void attach_seat(const struct cons_order *order, struct seat *seat)
{
    int err = seat == NULL
                  ? -ENOENT
                  : cons_stream_attach(&seat->stream, order->index, order->frame, (int)order->port);

    report(CONS_ATTACHED, order, err, err != 0 ? "mapping the grant of the console page" : "");
}

static void change_log(const struct cons_order *order, struct seat *seat)
{
    if (cons_stream_set_log(&seat->stream, order->log) != 0) {
        log_msg(LOG_ERR, &seat->stream.id, "no memory for another log; the old one goes on");
    }
    cons_stream_set_rate(&seat->stream, order->terms.rate);
}

static void log_counts(const struct worker *w)
{
    const struct seat *seat, *next;

    HASH_ITER (hh, w->seats, seat, next) {
        log_msg(LOG_NOTICE, &seat->stream.id,
                "%llu bytes printed, %llu typed, held back %llu times by its rate, %s, %u at the "
                "socket",
                (unsigned long long)seat->stream.figures->value[CONS_FIGURE_OUTPUT],
                (unsigned long long)seat->stream.figures->value[CONS_FIGURE_INPUT],
                (unsigned long long)seat->stream.figures->value[CONS_FIGURE_HELD_BACK],
                seat->stream.attached ? "somebody reads" : "nobody reads",
                seat->stream.audience.nr);
    }
}

/* An order for one console, which need not exist any more. */
static void seat_order(struct worker *w, const struct cons_order *order)
{
    struct seat *seat = find_seat(w, order->domid);

    if (order->kind == CONS_ATTACH) {
        attach_seat(order, seat);
    } else if (seat == NULL) {
        return;
    } else if (order->kind == CONS_LOG) {
        change_log(order, seat);
    } else if (order->kind == CONS_DETACH) {
        cons_stream_detach(&seat->stream);
    } else if (order->kind == CONS_CLOSE) {
        const struct log_id id = seat->stream.id;

        close_seat(w, seat);
        log_msg(LOG_INFO, &id, "let go of the console of \"%s\"", order->log);
    }
}

static void carry_out(struct worker *w, const struct cons_order *order, int fd)
{
    if (order->kind == CONS_OPEN && fd >= 0 && order->terms.history != 0) {
        open_seat(w, order, fd);
        return;
    }
    if (order->kind == CONS_VISIT && fd >= 0) {
        cons_hall_admit(&w->hall, fd, order->pid);
        return;
    }
    if (fd >= 0) {
        close(fd);
    }
    switch (order->kind) {
    case WIRE_STOP:
        loop_stop(w->shared.loop, EXIT_SUCCESS);
        break;
    case CONS_REOPEN:
        cons_logs_reopen(&w->shared.logs);
        log_msg(LOG_INFO, NULL, "opened the logs anew");
        break;
    case CONS_LIMIT:
        w->shared.logs.max_size = order->limits.size;
        w->shared.logs.keep = order->limits.keep;
        w->shared.logs.stamps = order->limits.stamps != 0;
        break;
    case CONS_COUNT:
        log_counts(w);
        break;
    case CONS_PING:
        report(CONS_PONG, order, 0, "");
        break;
    default:
        seat_order(w, order);
        break;
    }
}

/* One order a turn. The end of the supervisor is an order to stop. */
static void on_supervisor(void *arg, uint32_t events)
{
    struct worker *w = arg;
    struct cons_order order;
    unsigned int nr_fds;
    int fd = -1;
    long n = child_receive_any(CHILD_SOCKET_FD, &order, sizeof(order), &fd, 1, &nr_fds);

    (void)events;
    if (n == sizeof(order)) {
        order.log[sizeof(order.log) - 1] = '\0';
        carry_out(w, &order, nr_fds == 1 ? fd : -1);
        return;
    }
    if (nr_fds == 1) {
        close(fd);
    }
    if (n != 0) {
        log_msg(LOG_CRIT, NULL, "cannot read an order: %s", strerror(n < 0 ? (int)-n : EPROTO));
    }
    loop_stop(w->shared.loop, n == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* Stage 4. Returns the exit status. */
static int serve(struct worker *w)
{
    int status =
        loop_fd_add(w->shared.loop, &w->socket, CHILD_SOCKET_FD, EPOLLIN, on_supervisor, w);

    cons_hall_init(&w->hall, w->shared.loop, find_stream, w);
    if (status == 0) {
        report(WIRE_READY, NULL, 0, "");
        status = loop_run(w->shared.loop);
    }
    cons_hall_close(&w->hall); /* first: the daemon ends, and no domain has gone */
    close_all_seats(w);
    return status < 0 ? EXIT_FAILURE : status;
}

/* Signals are for the supervisor; whoever sends one to the whole service means it, too. */
static void ignore_signals(void)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE};

    for (unsigned int i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        signal(signals[i], SIG_IGN);
    }
}

int main(void)
{
    static struct worker w;
    const char *what = "the first message";
    int err;

    ignore_signals();
    err = receive_config(&w);
    if (err == 0) {
        err = set_up(&w, &what);
    }
    if (err == 0) {
        err = enter_cage(&w, &what);
    }
    if (err != 0) {
        report(WIRE_FAILED, NULL, err, what);
        return EXIT_FAILURE;
    }
    return serve(&w);
}
