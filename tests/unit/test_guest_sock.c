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

#include "lwip/init.h"
#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcpip.h"
#include "lwip/timeouts.h"
#include "net/heap.h"
#include "net/port/hooks.h"
#include "net/sock_impl.h"
#include "net/stack.h"

/* ---- what lwIP and the sockets stand on ---- */

static u32_t now = 1000;
static size_t used;
static bool no_memory, short_of_memory;
static bool no_packets; /* there is no memory for what a socket keeps of one */
static bool core_locked, reader_locked;
sys_mutex_t lock_tcpip_core;

void mutex_init(struct mutex *m, const char *name)
{
    (void)m;
    (void)name;
}

void mutex_lock(struct mutex *m)
{
    (void)m;
    assert_false(reader_locked || core_locked);
    reader_locked = true;
}

void mutex_unlock(struct mutex *m)
{
    (void)m;
    assert_true(reader_locked);
    reader_locked = false;
}

void sys_mutex_lock(sys_mutex_t *m)
{
    (void)m;
    assert_false(core_locked);
    core_locked = true;
}

void sys_mutex_unlock(sys_mutex_t *m)
{
    (void)m;
    assert_true(core_locked);
    core_locked = false;
}

void port_assert_core_locked(void)
{
    assert_true(core_locked);
}

void *heap_alloc(size_t size)
{
    bool refuse = no_memory || (no_packets && size == sizeof(struct sock_packet));
    size_t *p = refuse ? NULL : malloc(16 + size);

    if (p == NULL) {
        return NULL;
    }
    *p = size;
    used += size;
    return p + 2;
}

void *heap_calloc(size_t count, size_t size)
{
    void *p = heap_alloc(count * size);

    return p == NULL ? NULL : memset(p, 0, count * size);
}

void heap_free(void *p)
{
    if (p != NULL) {
        size_t *size = (size_t *)p - 2;

        used -= *size;
        free(size);
    }
}

bool heap_users_may_take(void)
{
    return !short_of_memory;
}

int net_stack_start(void)
{
    return 0;
}

u32_t sys_now(void)
{
    return now;
}

void sys_init(void)
{
}

sys_prot_t sys_arch_protect(void)
{
    return false;
}

void sys_arch_unprotect(sys_prot_t state)
{
    (void)state;
}

uint32_t random_u32(void)
{
    static uint32_t state = 1;

    return state = state * 1664525 + 1013904223;
}

u32_t random_isn(const ip_addr_t *local, u16_t local_port, const ip_addr_t *remote,
                 u16_t remote_port)
{
    (void)local;
    (void)remote;
    return random_u32() + local_port + remote_port;
}

u32_t *ethif_segment(struct pbuf *p, const struct tcp_pcb *pcb, u32_t *opts)
{
    (void)p;
    (void)pcb;
    return opts;
}

void tcp_timer_needed(void)
{
}

_Noreturn void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vprint_error(fmt, ap);
    va_end(ap);
    abort();
}

/* The loopback asks for a turn by this; it has them in pump(). */
err_t tcpip_try_callback(tcpip_callback_fn fn, void *ctx)
{
    (void)fn;
    (void)ctx;
    return ERR_OK;
}

err_t tcpip_inpkt(struct pbuf *p, struct netif *inp, netif_input_fn fn)
{
    return fn(p, inp);
}

err_t tcpip_input(struct pbuf *p, struct netif *inp)
{
    return ip_input(p, inp);
}

/* All that is under way arrives, and time passes: @ms. */
static void pump(unsigned ms)
{
    for (unsigned i = 0; i <= ms / TCP_TMR_INTERVAL; i++) {
        struct netif *netif;

        LOCK_TCPIP_CORE();
        for (unsigned k = 0; k < 50; k++) {
            NETIF_FOREACH(netif)
            {
                netif_poll(netif);
            }
        }
        if (i != 0) {
            now += TCP_TMR_INTERVAL;
            tcp_tmr();
        }
        UNLOCK_TCPIP_CORE();
    }
}

/* Not called: nobody waits here. */
void sys_timeouts_init(void)
{
}

err_t sys_sem_new(sys_sem_t *sem, u8_t count)
{
    (void)sem;
    (void)count;
    return ERR_MEM;
}

u32_t sys_arch_sem_wait(sys_sem_t *sem, u32_t timeout)
{
    (void)sem;
    return timeout;
}

void sys_sem_free(sys_sem_t *sem)
{
    (void)sem;
}

/* ---- what a program does ---- */

static unsigned changes;

static void count_change(void *arg)
{
    assert_true(core_locked);
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

    assert_false(core_locked); /* it may sleep */
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
    assert_int_equal(sock_listen(s, backlog), 0);
    sock_name(s, &addr);
    *port = addr.port;
    return s;
}

static struct sock *dial(u16_t port)
{
    struct sock *s = born(true, false);
    const struct sock_addr addr = here(port);

    assert_int_equal(sock_connect(s, &addr), -LINUX_EINPROGRESS);
    pump(0);
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
    static bool started;

    (void)state;
    if (!started) {
        sys_mutex_lock(&lock_tcpip_core);
        lwip_init();
        sys_mutex_unlock(&lock_tcpip_core);
        started = true;
    }
    changes = 0;
    no_memory = short_of_memory = no_packets = false;
    sink.rc = 0;
    before = used;
    return 0;
}

/* Also what waits for its end, or for an answer. */
static int nothing_is_left(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 400 && used != before; i++) {
        pump(1000);
    }
    assert_int_equal(used, before);
    assert_false(core_locked || reader_locked);
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
    pump(0);
    assert_int_equal(sock_available(ends[1]), 5);
    assert_int_equal(take(ends[1], 3, true, NULL), 3);
    assert_int_equal(take(ends[1], 3, false, NULL), 3);
    assert_memory_equal(sink.bytes, "hel", 3);
    assert_int_equal(take(ends[1], 100, false, NULL), 2);
    assert_int_equal(sock_write(ends[1], "yes", 3, false), 3);
    pump(0);
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
        pump(0);
    }
    assert_true(sent >= TCP_SND_BUF && sent <= TCP_SND_BUF + TCP_WND + sizeof(data));
    assert_false(sock_ready(ends[0]) & SOCK_CAN_WRITE);
    changes = 0;
    while (got < sent) {
        n = take(ends[1], sizeof(sink.bytes), false, NULL);
        got += n > 0 ? (size_t)n : 0;
        pump(n > 0 ? 0 : 500);
    }
    assert_int_equal(got, sent);
    pump(500);
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
    pump(0);
    assert_true(sock_ready(ends[1]) & SOCK_ENDED);
    assert_false(sock_ready(ends[1]) & SOCK_HUNG_UP);
    assert_int_equal(take(ends[1], 10, false, NULL), 3);
    assert_int_equal(take(ends[1], 10, false, NULL), 0);
    assert_int_equal(sock_write(ends[1], "late", 4, false), 4);
    pump(0);
    assert_int_equal(take(ends[0], 10, false, NULL), 4);
    assert_int_equal(sock_shutdown(ends[1], true, true), 0);
    pump(0);
    assert_true(sock_ready(ends[0]) & SOCK_HUNG_UP);
    /* lwIP's connection is long gone; the sockets are not. */
    pump(10000);
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
    pump(0);
    assert_int_equal(sock_ready(ends[1]) & (SOCK_FAILED | SOCK_HUNG_UP | SOCK_CAN_READ),
                     SOCK_FAILED | SOCK_HUNG_UP | SOCK_CAN_READ);
    assert_int_equal(sock_error(ends[1]), LINUX_ECONNRESET);
    assert_int_equal(take(ends[1], 1, false, NULL), 0);
    assert_int_equal(sock_write(ends[1], "x", 1, false), -LINUX_EPIPE);
    sock_close(ends[1]);
    /* Who closes and has not read says so by a reset. */
    connection(ends);
    assert_int_equal(sock_write(ends[0], "unread", 6, false), 6);
    pump(0);
    sock_close(ends[1]);
    pump(0);
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
    pump(0);
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
    pump(0);
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
    pump(0);
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
        pump(0);
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
    pump(0);
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
    assert_int_equal(sock_listen(s, 2), 0);
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
    short_of_memory = true;
    assert_int_equal(sock_create(true, false, &s), -ENOBUFS);
    assert_int_equal(sock_write(ends[0], "x", 1, false), -EAGAIN);
    changes = 0;
    pump(2000);
    assert_int_equal(changes, 0);
    short_of_memory = false;
    pump(2000); /* nothing is under way: time tells */
    assert_true(changes != 0);
    assert_int_equal(sock_write(ends[0], "kept", 4, false), 4);
    short_of_memory = true; /* who receives has no room: lwIP keeps it */
    pump(0);
    assert_int_equal(take(ends[1], 4, false, NULL), -EAGAIN);
    short_of_memory = false;
    pump(1000);
    assert_int_equal(take(ends[1], 4, false, NULL), 4);
    s = born(false, false);
    short_of_memory = true;
    assert_int_equal(sock_send_to(s, "x", 1, &addr), -ENOBUFS);
    short_of_memory = false;
    sock_close(s);
    no_memory = true;
    assert_int_equal(sock_write(ends[0], "x", 1, false), -EAGAIN);
    sock_close(ends[0]);
    no_memory = false;
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
    pump(0);
    assert_int_equal(sock_write(ends[1], "last", 4, true), 4);
    assert_int_equal(sock_shutdown(ends[1], false, true), 0);
    changes = 0;
    short_of_memory = true;
    pump(0);
    short_of_memory = false;
    assert_true(changes != 0);
    assert_true(sock_ready(ends[0]) & SOCK_HUNG_UP);
    pump(10000);
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
    pump(0);
    assert_int_equal(sock_write(ends[1], "last", 4, true), 4);
    assert_int_equal(sock_shutdown(ends[1], false, true), 0);
    no_packets = true;
    pump(0);
    no_packets = false;
    pump(10000);
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
        pump(0);
    }
    while (sock_accept(s, &peer) == 0) {
        sock_close(peer);
        there++;
    }
    assert_int_equal(there, 3);
    sock_close(dial(port));
    pump(0);
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
    pump(0);
    assert_int_equal(ends[0]->tcp->snd_wnd, 96);
    assert_int_equal(sock_write(ends[0], "y", 1, false), 1);
    sock_close(ends[1]);
    sock_close(ends[0]);
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
        TEST(sockets_have_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
