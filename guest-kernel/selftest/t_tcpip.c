/*
 * t_tcpip.c - promises of the TCP/IP stack, over the loopback interface and one made of paper.
 *
 * A server thread and the test talk through netconns, as commands do. Each test gives back all that
 * the stack took for it, connections that wait for their end apart: those are waited for.
 */
#include "io/blk.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "lib/pattern.h"
#include "lib/sha256.h"
#include "lwip/api.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/sys.h"
#include "lwip/tcpip.h"
#include "net/ethif.h"
#include "net/heap.h"
#include "net/httpd/httpd.h"
#include "net/stack.h"
#include "psm/clock.h"
#include "selftest/selftest.h"

#define STREAM_BYTES (4u << 20)
#define CHUNK        (16u << 10)
#define CONNECTIONS  100
#define PORT         7777
#define PATIENCE     (20 * NSEC_PER_SEC)
#define TIMEOUT      20000 /* ms, of every wait in lwIP */

/* What the server does with a connection; false when something was wrong. */
struct server {
    struct netconn *listener;
    struct thread *thread;
    bool (*serve)(struct netconn *conn, void *arg);
    void *arg;
    unsigned connections; /* to be served */
    bool ok;
};

static void server_main(void *arg)
{
    struct server *s = arg;

    s->ok = true;
    for (unsigned i = 0; i < s->connections && s->ok; i++) {
        struct netconn *conn;

        s->ok = netconn_accept(s->listener, &conn) == ERR_OK;
        if (s->ok) {
            netconn_set_recvtimeout(conn, TIMEOUT);
            s->ok = s->serve(conn, s->arg);
            netconn_delete(conn);
        }
    }
}

static bool start_server(struct server *s)
{
    err_t err;

    s->listener = net_listen(PORT, TIMEOUT, &err);
    CHECK(err == ERR_OK);
    s->thread = thread_create("selftest-net", server_main, s, PRIO_NORMAL);
    if (s->thread == NULL) {
        netconn_delete(s->listener);
    }
    CHECK(s->thread != NULL);
    return true;
}

static bool end_server(struct server *s)
{
    thread_join(s->thread);
    netconn_delete(s->listener);
    CHECK(s->ok);
    return true;
}

static struct netconn *t_tcpip_connect(bool v6)
{
    struct netconn *conn = netconn_new(v6 ? NETCONN_TCP_IPV6 : NETCONN_TCP);
    ip_addr_t to =
        v6 ? (ip_addr_t)IPADDR6_INIT_HOST(0, 0, 0, 1) : (ip_addr_t)IPADDR4_INIT_BYTES(127, 0, 0, 1);

    if (conn != NULL && netconn_connect(conn, &to, PORT) != ERR_OK) {
        netconn_delete(conn);
        conn = NULL;
    }
    return conn;
}

/* All that came, hashed. */
static bool hash_stream(struct netconn *conn, void *arg)
{
    struct sha256 hash;
    struct pbuf *p;
    err_t err;

    sha256_init(&hash);
    while ((err = netconn_recv_tcp_pbuf(conn, &p)) == ERR_OK) {
        for (struct pbuf *q = p; q != NULL; q = q->next) {
            sha256_update(&hash, q->payload, q->len);
        }
        pbuf_free(p);
    }
    sha256_final(&hash, arg);
    return err == ERR_CLSD;
}

static bool send_pattern(struct netconn *conn, uint8_t *chunk, uint8_t digest[SHA256_SIZE])
{
    struct sha256 hash;

    sha256_init(&hash);
    for (unsigned at = 0; at < STREAM_BYTES; at += CHUNK) {
        pattern_fill(chunk, CHUNK, 5, at);
        sha256_update(&hash, chunk, CHUNK);
        CHECK(netconn_write(conn, chunk, CHUNK, NETCONN_COPY) == ERR_OK);
    }
    sha256_final(&hash, digest);
    return true;
}

static bool stream(bool v6)
{
    uint8_t sent[SHA256_SIZE], got[SHA256_SIZE] = {0};
    struct server s = {.serve = hash_stream, .arg = got, .connections = 1};
    uint8_t *chunk = kmalloc(CHUNK);

    CHECK(chunk != NULL && net_stack_start() == 0 && start_server(&s));
    struct netconn *conn = t_tcpip_connect(v6);
    bool ok = conn != NULL && send_pattern(conn, chunk, sent);
    if (conn != NULL) {
        netconn_delete(conn);
    }
    kfree(chunk);
    CHECK(end_server(&s) && ok);
    CHECK(!memcmp(sent, got, sizeof(sent)));
    return true;
}

static bool stream_v4(void)
{
    return stream(false);
}

static bool stream_v6(void)
{
    return stream(true);
}

static bool hang_up(struct netconn *conn __unused, void *arg __unused)
{
    return true;
}

/* Who closes first keeps the connection for a while, but a new listener does not mind. */
static bool port_is_free_again(void)
{
    struct server s = {.serve = hang_up, .connections = 1};
    struct netbuf *buf;
    err_t err;

    CHECK(net_stack_start() == 0 && start_server(&s));
    struct netconn *conn = t_tcpip_connect(false);
    bool closed = conn != NULL && netconn_recv(conn, &buf) == ERR_CLSD;
    if (conn != NULL) {
        netconn_delete(conn);
    }
    CHECK(end_server(&s) && closed);
    struct netconn *again = net_listen(PORT, TIMEOUT, &err);
    CHECK(again != NULL);
    struct netconn *twice = net_listen(PORT, TIMEOUT, &err);
    netconn_delete(again);
    CHECK(twice == NULL && err == ERR_USE);
    return true;
}

/* Sends back what it gets, until the peer ends. */
static bool echo(struct netconn *conn, void *arg __unused)
{
    struct netbuf *buf;
    err_t err;

    while ((err = netconn_recv(conn, &buf)) == ERR_OK) {
        void *data;
        u16_t len;

        do {
            (void)netbuf_data(buf, &data, &len);
            err = netconn_write(conn, data, len, NETCONN_COPY);
        } while (err == ERR_OK && netbuf_next(buf) >= 0);
        netbuf_delete(buf);
        CHECK(err == ERR_OK);
    }
    return err == ERR_CLSD;
}

static bool one_echo(unsigned i)
{
    uint8_t out[256];
    struct netbuf *buf;
    struct netconn *conn = t_tcpip_connect(i % 2);

    CHECK(conn != NULL);
    netconn_set_recvtimeout(conn, TIMEOUT);
    pattern_fill(out, sizeof(out), i, 0);
    bool ok = netconn_write(conn, out, sizeof(out), NETCONN_COPY) == ERR_OK &&
              netconn_recv(conn, &buf) == ERR_OK;
    if (ok) {
        uint8_t in[sizeof(out)] = {0};

        ok = netbuf_copy(buf, in, sizeof(in)) == sizeof(in) && memcmp(in, out, sizeof(in)) == 0;
        netbuf_delete(buf);
    }
    netconn_delete(conn);
    CHECK(ok);
    return true;
}

/* Sleeps until the stack holds no more than before: connections that ended wait for a while. */
static bool memory_is_back(size_t before)
{
    nsec_t deadline = clock_now() + PATIENCE;

    while (heap_used() > before && clock_now() < deadline) {
        thread_sleep_until(clock_now() + 100 * NSEC_PER_MSEC);
    }
    CHECK(heap_used() <= before);
    return true;
}

static bool many_connections(void)
{
    struct server s = {.serve = echo, .connections = CONNECTIONS};

    CHECK(net_stack_start() == 0);
    size_t before = heap_used();
    CHECK(start_server(&s));
    bool ok = true;
    for (unsigned i = 0; i < CONNECTIONS && ok; i++) {
        ok = one_echo(i);
    }
    CHECK(end_server(&s) && ok);
    return memory_is_back(before);
}

static bool nobody_listens(void)
{
    CHECK(net_stack_start() == 0);
    CHECK(t_tcpip_connect(false) == NULL);
    CHECK(t_tcpip_connect(true) == NULL);
    return true;
}

/* What peers can make the stack keep has an end. */
static bool quota(void)
{
    CHECK(net_stack_start() == 0);
    size_t left = heap_quota() - heap_used();
    CHECK(heap_alloc(left + PAGE_SIZE) == NULL);
    void *some = heap_alloc(PAGE_SIZE);
    CHECK(some != NULL);
    heap_free(some);
    return true;
}

/* ---- an interface whose MTU goes down ---- */

#define NEAR_MTU 9000
#define FAR_MTU  1500

/* One in memory: frames vanish, and what its back end offers is what the test says. */
struct paper_nic {
    struct net_dev dev;
    struct net_info info;
    bool released;
};

static int paper_nic_transmit(struct net_dev *dev __unused, const struct net_frame *frame __unused,
                              const struct net_piece *pieces __unused, unsigned n __unused)
{
    return 0;
}

static void paper_nic_info(struct net_dev *dev, struct net_info *info)
{
    *info = CONTAINER_OF(dev, struct paper_nic, dev)->info;
}

static void paper_nic_release(struct net_dev *dev)
{
    WRITE_ONCE(CONTAINER_OF(dev, struct paper_nic, dev)->released, true);
}

static const struct net_ops paper_nic_ops = {
    .transmit = paper_nic_transmit, .info = paper_nic_info, .release = paper_nic_release};

static void t_tcpip_signal(void *arg)
{
    sys_sem_signal(arg);
}

/* Waits until the stack has done what it was told before. */
static bool stack_is_idle(void)
{
    sys_sem_t done;

    CHECK(sys_sem_new(&done, 0) == ERR_OK);
    bool told = tcpip_callback(t_tcpip_signal, &done) == ERR_OK;
    if (told) {
        sys_sem_wait(&done);
    }
    sys_sem_free(&done);
    CHECK(told);
    return true;
}

static void note_end(void *arg, err_t err __unused)
{
    *(bool *)arg = true;
}

/* A connection over the interface, as if a peer had taken it. lwIP's lock is held. */
static struct tcp_pcb *paper_connection(const char *from, const char *to, u16_t mss, bool *ended)
{
    ip_addr_t remote;
    struct tcp_pcb *pcb = NULL;

    if (ipaddr_aton(to, &remote) && (pcb = tcp_new_ip_type(IP_GET_TYPE(&remote))) != NULL) {
        (void)ipaddr_aton(from, &pcb->local_ip);
        pcb->remote_ip = remote;
        pcb->local_port = pcb->remote_port = PORT;
        pcb->mss = mss;
        pcb->state = ESTABLISHED;
        tcp_arg(pcb, ended);
        tcp_err(pcb, note_end);
        TCP_REG_ACTIVE(pcb);
        ethif_bulk(pcb);
    }
    return pcb;
}

/* Both have segments for the near MTU; the back end cuts those of IPv4 only. */
static bool shrink_under_both(struct paper_nic *nic)
{
    bool ended[2] = {false};
    struct netif *netif;

    LOCK_TCPIP_CORE();
    netif = net_if_find(nic->dev.name);
    for (unsigned i = 0; netif != NULL && i < LWIP_IPV6_NUM_ADDRESSES; i++) {
        if (!ip6_addr_isinvalid(netif_ip6_addr_state(netif, i))) {
            netif_ip6_addr_set_state(netif, (s8_t)i, IP6_ADDR_PREFERRED);
        }
    }
    struct tcp_pcb *v4 = paper_connection("192.0.2.2", "192.0.2.1", FAR_MTU - 40, &ended[0]);
    struct tcp_pcb *v6 = paper_connection("2001:db8::2", "2001:db8::1", NEAR_MTU - 60, &ended[1]);
    bool cut = v4 != NULL && v4->mss > FAR_MTU;
    UNLOCK_TCPIP_CORE();
    nic->info.mtu = FAR_MTU;
    net_changed(&nic->dev);
    bool idle = stack_is_idle();
    LOCK_TCPIP_CORE();
    bool live = v4 != NULL && v6 != NULL && !ended[0] && !ended[1];
    bool shrunk = netif != NULL && netif->mtu == FAR_MTU;
    if (v4 != NULL && !ended[0]) {
        tcp_abort(v4);
    }
    if (v6 != NULL && !ended[1]) {
        tcp_abort(v6);
    }
    UNLOCK_TCPIP_CORE();
    CHECK(idle && shrunk);
    CHECK(cut);
    CHECK(live);
    return true;
}

/* What leaves as fragments now, as the back end cuts none of IPv6, takes nothing from IPv4. */
static bool a_smaller_mtu_ends_no_connection(void)
{
    static struct paper_nic nic;

    CHECK(net_stack_start() == 0);
    nic = (struct paper_nic){.info = {.mac = {2, 0, 0, 0, 0, 1},
                                      .mtu = NEAR_MTU,
                                      .carrier = true,
                                      .csum_v4 = true,
                                      .csum_v6 = true,
                                      .gso_v4 = true,
                                      .ip = "192.0.2.2/24,2001:db8::2/64"}};
    net_init(&nic.dev, "paper0", &paper_nic_ops);
    bool ok = net_register(&nic.dev) == 0 && shrink_under_both(&nic);
    net_withdraw(&nic.dev);
    bool idle = stack_is_idle();
    net_put(&nic.dev);
    CHECK(ok && idle);
    CHECK(nic.released);
    return true;
}

/* ---- a web server that cannot start ---- */

#define STARTS   200 /* each that leaks loses a KiB at the least */
#define SUPER_AT 1024

/* A disk in memory, of which only the superblock of an empty file system can be read. */
struct paper_disk {
    struct blk_dev dev;
    unsigned released;
};

static void paper_disk_submit(struct blk_dev *dev __unused, struct blk_req *req)
{
    /* struct ext4_super_block: inodes, blocks, ...; 1 KiB blocks, their first is block 1. */
    static const uint32_t super[] = {
        [0] = 16,   [1] = 8,   [5] = 1,          [8] = 8192,
        [9] = 8192, [10] = 16, [14] = 0x0001ef53 /* clean, and its magic number */
    };

    memset(req->buf, 0, req->nsectors << BLK_SECTOR_SHIFT);
    memcpy((char *)req->buf + SUPER_AT, super, sizeof(super));
    req->done(req, 0);
}

static void paper_disk_release(struct blk_dev *dev)
{
    CONTAINER_OF(dev, struct paper_disk, dev)->released++;
}

static const struct blk_ops paper_disk_ops = {.submit = paper_disk_submit,
                                              .release = paper_disk_release};

/* Somebody else listens at the port: no memory goes with it, and the disk stays the caller's. */
static bool start_in_vain(struct paper_disk *d)
{
    uint64_t lost;
    struct mem_stats before, after;
    const char *why = "";

    mem_get_stats(&before);
    for (unsigned i = 0; i < STARTS; i++) {
        int rc = httpd_start(&d->dev, PORT, &why);

        if (rc != -EADDRINUSE) {
            selftest_fail("httpd_start: %s, %s", errno_name(rc), why);
            return false;
        }
    }
    mem_get_stats(&after);
    lost = before.pages_free > after.pages_free ? before.pages_free - after.pages_free : 0;
    if (lost > STARTS * 1024 / PAGE_SIZE / 2) {
        selftest_fail("%lu pages are gone after %u starts", (unsigned long)lost, STARTS);
        return false;
    }
    CHECK(d->released == 0);
    return true;
}

static bool a_start_in_vain_keeps_nothing(void)
{
    struct paper_disk *d = kzalloc(sizeof(*d));
    err_t err;

    CHECK(d != NULL && net_stack_start() == 0);
    blk_init(&d->dev, "selftest", &paper_disk_ops);
    d->dev.info = (struct blk_info){.sectors = 16, .sector_size = BLK_SECTOR_SIZE};
    struct netconn *other = net_listen(PORT, TIMEOUT, &err);
    bool ok = other != NULL && blk_register(&d->dev) == 0 && start_in_vain(d);
    blk_withdraw(&d->dev);
    blk_put(&d->dev);
    bool once = d->released == 1;
    if (other != NULL) {
        netconn_delete(other);
    }
    kfree(d);
    CHECK(ok);
    CHECK(once);
    return true;
}

const struct selftest selftests_tcpip[] = {
    {.name = "tcpip-a-stream-arrives-as-it-was-sent-v4", .fn = stream_v4},
    {.name = "tcpip-a-stream-arrives-as-it-was-sent-v6", .fn = stream_v6},
    {.name = "tcpip-a-hundred-connections-leave-no-memory", .fn = many_connections, .slow = true},
    {.name = "tcpip-a-port-nobody-listens-on-refuses", .fn = nobody_listens},
    {.name = "tcpip-a-port-is-free-again-at-once", .fn = port_is_free_again},
    {.name = "tcpip-the-stack-keeps-to-its-quota", .fn = quota},
    {.name = "tcpip-a-smaller-mtu-ends-no-connection", .fn = a_smaller_mtu_ends_no_connection},
    {.name = "tcpip-a-web-server-that-cannot-start-keeps-nothing",
     .fn = a_start_in_vain_keeps_nothing},
    {.name = NULL},
};
