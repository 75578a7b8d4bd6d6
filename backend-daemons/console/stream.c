/*
 * Moving the bytes of one console, see stream.h for the flow.
 */
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ring.h"

#define MS_NS 1000000ULL

/* How long a reader that does not read may hold its guest. */
#define STALL_NS (1000 * MS_NS)
/* What an event costs of the rate, beside the bytes it brings: kicks alone can flood too. */
#define EVENT_COST 64
/* Batches (of at most CONS_OUT_SIZE bytes) per turn of the loop, so that no guest keeps others
 * waiting. */
#define BATCHES_PER_TURN 4
/* The burst of the rate: a boot's output passes at once. */
#define BURST_SECONDS 1

static void service(void *arg);
static void on_master(void *arg, uint32_t events);

void stream_init(struct stream *stream, struct shared *shared, unsigned int domid)
{
    const struct stream_settings *settings = &shared->settings;

    memset(stream, 0, sizeof(*stream));
    stream->shared = shared;
    stream->id = (struct log_id){.class = "console", .domid = (int)domid, .device = 0};
    stream->port.local = -1;
    stream->complaints = (struct log_limit){.burst = 5, .interval_ms = 60000};
    history_init(&stream->history, settings->history);
    rate_init(&stream->rate, settings->rate, settings->rate * BURST_SECONDS, loop_now_ns());
    pty_init(&stream->pty);
}

int stream_set_log(struct stream *stream, const char *guest)
{
    struct logfile *log = logfile_get(&stream->shared->logs, guest);

    if (!log)
        return -ENOMEM;
    logfile_put(&stream->shared->logs, stream->log);
    stream->log = log;
    return 0;
}

/* How much may be taken before a reader that still reads would miss some of it. */
static size_t reader_room(const struct stream *stream)
{
    uint64_t behind = stream->history.head - stream->cursor;

    if (!stream->attached || stream->stalled)
        return SIZE_MAX;
    return behind < stream->history.size ? (size_t)(stream->history.size - behind) : 0;
}

static void set_master_events(struct stream *stream, uint32_t events)
{
    if (!stream->master.added || stream->master_events == events)
        return;
    stream->master_events = events;
    loop_fd_events(stream->shared->loop, &stream->master, events);
}

/* Asks epoll for input while there is room for it, for output while some is left to write. */
static void update_master(struct stream *stream, bool blocked)
{
    bool input = stream->page.intf && cons_input_room(stream->page.intf) > 0;

    set_master_events(stream, (input ? EPOLLIN : 0) | (blocked ? EPOLLOUT : 0));
}

static void stop_stall_timer(struct stream *stream)
{
    loop_timer_cancel(stream->shared->loop, &stream->stall_timer);
    stream->stall_timer_set = false;
}

static void on_stall(void *arg)
{
    struct stream *stream = arg;

    stream->stall_timer_set = false;
    stream->stalled = true;
    service(stream);
}

/* Writes history to the terminal until the readers have all of it or the terminal is full. */
static void pump(struct stream *stream)
{
    const char *data;
    size_t len;
    bool progress = false, blocked = false;

    while (stream->attached && !blocked &&
           (len = history_from(&stream->history, &stream->cursor, &data)) > 0) {
        ssize_t written = write(stream->pty.master, data, len);

        if (written > 0) {
            stream->cursor += (uint64_t)written;
            progress = true;
        } else if (written == 0 || errno != EINTR) {
            blocked = true;
        }
    }
    if (progress || !blocked) {
        stream->stalled = false;
        stop_stall_timer(stream);
    }
    if (blocked && !stream->stalled && !stream->stall_timer_set)
        stream->stall_timer_set = loop_timer_set(stream->shared->loop, &stream->stall_timer,
                                                 STALL_NS, on_stall, stream) == 0;
    update_master(stream, blocked);
}

/* One batch from the ring into log and history. Returns its length, 0 when there is none. */
static size_t take_batch(struct stream *stream, size_t allowed)
{
    struct cons_batch batch;

    if (cons_peek(stream->page.intf, allowed, &batch) < 0) {
        log_limited(&stream->complaints, LOG_WARNING, &stream->id,
                    "the guest's output indices are impossible (out_cons %u, out_prod %u); "
                    "ignored until they fit",
                    stream->page.intf->out_cons, stream->page.intf->out_prod);
        return 0;
    }
    if (batch.len == 0)
        return 0;
    if (stream->log)
        logfile_write(&stream->shared->logs, stream->log, batch.data, batch.len);
    if (history_append(&stream->history, batch.data, batch.len) < 0)
        log_limited(&stream->complaints, LOG_ERR, &stream->id, "no memory for the history");
    cons_consume(stream->page.intf, &batch);
    xenport_notify(&stream->shared->xen, &stream->port);
    return batch.len;
}

static void wait_for_rate(struct stream *stream)
{
    uint64_t wait = rate_wait_ns(&stream->rate);

    if (loop_timer_set(stream->shared->loop, &stream->rate_timer, wait, service, stream) < 0)
        loop_defer(stream->shared->loop, &stream->more, service, stream);
}

/* Moves what may be moved, then waits for the next event or for what holds it back. */
static void service(void *arg)
{
    struct stream *stream = arg;

    if (!stream->page.intf)
        return;
    for (int batch = 0; batch < BATCHES_PER_TURN; batch++) {
        size_t rate = rate_allowance(&stream->rate, loop_now_ns());
        size_t room = reader_room(stream), taken;

        if (rate == 0) {
            wait_for_rate(stream);
            return;
        }
        /* pump() has set the stall timer or asked for EPOLLOUT: either comes back here. */
        if (room == 0)
            return;
        taken = take_batch(stream, rate < room ? rate : room);
        if (taken == 0) {
            update_master(stream, stream->master_events & EPOLLOUT);
            if (stream->masked) {
                stream->masked = false;
                xenport_unmask(&stream->shared->xen, &stream->port);
            }
            return;
        }
        rate_spend(&stream->rate, taken);
        pump(stream);
    }
    loop_defer(stream->shared->loop, &stream->more, service, stream);
}

static void on_event(void *arg)
{
    struct stream *stream = arg;

    stream->masked = true;
    rate_spend(&stream->rate, EVENT_COST);
    service(stream);
}

static void take_input(struct stream *stream)
{
    char data[CONS_IN_SIZE];
    size_t room = stream->page.intf ? cons_input_room(stream->page.intf) : 0;
    ssize_t len;

    if (room == 0)
        return;
    len = read(stream->pty.master, data, room);
    if (len <= 0)
        return;
    /* The room can only have grown, unless the guest plays with its index: then its input is lost.
     */
    cons_input(stream->page.intf, data, (size_t)len);
    xenport_notify(&stream->shared->xen, &stream->port);
}

/* A reader has come, and gets what the history has. */
static void on_opened(void *arg)
{
    struct stream *stream = arg;

    if (stream->attached || !pty_has_reader(&stream->pty))
        return;
    stream->master_events = EPOLLIN;
    if (loop_fd_add(stream->shared->loop, &stream->master, stream->pty.master,
                    stream->master_events, on_master, stream) != 0)
        return;
    stream->attached = true;
    stream->cursor = history_oldest(&stream->history);
    pump(stream);
    service(stream);
}

/* The last reader has left. What it typed before still goes to the guest. */
static void on_hangup(struct stream *stream)
{
    int err;

    loop_fd_del(stream->shared->loop, &stream->master);
    stream->attached = false;
    take_input(stream);
    err = pty_reset(&stream->pty);
    if (err != 0)
        log_limited(&stream->complaints, LOG_WARNING, &stream->id, "%s: cannot reset: %s",
                    stream->pty.path, strerror(-err));
    pump(stream);
    service(stream);
}

static void on_master(void *arg, uint32_t events)
{
    struct stream *stream = arg;

    if (events & EPOLLIN)
        take_input(stream);
    if ((events & (EPOLLHUP | EPOLLERR)) && !pty_has_reader(&stream->pty)) {
        on_hangup(stream);
        return;
    }
    pump(stream);
    if (events & EPOLLOUT)
        service(stream);
}

static void seed_history(struct stream *stream)
{
    char *tail = malloc(stream->history.size);

    if (!tail)
        return;
    history_append(&stream->history, tail, logfile_tail(stream->log, tail, stream->history.size));
    free(tail);
}

int stream_open(struct stream *stream, bool seed)
{
    struct shared *shared = stream->shared;
    int err;

    if (stream->pty.master >= 0)
        return 0;
    if (seed && stream->log)
        seed_history(stream);
    err = pty_open(&stream->pty);
    if (err == 0)
        err = readers_add(&shared->readers, &stream->opened, stream->pty.path, on_opened, stream);
    if (err != 0)
        pty_close(&stream->pty);
    return err;
}

static void let_go(struct stream *stream)
{
    struct shared *shared = stream->shared;

    loop_timer_cancel(shared->loop, &stream->rate_timer);
    loop_defer_cancel(shared->loop, &stream->more);
    xenport_unbind(&shared->xen, &stream->port);
    ring_page_unmap(&shared->xen, &stream->page);
    update_master(stream, stream->master_events & EPOLLOUT);
}

int stream_attach(struct stream *stream, uint64_t frame, uint32_t remote, const char **what)
{
    struct xenports *xen = &stream->shared->xen;
    unsigned int domid = (unsigned int)stream->id.domid;
    int err;

    let_go(stream);
    *what = "mapping the ring (grant of the console page)";
    err = ring_page_map(xen, &stream->page, domid, frame);
    if (err != 0)
        return err;
    *what = "binding the event channel";
    err = xenport_bind(xen, &stream->port, domid, remote, on_event, stream);
    if (err != 0) {
        ring_page_unmap(xen, &stream->page);
        return err;
    }
    stream->masked = false;
    service(stream);
    xenport_notify(xen, &stream->port);
    pump(stream);
    return 0;
}

void stream_detach(struct stream *stream)
{
    /* The guest is gone or about to start over: its last words count, its rate no more. At most one
     * ring full, whatever it writes meanwhile. */
    if (stream->page.intf)
        take_batch(stream, CONS_OUT_SIZE);
    pump(stream);
    let_go(stream);
}

void stream_close(struct stream *stream)
{
    struct shared *shared = stream->shared;

    stream_detach(stream);
    stop_stall_timer(stream);
    readers_del(&shared->readers, &stream->opened);
    loop_fd_del(shared->loop, &stream->master);
    stream->attached = false;
    pty_close(&stream->pty);
    logfile_put(&shared->logs, stream->log);
    stream->log = NULL;
    history_free(&stream->history);
}
