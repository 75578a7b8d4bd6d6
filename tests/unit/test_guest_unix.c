/*
 * The guest kernel's sockets of AF_UNIX (net/sock_unix.c): streams, messages, names, and files that
 * messages carry, of which none may be left over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fake_lwip.h"
#include "net/sock_impl.h"

enum kind { STREAM, PACKETS, DATAGRAMS };

static unsigned changes; /* that a socket's owner was told of */
static char in[300000];
static size_t in_len;
static size_t before;

static void count_change(void *arg)
{
    assert_true(fake_core_locked);
    (*(unsigned *)arg)++;
}

static int put(void *arg, const void *data, size_t n)
{
    (void)arg;
    assert_false(fake_core_locked); /* it may sleep */
    memcpy(in + in_len, data, n);
    in_len += n;
    return 0;
}

static ssize_t take(struct sock *s, size_t n, struct sock_read *info)
{
    in_len = 0;
    return sock_read(s, n, false, put, NULL, info);
}

static struct sock *born(enum kind kind)
{
    struct sock *s = NULL;

    assert_int_equal(sock_create_unix(kind == STREAM, kind != DATAGRAMS, &s), 0);
    return s;
}

static void pair(enum kind kind, struct sock *ends[2])
{
    ends[0] = born(kind);
    ends[1] = born(kind);
    sock_pair(ends[0], ends[1], 7);
}

static const struct sock_path *called(const char *name)
{
    static struct sock_path path;

    path = (struct sock_path){.len = (uint8_t)strlen(name),
                              .file = name[0] == '/' ? (uint64_t)name[1] : 0};
    memcpy(path.bytes, name, path.len);
    return &path;
}

static ssize_t say(struct sock *s, const char *text)
{
    struct sock_cargo *none = NULL;

    return sock_send_unix(s, text, strlen(text), NULL, &none);
}

static ssize_t say_to(struct sock *s, const char *name, const char *text)
{
    struct sock_cargo *none = NULL;

    return sock_send_unix(s, text, strlen(text), called(name), &none);
}

static int begin(void **state)
{
    (void)state;
    fake_lwip_begin();
    changes = 0;
    before = fake_used;
    return 0;
}

static int nothing_is_left(void **state)
{
    (void)state;
    assert_int_equal(fake_used, before);
    assert_false(fake_core_locked || fake_reader_locked);
    return 0;
}

static void a_pair_carries_bytes_both_ways(void **state)
{
    struct sock *ends[2];
    struct sock_path path;

    (void)state;
    pair(STREAM, ends);
    assert_int_equal(sock_peer_pid(ends[0]), 7);
    assert_int_equal(sock_name_unix(ends[0], true, &path), 0);
    assert_int_equal(path.len, 0);
    assert_int_equal(take(ends[1], 10, NULL), -EAGAIN);
    assert_false(sock_ready(ends[1]) & SOCK_CAN_READ);
    sock_tell(ends[1], count_change, &changes);
    assert_int_equal(say(ends[0], "one"), 3);
    assert_int_equal(say(ends[0], "two"), 3);
    assert_int_equal(changes, 2);
    assert_true(sock_ready(ends[1]) & SOCK_CAN_READ);
    assert_int_equal(sock_available(ends[1]), 6);
    assert_int_equal(take(ends[1], 4, NULL), 4);
    assert_memory_equal(in, "onet", 4);
    assert_int_equal(take(ends[1], 10, NULL), 2);
    assert_int_equal(say(ends[1], "back"), 4);
    assert_int_equal(take(ends[0], 10, NULL), 4);
    sock_close(ends[0]);
    assert_int_equal(take(ends[1], 10, NULL), 0);
    assert_int_equal(say(ends[1], "x"), -LINUX_EPIPE);
    assert_true(sock_ready(ends[1]) & SOCK_HUNG_UP);
    sock_close(ends[1]);
}

/* As a connection's end: what is unread comes first; who did not read all says so. */
static void ends_come_last(void **state)
{
    struct sock *ends[2];

    (void)state;
    for (enum kind kind = STREAM; kind <= PACKETS; kind++) {
        pair(kind, ends);
        assert_int_equal(say(ends[0], "bye"), 3);
        assert_int_equal(sock_shutdown(ends[0], false, true), 0);
        assert_int_equal(say(ends[0], "x"), -LINUX_EPIPE);
        assert_true(sock_ready(ends[1]) & SOCK_ENDED);
        assert_false(sock_ready(ends[1]) & SOCK_HUNG_UP);
        assert_int_equal(take(ends[1], 10, NULL), 3);
        assert_int_equal(take(ends[1], 10, NULL), 0);
        assert_int_equal(say(ends[1], "late"), 4);
        assert_int_equal(sock_shutdown(ends[0], true, false), 0);
        assert_int_equal(say(ends[1], "x"), -LINUX_EPIPE); /* nobody reads */
        assert_int_equal(take(ends[0], 10, NULL), 4);
        sock_close(ends[0]);
        sock_close(ends[1]);

        pair(kind, ends);
        assert_int_equal(say(ends[0], "unread"), 6);
        assert_int_equal(say(ends[1], "and more"), 8);
        sock_close(ends[1]);
        assert_true(sock_ready(ends[0]) & SOCK_FAILED);
        assert_int_equal(take(ends[0], 100, NULL), 8);
        assert_int_equal(take(ends[0], 100, NULL), -LINUX_ECONNRESET);
        assert_int_equal(take(ends[0], 100, NULL), 0);
        sock_close(ends[0]);
    }
}

static void messages_are_whole(void **state)
{
    static char big[65536];
    struct sock_cargo *none = NULL;
    struct sock *ends[2];
    struct sock_read info;

    (void)state;
    for (enum kind kind = PACKETS; kind <= DATAGRAMS; kind++) {
        pair(kind, ends);
        assert_int_equal(say(ends[0], "first"), 5);
        assert_int_equal(say(ends[0], ""), 0);
        assert_int_equal(say(ends[0], "third"), 5);
        assert_int_equal(take(ends[1], 2, &info), 2);
        assert_int_equal(info.whole, 5);
        assert_int_equal(take(ends[1], 10, &info), 0);
        assert_true(info.any);
        assert_int_equal(take(ends[1], 10, &info), 5);
        assert_int_equal(take(ends[1], 10, &info), -EAGAIN);
        assert_int_equal(sock_send_unix(ends[0], big, sizeof(big), NULL, &none), -EMSGSIZE);
        sock_set(ends[0], SOCK_SEND_ROOM, 100);
        assert_int_equal(sock_send_unix(ends[0], big, 101, NULL, &none), -EMSGSIZE);
        sock_close(ends[0]);
        sock_close(ends[1]);
    }
}

static void who_does_not_read_stops_who_writes(void **state)
{
    static char data[4096];
    struct sock_cargo *none = NULL;
    struct sock *ends[2];
    size_t sent = 0;
    ssize_t n;

    (void)state;
    for (enum kind kind = STREAM; kind <= DATAGRAMS; kind++) {
        pair(kind, ends);
        sock_tell(ends[0], count_change, &changes);
        for (sent = 0; (n = sock_send_unix(ends[0], data, sizeof(data), NULL, &none)) > 0;) {
            sent += (size_t)n;
        }
        assert_int_equal(n, -EAGAIN);
        assert_in_range(sent, 200000, 212992);
        assert_false(sock_ready(ends[0]) & SOCK_CAN_WRITE);
        changes = 0;
        assert_int_equal(take(ends[1], 4096, NULL), 4096);
        assert_int_equal(changes, 0); /* it is not worth while */
        while (take(ends[1], 4096, NULL) > 0) {
        }
        assert_int_equal(changes, 1);
        assert_true(sock_ready(ends[0]) & SOCK_CAN_WRITE);
        /* Small ones cost more than their bytes. */
        for (sent = 0; (n = say(ends[0], "x")) > 0;) {
            sent += (size_t)n;
        }
        assert_int_equal(n, -EAGAIN);
        assert_int_equal(sent, PACKETS_MAX);
        sock_close(ends[0]);
        sock_close(ends[1]);
    }
}

/* Also who sends without being connected waits, and is told, at the first that is read. */
static void who_waits_unconnected_is_told(void **state)
{
    struct sock *to = born(DATAGRAMS), *from = born(DATAGRAMS);

    (void)state;
    assert_int_equal(sock_bind_unix(to, called("/to")), 0);
    while (say_to(from, "/to", "x") == 1) {
    }
    assert_int_equal(say_to(from, "/to", "x"), -EAGAIN);
    sock_tell(to, count_change, &changes); /* who waits looks at all that changes */
    changes = 0;
    assert_int_equal(take(to, 1, NULL), 1);
    assert_int_equal(changes, 1);
    assert_int_equal(take(to, 1, NULL), 1);
    assert_int_equal(changes, 1); /* nobody came back */
    assert_int_equal(say_to(from, "/to", "x"), 1);
    sock_close(to);
    sock_close(from);
}

/* What is not there is told by the kind. */
static void kinds_differ_as_on_linux(void **state)
{
    struct sock *ends[2], *s;

    (void)state;
    for (enum kind kind = STREAM; kind <= DATAGRAMS; kind++) {
        s = born(kind);
        assert_int_equal(take(s, 1, NULL), kind == STREAM    ? -EINVAL
                                           : kind == PACKETS ? -ENOTCONN
                                                             : -EAGAIN);
        sock_close(s);
        pair(kind, ends);
        assert_int_equal(say(ends[0], "four"), 4);
        assert_int_equal(say(ends[0], "three"), 5);
        assert_int_equal(sock_available(ends[1]), kind == DATAGRAMS ? 4 : 9);
        sock_tell(ends[0], count_change, &changes);
        changes = 0;
        sock_set(ends[0], SOCK_SEND_ROOM, 400000); /* who waits for room may have it now */
        assert_int_equal(changes, 1);
        sock_close(ends[0]);
        sock_close(ends[1]);
    }
}

static void names_are_of_a_table(void **state)
{
    struct sock *a = born(DATAGRAMS), *b = born(DATAGRAMS), *c = born(DATAGRAMS);
    struct sock_read info;
    struct sock_path path;

    (void)state;
    assert_int_equal(sock_bind_unix(a, called("/a")), 0);
    assert_int_equal(sock_bind_unix(a, called("/b")), -EINVAL);
    assert_int_equal(sock_bind_unix(b, called("/a")), -EADDRINUSE);
    assert_int_equal(sock_bind_unix(b, called("/b")), 0);
    assert_int_equal(say(c, "x"), -ENOTCONN);
    assert_int_equal(say_to(c, "/none", "x"), -ECONNREFUSED);
    assert_int_equal(say_to(c, "@none", "x"), -ECONNREFUSED);
    assert_int_equal(say_to(b, "/a", "hello"), 5);
    assert_int_equal(say_to(c, "/a", "nobody"), 6);
    assert_int_equal(take(a, 10, &info), 5);
    assert_int_equal(info.path.len, 2);
    assert_memory_equal(info.path.bytes, "/b", 2);
    assert_int_equal(take(a, 10, &info), 6);
    assert_int_equal(info.path.len, 0);
    /* Who talks to one hears no other. */
    assert_int_equal(sock_connect_unix(a, called("/b"), 1), 0);
    assert_int_equal(say_to(c, "/a", "x"), -EPERM);
    assert_int_equal(sock_connect_unix(c, called("/a"), 1), -EPERM);
    assert_int_equal(sock_name_unix(a, true, &path), 0);
    assert_int_equal(path.len, 2);
    assert_int_equal(say(a, "to b"), 4);
    /* A name goes with its socket; who is connected is told so once. */
    sock_close(b);
    assert_int_equal(say(a, "x"), -ECONNREFUSED);
    assert_int_equal(say(a, "x"), -ENOTCONN);
    assert_int_equal(sock_bind_unix(c, called("/b")), 0);
    assert_int_equal(say_to(a, "/b", "x"), 1);
    assert_int_equal(sock_name_unix(c, false, &path), 0);
    assert_int_equal(path.len, 2);
    b = born(STREAM);
    assert_int_equal(sock_bind_unix(b, called("/d")), 0);
    assert_int_equal(sock_connect_unix(c, called("/d"), 1), -LINUX_EPROTOTYPE);
    /* Names that are no paths are each kind's own. */
    sock_close(b);
    sock_close(c);
    b = born(STREAM);
    c = born(DATAGRAMS);
    assert_int_equal(sock_bind_unix(b, called("@x")), 0);
    assert_int_equal(say_to(c, "@x", "x"), -ECONNREFUSED);
    assert_int_equal(sock_bind_unix(c, called("@x")), 0);
    sock_close(a);
    sock_close(b);
    sock_close(c);
}

static struct sock *listener(enum kind kind, unsigned backlog)
{
    struct sock *s = born(kind);

    assert_int_equal(sock_listen(s, backlog, 9), -EINVAL); /* it has no name */
    assert_int_equal(sock_bind_unix(s, called("/l")), 0);
    assert_int_equal(sock_listen(s, backlog, 9), 0);
    return s;
}

static void who_listens_has_connections(void **state)
{
    struct sock *c[3], *s, *at;

    (void)state;
    for (enum kind kind = STREAM; kind <= PACKETS; kind++) {
        s = listener(kind, 2);
        sock_tell(s, count_change, &changes);
        changes = 0;
        for (unsigned i = 0; i < 3; i++) {
            c[i] = born(kind);
            assert_int_equal(sock_connect_unix(c[i], called("/l"), 20 + i), i < 2 ? 0 : -EAGAIN);
        }
        assert_int_equal(changes, 2);
        assert_int_equal(sock_connect_unix(c[0], called("/l"), 1), -EISCONN);
        assert_int_equal(say(c[0], "early"), 5); /* before anybody accepts */
        assert_int_equal(sock_peer_pid(c[0]), 9);
        assert_int_equal(sock_accept(s, &at), 0);
        assert_int_equal(changes, 3); /* who waits for the place is told */
        assert_int_equal(sock_connect_unix(c[2], called("/l"), 22), 0);
        assert_int_equal(sock_peer_pid(at), 20);
        assert_int_equal(take(at, 10, NULL), 5);
        assert_int_equal(say(at, "yes"), 3);
        assert_int_equal(take(c[0], 10, NULL), 3);
        sock_close(at);
        /* Whom nobody took hears of it. */
        sock_close(s);
        assert_int_equal(take(c[1], 1, NULL), -LINUX_ECONNRESET);
        for (unsigned i = 0; i < 3; i++) {
            sock_close(c[i]);
        }
        c[0] = born(kind);
        assert_int_equal(sock_connect_unix(c[0], called("/l"), 1), -ECONNREFUSED);
        sock_close(c[0]);
    }
}

/* ---- what messages carry ---- */

static unsigned freed;          /* files */
static unsigned depth;          /* of free_cargo() below itself */
static void (*meanwhile)(void); /* what others do before a socket that was carried is closed */

/* As the kernel: the last descriptor of a socket closes it. */
static void free_cargo(struct sock_cargo *cargo)
{
    assert_false(fake_core_locked || fake_reader_locked);
    assert_int_equal(++depth, 1);
    for (unsigned i = 0; i < cargo->n; i++) {
        struct sock *s = cargo->items[i].sock;

        freed++;
        if (s != NULL && cargo->items[i].file != NULL) {
            if (meanwhile != NULL) {
                meanwhile();
            }
            sock_close(s);
        }
    }
    depth--;
    free(cargo);
}

/* @last: nobody else has it, so that it is closed with what carries it. */
static struct sock_cargo *load(struct sock *s, bool last, unsigned n)
{
    static char file;
    struct sock_cargo *cargo = calloc(1, sizeof(*cargo) + n * sizeof(cargo->items[0]));

    cargo->free = free_cargo;
    cargo->n = n;
    for (unsigned i = 0; i < n; i++) {
        cargo->items[i].sock = s;
        cargo->items[i].file = last ? &file : NULL;
    }
    return cargo;
}

/* What became of it; it is freed if it did not go. */
static ssize_t send_cargo(struct sock *s, struct sock_cargo *cargo)
{
    ssize_t rc = sock_send_unix(s, "c", 1, NULL, &cargo);

    assert_true((rc < 0) == (cargo != NULL));
    free(cargo);
    return rc;
}

static void files_go_with_messages(void **state)
{
    struct sock *ends[2];
    struct sock_read info;

    (void)state;
    for (enum kind kind = STREAM; kind <= DATAGRAMS; kind++) {
        pair(kind, ends);
        freed = 0;
        assert_int_equal(say(ends[0], "a"), 1);
        assert_int_equal(send_cargo(ends[0], load(NULL, false, 3)), 1);
        assert_int_equal(say(ends[0], "b"), 1);
        /* No read of a stream reaches beyond what carries something. */
        assert_int_equal(take(ends[1], 10, &info), 1);
        assert_null(info.cargo);
        assert_int_equal(sock_read(ends[1], 10, true, put, NULL, &info), 1);
        assert_null(info.cargo);
        assert_int_equal(take(ends[1], 10, &info), 1);
        assert_non_null(info.cargo);
        assert_int_equal(info.cargo->n, 3);
        free_cargo(info.cargo);
        assert_int_equal(take(ends[1], 10, &info), 1);
        assert_null(info.cargo);
        /* Whoever does not ask loses it, */
        assert_int_equal(send_cargo(ends[0], load(NULL, false, 1)), 1);
        assert_int_equal(take(ends[1], 10, NULL), 1);
        assert_int_equal(freed, 4);
        /* and with the socket goes what was not read. */
        assert_int_equal(send_cargo(ends[0], load(NULL, false, 2)), 1);
        sock_close(ends[1]);
        assert_int_equal(freed, 6);
        assert_true(send_cargo(ends[0], load(NULL, false, 1)) < 0);
        sock_close(ends[0]);
    }
}

static void files_under_way_have_a_limit(void **state)
{
    struct sock *ends[2];
    unsigned sent = 0;

    (void)state;
    pair(STREAM, ends);
    freed = 0;
    while (send_cargo(ends[0], load(NULL, false, 100)) == 1) {
        sent += 100;
    }
    assert_int_equal(sent, 1000);
    assert_int_equal(send_cargo(ends[0], load(NULL, false, 25)), -LINUX_ETOOMANYREFS);
    assert_int_equal(send_cargo(ends[0], load(NULL, false, 24)), 1);
    sock_close(ends[1]);
    sock_close(ends[0]);
    assert_int_equal(freed, 1024);
}

/* Sockets that are carried and carry: none can come to hold itself. */
static void no_ring_comes_about(void **state)
{
    struct sock *a[2], *b[2], *c[2];
    struct sock_read info;

    (void)state;
    freed = 0;
    pair(DATAGRAMS, a);
    pair(STREAM, b);
    pair(STREAM, c);
    assert_int_equal(send_cargo(a[0], load(a[1], false, 1)), -LINUX_ETOOMANYREFS); /* itself */
    assert_int_equal(send_cargo(a[0], load(a[0], false, 1)), 1); /* its other end is not it */
    assert_int_equal(take(a[1], 1, NULL), 1);
    assert_int_equal(send_cargo(a[0], load(b[1], false, 1)), 1);
    /* a[1] carries b[1], which may carry no sockets on its way, but files; */
    assert_int_equal(send_cargo(b[0], load(a[1], false, 1)), -LINUX_ETOOMANYREFS);
    assert_int_equal(send_cargo(b[0], load(c[1], false, 1)), -LINUX_ETOOMANYREFS);
    assert_int_equal(send_cargo(b[0], load(NULL, false, 1)), 1);
    /* and what carries a socket is not carried. */
    assert_int_equal(send_cargo(c[0], load(a[1], false, 1)), -LINUX_ETOOMANYREFS);
    assert_int_equal(take(a[1], 1, &info), 1);
    free_cargo(info.cargo);
    assert_int_equal(send_cargo(c[0], load(a[1], false, 1)), 1);
    assert_int_equal(send_cargo(b[0], load(c[0], false, 1)), 1);
    for (unsigned i = 2; i-- != 0;) {
        sock_close(b[i]); /* what carries before what it carries */
    }
    for (unsigned i = 2; i-- != 0;) {
        sock_close(c[i]);
    }
    sock_close(a[0]);
    sock_close(a[1]);
}

/* What waits to be accepted is its listener's. */
static void no_ring_comes_about_by_a_listener(void **state)
{
    struct sock *s = listener(STREAM, 3), *c = born(STREAM), *d = born(STREAM), *at, *a[2];
    struct sock_read info;

    (void)state;
    pair(STREAM, a);
    assert_int_equal(sock_connect_unix(c, called("/l"), 1), 0);
    assert_int_equal(sock_connect_unix(d, called("/l"), 1), 0);
    assert_int_equal(send_cargo(c, load(s, false, 1)), -LINUX_ETOOMANYREFS);
    assert_int_equal(send_cargo(c, load(a[1], false, 1)), 1);
    assert_int_equal(send_cargo(a[0], load(s, false, 1)), -LINUX_ETOOMANYREFS); /* a ring of two */
    assert_int_equal(sock_accept(s, &at), 0);
    assert_int_equal(take(at, 1, &info), 1);
    free_cargo(info.cargo);
    assert_int_equal(send_cargo(a[0], load(s, false, 1)), 1);
    assert_int_equal(send_cargo(d, load(a[1], false, 1)), -LINUX_ETOOMANYREFS); /* the other way */
    assert_int_equal(send_cargo(c, load(at, false, 1)), -LINUX_ETOOMANYREFS);
    assert_int_equal(send_cargo(d, load(NULL, false, 1)), 1);
    freed = 0;
    sock_close(a[1]);
    sock_close(s); /* with what came to it, and nobody took */
    assert_int_equal(freed, 2);
    sock_close(a[0]);
    sock_close(at);
    sock_close(c);
    sock_close(d);
}

/* The last descriptor of a socket may be under way, with files in its own queue. */
static void what_is_carried_ends_with_what_carries_it(void **state)
{
    struct sock *a[2], *b[2];

    (void)state;
    freed = 0;
    pair(STREAM, a);
    pair(STREAM, b);
    assert_int_equal(send_cargo(b[0], load(NULL, false, 2)), 1);
    assert_int_equal(send_cargo(a[0], load(b[1], true, 1)), 1);
    sock_close(a[1]);
    assert_int_equal(freed, 3);
    assert_int_equal(say(b[0], "x"), -LINUX_EPIPE);
    sock_close(a[0]);
    sock_close(b[0]);
}

static struct sock *chain[200][2];
static unsigned links;

/* What is being ended carries nothing any more, so that it may be sent another. */
static void lengthen(void)
{
    if (links < ARRAY_SIZE(chain)) {
        assert_int_equal(send_cargo(chain[links - 1][0], load(chain[links][1], true, 1)), 1);
        links++;
    }
}

/* Whoever closes a socket ends a chain that others lengthen meanwhile, at one depth. */
static void a_chain_ends_link_by_link(void **state)
{
    (void)state;
    freed = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(chain); i++) {
        pair(i % 2 != 0 ? STREAM : DATAGRAMS, chain[i]);
    }
    links = 1;
    lengthen();
    meanwhile = lengthen;
    sock_close(chain[0][1]);
    meanwhile = NULL;
    assert_int_equal(links, ARRAY_SIZE(chain));
    assert_int_equal(freed, ARRAY_SIZE(chain) - 1);
    for (unsigned i = 0; i < ARRAY_SIZE(chain); i++) {
        sock_close(chain[i][0]);
    }
}

static void where_memory_ends_there_are_errors(void **state)
{
    struct sock *ends[2], *s;

    (void)state;
    pair(STREAM, ends);
    fake_short_of_memory = true;
    assert_int_equal(say(ends[0], "x"), -ENOBUFS);
    assert_int_equal(send_cargo(ends[0], load(NULL, false, 1)), -ENOBUFS);
    assert_int_equal(sock_bind_unix(ends[0], called("/x")), -ENOBUFS);
    assert_int_equal(sock_create_unix(true, true, &s), -ENOBUFS);
    fake_short_of_memory = false;
    fake_no_packets = true;
    assert_int_equal(say(ends[0], "x"), -ENOBUFS);
    fake_no_packets = false;
    assert_int_equal(sock_bind_unix(ends[0], called("/x")), 0);
    s = listener(STREAM, 1);
    struct sock *c = born(STREAM);
    fake_no_memory = true;
    assert_int_equal(sock_connect_unix(c, called("/l"), 1), -ENOBUFS);
    fake_no_memory = false;
    assert_int_equal(sock_connect_unix(c, called("/l"), 1), 0);
    sock_close(c);
    sock_close(s);
    sock_close(ends[0]);
    sock_close(ends[1]);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, nothing_is_left)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_pair_carries_bytes_both_ways),
        TEST(ends_come_last),
        TEST(messages_are_whole),
        TEST(who_does_not_read_stops_who_writes),
        TEST(who_waits_unconnected_is_told),
        TEST(kinds_differ_as_on_linux),
        TEST(names_are_of_a_table),
        TEST(who_listens_has_connections),
        TEST(files_go_with_messages),
        TEST(files_under_way_have_a_limit),
        TEST(no_ring_comes_about),
        TEST(no_ring_comes_about_by_a_listener),
        TEST(what_is_carried_ends_with_what_carries_it),
        TEST(a_chain_ends_link_by_link),
        TEST(where_memory_ends_there_are_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
