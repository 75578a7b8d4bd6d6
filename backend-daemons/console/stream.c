/*
 * Moving the bytes of one console: see stream.h for the flow.
 */
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cons_ring.h"
#include "cons_wire.h"

#define MS_NS     1000000ULL
#define SECOND_NS (1000 * MS_NS)

/* What an event costs of the rate, beside the bytes it brings: kicks alone can flood too. */
#define EVENT_COST 128
/* How long output is gathered; much shorter than anybody notices, much longer than a line takes. */
#define LOOK_AGAIN_NS (2 * MS_NS)
/* Batches (of at most CONS_OUT_SIZE bytes) per turn of the loop, so that no guest keeps others
 * waiting. */
#define BATCHES_PER_TURN 4

static void service(void *arg);
static void on_master(void *arg, uint32_t events);

void cons_stream_init(struct cons_stream *stream, struct cons_shared *shared, unsigned int domid,
                      const struct cons_terms *terms, struct figures *figures)
{
    memset(stream, 0, sizeof(*stream));
    stream->shared = shared;
    stream->figures = figures;
    stream->id = (struct log_id){.class = CONS_WIRE_CLASS, .domid = (int)domid, .device = 0};
    stream->port.local = -1;
    stream->complaints = (struct log_limit){.burst = 5, .interval_ms = 60000};
    cons_history_init(&stream->history, terms->history);
    cons_stream_set_rate(stream, terms->rate);
    cons_pty_init(&stream->pty);
    cons_audience_init(&stream->audience);
}

/* A second's worth may come at once: a boot's output does. */
void cons_stream_set_rate(struct cons_stream *stream, uint64_t rate)
{
    if (rate != stream->rate.amount || stream->rate.interval_ns == 0) {
        bucket_set(&stream->rate, rate, SECOND_NS, rate, loop_now_ns());
    }
}

int cons_stream_set_log(struct cons_stream *stream, const char *name)
{
    struct cons_log *log = cons_log_get(&stream->shared->logs, name);

    if (log == NULL) {
        return -ENOMEM;
    }
    cons_log_put(&stream->shared->logs, stream->log);
    stream->log = log;
    return 0;
}

/* How much may be taken before one for whom the guest waits would miss some of it. */
static size_t reader_room(const struct cons_stream *stream)
{
    const size_t terminal = stream->attached && !stream->stalled
                                ? cons_view_room(&stream->view, &stream->history)
                                : SIZE_MAX;
    const size_t socket = cons_audience_room(&stream->audience, &stream->history);

    return terminal < socket ? terminal : socket;
}

static void set_master_events(struct cons_stream *stream, uint32_t events)
{
    if (!stream->master.added || stream->master_events == events) {
        return;
    }
    stream->master_events = events;
    loop_fd_events(stream->shared->loop, &stream->master, events);
}

/* Asks epoll for input while there is room for it, for output while some is left to write. */
static void update_master(struct cons_stream *stream, bool blocked)
{
    bool input = stream->page.intf != NULL && cons_input_room(stream->page.intf) > 0;

    set_master_events(stream, (input ? EPOLLIN : 0) | (blocked ? EPOLLOUT : 0));
}

static void stop_stall_timer(struct cons_stream *stream)
{
    loop_timer_cancel(stream->shared->loop, &stream->stall_timer);
}

static void on_stall(void *arg)
{
    struct cons_stream *stream = arg;

    stream->stalled = true;
    service(stream);
}

/* What the terminal's reader has to get next. Returns its length. */
static size_t pending(struct cons_stream *stream, const char **data)
{
    uint64_t missed = 0;
    size_t len = cons_view_pending(&stream->view, &stream->history, data, &missed);

    figures_add(stream->figures, CONS_FIGURE_LOST_READER, missed);
    return len;
}

/* Writes to the terminal until its reader has all, or the terminal is full. */
static void pump(struct cons_stream *stream)
{
    const char *data;
    size_t len;
    bool progress = false, blocked = false;

    while (stream->attached && !blocked && (len = pending(stream, &data)) > 0) {
        ssize_t written = write(stream->pty.master, data, len);

        if (written > 0) {
            cons_view_done(&stream->view, (size_t)written);
            progress = true;
        } else if (written == 0 || errno != EINTR) {
            blocked = true;
        }
    }
    if (progress || !blocked) {
        stream->stalled = false;
        stop_stall_timer(stream);
    }
    if (blocked && !stream->stalled && !stream->stall_timer.armed) {
        loop_timer_set(stream->shared->loop, &stream->stall_timer, CONS_STALL_NS, on_stall, stream);
    }
    update_master(stream, blocked);
}

/* What the log takes beyond the bytes themselves counts as well: the time in front of an empty line
 * is 27 times the line. */
static void log_batch(struct cons_stream *stream, const struct cons_batch *batch)
{
    const uint64_t lost = stream->log->lost, before = stream->log->written;
    uint64_t written;

    if (cons_log_write(&stream->shared->logs, stream->log, batch->data, batch->len) != 0) {
        figures_add(stream->figures, CONS_FIGURE_LOST_LOG, stream->log->lost - lost);
    }
    written = stream->log->written - before;
    if (written > batch->len) {
        bucket_owe(&stream->rate, written - batch->len);
    }
}

/* One batch from the ring into log and history. Returns its length, 0 when there is none. */
static size_t take_batch(struct cons_stream *stream, size_t allowed)
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
        log_batch(stream, &batch);
    }
    if (cons_history_append(&stream->history, batch.data, batch.len) < 0) {
        log_limited(&stream->complaints, LOG_ERR, &stream->id, "no memory for the history");
    }
    figures_add(stream->figures, CONS_FIGURE_OUTPUT, batch.len);
    cons_consume(stream->page.intf, &batch);
    cons_port_notify(&stream->shared->xen, &stream->port);
    return batch.len;
}

/* Comes back to service() after @wait. */
static void service_later(struct cons_stream *stream, uint64_t wait)
{
    loop_timer_set(stream->shared->loop, &stream->later, wait, service, stream);
}

/* The ring is empty: waits for the next event. */
static void rest(struct cons_stream *stream)
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
    cons_port_unmask(&stream->shared->xen, &stream->port);
}

/* Moves what may be moved, then waits for the next event or for what holds it back. */
static void service(void *arg)
{
    struct cons_stream *stream = arg;

    if (stream->page.intf == NULL) {
        return;
    }
    /* First, and once a turn: the ring of a guest that prints without end is never empty. */
    cons_audience_feed(&stream->audience);
    for (int batch = 0; batch < BATCHES_PER_TURN; batch++) {
        uint64_t rate = bucket_tokens(&stream->rate, loop_now_ns());
        size_t room = reader_room(stream), taken;

        if (rate == 0) {
            figures_add(stream->figures, CONS_FIGURE_HELD_BACK, 1);
            service_later(stream,
                          bucket_wait_ns(&stream->rate, stream->rate.burst / 4 + 1, loop_now_ns()));
            return;
        }
        /* Whoever is waited for has a timer for that and is asked for room: both come back here. */
        if (room == 0) {
            return;
        }
        taken = take_batch(stream, rate < room ? (size_t)rate : room);
        if (taken == 0) {
            rest(stream);
            return;
        }
        /* Only a little: a guest that fills the ring must not wait for the second look. */
        stream->look_again = taken < CONS_OUT_SIZE / 4;
        bucket_spend(&stream->rate, taken);
        pump(stream);
        cons_audience_pump(&stream->audience);
    }
    cons_stream_go_on(stream);
}

static void on_ring_event(void *arg)
{
    struct cons_stream *stream = arg;

    stream->masked = true;
    bucket_spend(&stream->rate, EVENT_COST);
    service(stream);
}

void cons_stream_go_on(struct cons_stream *stream)
{
    loop_defer(stream->shared->loop, &stream->more, service, stream);
}

size_t cons_stream_type(struct cons_stream *stream, const char *data, size_t len)
{
    size_t n = stream->page.intf != NULL ? cons_input(stream->page.intf, data, len) : 0;

    if (n > 0) {
        figures_add(stream->figures, CONS_FIGURE_INPUT, n);
        cons_port_notify(&stream->shared->xen, &stream->port);
    }
    return n;
}

static void take_input(struct cons_stream *stream)
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
    cons_stream_type(stream, data, (size_t)len);
}

static void set_attached(struct cons_stream *stream, bool attached)
{
    stream->attached = attached;
    figures_set(stream->figures, CONS_FIGURE_ATTACHED, attached ? 1 : 0);
}

/* A reader has come. */
static void on_reader(void *arg)
{
    struct cons_stream *stream = arg;

    if (stream->attached) {
        return;
    }
    if (!cons_pty_has_reader(&stream->pty)) {
        take_input(stream); /* it came, typed and left before we looked */
        return;
    }
    stream->master_events = EPOLLIN;
    if (loop_fd_add(stream->shared->loop, &stream->master, stream->pty.master,
                    stream->master_events, on_master, stream) != 0) {
        return;
    }
    set_attached(stream, true);
    cons_view_replay(&stream->view, &stream->history);
    pump(stream);
    service(stream);
}

/* The last reader has left. What it typed before still goes to the guest. */
static void on_hangup(struct cons_stream *stream)
{
    int err;

    loop_fd_del(stream->shared->loop, &stream->master);
    set_attached(stream, false);
    cons_view_end(&stream->view);
    take_input(stream);
    err = cons_pty_reset(&stream->pty);
    if (err != 0) {
        log_limited(&stream->complaints, LOG_WARNING, &stream->id,
                    "cannot make the terminal raw: %s", strerror(-err));
    }
    pump(stream);
    service(stream);
}

static void on_master(void *arg, uint32_t events)
{
    struct cons_stream *stream = arg;

    if (events & EPOLLIN) {
        take_input(stream);
    }
    if ((events & (EPOLLHUP | EPOLLERR)) && !cons_pty_has_reader(&stream->pty)) {
        on_hangup(stream);
        return;
    }
    pump(stream);
    if (events & EPOLLOUT) {
        service(stream);
    }
}

static void seed_history(struct cons_stream *stream)
{
    char *tail = malloc(stream->history.size);

    if (tail == NULL) {
        return;
    }
    cons_history_append(
        &stream->history, tail,
        cons_log_tail(&stream->shared->logs, stream->log, tail, stream->history.size));
    free(tail);
}

int cons_stream_open(struct cons_stream *stream, int master, int wd, bool seed)
{
    struct cons_shared *shared = stream->shared;
    int err;

    if (seed && stream->log != NULL) {
        seed_history(stream);
    }
    stream->pty.master = master;
    err = cons_pty_reset(&stream->pty);
    cons_readers_add(&shared->readers, &stream->opened, wd, on_reader, stream);
    on_reader(stream);
    return err;
}

static void let_go(struct cons_stream *stream)
{
    struct cons_shared *shared = stream->shared;

    loop_timer_cancel(shared->loop, &stream->later);
    loop_defer_cancel(shared->loop, &stream->more);
    cons_port_forget(&shared->xen, &stream->port);
    cons_page_unmap(&shared->xen, &stream->page);
    update_master(stream, stream->master_events & EPOLLOUT);
}

int cons_stream_attach(struct cons_stream *stream, uint64_t index, uint64_t frame, int local)
{
    struct cons_xen *xen = &stream->shared->xen;
    int err;

    let_go(stream);
    err = cons_page_map(xen, &stream->page, (unsigned int)stream->id.domid, index, frame);
    if (err != 0) {
        return err;
    }
    cons_port_listen(xen, &stream->port, local, on_ring_event, stream);
    stream->masked = false;
    service(stream);
    cons_port_notify(xen, &stream->port);
    pump(stream);
    return 0;
}

void cons_stream_detach(struct cons_stream *stream)
{
    /* The guest is gone or about to start over: its last words count, its rate no more. At most one
     * ring full, whatever it writes meanwhile. */
    if (stream->page.intf != NULL) {
        take_batch(stream, CONS_OUT_SIZE);
    }
    pump(stream);
    cons_audience_pump(&stream->audience);
    let_go(stream);
}

void cons_stream_close(struct cons_stream *stream)
{
    struct cons_shared *shared = stream->shared;

    cons_stream_detach(stream);
    stop_stall_timer(stream);
    cons_readers_del(&shared->readers, &stream->opened);
    loop_fd_del(shared->loop, &stream->master);
    stream->attached = false;
    cons_pty_close(&stream->pty);
    cons_log_put(&shared->logs, stream->log);
    stream->log = NULL;
    cons_audience_part(&stream->audience, &stream->history);
    loop_defer_cancel(shared->loop, &stream->more);
    cons_history_free(&stream->history);
    cons_view_end(&stream->view);
}
