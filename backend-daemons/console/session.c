/*
 * Readers and writers at the socket: see session.h.
 *
 * Messages go out whole or not at all. What a full socket could not take is owed: who writes, how
 * much was missed, how much of the input was taken; these have one place each, however long the
 * other side does not read.
 *
 * A session is freed by its own events and timers, or with its console or the hall; never while
 * something is written to it, so that telling the others is safe from anywhere.
 */
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream.h"

#define SECOND_NS UINT64_C(1000000000)
/* To say what is wanted, and to read the rest when the console has gone. */
#define PATIENCE_NS (5 * SECOND_NS)
/* Messages of output to one session per turn of the loop, so that nobody waits for a fast reader.
 */
#define MESSAGES_PER_TURN 16

void cons_hall_init(struct cons_hall *hall, struct loop *loop, cons_find_fn *find, void *arg)
{
    *hall = (struct cons_hall){.loop = loop, .find = find, .arg = arg};
    XEN_TAILQ_INIT(&hall->sessions);
}

void cons_audience_init(struct cons_audience *audience)
{
    *audience = (struct cons_audience){.nr = 0};
    XEN_TAILQ_INIT(&audience->sessions);
}

static void close_session(struct cons_session *s);

static struct cons_audience *audience_of(const struct cons_session *s)
{
    return &s->stream->audience;
}

static bool is_writer(const struct cons_session *s)
{
    return s->stream != NULL && audience_of(s)->writer == s;
}

/* Whether it holds the guest back when it does not read. */
static bool holds(const struct cons_session *s)
{
    return is_writer(s) && (s->wishes & CONS_TALK_READS) != 0 && !s->stalled;
}

static void on_late(void *arg)
{
    close_session(arg);
}

/*
 * The other side reads no more, but may have typed before, and perhaps has only shut this half. So
 * it is heard for a while, without output: a full socket would be asked for room without end.
 */
static void lose(struct cons_session *s)
{
    s->wishes &= ~(uint32_t)CONS_TALK_READS;
    if (!s->lost.armed) {
        loop_timer_set(s->hall->loop, &s->lost, PATIENCE_NS, on_late, s);
    }
}

/* Sends a message whole. Returns whether it went; a connection that is lost is noticed by its
 * events, or left after a while. */
static bool put(struct cons_session *s, const void *message, size_t len)
{
    ssize_t n;

    do {
        n = write(s->socket.fd, message, len);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
        lose(s);
    }
    s->blocked = n != (ssize_t)len;
    return !s->blocked;
}

static bool put_word(struct cons_session *s, uint32_t kind, uint32_t code, uint64_t number)
{
    const struct cons_talk_word word = {.kind = kind, .code = code, .number = number};

    return put(s, &word, sizeof(word));
}

static bool put_role(struct cons_session *s)
{
    const struct cons_session *writer = audience_of(s)->writer;

    return put_word(s, CONS_TALK_ROLE, writer == s ? CONS_TALK_WRITER : CONS_TALK_READER,
                    writer != NULL ? writer->pid : 0);
}

/* Sends what is owed. Returns whether nothing is any more. */
static bool put_debts(struct cons_session *s)
{
    if (s->owes_taken) {
        s->owes_taken = !put_word(s, CONS_TALK_TAKEN, 0, s->taken);
    }
    if (!s->owes_taken && s->owes_role && s->stream != NULL) {
        s->owes_role = !put_role(s);
    }
    return !s->owes_taken && !s->owes_role;
}

static bool put_missed(struct cons_session *s)
{
    if (s->missed > 0 && put_word(s, CONS_TALK_MISSED, 0, s->missed)) {
        s->missed = 0;
    }
    return s->missed == 0;
}

/* The next message of output. Returns its length, 0: there is none, or it did not go. */
static size_t put_output(struct cons_session *s)
{
    const struct cons_history *history = s->stream != NULL ? &s->stream->history : NULL;
    struct cons_talk_bytes message = {.kind = CONS_TALK_OUTPUT};
    uint64_t missed = 0;
    const char *data;
    size_t len = cons_view_pending(&s->view, history, &data, &missed);

    s->missed += missed;
    if (missed > 0) {
        figures_add(s->stream->figures, CONS_FIGURE_LOST_READER, missed);
    }
    if (len == 0 || !put_missed(s)) {
        return 0;
    }
    len = len < sizeof(message.data) ? len : sizeof(message.data);
    memcpy(message.data, data, len);
    if (!put(s, &message, CONS_TALK_BYTES(len))) {
        return 0;
    }
    cons_view_done(&s->view, len);
    return len;
}

static void on_stall(void *arg)
{
    struct cons_session *s = arg;

    s->stalled = true;
    if (s->stream != NULL) {
        cons_stream_go_on(s->stream);
    }
}

/* The guest waits for who writes, for a while. */
static void mind_stall(struct cons_session *s, bool progress)
{
    if (s->parting || s->stream == NULL) { /* its timer is another one's */
        return;
    }
    if (progress || !s->blocked) {
        s->stalled = false;
        loop_timer_cancel(s->hall->loop, &s->timer);
    }
    if (s->blocked && holds(s) && !s->timer.armed) {
        loop_timer_set(s->hall->loop, &s->timer, CONS_STALL_NS, on_stall, s);
    }
}

/* Asks for input when the last is in the ring, for room while something waits for it. */
static void mind_events(struct cons_session *s, bool more)
{
    const uint32_t events =
        (s->input_len == 0 && !s->parting ? EPOLLIN : 0) | (more && !s->lost.armed ? EPOLLOUT : 0);

    if (events != s->events) {
        s->events = events;
        loop_fd_events(s->hall->loop, &s->socket, events);
    }
}

/* Sends what there is, as far as it goes. Returns whether the other side has all. */
static bool pump(struct cons_session *s)
{
    unsigned int sent = 0;
    bool all;

    s->blocked = false;
    all = put_debts(s);
    if (all && (s->wishes & CONS_TALK_READS) != 0) {
        while (sent < MESSAGES_PER_TURN && put_output(s) > 0) {
            sent++;
        }
        all = !s->blocked && sent < MESSAGES_PER_TURN;
    }
    mind_stall(s, sent > 0);
    mind_events(s, !all);
    return all;
}

/* Who might write is told who does. */
static void tell_roles(struct cons_audience *audience)
{
    struct cons_session *s;

    XEN_TAILQ_FOREACH (s, &audience->sessions, neighbour) {
        if ((s->wishes & CONS_TALK_WRITES) != 0) {
            s->owes_role = true;
            pump(s);
        }
    }
}

/* @s writes from now on (NULL: nobody). What another one had typed and the ring has not is lost. */
static void set_writer(struct cons_audience *audience, struct cons_session *s)
{
    struct cons_session *before = audience->writer;

    audience->writer = s;
    if (before != NULL) {
        before->input_len = before->input_done = 0;
        before->owes_taken = true;
        before->stalled = false;
        loop_timer_cancel(before->hall->loop, &before->timer);
        cons_stream_go_on(before->stream);
    }
    tell_roles(audience);
}

static void leave(struct cons_session *s)
{
    struct cons_stream *stream = s->stream;
    struct cons_audience *audience;

    if (stream == NULL) {
        return;
    }
    audience = &stream->audience;
    XEN_TAILQ_REMOVE(&audience->sessions, s, neighbour);
    audience->nr--;
    figures_set(stream->figures, CONS_FIGURE_SESSIONS, audience->nr);
    if (audience->writer == s) {
        set_writer(audience, NULL);
    }
    s->stream = NULL;
    cons_stream_go_on(stream);
}

static void close_session(struct cons_session *s)
{
    struct cons_hall *hall = s->hall;

    leave(s);
    loop_timer_cancel(hall->loop, &s->timer);
    loop_timer_cancel(hall->loop, &s->lost);
    loop_fd_del(hall->loop, &s->socket);
    close(s->socket.fd);
    cons_view_end(&s->view);
    XEN_TAILQ_REMOVE(&hall->sessions, s, link);
    hall->nr--;
    free(s);
}

/* The last word. */
static void dismiss(struct cons_session *s, uint32_t reason)
{
    put_word(s, CONS_TALK_END, reason, 0);
    close_session(s);
}

static void feed(struct cons_session *s)
{
    const size_t len = s->input_len - s->input_done;
    const size_t n = len > 0 ? cons_stream_type(s->stream, s->input + s->input_done, len) : 0;

    s->input_done += n;
    s->taken += n;
    if (len > 0 && n == len) {
        s->input_len = s->input_done = 0;
        s->owes_taken = true;
    }
}

static void tell_state(struct cons_session *s, const struct cons_talk_ask *ask)
{
    const struct cons_stream *stream = s->hall->find(s->hall->arg, ask->domid);
    struct cons_talk_state state = {.kind = CONS_TALK_STATE, .domid = ask->domid};

    if (stream != NULL) {
        state.served = 1;
        state.connected = stream->page.intf != NULL ? 1 : 0;
        state.terminal = stream->attached ? 1 : 0;
        state.readers = stream->audience.nr;
        state.writer = stream->audience.writer != NULL ? stream->audience.writer->pid : 0;
        state.output = stream->figures->value[CONS_FIGURE_OUTPUT];
        state.input = stream->figures->value[CONS_FIGURE_INPUT];
        state.missed = stream->figures->value[CONS_FIGURE_LOST_READER];
        snprintf(state.log, sizeof(state.log), "%s", stream->log != NULL ? stream->log->name : "");
    }
    put(s, &state, sizeof(state));
}

/* Returns 0, or why not (enum cons_talk_reason). */
static uint32_t attach(struct cons_session *s, const struct cons_talk_ask *ask)
{
    struct cons_stream *stream = s->hall->find(s->hall->arg, ask->domid);
    struct cons_audience *audience;

    if (stream == NULL) {
        return CONS_TALK_UNKNOWN;
    }
    audience = &stream->audience;
    if (audience->nr >= CONS_SESSIONS_OF_EACH) {
        return CONS_TALK_FULL;
    }
    loop_timer_cancel(s->hall->loop, &s->timer);
    s->stream = stream;
    s->wishes = ask->wishes;
    s->owes_role = true;
    XEN_TAILQ_INSERT_TAIL(&audience->sessions, s, neighbour);
    audience->nr++;
    figures_set(stream->figures, CONS_FIGURE_SESSIONS, audience->nr);
    if ((ask->wishes & CONS_TALK_HISTORY) != 0) {
        cons_view_replay(&s->view, &stream->history);
    } else {
        cons_view_begin(&s->view, &stream->history);
    }
    if ((ask->wishes & CONS_TALK_WRITES) != 0 &&
        (audience->writer == NULL || (ask->wishes & CONS_TALK_TAKES) != 0)) {
        set_writer(audience, s);
    }
    return 0;
}

/* Takes the first message. Returns 0, or why not. */
static uint32_t hear_ask(struct cons_session *s, const struct cons_talk_ask *ask, size_t len)
{
    if (len != sizeof(*ask) || ask->magic != CONS_TALK_MAGIC) {
        return CONS_TALK_WRONG;
    }
    if (ask->kind == CONS_TALK_ATTACH) {
        return attach(s, ask);
    }
    if (ask->kind != CONS_TALK_LOOK) {
        return CONS_TALK_WRONG;
    }
    loop_timer_set(s->hall->loop, &s->timer, PATIENCE_NS, on_late, s);
    tell_state(s, ask);
    return 0;
}

/* Takes what was typed. Returns 0, or why not. */
static uint32_t hear_input(struct cons_session *s, const struct cons_talk_bytes *message,
                           size_t len)
{
    if (message->kind != CONS_TALK_INPUT || len <= CONS_TALK_BYTES(0) ||
        len > CONS_TALK_BYTES(CONS_TALK_INPUT_MAX) || (s->wishes & CONS_TALK_WRITES) == 0) {
        return CONS_TALK_WRONG;
    }
    if (audience_of(s)->writer == NULL) {
        set_writer(audience_of(s), s);
    }
    if (!is_writer(s)) { /* it was not told yet, or does not mind */
        s->owes_role = true;
        return 0;
    }
    s->input_len = len - CONS_TALK_BYTES(0);
    memcpy(s->input, message->data, s->input_len);
    feed(s);
    return 0;
}

/* One message a turn. Returns whether the session is still there. */
static bool hear(struct cons_session *s)
{
    union {
        uint32_t kind;
        struct cons_talk_ask ask;
        struct cons_talk_bytes bytes;
    } message;
    ssize_t n = read(s->socket.fd, &message, sizeof(message));
    uint32_t reason;

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    if (n <= 0) {
        close_session(s);
        return false;
    }
    reason = (size_t)n < sizeof(message.kind) ? CONS_TALK_WRONG
             : s->stream == NULL              ? hear_ask(s, &message.ask, (size_t)n)
                                              : hear_input(s, &message.bytes, (size_t)n);
    if (reason != 0) {
        dismiss(s, reason);
    }
    return reason == 0;
}

static void on_socket(void *arg, uint32_t events)
{
    struct cons_session *s = arg;
    bool all;

    if ((events & EPOLLIN) != 0 && !s->parting) {
        if (!hear(s)) {
            return;
        }
    } else if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
        close_session(s);
        return;
    }
    all = pump(s);
    if (s->parting && all) {
        dismiss(s, CONS_TALK_GONE);
    } else if ((events & EPOLLOUT) != 0 && s->stream != NULL) {
        cons_stream_go_on(s->stream); /* the guest may have waited for it */
    }
}

void cons_hall_admit(struct cons_hall *hall, int fd, uint32_t pid)
{
    struct cons_session *s = calloc(1, sizeof(*s));

    if (s == NULL) {
        close(fd);
        return;
    }
    s->hall = hall;
    s->pid = pid;
    s->events = EPOLLIN;
    s->socket.fd = fd;
    XEN_TAILQ_INSERT_TAIL(&hall->sessions, s, link);
    hall->nr++;
    if (hall->nr > CONS_SESSIONS_MAX) {
        dismiss(s, CONS_TALK_FULL);
    } else if (loop_fd_add(hall->loop, &s->socket, fd, s->events, on_socket, s) != 0) {
        close_session(s);
    } else {
        loop_timer_set(hall->loop, &s->timer, PATIENCE_NS, on_late, s);
    }
}

void cons_hall_close(struct cons_hall *hall)
{
    struct cons_session *s, *next;

    XEN_TAILQ_FOREACH_SAFE(s, &hall->sessions, link, next)
    {
        close_session(s);
    }
}

void cons_audience_pump(struct cons_audience *audience)
{
    struct cons_session *s;

    XEN_TAILQ_FOREACH (s, &audience->sessions, neighbour) {
        pump(s);
    }
}

void cons_audience_feed(struct cons_audience *audience)
{
    struct cons_session *writer = audience->writer;

    if (writer == NULL || writer->input_len == 0) {
        return;
    }
    feed(writer);
    if (writer->input_len == 0) {
        pump(writer); /* says so, and asks for more */
    }
}

size_t cons_audience_room(const struct cons_audience *audience, const struct cons_history *history)
{
    const struct cons_session *writer = audience->writer;

    return writer != NULL && holds(writer) ? cons_view_room(&writer->view, history) : SIZE_MAX;
}

void cons_audience_part(struct cons_audience *audience, const struct cons_history *history)
{
    struct cons_session *s, *next;

    audience->writer = NULL;
    XEN_TAILQ_FOREACH_SAFE(s, &audience->sessions, neighbour, next)
    {
        XEN_TAILQ_REMOVE(&audience->sessions, s, neighbour);
        audience->nr--;
        s->stream = NULL;
        s->parting = true;
        s->owes_role = false;
        s->input_len = s->input_done = 0;
        s->missed += cons_view_keep(&s->view, history);
        loop_timer_set(s->hall->loop, &s->timer, PATIENCE_NS, on_late, s);
        if (pump(s)) {
            dismiss(s, CONS_TALK_GONE);
        }
    }
}
