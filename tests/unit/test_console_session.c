/*
 * Readers and writers of one console at the daemon's socket. The guest is this program: its ring is
 * a page of memory, its events come over a socket, and so does everybody who attaches. All of a
 * stream is real, but for a terminal and a log.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cons_ring.h"
#include "session.h"
#include "stream.h"

#define DOMID   7U
#define PORT    3
#define HISTORY 8192U
#define MS_NS   UINT64_C(1000000)
#define MIB     (1UL << 20)

static struct cons_shared shared;
static struct cons_stream stream;
static struct cons_hall hall;
static struct figures figures;
static struct xencons_interface *ring;
static int guest_events; /* the other end of what the stream takes for /dev/xen/evtchn */
static bool served;

/* Somebody at the socket, and what has come. */
struct visitor {
    int fd;
    char *output;
    size_t len;      /* of it */
    uint64_t missed; /* as told */
    uint64_t at;     /* of the last byte, counted with what was missed */
    uint64_t taken;
    unsigned int roles; /* times that it was told */
    struct cons_talk_word role;
    struct cons_talk_state state;
    uint32_t reason; /* of the end */
    bool ended;      /* the connection */
};

static struct cons_stream *find(void *arg, unsigned int domid)
{
    (void)arg;
    return served && domid == DOMID ? &stream : NULL;
}

static void stop_loop(void *arg)
{
    loop_stop(arg, 0);
}

/* Lets the loop turn once or more. */
static void turn(unsigned int ms)
{
    struct loop_timer timer = {0};
    uint32_t unmasked;

    loop_timer_set(shared.loop, &timer, ms * MS_NS, stop_loop, shared.loop);
    loop_run(shared.loop);
    while (recv(guest_events, &unmasked, sizeof(unmasked), MSG_DONTWAIT) > 0) {
    }
}

static void kick(void)
{
    const uint32_t port = PORT;

    assert_int_equal(send(guest_events, &port, sizeof(port), 0), sizeof(port));
}

static struct visitor come(void)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
    cons_hall_admit(&hall, ends[0], 1000U + (uint32_t)ends[1]);
    return (struct visitor){.fd = ends[1], .output = calloc(4, MIB)};
}

static void leave(struct visitor *v)
{
    close(v->fd);
    free(v->output);
    turn(1);
}

static void ask(struct visitor *v, uint32_t kind, uint32_t domid, uint32_t wishes)
{
    const struct cons_talk_ask a = {
        .kind = kind, .magic = CONS_TALK_MAGIC, .domid = domid, .wishes = wishes};

    assert_int_equal(send(v->fd, &a, sizeof(a), 0), sizeof(a));
    turn(1);
}

static struct visitor attached(uint32_t wishes)
{
    struct visitor v = come();

    ask(&v, CONS_TALK_ATTACH, DOMID, wishes);
    return v;
}

#define READS  ((uint32_t)(CONS_TALK_READS | CONS_TALK_HISTORY))
#define WRITES (READS | CONS_TALK_WRITES)
#define TAKES  (WRITES | CONS_TALK_TAKES)

/* What the guest prints at a place: so that a reader knows which bytes these are. */
static char printed_at(uint64_t place)
{
    return (char)('0' + (place * 7 + place / 251) % 75);
}

static uint64_t printed;

static void hear_word(struct visitor *v, const struct cons_talk_word *word)
{
    if (word->kind == CONS_TALK_ROLE) {
        v->role = *word;
        v->roles++;
    } else if (word->kind == CONS_TALK_MISSED) {
        v->missed += word->number;
        v->at += word->number;
    } else if (word->kind == CONS_TALK_TAKEN) {
        v->taken = word->number;
    } else {
        assert_int_equal(word->kind, CONS_TALK_END);
        v->reason = word->code;
    }
}

static void hear_output(struct visitor *v, const struct cons_talk_bytes *message, size_t len)
{
    assert_in_range(len, 1, CONS_TALK_OUTPUT_MAX);
    memcpy(v->output + v->len, message->data, len);
    v->len += len;
    v->at += len;
}

/* Takes the next message. Returns whether there was one. */
static bool hear(struct visitor *v)
{
    union {
        uint32_t kind;
        struct cons_talk_word word;
        struct cons_talk_state state;
        struct cons_talk_bytes bytes;
    } message;
    ssize_t n = recv(v->fd, &message, sizeof(message), 0);

    v->ended = v->ended || n == 0;
    if (n <= 0) {
        return false;
    }
    if (message.kind == CONS_TALK_OUTPUT) {
        hear_output(v, &message.bytes, (size_t)n - CONS_TALK_BYTES(0));
    } else if (message.kind == CONS_TALK_STATE) {
        v->state = message.state;
    } else {
        assert_int_equal(n, sizeof(message.word));
        hear_word(v, &message.word);
    }
    return true;
}

/* Takes all that comes, until nothing does. */
static void hear_all(struct visitor *v)
{
    do {
        while (hear(v)) {
        }
        turn(1);
    } while (hear(v));
}

/* The guest puts as much of @len bytes into its ring as fits, by their place. */
static size_t print_some(size_t len)
{
    size_t n = 0;

    while (n < len && ring->out_prod - ring->out_cons < CONS_OUT_SIZE) {
        ring->out[MASK_XENCONS_IDX(ring->out_prod, ring->out)] = printed_at(printed);
        ring->out_prod++;
        printed++;
        n++;
    }
    kick();
    return n;
}

/* The guest prints @len bytes; whoever is in @readers reads meanwhile. */
static void print(size_t len, struct visitor *const readers[], unsigned int nr)
{
    while (len > 0) {
        len -= print_some(len);
        turn(1);
        for (unsigned int i = 0; i < nr; i++) {
            while (hear(readers[i])) {
            }
        }
    }
    while (ring->out_cons != ring->out_prod) {
        turn(1);
    }
}

/* Text as it is. */
static void print_text(const char *text)
{
    for (; *text != '\0'; text++) {
        ring->out[MASK_XENCONS_IDX(ring->out_prod++, ring->out)] = *text;
    }
    kick();
    turn(10);
}

/* The last @len bytes of a visitor are those that end at @v->at. */
static void check_end(const struct visitor *v, size_t len)
{
    assert_true(len <= v->len);
    for (size_t i = 1; i <= len; i++) {
        assert_int_equal(v->output[v->len - i], printed_at(v->at - i));
    }
}

static void type(const struct visitor *v, const char *text, size_t len)
{
    struct cons_talk_bytes message = {.kind = CONS_TALK_INPUT};

    memcpy(message.data, text, len);
    assert_int_equal(send(v->fd, &message, CONS_TALK_BYTES(len), 0), CONS_TALK_BYTES(len));
    turn(5);
}

/* What the guest reads from its ring. */
static size_t guest_reads(char *to)
{
    size_t n = 0;

    while (ring->in_cons != ring->in_prod) {
        to[n++] = ring->in[MASK_XENCONS_IDX(ring->in_cons, ring->in)];
        ring->in_cons++;
    }
    kick();
    turn(10);
    return n;
}

static int setup(void **state)
{
    const struct cons_terms terms = {.history = HISTORY};
    int page = memfd_create("ring", 0), events[2];

    (void)state;
    if (page < 0 || ftruncate(page, 4096) < 0 ||
        socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, events) < 0) {
        return -1;
    }
    ring = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, page, 0);
    guest_events = events[1];
    shared = (struct cons_shared){.loop = loop_new()};
    figures = (struct figures){{0}};
    printed = 0;
    served = true;
    cons_hall_init(&hall, shared.loop, find, NULL);
    cons_stream_init(&stream, &shared, DOMID, &terms, &figures);
    if (ring == MAP_FAILED || cons_xen_open(&shared.xen, shared.loop, events[0], page, false) < 0) {
        return -1;
    }
    return cons_stream_attach(&stream, 0, 0, PORT);
}

static int teardown(void **state)
{
    (void)state;
    if (served) {
        cons_stream_close(&stream);
    }
    cons_hall_close(&hall);
    munmap(ring, 4096);
    close(guest_events);
    close(shared.xen.events);
    close(shared.xen.grants);
    loop_free(shared.loop);
    return hall.nr == 0 ? 0 : -1;
}

static void each_reader_has_a_stream_of_its_own(void **state)
{
    struct visitor one = attached(READS), two = attached(WRITES), three = attached(READS);
    struct visitor *const all[] = {&one, &two, &three};

    (void)state;
    print(100000, all, 3);
    for (unsigned int i = 0; i < 3; i++) {
        hear_all(all[i]);
        assert_int_equal(all[i]->missed, 0);
        assert_int_equal(all[i]->len, 100000);
        check_end(all[i], 100000);
    }
    assert_int_equal(figures.value[CONS_FIGURE_SESSIONS], 3);
    for (unsigned int i = 0; i < 3; i++) {
        leave(all[i]);
    }
    assert_int_equal(figures.value[CONS_FIGURE_SESSIONS], 0);
}

static void who_comes_late_gets_the_history_without_its_questions(void **state)
{
    struct visitor late, mute;

    (void)state;
    print_text("before \x1b[6n\x05|");
    late = attached(READS);
    mute = attached(CONS_TALK_READS);
    print_text("after");
    hear_all(&late);
    hear_all(&mute);
    assert_int_equal(late.len, 13);
    assert_memory_equal(late.output, "before |after", 13);
    assert_int_equal(mute.len, 5);
    assert_memory_equal(mute.output, "after", 5);
    leave(&late);
    leave(&mute);
}

/* The guest does not wait for it, nobody else misses anything, and it is told exactly what it
 * missed. */
static void a_slow_reader_harms_nobody_but_itself(void **state)
{
    struct visitor slow = attached(READS), fast = attached(READS);
    struct visitor *const reading[] = {&fast};
    uint64_t began = loop_now_ns();

    (void)state;
    print(2 * MIB, reading, 1);
    hear_all(&fast);
    assert_int_equal(fast.len, 2 * MIB);
    assert_int_equal(fast.missed, 0);
    check_end(&fast, 2 * MIB);
    assert_int_equal(figures.value[CONS_FIGURE_HELD_BACK], 0);
    /* Some thousand turns: were it waited for, each of 250 times would take a second. */
    assert_true(loop_now_ns() - began < 100000 * MS_NS);
    do {
        check_end(&slow, slow.len);
    } while (hear(&slow) && slow.missed == 0);
    hear_all(&slow);
    assert_true(slow.missed > MIB);
    assert_int_equal(slow.len + slow.missed, 2 * MIB);
    assert_int_equal(slow.at, 2 * MIB);
    check_end(&slow, HISTORY);
    assert_int_equal(figures.value[CONS_FIGURE_LOST_READER], slow.missed);
    leave(&slow);
    leave(&fast);
}

/* Prints until the ring stays full for a moment. */
static void print_until_held(void)
{
    size_t n;

    do {
        n = print_some(CONS_OUT_SIZE);
        turn(20);
    } while (n > 0 && ring->out_cons != ring->out_prod - CONS_OUT_SIZE);
}

static void who_writes_holds_the_guest_for_a_second_and_not_again(void **state)
{
    struct visitor writer = attached(WRITES);
    uint64_t held;
    XENCONS_RING_IDX before;

    (void)state;
    print_until_held();
    before = ring->out_cons;
    held = loop_now_ns();
    assert_int_equal(figures.value[CONS_FIGURE_LOST_READER], 0);
    while (ring->out_cons == before) {
        turn(5);
        assert_true(loop_now_ns() - held < CONS_STALL_NS + 10000 * MS_NS);
    }
    /* From here on the guest is as fast as it likes. */
    before = ring->out_cons;
    print(20 * HISTORY, NULL, 0);
    assert_true(ring->out_cons - before >= 20 * HISTORY);
    hear_all(&writer);
    assert_true(writer.missed > 0);
    assert_int_equal(writer.at, printed);
    check_end(&writer, HISTORY);
    /* Having read, it is waited for again, and misses nothing. */
    writer.missed = 0;
    print_until_held();
    hear_all(&writer);
    assert_int_equal(writer.missed, 0);
    assert_int_equal(writer.at, printed);
    leave(&writer);
}

static void a_writer_that_is_waited_for_leaves_and_the_guest_goes_on(void **state)
{
    struct visitor writer = attached(WRITES);

    (void)state;
    print_until_held();
    leave(&writer);
    print(10 * HISTORY, NULL, 0);
    assert_int_equal(figures.value[CONS_FIGURE_LOST_READER], 0);
}

static void one_writes_and_another_takes_it(void **state)
{
    struct visitor one = attached(WRITES), two = attached(WRITES), three,
                   watching = attached(READS);
    char got[CONS_IN_SIZE];

    (void)state;
    hear_all(&one);
    hear_all(&two);
    assert_int_equal(one.role.code, CONS_TALK_WRITER);
    assert_int_equal(two.role.code, CONS_TALK_READER);
    assert_int_equal(two.role.number, 1000 + one.fd);
    type(&one, "one", 3);
    type(&two, "two", 3);
    hear_all(&one);
    assert_int_equal(one.taken, 3);
    assert_int_equal(guest_reads(got), 3);
    assert_memory_equal(got, "one", 3);
    three = attached(TAKES);
    hear_all(&one);
    hear_all(&two);
    hear_all(&three);
    assert_int_equal(one.role.code, CONS_TALK_READER);
    assert_int_equal(one.role.number, 1000 + three.fd);
    assert_int_equal(two.role.number, 1000 + three.fd);
    assert_int_equal(three.role.code, CONS_TALK_WRITER);
    type(&one, "one", 3);
    type(&three, "three", 5);
    assert_int_equal(guest_reads(got), 5);
    assert_memory_equal(got, "three", 5);
    /* Nobody writes: whoever may and types does. */
    leave(&three);
    hear_all(&one);
    hear_all(&two);
    hear_all(&watching);
    assert_int_equal(two.role.code, CONS_TALK_READER);
    assert_int_equal(two.role.number, 0);
    assert_int_equal(watching.roles, 1);
    type(&two, "two", 3);
    hear_all(&one);
    hear_all(&two);
    assert_int_equal(two.role.code, CONS_TALK_WRITER);
    assert_int_equal(one.role.number, 1000 + two.fd);
    assert_int_equal(guest_reads(got), 3);
    assert_memory_equal(got, "two", 3);
    leave(&one);
    leave(&two);
    leave(&watching);
}

/* What was typed waits for room in the ring; what is in it is told. */
static void input_arrives_whole_as_the_guest_takes_it(void **state)
{
    struct visitor v = attached(CONS_TALK_WRITES);
    char sent[4 * CONS_TALK_INPUT_MAX], got[sizeof(sent)];
    size_t len = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(sent); i++) {
        sent[i] = printed_at(i);
    }
    for (size_t i = 0; i < sizeof(sent); i += CONS_TALK_INPUT_MAX) {
        type(&v, sent + i, CONS_TALK_INPUT_MAX);
    }
    hear_all(&v);
    assert_int_equal(v.taken, CONS_IN_SIZE);
    while (len < sizeof(sent)) {
        len += guest_reads(got + len);
        turn(1);
    }
    hear_all(&v);
    assert_int_equal(v.taken, sizeof(sent));
    assert_memory_equal(got, sent, sizeof(sent));
    assert_int_equal(v.len, 0);
    leave(&v);
}

/* ^C reaches a guest that prints without end: its ring is never seen empty. */
static void who_prints_without_end_can_be_typed_to(void **state)
{
    struct visitor v = attached(CONS_TALK_WRITES);
    char text[CONS_TALK_INPUT_MAX] = {0}, got[2 * CONS_IN_SIZE];

    (void)state;
    cons_stream_set_rate(&stream, 1);
    print_some(CONS_OUT_SIZE);
    type(&v, text, sizeof(text));
    type(&v, text, sizeof(text) - 1);
    type(&v, "12\x03", 3);
    hear_all(&v);
    assert_int_equal(v.taken, CONS_IN_SIZE - 1);
    assert_int_equal(guest_reads(got), CONS_IN_SIZE);
    assert_true(ring->out_prod != ring->out_cons);
    assert_int_equal(guest_reads(got), 2);
    assert_memory_equal(got, "2\x03", 2);
    hear_all(&v);
    assert_int_equal(v.taken, CONS_IN_SIZE + 2);
    leave(&v);
}

/* Newlines alone make a log of times: what is written counts, not what is printed. */
static void times_in_a_log_count(void **state)
{
    char folder[] = "/tmp/duet-session-XXXXXX";
    uint64_t before;
    int fd;

    (void)state;
    assert_non_null(mkdtemp(folder));
    fd = cons_logs_make(folder);
    assert_int_equal(cons_logs_open(&shared.logs, fd, folder, 0, 0), 0);
    shared.logs.stamps = true;
    assert_int_equal(cons_stream_set_log(&stream, "guest"), 0);
    cons_stream_set_rate(&stream, 10000);
    stream.rate.tokens = 10000;
    for (unsigned int i = 0; i < 2000; i++) {
        ring->out[MASK_XENCONS_IDX(ring->out_prod++, ring->out)] = '\n';
    }
    kick();
    before = loop_now_ns();
    turn(5);
    assert_int_equal(ring->out_cons, 2000);
    if (loop_now_ns() - before < 1000 * MS_NS) {
        assert_int_equal(bucket_tokens(&stream.rate, loop_now_ns()), 0);
    }
    cons_log_put(&shared.logs, stream.log);
    stream.log = NULL;
    unlinkat(fd, "guest.log", 0);
    cons_logs_close(&shared.logs);
    rmdir(folder);
}

/* What another one takes the writing from has half a message in the ring: it is told how much. */
static void who_is_ousted_knows_what_arrived(void **state)
{
    struct visitor one = attached(WRITES), two;
    char text[CONS_TALK_INPUT_MAX] = {0}, got[2 * CONS_IN_SIZE];

    (void)state;
    type(&one, text, sizeof(text));
    type(&one, text, sizeof(text) - 12);
    type(&one, text, sizeof(text));
    two = attached(TAKES);
    hear_all(&one);
    assert_int_equal(one.taken, CONS_IN_SIZE);
    assert_int_equal(guest_reads(got), CONS_IN_SIZE);
    turn(20);
    assert_int_equal(guest_reads(got), 0);
    leave(&one);
    leave(&two);
}

static void expect_end(struct visitor *v, uint32_t reason)
{
    turn(5);
    hear_all(v);
    assert_int_equal(v->reason, reason);
    assert_true(v->ended);
    leave(v);
}

static void who_says_something_else_is_shown_out(void **state)
{
    const struct cons_talk_ask wrong = {.kind = CONS_TALK_ATTACH, .magic = 1, .domid = DOMID};
    struct cons_talk_bytes input = {.kind = CONS_TALK_INPUT};
    struct visitor v = come();

    (void)state;
    send(v.fd, &wrong, sizeof(wrong), 0);
    expect_end(&v, CONS_TALK_WRONG);
    v = come();
    send(v.fd, "x", 1, 0);
    expect_end(&v, CONS_TALK_WRONG);
    v = come();
    send(v.fd, &input, CONS_TALK_BYTES(3), 0);
    expect_end(&v, CONS_TALK_WRONG);
    v = attached(READS);
    send(v.fd, &input, CONS_TALK_BYTES(3), 0);
    expect_end(&v, CONS_TALK_WRONG);
    v = attached(WRITES);
    send(v.fd, &input, CONS_TALK_BYTES(0), 0);
    expect_end(&v, CONS_TALK_WRONG);
    v = attached(WRITES);
    send(v.fd, &input, CONS_TALK_BYTES(CONS_TALK_INPUT_MAX + 1), 0);
    expect_end(&v, CONS_TALK_WRONG);
    v = attached(WRITES);
    send(v.fd, &input, sizeof(input), 0);
    expect_end(&v, CONS_TALK_WRONG);
    v = come();
    ask(&v, CONS_TALK_ATTACH, DOMID + 1, WRITES);
    expect_end(&v, CONS_TALK_UNKNOWN);
    assert_int_equal(ring->in_prod, 0);
    assert_int_equal(stream.audience.nr, 0);
    assert_null(stream.audience.writer);
}

/* Who shuts its reading side costs no turns without end, holds no guest, is heard for five seconds
 * more and then left. */
static void who_will_not_read_is_left(void **state)
{
    struct visitor v = attached(WRITES);
    struct cons_session *s = XEN_TAILQ_FIRST(&hall.sessions);
    char got[CONS_IN_SIZE];

    (void)state;
    shutdown(v.fd, SHUT_RD);
    print(10 * HISTORY, NULL, 0);
    assert_int_equal(s->events, EPOLLIN);
    type(&v, "last", 4);
    assert_int_equal(guest_reads(got), 4);
    assert_int_equal(s->events, EPOLLIN);
    assert_true(s->lost.armed);
    assert_true(s->lost.deadline_ns - loop_now_ns() <= 5000 * MS_NS);
    loop_timer_set(shared.loop, &s->lost, 0, s->lost.fn, s->lost.arg);
    turn(1);
    assert_int_equal(hall.nr, 0);
    assert_null(stream.audience.writer);
    leave(&v);
}

/* Who is silent has five seconds, here none; who has said what it wants has all the time. */
static void who_says_nothing_is_shown_out(void **state)
{
    struct visitor v = come(), w = attached(READS);
    struct cons_session *s = XEN_TAILQ_FIRST(&hall.sessions);

    (void)state;
    assert_true(s->timer.armed);
    assert_true(s->timer.deadline_ns - loop_now_ns() <= 5000 * MS_NS);
    assert_false(XEN_TAILQ_NEXT(s, link)->timer.armed);
    loop_timer_set(shared.loop, &s->timer, 0, s->timer.fn, s->timer.arg);
    expect_end(&v, 0);
    assert_int_equal(hall.nr, 1);
    leave(&w);
}

static void there_is_room_for_so_many(void **state)
{
    struct visitor all[CONS_SESSIONS_MAX + 1];

    (void)state;
    for (unsigned int i = 0; i <= CONS_SESSIONS_OF_EACH; i++) {
        all[i] = attached(READS);
    }
    expect_end(&all[CONS_SESSIONS_OF_EACH], CONS_TALK_FULL);
    for (unsigned int i = CONS_SESSIONS_OF_EACH; i <= CONS_SESSIONS_MAX; i++) {
        all[i] = come();
    }
    expect_end(&all[CONS_SESSIONS_MAX], CONS_TALK_FULL);
    assert_int_equal(hall.nr, CONS_SESSIONS_MAX);
    for (unsigned int i = 0; i < CONS_SESSIONS_MAX; i++) {
        close(all[i].fd);
        free(all[i].output);
    }
    turn(20);
    assert_int_equal(hall.nr, 0);
}

static void a_console_can_be_looked_at(void **state)
{
    struct visitor writer = attached(WRITES), v = come();
    const struct cons_session *s;

    (void)state;
    print(100, NULL, 0);
    ask(&v, CONS_TALK_LOOK, DOMID + 1, 0);
    hear_all(&v);
    assert_int_equal(v.state.domid, DOMID + 1);
    assert_int_equal(v.state.served, 0);
    ask(&v, CONS_TALK_LOOK, DOMID, 0);
    hear_all(&v);
    assert_int_equal(v.state.served, 1);
    assert_int_equal(v.state.connected, 1);
    assert_int_equal(v.state.readers, 1);
    assert_int_equal(v.state.writer, 1000 + writer.fd);
    assert_int_equal(v.state.output, 100);
    /* Who has looked has to look again or attach, or go. */
    s = XEN_TAILQ_LAST(&hall.sessions, cons_sessions);
    assert_true(s->timer.armed);
    assert_true(s->timer.deadline_ns - loop_now_ns() <= 5000 * MS_NS);
    ask(&v, CONS_TALK_ATTACH, DOMID, READS);
    assert_false(s->timer.armed);
    leave(&v);
    leave(&writer);
}

/* Its last words are more than a socket takes: who reads on gets all of them, then the end. */
static void the_end_of_a_console_is_read_to_its_end(void **state)
{
    struct visitor slow = attached(READS), quick = attached(READS);
    struct visitor *const reading[] = {&quick};

    (void)state;
    print(MIB, reading, 1);
    cons_stream_close(&stream);
    served = false;
    expect_end(&quick, CONS_TALK_GONE);
    while (!slow.ended) {
        hear_all(&slow);
    }
    assert_int_equal(slow.reason, CONS_TALK_GONE);
    assert_int_equal(slow.at, MIB);
    check_end(&slow, HISTORY);
    leave(&slow);
}

/* The daemon ends, and not the domain: whoever reads is to look for the next one. */
static void the_end_of_the_daemon_is_no_end_of_a_console(void **state)
{
    struct visitor writer = attached(WRITES), v = attached(READS);

    (void)state;
    hear_all(&v);
    cons_hall_close(&hall);
    assert_int_equal(hall.nr, 0);
    assert_int_equal(stream.audience.nr, 0);
    expect_end(&v, 0);
    expect_end(&writer, 0);
}

static void who_does_not_read_the_end_is_not_waited_for(void **state)
{
    struct visitor slow = attached(READS);
    struct cons_session *s = XEN_TAILQ_FIRST(&hall.sessions);

    (void)state;
    print(MIB, NULL, 0);
    cons_stream_close(&stream);
    served = false;
    assert_true(s->timer.armed);
    assert_true(s->timer.deadline_ns - loop_now_ns() <= 5000 * MS_NS);
    loop_timer_set(shared.loop, &s->timer, 0, s->timer.fn, s->timer.arg);
    turn(1);
    assert_int_equal(hall.nr, 0);
    leave(&slow);
}

/* A guest that resumes has another page; who reads stays. */
static void sessions_stay_when_the_ring_is_another(void **state)
{
    struct visitor v = attached(WRITES);
    char got[CONS_IN_SIZE];

    (void)state;
    print(10, NULL, 0);
    cons_stream_detach(&stream);
    type(&v, "kept", 4);
    assert_int_equal(ring->in_prod, 0);
    assert_int_equal(cons_stream_attach(&stream, 0, 0, PORT), 0);
    print(10, NULL, 0);
    hear_all(&v);
    assert_int_equal(v.len, 20);
    check_end(&v, 20);
    assert_int_equal(guest_reads(got), 4);
    assert_memory_equal(got, "kept", 4);
    leave(&v);
}

#define SESSION_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SESSION_TEST(each_reader_has_a_stream_of_its_own),
        SESSION_TEST(who_comes_late_gets_the_history_without_its_questions),
        SESSION_TEST(a_slow_reader_harms_nobody_but_itself),
        SESSION_TEST(who_writes_holds_the_guest_for_a_second_and_not_again),
        SESSION_TEST(a_writer_that_is_waited_for_leaves_and_the_guest_goes_on),
        SESSION_TEST(one_writes_and_another_takes_it),
        SESSION_TEST(input_arrives_whole_as_the_guest_takes_it),
        SESSION_TEST(who_prints_without_end_can_be_typed_to),
        SESSION_TEST(times_in_a_log_count),
        SESSION_TEST(who_is_ousted_knows_what_arrived),
        SESSION_TEST(who_says_something_else_is_shown_out),
        SESSION_TEST(who_will_not_read_is_left),
        SESSION_TEST(who_says_nothing_is_shown_out),
        SESSION_TEST(there_is_room_for_so_many),
        SESSION_TEST(a_console_can_be_looked_at),
        SESSION_TEST(the_end_of_a_console_is_read_to_its_end),
        SESSION_TEST(the_end_of_the_daemon_is_no_end_of_a_console),
        SESSION_TEST(who_does_not_read_the_end_is_not_waited_for),
        SESSION_TEST(sessions_stay_when_the_ring_is_another),
    };

    signal(SIGPIPE, SIG_IGN); /* as in the worker */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
