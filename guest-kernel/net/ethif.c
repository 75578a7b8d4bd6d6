/*
 * ethif.c - frames between lwIP and a driver.
 *
 * In: the driver's upcall copies a frame once into memory of the stack, queues it and posts a
 * message that is under way at most once per interface; the tcpip thread takes frames in
 * batches. Out: lwIP's output, under its lock, hands the driver the pieces, which copies them. When
 * there is no room the segment stays with TCP, and goes as soon as the driver says that there is.
 * Connections that send much (ethif_bulk()) have segments of several times what the peer takes at
 * once; they leave as one frame, which the back end cuts. lwIP, which knows no such thing, would
 * fragment it: the MTU is hidden from it between its hook for a segment and our output function.
 * The same message carries the driver's other news, so that nothing of lwIP runs in its context.
 * The mailbox has room for every such message: one for each interface, one for each loopback.
 * Locks, in order: lwIP's, rx_lock (spinlock, a leaf). Suspend: the driver lets the carrier go and
 * come, which has lwIP announce its addresses and ask DHCP again; queued frames are taken after.
 */
#include "net/ethif.h"

#include "kern/log.h"
#include "kern/string.h"
#include "kern/wait.h"
#include "lwip/dhcp.h"
#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/nd6.h"
#include "lwip/pbuf.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/prot/ip6.h"
#include "net/heap.h"
#include "net/port/hooks.h"
#include "net/stack.h"
#include "netif/ethernet.h"
#include "os/cmdline.h"

#define RX_QUEUE_BYTES (1024 * 1024ul)
#define RX_BATCH       64
#define BULK_ARG       0     /* of a connection's extra arguments, which nobody else uses */
#define BULK_SEGMENT   15000 /* bytes of a large segment: with its headers it fits four pages */

enum { EV_RX = 1, EV_WRITABLE = 2, EV_CHANGED = 4, EV_GONE = 8 };

/* Checks that do not depend on what the sender vouches for. */
#define CHECK_ALWAYS \
    (NETIF_CHECKSUM_CHECK_IP | NETIF_CHECKSUM_CHECK_ICMP | NETIF_CHECKSUM_CHECK_ICMP6)
#define CHECK_DATA (NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_UDP)
#define GENERATE                                                                \
    (NETIF_CHECKSUM_GEN_IP | NETIF_CHECKSUM_GEN_UDP | NETIF_CHECKSUM_GEN_ICMP | \
     NETIF_CHECKSUM_GEN_ICMP6)

/* A received frame: lwIP's buffer with its bytes behind it. */
struct rx_frame {
    struct pbuf_custom pc; /* first: lwIP gives it back */
    struct rx_frame *next;
    bool trusted; /* TCP's and UDP's checksums need no look */
    uint8_t bytes[];
};

static struct waitq room_wq = WAITQ(room_wq, "net-room");
static unsigned room; /* how often one had room again. Atomic */

static void ethif_kick(struct ethif *e, unsigned event)
{
    __atomic_or_fetch(&e->events, event, __ATOMIC_RELEASE);
    if (!__atomic_exchange_n(&e->posted, true, __ATOMIC_ACQ_REL) &&
        tcpip_callbackmsg_trycallback_fromisr(e->msg) != ERR_OK) {
        panic("%s: the tcpip thread's mailbox is full", e->name);
    }
}

/* ---- in ---- */

static void rx_free(struct pbuf *p)
{
    heap_free(CONTAINER_OF((struct pbuf_custom *)p, struct rx_frame, pc));
}

static void copy_in(uint8_t *to, const struct net_piece *pieces, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        memcpy(to, pieces[i].base, pieces[i].len);
        to += pieces[i].len;
    }
}

/* Queues a copy; false when there is no room. */
static bool rx_take(struct ethif *e, const struct net_frame *frame, const struct net_piece *pieces,
                    unsigned n)
{
    struct rx_frame *f = READ_ONCE(e->rx_bytes) + frame->len <= RX_QUEUE_BYTES
                             ? heap_alloc(sizeof(*f) + frame->len)
                             : NULL;

    if (f == NULL) {
        return false;
    }
    copy_in(f->bytes, pieces, n);
    f->pc.custom_free_function = rx_free;
    f->trusted = frame->csum_blank || frame->csum_valid;
    f->next = NULL;
    (void)pbuf_alloced_custom(PBUF_RAW, (u16_t)frame->len, PBUF_RAM, &f->pc, f->bytes,
                              (u16_t)frame->len);
    upcall_state_t state = spin_lock(&e->rx_lock);
    *e->rx_last = f;
    e->rx_last = &f->next;
    e->rx_bytes += frame->len;
    spin_unlock(&e->rx_lock, state);
    return true;
}

static void on_receive(void *arg, const struct net_frame *frame, const struct net_piece *pieces,
                       unsigned n)
{
    struct ethif *e = arg;

    if (frame->len <= NET_FRAME_MAX && rx_take(e, frame, pieces, n)) {
        ethif_kick(e, EV_RX);
    } else {
        e->rx_dropped++;
    }
}

static struct rx_frame *rx_next(struct ethif *e)
{
    upcall_state_t state = spin_lock(&e->rx_lock);
    struct rx_frame *f = e->rx_first;

    if (f != NULL) {
        e->rx_first = f->next;
        e->rx_bytes -= f->pc.pbuf.tot_len;
        if (e->rx_first == NULL) {
            e->rx_last = &e->rx_first;
        }
    }
    spin_unlock(&e->rx_lock, state);
    return f;
}

/* lwIP makes all checksums of TCP or none: what it makes in vain is blanked again by describe(). */
static u16_t generated(const struct ethif *e)
{
    return GENERATE | (e->csum_v4 && e->csum_v6 ? 0 : NETIF_CHECKSUM_GEN_TCP);
}

/*
 * One frame into lwIP. Between frames the interface checks no data: what then comes in was sent by
 * this host to itself, maybe without checksums.
 */
static void ethif_deliver(struct ethif *e, struct rx_frame *f)
{
    u16_t base = generated(e) | CHECK_ALWAYS;

    NETIF_SET_CHECKSUM_CTRL(&e->netif, base | (f->trusted ? 0 : CHECK_DATA));
    if (e->netif.input(&f->pc.pbuf, &e->netif) != ERR_OK) {
        pbuf_free(&f->pc.pbuf);
    }
    NETIF_SET_CHECKSUM_CTRL(&e->netif, base);
}

static void rx_batch(struct ethif *e)
{
    struct rx_frame *f = NULL;

    for (unsigned i = 0; i < RX_BATCH && (f = rx_next(e)); i++) {
        ethif_deliver(e, f);
    }
    if (f != NULL) {
        ethif_kick(e, EV_RX);
    }
}

/* ---- out ---- */

/* Where the headers of a TCP segment are. lwIP keeps all of them in its first buffer. */
struct headers {
    uint8_t *ip;
    struct tcp_hdr *tcp;
    unsigned at; /* bytes before the TCP header */
    bool v6;
};

static bool find_headers(struct pbuf *p, struct headers *h)
{
    uint8_t *eth = p->payload;

    if (p->len < SIZEOF_ETH_HDR + IP_HLEN + TCP_HLEN) {
        return false;
    }
    uint16_t type = (uint16_t)(eth[12] << 8 | eth[13]);
    h->ip = eth + SIZEOF_ETH_HDR;
    h->v6 = type == ETHTYPE_IPV6;
    h->at = SIZEOF_ETH_HDR + (h->v6 ? IP6_HLEN : (h->ip[0] & 15u) * 4);
    h->tcp = (struct tcp_hdr *)(eth + h->at);
    return (h->v6 || type == ETHTYPE_IP) && h->ip[h->v6 ? 6 : 9] == IP_PROTO_TCP &&
           p->len >= h->at + TCP_HLEN;
}

/* Puts the pseudo header's sum where lwIP left the checksum out; the other end goes on from it. */
static void blank_checksum(const struct pbuf *p, const struct headers *h)
{
    uint32_t sum = lwip_htons(IP_PROTO_TCP) + lwip_htons((u16_t)(p->tot_len - h->at));
    const uint8_t *addrs = h->ip + (h->v6 ? 8 : 12);

    for (unsigned i = 0; i < (h->v6 ? 16 : 4); i++) {
        uint16_t word;

        memcpy(&word, addrs + 2 * i, sizeof(word));
        sum += word;
    }
    sum = (sum & 0xffff) + (sum >> 16);
    h->tcp->chksum = (u16_t)((sum & 0xffff) + (sum >> 16));
}

/* What the peer of a connection with large segments takes at once, 0 for others. */
static u16_t bulk_size(const struct tcp_pcb *pcb)
{
    return (u16_t)(uintptr_t)tcp_ext_arg_get(pcb, BULK_ARG);
}

/* What the peer of a large segment takes at once; never more than the interface does. */
static u16_t cut_size(const struct ethif *e, const struct headers *h)
{
    u16_t most = (u16_t)(e->netif.mtu - (h->at - SIZEOF_ETH_HDR) - TCP_HLEN);

    for (const struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next) {
        if (lwip_htons(pcb->local_port) == h->tcp->src &&
            lwip_htons(pcb->remote_port) == h->tcp->dest &&
            memcmp(&pcb->remote_ip, h->ip + (h->v6 ? 24 : 16), h->v6 ? 16 : 4) == 0 &&
            bulk_size(pcb) != 0) {
            return LWIP_MIN(most, bulk_size(pcb));
        }
    }
    return most;
}

static void describe(const struct ethif *e, struct pbuf *p, struct net_frame *frame)
{
    struct headers h;

    *frame = (struct net_frame){.len = p->tot_len};
    if (!find_headers(p, &h) || !(h.v6 ? e->csum_v6 : e->csum_v4)) {
        return;
    }
    blank_checksum(p, &h);
    frame->csum_blank = true;
    if (p->tot_len > SIZEOF_ETH_HDR + e->netif.mtu) {
        frame->gso = h.v6 ? NET_GSO_TCPV6 : NET_GSO_TCPV4;
        frame->gso_size = cut_size(e, &h);
    }
}

static unsigned ethif_gather(const struct pbuf *p, struct net_piece *pieces)
{
    unsigned n = 0;

    for (; p != NULL && n <= NET_PIECES_MAX; p = p->next) {
        if (p->len != 0 && n < NET_PIECES_MAX) {
            pieces[n] = (struct net_piece){.base = p->payload, .len = p->len};
        }
        n += p->len != 0;
    }
    return n;
}

static err_t transmit(struct ethif *e, struct pbuf *p)
{
    struct net_piece pieces[NET_PIECES_MAX];
    struct net_frame frame;
    unsigned n = ethif_gather(p, pieces);

    describe(e, p, &frame);

    if (n > NET_PIECES_MAX) {
        struct pbuf *whole = pbuf_clone(PBUF_RAW, PBUF_RAM, p);
        err_t err = whole != NULL ? transmit(e, whole) : ERR_MEM;

        if (whole != NULL) {
            pbuf_free(whole);
        }
        return err;
    }
    switch (net_transmit(e->dev, &frame, pieces, n)) {
    case 0:
        return ERR_OK;
    case -EAGAIN:
        return ERR_MEM;
    case -EMSGSIZE:
        return ERR_VAL;
    default:
        return ERR_IF;
    }
}

static err_t output(struct netif *netif, struct pbuf *p)
{
    return transmit(netif->state, p);
}

static void show_mtu(struct netif *netif)
{
    const struct ethif *e = netif->state;

    if (netif->mtu == 0) {
        netif->mtu = e->mtu;
        netif->mtu6 = e->mtu6;
    }
}

static err_t output4(struct netif *netif, struct pbuf *p, const ip4_addr_t *to)
{
    show_mtu(netif);
    return etharp_output(netif, p, to);
}

static err_t output6(struct netif *netif, struct pbuf *p, const ip6_addr_t *to)
{
    show_mtu(netif);
    return ethip6_output(netif, p, to);
}

static struct ethif *ethif_to(const struct tcp_pcb *pcb)
{
    struct netif *netif = ip_route(&pcb->local_ip, &pcb->remote_ip);

    return netif != NULL ? ethif_of(netif) : NULL;
}

/* lwIP's hook: the next thing that it does is to look at the MTU. Resets may have no connection. */
u32_t *ethif_segment(struct pbuf *p, const struct tcp_pcb *pcb, u32_t *opts)
{
    struct ethif *e = pcb != NULL && bulk_size(pcb) != 0 ? ethif_to(pcb) : NULL;

    if (e != NULL) {
        show_mtu(&e->netif);
        if (p->tot_len + IP6_HLEN > e->netif.mtu) {
            e->mtu = e->netif.mtu;
            e->mtu6 = e->netif.mtu6;
            e->netif.mtu = e->netif.mtu6 = 0;
        }
    }
    return opts;
}

/* Whether the other end cuts this connection's large segments. */
static bool is_cut(const struct ethif *e, const struct tcp_pcb *pcb)
{
    return IP_IS_V6_VAL(pcb->remote_ip) ? e->csum_v6 && e->gso_v6 : e->csum_v4 && e->gso_v4;
}

void ethif_bulk(struct tcp_pcb *pcb)
{
    const struct ethif *e = ethif_to(pcb);
    bool can = e != NULL && is_cut(e, pcb);

    if (can && pcb->state == ESTABLISHED && bulk_size(pcb) == 0 && pcb->mss != 0 &&
        pcb->mss <= BULK_SEGMENT / 2 && ip_addr_cmp(&pcb->local_ip, &pcb->remote_ip) == 0) {
        tcp_ext_arg_set(pcb, BULK_ARG, (void *)(uintptr_t)pcb->mss);
        pcb->mss = (u16_t)(BULK_SEGMENT / pcb->mss * pcb->mss);
        pcb->cwnd = LWIP_MAX(pcb->cwnd, pcb->mss); /* about the ten segments of RFC 6928 */
        tcp_nagle_disable(pcb);
    }
}

/* Connections with large segments cannot go on over an interface that cuts none. */
static void end_bulk(const struct ethif *e)
{
    struct tcp_pcb *pcb = tcp_active_pcbs;

    while (pcb != NULL) {
        if (bulk_size(pcb) != 0 && ethif_to(pcb) == e && !is_cut(e, pcb)) {
            log_warn("%s: a connection is ended: the new back end does not segment", e->name);
            tcp_abort(pcb);
            pcb = tcp_active_pcbs;
        } else {
            pcb = pcb->next;
        }
    }
}

/*
 * The MTU may have gone down under open connections. lwIP looks at it when a connection is made, so
 * each still has segments that fit the old one, and must keep them: some wait already, and lwIP
 * appends to them. Who can leave the cutting to the back end does, as one with large segments. Else
 * what is too long leaves as fragments of IP, for which lwIP has to make the checksums: those of
 * this version of IP, while connections of the other go on as they were.
 */
static void fit_connections(struct ethif *e)
{
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next) {
        u16_t size = bulk_size(pcb) != 0 ? bulk_size(pcb) : pcb->mss;
        u16_t fits =
            ethif_to(pcb) == e ? tcp_eff_send_mss(size, &pcb->local_ip, &pcb->remote_ip) : size;

        if (fits < size && is_cut(e, pcb)) {
            tcp_ext_arg_set(pcb, BULK_ARG, (void *)(uintptr_t)fits);
        } else if (fits < size) {
            *(IP_IS_V6_VAL(pcb->remote_ip) ? &e->csum_v6 : &e->csum_v4) = false;
        }
    }
}

/* ---- news ---- */

/*
 * Takes over what the driver says now. A carrier that goes is not told to lwIP, which would end
 * what is being written as if there were no way to the peer; frames are refused meanwhile. When it
 * comes, lwIP sees it go and come.
 */
static void update(struct ethif *e)
{
    struct net_info info;

    net_get_info(e->dev, &info);
    show_mtu(&e->netif);
    bool shrinks = info.mtu < e->netif.mtu;
    e->netif.mtu = info.mtu;
    e->netif.mtu6 = info.mtu;
    e->csum_v4 = info.csum_v4;
    e->csum_v6 = info.csum_v6;
    e->gso_v4 = info.gso_v4;
    e->gso_v6 = info.gso_v6;
    if (shrinks) {
        nd6_clear_destination_cache(); /* it remembers the old MTU */
    }
    fit_connections(e);
    NETIF_SET_CHECKSUM_CTRL(&e->netif, generated(e) | CHECK_ALWAYS);
    if (info.carrier) {
        end_bulk(e);
        netif_set_link_down(&e->netif);
        netif_set_link_up(&e->netif);
        tcp_txnow();
    }
}

static void ethif_release(struct ethif *e)
{
    tcpip_callbackmsg_delete(e->msg);
    heap_free(e);
}

struct ethif *ethif_of(const struct netif *netif)
{
    return netif->linkoutput == output ? netif->state : NULL;
}

/* Another interface serves as the default when that one is gone. */
static void choose_default(void)
{
    struct netif *netif;

    NETIF_FOREACH(netif)
    {
        if (netif_default == NULL && ethif_of(netif) != NULL) {
            netif_set_default(netif);
        }
    }
}

/* After net_close() no function of the driver's user runs; a message may still be under way. */
static void ethif_take_down(struct ethif *e)
{
    struct rx_frame *f;

    net_close(e->dev);
    dhcp_stop(&e->netif);
    dhcp_cleanup(&e->netif);
    netif_remove(&e->netif);
    choose_default();
    net_put(e->dev);
    while ((f = rx_next(e))) {
        pbuf_free(&f->pc.pbuf);
    }
    log_info("%s: gone", e->name);
    if (__atomic_load_n(&e->posted, __ATOMIC_ACQUIRE)) {
        e->dead = true;
    } else {
        ethif_release(e);
    }
}

/* In the tcpip thread, with lwIP's lock. */
static void ethif_work(void *arg)
{
    struct ethif *e = arg;

    __atomic_store_n(&e->posted, false, __ATOMIC_SEQ_CST);
    unsigned events = __atomic_exchange_n(&e->events, 0, __ATOMIC_ACQ_REL);

    if (e->dead) {
        ethif_release(e);
    } else if (events & EV_GONE) {
        ethif_take_down(e);
    } else {
        if (events & EV_CHANGED) {
            update(e);
        }
        if (events & EV_RX) {
            rx_batch(e);
        }
        if (events & EV_WRITABLE) {
            tcp_txnow();
        }
    }
}

static void on_writable(void *arg)
{
    __atomic_add_fetch(&room, 1, __ATOMIC_RELEASE);
    waitq_wake_all(&room_wq);
    ethif_kick(arg, EV_WRITABLE);
}

unsigned net_room(void)
{
    return __atomic_load_n(&room, __ATOMIC_ACQUIRE);
}

void net_room_wait(unsigned seen, nsec_t deadline)
{
    (void)wait_event_until(&room_wq, net_room() != seen, deadline);
}

static void on_changed(void *arg)
{
    ethif_kick(arg, EV_CHANGED);
}

static void on_gone(void *arg)
{
    ethif_kick(arg, EV_GONE);
}

static const struct net_user ethif_user = {
    .receive = on_receive,
    .writable = on_writable,
    .changed = on_changed,
    .gone = on_gone,
};

/* ---- arrival ---- */

/* Says each new address of IPv4. */
static void ethif_say_address(struct netif *netif)
{
    struct ethif *e = netif->state;
    char text[IP4ADDR_STRLEN_MAX];

    if (ip4_addr_cmp(&e->said, netif_ip4_addr(netif))) {
        return;
    }
    ip4_addr_copy(e->said, *netif_ip4_addr(netif));
    ip4addr_ntoa_r(&e->said, text, sizeof(text));
    log_info("%s: address %s", e->name, ip4_addr_isany(&e->said) ? "given back" : text);
}

static err_t init(struct netif *netif)
{
    struct ethif *e = netif->state;
    struct net_info info;

    net_get_info(e->dev, &info);
    memcpy(netif->hwaddr, info.mac, NET_MAC_LEN);
    netif->hwaddr_len = NET_MAC_LEN;
    netif->name[0] = 'e';
    netif->name[1] = 't';
    netif->mtu = netif->mtu6 = info.mtu;
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET |
                   NETIF_FLAG_IGMP | NETIF_FLAG_MLD6;
    netif->output = output4;
    netif->output_ip6 = output6;
    netif->linkoutput = output;
    netif_set_status_callback(netif, ethif_say_address);
    groups_begin(netif);
    return ERR_OK;
}

/* The kernel's command line is asked first, then the toolstack. */
static void configure(struct ethif *e)
{
    struct net_info info;
    char key[NET_NAME_MAX + 3];
    const char *bad;

    net_get_info(e->dev, &info);
    snprintf(key, sizeof(key), "ip.%s", e->name);
    const char *text = cmdline_get(key);
    if (text == NULL && strcmp(e->name, "eth0") == 0) {
        text = cmdline_get("ip");
    }
    if (text == NULL) {
        text = info.ip;
    }
    if (net_configure(&e->netif, text, &bad) != 0) {
        log_warn("%s: '%s' in ip=%s is no address, gw=, dns=, dhcp or none: trying DHCP", e->name,
                 bad, text);
        (void)net_configure(&e->netif, "dhcp", &bad);
    }
}

static struct ethif *ethif_make(struct net_dev *dev)
{
    struct ethif *e = heap_calloc(1, sizeof(*e));

    if (e == NULL || !(e->msg = tcpip_callbackmsg_new(ethif_work, e))) {
        heap_free(e);
        return NULL;
    }
    strlcpy(e->name, dev->name, sizeof(e->name));
    spin_init(&e->rx_lock, "ethif rx");
    e->rx_last = &e->rx_first;
    e->dev = net_get(dev->name);
    return e;
}

void ethif_arrived(struct net_dev *dev)
{
    struct ethif *e = net_stack_start() != 0 ? NULL : ethif_make(dev);

    if (e == NULL) {
        log_err("%s: no memory to serve it", dev->name);
        return;
    }
    LOCK_TCPIP_CORE();
    bool added = e->dev != NULL && netif_add_noaddr(&e->netif, e, init, ethernet_input) != NULL;
    int rc = added ? net_open(e->dev, &ethif_user, e) : -ENODEV;
    if (rc == 0) {
        choose_default();
        netif_set_up(&e->netif);
        update(e);
        configure(e);
    } else {
        log_err("%s: not served: %s", e->name, errno_name(rc));
        if (added) {
            netif_remove(&e->netif);
        }
        if (e->dev != NULL) {
            net_put(e->dev);
        }
        ethif_release(e);
    }
    UNLOCK_TCPIP_CORE();
}
