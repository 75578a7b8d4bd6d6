/*
 * Moving the bytes of one console, see stream.h for the flow.
 */
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "replay.h"
#include "cons_ring.h"

#define MS_NS     1000000ULL
#define SECOND_NS (1000 * MS_NS)

/* How long a reader that does not read may hold its guest. */
#define STALL_NS SECOND_NS
/* What an event costs of the rate, beside the bytes it brings: kicks alone can flood too. */
#define EVENT_COST 128
/* How long output is gathered; much shorter than anybody notices, much longer than a line takes. */
#define LOOK_AGAIN_NS (2 * MS_NS)
/* Batches (of at most CONS_OUT_SIZE bytes) per turn of the loop, so that no guest keeps others
 * waiting. */
#define BATCHES_PER_TURN 4

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
    /* A second's worth may come at once: a boot's output does. */
    bucket_set(&stream->rate, settings->rate, SECOND_NS, settings->rate, loop_now_ns());
    pty_init(&stream->pty);
}

int stream_set_log(struct stream *stream, const char *guest)
{
    struct logfile *log = logfile_get(&stream->shared->logs, guest);

    if (log == NULL) {
        return -ENOMEM;
    }
    logfile_put(&stream->shared->logs, stream->log);
    stream->log = log;
    return 0;
}

/* How much may be taken before a reader that still reads would miss some of it. */
static size_t reader_room(const struct stream *stream)
{
    uint64_t behind = stream->history.head - stream->cursor;

    if (!stream->attached || stream->stalled) {
        return SIZE_MAX;
    }
    return behind < stream->history.size ? (size_t)(stream->history.size - behind) : 0;
}

static void set_master_events(struct stream *stream, uint32_t events)
{
    if (!stream->master.added || stream->master_events == events) {
        return;
    }
    stream->master_events = events;
    loop_fd_events(stream->shared->loop, &stream->master, events);
}

/* Asks epoll for input while there is room for it, for output while some is left to write. */
static void update_master(struct stream *stream, bool blocked)
{
    bool input = stream->page.intf != NULL && cons_input_room(stream->page.intf) > 0;

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

static void drop_replay(struct stream *stream)
{
    free(stream->replay);
    stream->replay = NULL;
    stream->replay_len = stream->replay_done = 0;
}

/* What the reader has to get next: the replay first, then the history. Returns its length. */
static size_t pending(struct stream *stream, const char **data)
{
    if (stream->replay_done < stream->replay_len) {
        *data = stream->replay + stream->replay_done;
        return stream->replay_len - stream->replay_done;
    }
    return history_from(&stream->history, &stream->cursor, data);
}

static void written_to_reader(struct stream *stream, size_t len)
{
    if (stream->replay == NULL) {
        stream->cursor += len;
        return;
    }
    stream->replay_done += len;
    if (stream->replay_done == stream->replay_len) {
        drop_replay(stream);
    }
}

/* Writes to the terminal until the reader has all, or the terminal is full. */
static void pump(struct stream *stream)
{
    const char *data;
    size_t len;
    bool progress = false, blocked = false;

    while (stream->attached && !blocked && (len = pending(stream, &data)) > 0) {
        ssize_t written = write(stream->pty.master, data, len);

        if (written > 0) {
            written_to_reader(stream, (size_t)written);
            progress = true;
        } else if (written == 0 || errno != EINTR) {
            blocked = true;
        }
    }
    if (progress || !blocked) {
        stream->stalled = false;
        stop_stall_timer(stream);
    }
    if (blocked && !stream->stalled && !stream->stall_timer_set) {
        stream->stall_timer_set = loop_timer_set(stream->shared->loop, &stream->stall_timer,
                                                 STALL_NS, on_stall, stream) == 0;
    }
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
    if (batch.len == 0) {
        return 0;
    }
    if (stream->log != NULL) {
        logfile_write(&stream->shared->logs, stream->log, batch.data, batch.len);
    }
    if (history_append(&stream->history, batch.data, batch.len) < 0) {
        log_limited(&stream->complaints, LOG_ERR, &stream->id, "no memory for the history");
    }
    cons_consume(stream->page.intf, &batch);
    xenport_notify(&stream->shared->xen, &stream->port);
    return batch.len;
}

/* Comes back to service() after @wait. */
static void service_later(struct stream *stream, uint64_t wait)
{
    if (loop_timer_set(stream->shared->loop, &stream->later, wait, service, stream) < 0) {
        loop_defer(stream->shared->loop, &stream->more, service, stream);
    }
}

/* The ring is empty: waits for the next event. */
static void rest(struct stream *stream)
{
    update_master(stream, stream->master_events & EPOLLOUT);
    if (!stream->masked) {
        return;
    }
    if (stream->look_again) {
        stream->look_again = false;
        service_later(stream, LOOK_AGAIN_NS);
        return;
    }
    stream->masked = false;
    xenport_unmask(&stream->shared->xen, &stream->port);
}

/* Moves what may be moved, then waits for the next event or for what holds it back. */
static void service(void *arg)
{
    struct stream *stream = arg;

    if (stream->page.intf == NULL) {
        return;
    }
    for (int batch = 0; batch < BATCHES_PER_TURN; batch++) {
        uint64_t rate = bucket_tokens(&stream->rate, loop_now_ns());
        size_t room = reader_room(stream), taken;

        if (rate == 0) {
            service_later(stream, bucket_wait_ns(&stream->rate, stream->rate.burst / 4 + 1));
            return;
        }
        /* pump() has set the stall timer or asked for EPOLLOUT: either comes back here. */
        if (room == 0) {
            return;
        }
        taken = take_batch(stream, rate < room ? rate : room);
        if (taken == 0) {
            rest(stream);
            return;
        }
        /* Only a little: a guest that fills the ring must not wait for the second look. */
        stream->look_again = taken < CONS_OUT_SIZE / 4;
        bucket_spend(&stream->rate, taken);
        pump(stream);
    }
    loop_defer(stream->shared->loop, &stream->more, service, stream);
}

static void on_event(void *arg)
{
    struct stream *stream = arg;

    stream->masked = true;
    bucket_spend(&stream->rate, EVENT_COST);
    service(stream);
}

static void take_input(struct stream *stream)
{
    char data[CONS_IN_SIZE];
    size_t room = stream->page.intf != NULL ? cons_input_room(stream->page.intf) : 0;
    ssize_t len;

    if (room == 0) {
        return;
    }
    len = read(stream->pty.master, data, room);
    if (len <= 0) {
        return;
    }
    /* The room can only have grown, unless the guest plays with its index: then its input is lost.
     */
    cons_input(stream->page.intf, data, (size_t)len);
    xenport_notify(&stream->shared->xen, &stream->port);
}

/* Prepares what the history has for a reader that was not there. */
static void make_replay(struct stream *stream)
{
    uint64_t position = history_oldest(&stream->history);
    size_t len = (size_t)(stream->history.head - position), piece;
    const char *data;

    stream->cursor = stream->history.head;
    stream->replay = len > 0 ? malloc(len) : NULL;
    if (stream->replay == NULL) {
        return;
    }
    for (size_t at = 0; (piece = history_from(&stream->history, &position, &data)) > 0;
         at += piece, position += piece) {
        memcpy(stream->replay + at, data, piece);
    }
    stream->replay_len = replay_filter(stream->replay, len, stream->replay);
    if (stream->replay_len == 0) {
        drop_replay(stream);
    }
}

/* A reader has come. */
static void on_opened(void *arg)
{
    struct stream *stream = arg;

    if (stream->attached) {
        return;
    }
    if (!pty_has_reader(&stream->pty)) {
        take_input(stream); /* it came, typed and left before we looked */
        return;
    }
    stream->master_events = EPOLLIN;
    if (loop_fd_add(stream->shared->loop, &stream->master, stream->pty.master,
                    stream->master_events, on_master, stream) != 0) {
        return;
    }
    stream->attached = true;
    make_replay(stream);
    pump(stream);
    service(stream);
}

/* The last reader has left. What it typed before still goes to the guest. */
static void on_hangup(struct stream *stream)
{
    int err;

    loop_fd_del(stream->shared->loop, &stream->master);
    stream->attached = false;
    drop_replay(stream);
    take_input(stream);
    err = pty_reset(&stream->pty);
    if (err != 0) {
        log_limited(&stream->complaints, LOG_WARNING, &stream->id, "%s: cannot reset: %s",
                    stream->pty.path, strerror(-err));
    }
    pump(stream);
    service(stream);
}

static void on_master(void *arg, uint32_t events)
{
    struct stream *stream = arg;

    if (events & EPOLLIN) {
        take_input(stream);
    }
    if ((events & (EPOLLHUP | EPOLLERR)) && !pty_has_reader(&stream->pty)) {
        on_hangup(stream);
        return;
    }
    pump(stream);
    if (events & EPOLLOUT) {
        service(stream);
    }
}

static void seed_history(struct stream *stream)
{
    char *tail = malloc(stream->history.size);

    if (tail == NULL) {
        return;
    }
    history_append(&stream->history, tail, logfile_tail(stream->log, tail, stream->history.size));
    free(tail);
}

int stream_open(struct stream *stream, bool seed)
{
    struct shared *shared = stream->shared;
    int err;

    if (stream->pty.master >= 0) {
        return 0;
    }
    if (seed && stream->log != NULL) {
        seed_history(stream);
    }
    err = pty_open(&stream->pty);
    if (err == 0) {
        err = readers_add(&shared->readers, &stream->opened, stream->pty.path, on_opened, stream);
    }
    if (err != 0) {
        pty_close(&stream->pty);
    }
    return err;
}

static void let_go(struct stream *stream)
{
    struct shared *shared = stream->shared;

    loop_timer_cancel(shared->loop, &stream->later);
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
    *what = "mapping the grant of the console page";
    err = ring_page_map(xen, &stream->page, domid, frame);
    if (err != 0) {
        return err;
    }
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
    if (stream->page.intf != NULL) {
        take_batch(stream, CONS_OUT_SIZE);
    }
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
    drop_replay(stream);
}
