/*
 * The guest kernel's sockets (net/sock.h) over lwIP's loopback, of which this program is the thread
 * and the clock: what programs see of streams and datagrams, and that all memory comes back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fake_lwip.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcpip.h"
#include "net/sock_impl.h"

/* ---- what a program does ---- */

static unsigned changes;

static void count_change(void *arg)
{
    assert_true(fake_core_locked);
    (*(unsigned *)arg)++;
}

struct sink {
    char bytes[300000];
    size_t n;
    int rc; /* what the program's memory says */
};

static struct sink sink;

static int put(void *arg, const void *data, size_t n)
{
    struct sink *s = arg;

    assert_false(fake_core_locked); /* it may sleep */
    if (s->rc == 0) {
        memcpy(s->bytes + s->n, data, n);
        s->n += n;
    }
    return s->rc;
}

static ssize_t take(struct sock *s, size_t n, bool peek, struct sock_read *info)
{
    sink.n = 0;
    return sock_read(s, n, peek, put, &sink, info);
}

static struct sock *born(bool stream, bool v6)
{
    struct sock *s = NULL;

    assert_int_equal(sock_create(stream, v6, &s), 0);
    return s;
}

static struct sock_addr here(u16_t port)
{
    struct sock_addr addr = {.port = port};

    ip_addr_set_loopback_val(false, addr.ip);
    return addr;
}

static struct sock *listener(unsigned backlog, u16_t *port)
{
    struct sock *s = born(true, false);
    struct sock_addr addr = here(0);

    assert_int_equal(sock_bind(s, &addr), 0);
    assert_int_equal(sock_listen(s, backlog, 0), 0);
    sock_name(s, &addr);
    *port = addr.port;
    return s;
}

static struct sock *dial(u16_t port)
{
    struct sock *s = born(true, false);
    const struct sock_addr addr = here(port);

    assert_int_equal(sock_connect(s, &addr), -LINUX_EINPROGRESS);
    fake_pump(0);
    return s;
}

/* Both ends of a connection. */
static void connection(struct sock *ends[2])
{
    u16_t port;
    struct sock *s = listener(1, &port);

    ends[0] = dial(port);
    assert_int_equal(sock_connected(ends[0]), 0);
    assert_int_equal(sock_accept(s, &ends[1]), 0);
    sock_close(s);
}

static size_t before;

static int begin(void **state)
{
    (void)state;
    fake_lwip_begin();
    changes = 0;
    sink.rc = 0;
    before = fake_used;
    return 0;
}

/* Also what waits for its end, or for an answer. */
static int nothing_is_left(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 400 && fake_used != before; i++) {
        fake_pump(1000);
    }
    assert_int_equal(fake_used, before);
    assert_false(fake_core_locked || fake_reader_locked);
    return 0;
}

static void a_connection_carries_bytes_both_ways(void **state)
{
    struct sock *ends[2];
    struct sock_addr a, b;

    (void)state;
    connection(ends);
    sock_name(ends[0], &a);
    assert_int_equal(sock_peer(ends[1], &b), 0);
    assert_int_equal(a.port, b.port);
    assert_int_equal(take(ends[0], 10, false, NULL), -EAGAIN);
    assert_int_equal(sock_write(ends[0], "hello", 5, false), 5);
    fake_pump(0);
    assert_int_equal(sock_available(ends[1]), 5);
    assert_int_equal(take(ends[1], 3, true, NULL), 3);
    assert_int_equal(take(ends[1], 3, false, NULL), 3);
    assert_memory_equal(sink.bytes, "hel", 3);
    assert_int_equal(take(ends[1], 100, false, NULL), 2);
    assert_int_equal(sock_write(ends[1], "yes", 3, false), 3);
    fake_pump(0);
    assert_int_equal(take(ends[0], 100, false, NULL), 3);
    assert_int_equal(sock_connect(ends[0], &a), -EISCONN);
    sock_close(ends[0]);
    sock_close(ends[1]);
}

static void who_does_not_read_stops_who_writes(void **state)
{
    static char data[65536];
    struct sock *ends[2];
    size_t sent = 0, got = 0;
    ssize_t n;

    (void)state;
    connection(ends);
    sock_tell(ends[0], count_change, &changes);
    for (unsigned i = 0; i < 200; i++) {
        while ((n = sock_write(ends[0], data, sizeof(data), false)) > 0) {
            sent += (size_t)n;
        }
        assert_int_equal(n, -EAGAIN);
        fake_pump(0);
    }
    assert_true(sent >= TCP_SND_BUF && sent <= TCP_SND_BUF + TCP_WND + sizeof(data));
    assert_false(sock_ready(ends[0]) & SOCK_CAN_WRITE);
    changes = 0;
    while (got < sent) {
        n = take(ends[1], sizeof(sink.bytes), false, NULL);
        got += n > 0 ? (size_t)n : 0;
        fake_pump(n > 0 ? 0 : 500);
    }
    assert_int_equal(got, sent);
    fake_pump(500);
    assert_true(changes != 0);
    assert_true(sock_ready(ends[0]) & SOCK_CAN_WRITE);
    sock_close(ends[1]);
    sock_close(ends[0]);
}

/* An end that the other side has said comes behind its bytes. */
static void an_end_comes_after_what_was_sent(void **state)
{
    struct sock *ends[2];

    (void)state;
    connection(ends);
    assert_int_equal(sock_write(ends[0], "bye", 3, false), 3);
    assert_int_equal(sock_shutdown(ends[0], false, true), 0);
    assert_int_equal(sock_write(ends[0], "x", 1, false), -LINUX_EPIPE);
    fake_pump(0);
    assert_true(sock_ready(ends[1]) & SOCK_ENDED);
    assert_false(sock_ready(ends[1]) & SOCK_HUNG_UP);
    assert_int_equal(take(ends[1], 10, false, NULL), 3);
    assert_int_equal(take(ends[1], 10, false, NULL), 0);
    assert_int_equal(sock_write(ends[1], "late", 4, false), 4);
    fake_pump(0);
    assert_int_equal(take(ends[0], 10, false, NULL), 4);
    assert_int_equal(sock_shutdown(ends[1], true, true), 0);
    fake_pump(0);
    assert_true(sock_ready(ends[0]) & SOCK_HUNG_UP);
    /* lwIP's connection is long gone; the sockets are not. */
    fake_pump(10000);
    assert_int_equal(take(ends[0], 10, false, NULL), 0);
    assert_int_equal(sock_write(ends[0], "x", 1, false), -LINUX_EPIPE);
    assert_int_equal(sock_write(ends[1], "x", 1, false), -LINUX_EPIPE);
    sock_close(ends[0]);
    sock_close(ends[1]);
}

static void a_reset_is_told_once(void **state)
{
    struct sock *ends[2];

    (void)state;
    connection(ends);
    sock_set(ends[0], SOCK_LINGER, 0);
    sock_close(ends[0]);
    fake_pump(0);
    assert_int_equal(sock_ready(ends[1]) & (SOCK_FAILED | SOCK_HUNG_UP | SOCK_CAN_READ),
                     SOCK_FAILED | SOCK_HUNG_UP | SOCK_CAN_READ);
    assert_int_equal(sock_error(ends[1]), LINUX_ECONNRESET);
    assert_int_equal(take(ends[1], 1, false, NULL), 0);
    assert_int_equal(sock_write(ends[1], "x", 1, false), -LINUX_EPIPE);
    sock_close(ends[1]);
    /* Who closes and has not read says so by a reset. */
    connection(ends);
    assert_int_equal(sock_write(ends[0], "unread", 6, false), 6);
    fake_pump(0);
    sock_close(ends[1]);
    fake_pump(0);
    assert_int_equal(take(ends[0], 1, false, NULL), -LINUX_ECONNRESET);
    assert_int_equal(take(ends[0], 1, false, NULL), 0);
    sock_close(ends[0]);
}

static void who_is_refused_may_try_again(void **state)
{
    u16_t port;
    struct sock *s = listener(1, &port), *c;
    struct sock_addr addr;

    (void)state;
    sock_close(s);
    c = dial(port);
    assert_int_equal(sock_ready(c),
                     SOCK_CAN_READ | SOCK_CAN_WRITE | SOCK_FAILED | SOCK_ENDED | SOCK_HUNG_UP);
    assert_int_equal(sock_connected(c), -ECONNREFUSED);
    assert_int_equal(sock_connected(c), -LINUX_ECONNABORTED);
    s = listener(1, &port);
    addr = here(port);
    assert_int_equal(sock_connect(c, &addr), -LINUX_EINPROGRESS);
    assert_int_equal(sock_connect(c, &addr), -LINUX_EALREADY);
    fake_pump(0);
    assert_int_equal(sock_connect(c, &addr), 0); /* the first to ask is told */
    assert_int_equal(sock_connect(c, &addr), -EISCONN);
    sock_close(c);
    sock_close(s);
}

static void who_does_not_accept_has_a_limit(void **state)
{
    struct sock *clients[8], *s, *peer;
    unsigned there = 0;
    u16_t port;

    (void)state;
    s = listener(3, &port);
    for (unsigned i = 0; i < 8; i++) {
        clients[i] = dial(port);
    }
    while (sock_accept(s, &peer) == 0) {
        sock_close(peer);
        there++;
    }
    assert_int_equal(there, 3);
    for (unsigned i = 0; i < 8; i++) {
        sock_close(clients[i]);
    }
    clients[0] = dial(port);
    sock_close(s); /* and whom nobody took hears of it */
    fake_pump(0);
    assert_int_equal(sock_error(clients[0]), LINUX_ECONNRESET);
    sock_close(clients[0]);
}

static void datagrams_come_whole_or_not_at_all(void **state)
{
    static char data[65507];
    struct sock *a = born(false, false), *b = born(false, false);
    struct sock_addr addr = here(0), to = here(9);
    struct sock_read info;

    (void)state;
    assert_int_equal(sock_bind(a, &addr), 0);
    sock_name(a, &addr);
    assert_int_equal(sock_send_to(b, "x", 1, NULL), -LINUX_EDESTADDRREQ);
    assert_int_equal(sock_send_to(b, "12345", 5, &addr), 5);
    assert_int_equal(sock_send_to(b, "", 0, &addr), 0);
    assert_int_equal(sock_connect(b, &addr), 0);
    assert_int_equal(sock_send_to(b, data, 5000, NULL), 5000);
    assert_int_equal(sock_send_to(b, data, 65508, NULL), -EMSGSIZE);
    fake_pump(0);
    assert_int_equal(take(a, 2, true, &info), 2);
    assert_int_equal(take(a, 2, false, &info), 2);
    assert_int_equal(info.whole, 5);
    sock_name(b, &to);
    assert_int_equal(info.from.port, to.port);
    assert_int_equal(take(a, 10, false, &info), 0);
    assert_int_equal(info.whole, 0);
    assert_int_equal(take(a, sizeof(sink.bytes), false, &info), 5000);
    assert_int_equal(take(a, 1, false, NULL), -EAGAIN);
    /* Who does not read loses what comes. */
    sock_set(a, SOCK_READ_ROOM, 10000);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(sock_send_to(b, data, 3000, NULL), 3000);
        fake_pump(0);
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(take(a, 4000, false, NULL), 3000);
    }
    assert_int_equal(take(a, 1, false, NULL), -EAGAIN);
    addr.ip = *IP_ADDR_BROADCAST;
    assert_int_equal(sock_send_to(b, "x", 1, &addr), -EACCES);
    assert_int_equal(sock_connect(b, NULL), 0);
    assert_int_equal(sock_send_to(b, "x", 1, NULL), -LINUX_EDESTADDRREQ);
    sock_close(a);
    sock_close(b);
}

/* What the program's memory does not take stays, of a stream. */
static void what_cannot_be_put_is_there_still(void **state)
{
    struct sock *ends[2];

    (void)state;
    connection(ends);
    assert_int_equal(sock_write(ends[0], "data", 4, false), 4);
    fake_pump(0);
    sink.rc = -EFAULT;
    assert_int_equal(take(ends[1], 4, false, NULL), -EFAULT);
    sink.rc = 0;
    assert_int_equal(take(ends[1], 4, false, NULL), 4);
    sock_close(ends[0]);
    sock_close(ends[1]);
}

static void by_six_and_by_four(void **state)
{
    struct sock *s = born(true, true), *four, *peer;
    struct sock_addr any = {.ip = *IP6_ADDR_ANY}, addr;

    (void)state;
    assert_int_equal(sock_bind(s, &any), 0);
    assert_int_equal(sock_listen(s, 2, 0), 0);
    sock_name(s, &addr);
    assert_true(IP_IS_V6_VAL(addr.ip));
    four = dial(addr.port);
    assert_int_equal(sock_connected(four), 0);
    assert_int_equal(sock_accept(s, &peer), 0);
    assert_int_equal(sock_peer(peer, &addr), 0);
    assert_true(IP_IS_V4_VAL(addr.ip));
    sock_close(four);
    sock_close(peer);
    sock_close(s);
}

static void where_memory_ends_there_are_errors(void **state)
{
    struct sock *ends[2], *s;
    struct sock_addr addr = here(7);

    (void)state;
    connection(ends);
    sock_tell(ends[0], count_change, &changes);
    fake_short_of_memory = true;
    assert_int_equal(sock_create(true, false, &s), -ENOBUFS);
    assert_int_equal(sock_write(ends[0], "x", 1, false), -EAGAIN);
    changes = 0;
    fake_pump(2000);
    assert_int_equal(changes, 0);
    fake_short_of_memory = false;
    fake_pump(2000); /* nothing is under way: time tells */
    assert_true(changes != 0);
    assert_int_equal(sock_write(ends[0], "kept", 4, false), 4);
    fake_short_of_memory = true; /* who receives has no room: lwIP keeps it */
    fake_pump(0);
    assert_int_equal(take(ends[1], 4, false, NULL), -EAGAIN);
    fake_short_of_memory = false;
    fake_pump(1000);
    assert_int_equal(take(ends[1], 4, false, NULL), 4);
    s = born(false, false);
    fake_short_of_memory = true;
    assert_int_equal(sock_send_to(s, "x", 1, &addr), -ENOBUFS);
    fake_short_of_memory = false;
    sock_close(s);
    fake_no_memory = true;
    assert_int_equal(sock_write(ends[0], "x", 1, false), -EAGAIN);
    sock_close(ends[0]);
    fake_no_memory = false;
    sock_close(ends[1]);
}

/*
 * The last bytes and the end in one segment: lwIP's connection only waits for its time to be over
 * then. It neither offers again what is refused, nor says when it is gone.
 */
static void what_comes_with_the_end_is_kept(void **state)
{
    struct sock *ends[2];

    (void)state;
    connection(ends);
    sock_tell(ends[0], count_change, &changes);
    assert_int_equal(sock_shutdown(ends[0], false, true), 0);
    fake_pump(0);
    assert_int_equal(sock_write(ends[1], "last", 4, true), 4);
    assert_int_equal(sock_shutdown(ends[1], false, true), 0);
    changes = 0;
    fake_short_of_memory = true;
    fake_pump(0);
    fake_short_of_memory = false;
    assert_true(changes != 0);
    assert_true(sock_ready(ends[0]) & SOCK_HUNG_UP);
    fake_pump(10000);
    assert_int_equal(take(ends[0], 10, false, NULL), 4);
    assert_memory_equal(sink.bytes, "last", 4);
    assert_int_equal(take(ends[0], 10, false, NULL), 0);
    sock_close(ends[0]);
    sock_close(ends[1]);
}

/* The same where no memory is left at all: what is lost is told. */
static void what_is_lost_at_the_end_is_told(void **state)
{
    struct sock *ends[2];

    (void)state;
    connection(ends);
    assert_int_equal(sock_shutdown(ends[0], false, true), 0);
    fake_pump(0);
    assert_int_equal(sock_write(ends[1], "last", 4, true), 4);
    assert_int_equal(sock_shutdown(ends[1], false, true), 0);
    fake_no_packets = true;
    fake_pump(0);
    fake_no_packets = false;
    fake_pump(10000);
    assert_int_equal(take(ends[0], 10, false, NULL), -ENOBUFS);
    assert_int_equal(take(ends[0], 10, false, NULL), 0);
    sock_close(ends[0]);
    sock_close(ends[1]);
}

/* Whom nobody takes counts, also when he has gone: peers that come and go have the same limit. */
static void who_went_again_was_there(void **state)
{
    struct sock *s, *peer;
    unsigned there = 0;
    u16_t port;

    (void)state;
    s = listener(3, &port);
    for (unsigned i = 0; i < 20; i++) {
        struct sock *c = dial(port);

        sock_set(c, SOCK_LINGER, 0);
        sock_close(c);
        fake_pump(0);
    }
    while (sock_accept(s, &peer) == 0) {
        sock_close(peer);
        there++;
    }
    assert_int_equal(there, 3);
    sock_close(dial(port));
    fake_pump(0);
    assert_int_equal(sock_accept(s, &peer), 0);
    sock_close(peer);
    sock_close(s);
}

/* Whose error somebody else was told of is not connected for all that. */
static void who_is_refused_is_not_connected(void **state)
{
    u16_t port;
    struct sock *s = listener(1, &port), *c;

    (void)state;
    sock_close(s);
    c = dial(port);
    assert_int_equal(sock_error(c), ECONNREFUSED);
    assert_int_equal(sock_connected(c), -LINUX_ECONNABORTED);
    sock_close(c);
}

/* What is told of a packet is nothing where there was none. */
static void nothing_is_told_of_nothing(void **state)
{
    struct sock *a = born(false, false);
    struct sock_addr addr = here(7);
    struct sock_read info;

    (void)state;
    assert_int_equal(sock_connect(a, &addr), 0);
    assert_int_equal(sock_shutdown(a, true, false), 0);
    memset(&info, 0xa5, sizeof(info));
    assert_int_equal(take(a, 1, false, &info), 0);
    assert_false(info.any);
    assert_int_equal(info.whole, 0);
    assert_int_equal(info.from.port, 0);
    assert_true(ip_addr_isany_val(info.from.ip));
    sock_close(a);
}

/* An address of one version is no address to send to the other from. */
static void versions_do_not_mix(void **state)
{
    u16_t port;
    struct sock *s = listener(1, &port), *six;
    struct sock_addr addr = {.ip = *IP6_ADDR_ANY};

    (void)state;
    ip_addr_set_loopback_val(true, addr.ip);
    for (unsigned stream = 0; stream < 2; stream++) {
        struct sock_addr to = here(port);

        six = born(stream, true);
        addr.port = 0;
        assert_int_equal(sock_bind(six, &addr), 0);
        assert_int_equal(sock_connect(six, &to), -LINUX_ENETUNREACH);
        if (!stream) {
            assert_int_equal(sock_send_to(six, "x", 1, &to), -LINUX_ENETUNREACH);
        }
        sock_close(six);
        six = born(stream, true);
        sock_set(six, SOCK_ONLY_V6, 1);
        assert_int_equal(sock_connect(six, &to), -LINUX_ENETUNREACH);
        to.port = 0;
        assert_int_equal(sock_bind(six, &to), -EINVAL);
        sock_close(six);
    }
    sock_close(s);
}

/*
 * A peer that opens its window from next to nothing to a little more: segments that were cut for
 * whole ones are longer than what lwIP would cut then, which it takes for a bug of its own.
 */
static void a_window_that_opens_slowly_is_none_of_ours(void **state)
{
    static const char data[1000];
    struct sock *ends[2];

    (void)state;
    connection(ends);
    ends[0]->tcp->snd_wnd = ends[0]->tcp->snd_wnd_max = 1; /* as an answer to SYN may say */
    assert_int_equal(sock_write(ends[0], data, sizeof(data), false), sizeof(data));
    ends[1]->tcp->rcv_wnd = ends[1]->tcp->rcv_ann_wnd = 96;
    assert_int_equal(sock_write(ends[1], "x", 1, false), 1);
    fake_pump(0);
    assert_int_equal(ends[0]->tcp->snd_wnd, 96);
    assert_int_equal(sock_write(ends[0], "y", 1, false), 1);
    sock_close(ends[1]);
    sock_close(ends[0]);
}

/* "All addresses, of both versions" are those of each. As on Linux, where servers set SOCK_REUSE.
 */
static void who_listens_has_the_port(void **state)
{
    struct sock_addr four = {.ip = *IP4_ADDR_ANY}, six = {.ip = *IP6_ADDR_ANY}, one = here(0);

    (void)state;
    for (int reuse = 0; reuse < 2; reuse++) {
        struct sock *a = born(true, false), *b = born(true, true), *c = born(true, true);

        for (struct sock **s = (struct sock *[]){a, b, c, NULL}; *s != NULL; s++) {
            sock_set(*s, SOCK_REUSE, reuse);
        }
        assert_int_equal(sock_bind(a, &four), 0);
        assert_int_equal(sock_listen(a, 1, 0), 0);
        sock_name(a, &one);
        six.port = one.port;
        assert_int_equal(sock_bind(b, &six), -EADDRINUSE);
        sock_set(b, SOCK_ONLY_V6, 1);
        assert_int_equal(sock_bind(b, &six), 0); /* it is not of IPv4 */
        assert_int_equal(sock_listen(b, 1, 0), 0);
        ip_addr_set_loopback_val(true, six.ip);
        assert_int_equal(sock_bind(c, &six), -EADDRINUSE);
        six.ip = *IP6_ADDR_ANY;
        sock_close(a);
        sock_close(b);
        sock_close(c);
    }
    /* Of those that are bound to one port one may listen. */
    struct sock *a = born(true, true), *b = born(true, false);
    sock_set(a, SOCK_REUSE, 1);
    sock_set(b, SOCK_REUSE, 1);
    six.port = 0;
    assert_int_equal(sock_bind(a, &six), 0);
    sock_name(a, &one);
    four.port = one.port;
    assert_int_equal(sock_bind(b, &four), 0);
    assert_int_equal(sock_listen(b, 1, 0), 0);
    assert_int_equal(sock_listen(a, 1, 0), -EADDRINUSE);
    sock_close(a);
    sock_close(b);
}

/* As many as there may be. */
static void sockets_have_a_limit(void **state)
{
    static struct sock *all[SOCKETS_MAX];
    struct sock *s;

    (void)state;
    for (unsigned i = 0; i < SOCKETS_MAX; i++) {
        all[i] = born(i % 2, false);
    }
    assert_int_equal(sock_create(true, false, &s), -ENFILE);
    for (unsigned i = 0; i < SOCKETS_MAX; i++) {
        sock_close(all[i]);
    }
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, nothing_is_left)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_connection_carries_bytes_both_ways),
        TEST(who_does_not_read_stops_who_writes),
        TEST(an_end_comes_after_what_was_sent),
        TEST(a_reset_is_told_once),
        TEST(who_is_refused_may_try_again),
        TEST(who_does_not_accept_has_a_limit),
        TEST(datagrams_come_whole_or_not_at_all),
        TEST(what_cannot_be_put_is_there_still),
        TEST(by_six_and_by_four),
        TEST(where_memory_ends_there_are_errors),
        TEST(what_comes_with_the_end_is_kept),
        TEST(what_is_lost_at_the_end_is_told),
        TEST(who_went_again_was_there),
        TEST(who_is_refused_is_not_connected),
        TEST(nothing_is_told_of_nothing),
        TEST(versions_do_not_mix),
        TEST(a_window_that_opens_slowly_is_none_of_ours),
        TEST(who_listens_has_the_port),
        TEST(sockets_have_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
