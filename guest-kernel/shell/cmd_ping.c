/*
 * cmd_ping.c - ping: ICMP and ICMPv6 echo.
 *
 * A raw protocol control block of lwIP gets every echo reply of the domain; those with this run's
 * identifier are ours. Locks: lwIP's covers struct ping. Suspend: requests under way are lost.
 */
#include "kern/mem.h"
#include "kern/string.h"
#include "kern/wait.h"
#include "lwip/dns.h"
#include "lwip/icmp.h"
#include "lwip/icmp6.h"
#include "lwip/inet_chksum.h"
#include "lwip/raw.h"
#include "lwip/tcpip.h"
#include "net/stack.h"
#include "psm/clock.h"
#include "shell/commands.h"

#define DEFAULT_SIZE 56u
#define SIZE_MAX_V4  65507u /* 65535 - 20 - 8 */
#define PATIENCE     (2 * NSEC_PER_SEC)
#define LOOK         (100 * NSEC_PER_MSEC)

typedef unsigned long ul;

struct ping {
    struct shell *sh;
    ip_addr_t to;
    char name[NET_ADDR_TEXT];
    unsigned count, size;
    struct raw_pcb *pcb;
    uint16_t id, seq; /* of the request under way */
    nsec_t sent_at, took;
    unsigned ttl;
    bool answered;
    struct waitq wq;
    unsigned sent, received;
    nsec_t shortest, longest, sum;
};

/* The byte at @i of every request's data. */
static uint8_t pattern(unsigned i)
{
    return (uint8_t)(i * 7 + 1);
}

static bool data_is_ours(const struct ping *p, const struct pbuf *buf, unsigned at)
{
    if (buf->tot_len != at + p->size) {
        return false;
    }
    for (unsigned i = 0; i < p->size; i++) {
        if (pbuf_get_at(buf, (u16_t)(at + i)) != pattern(i)) {
            return false;
        }
    }
    return true;
}

/* The tcpip thread has a packet with its IP header. Return: whether it was ours and is eaten. */
static u8_t on_packet(void *arg, struct raw_pcb *pcb, struct pbuf *buf, const ip_addr_t *from)
{
    struct ping *p = arg;
    struct icmp_echo_hdr echo;
    u16_t at = ip_current_header_tot_len();

    (void)pcb;
    (void)from;
    if (p->answered || pbuf_copy_partial(buf, &echo, sizeof(echo), at) != sizeof(echo) ||
        echo.type != (IP_IS_V6(&p->to) ? ICMP6_TYPE_EREP : ICMP_ER) ||
        echo.id != lwip_htons(p->id) || echo.seqno != lwip_htons(p->seq) ||
        !data_is_ours(p, buf, at + sizeof(echo))) {
        return 0;
    }
    p->took = clock_now() - p->sent_at;
    p->ttl = ip_current_is_v6() ? IP6H_HOPLIM(ip6_current_header()) : IPH_TTL(ip4_current_header());
    WRITE_ONCE(p->answered, true);
    waitq_wake_all(&p->wq);
    pbuf_free(buf);
    return 1;
}

/* lwIP's lock is held. */
static err_t send_request(struct ping *p)
{
    struct pbuf *buf =
        pbuf_alloc(PBUF_IP, (u16_t)(sizeof(struct icmp_echo_hdr) + p->size), PBUF_RAM);

    if (buf == NULL) {
        return ERR_MEM;
    }
    struct icmp_echo_hdr *echo = buf->payload;
    uint8_t *data = (uint8_t *)(echo + 1);
    *echo = (struct icmp_echo_hdr){.type = IP_IS_V6(&p->to) ? ICMP6_TYPE_EREQ : ICMP_ECHO,
                                   .id = lwip_htons(p->id),
                                   .seqno = lwip_htons(p->seq)};
    for (unsigned i = 0; i < p->size; i++) {
        data[i] = pattern(i);
    }
    if (IP_IS_V6(&p->to) == 0) {
        echo->chksum = inet_chksum(buf->payload, buf->len);
    }
    p->answered = false;
    p->sent_at = clock_now();
    err_t err = raw_sendto(p->pcb, buf, &p->to);
    pbuf_free(buf);
    return err;
}

static void note_answer(struct ping *p)
{
    ul us = p->took / NSEC_PER_USEC;

    p->received++;
    p->sum += p->took;
    p->longest = MAX(p->longest, p->took);
    p->shortest = p->received == 1 ? p->took : MIN(p->shortest, p->took);
    sh_printf(p->sh, "%u bytes from %s: seq=%u ttl=%u time=%lu.%03lu ms\n",
              (unsigned)sizeof(struct icmp_echo_hdr) + p->size, p->name, p->seq, p->ttl, us / 1000,
              us % 1000);
}

/* Sleeps until @deadline, the answer (if @answer), or ^C. */
static void wait_for(struct ping *p, nsec_t deadline, bool answer)
{
    while (clock_now() < deadline && !sh_interrupted(p->sh) &&
           !(answer && READ_ONCE(p->answered))) {
        (void)wait_event_until(&p->wq, answer && READ_ONCE(p->answered),
                               MIN(deadline, clock_now() + LOOK));
    }
}

static int one_round(struct ping *p)
{
    nsec_t next = clock_now() + NSEC_PER_SEC;

    LOCK_TCPIP_CORE();
    p->seq++;
    err_t err = send_request(p);
    UNLOCK_TCPIP_CORE();
    p->sent++;
    if (err != 0) {
        return sh_error(p->sh, "%s: %s", p->name, net_strerror(err));
    }
    wait_for(p, p->sent_at + PATIENCE, true);
    if (READ_ONCE(p->answered)) {
        note_answer(p);
    } else if (!sh_interrupted(p->sh)) {
        sh_printf(p->sh, "seq=%u: no answer\n", p->seq);
    }
    if (p->sent != p->count) {
        wait_for(p, next, false);
    }
    return SH_OK;
}

static int ping_run(struct ping *p)
{
    bool v6 = IP_IS_V6(&p->to);
    int status = SH_OK;

    LOCK_TCPIP_CORE();
    p->pcb =
        raw_new_ip_type(v6 ? IPADDR_TYPE_V6 : IPADDR_TYPE_V4, v6 ? IP6_NEXTH_ICMP6 : IP_PROTO_ICMP);
    if (p->pcb != NULL) {
        p->pcb->chksum_reqd = v6;
        p->pcb->chksum_offset = offsetof(struct icmp_echo_hdr, chksum);
        raw_recv(p->pcb, on_packet, p);
    }
    UNLOCK_TCPIP_CORE();
    if (p->pcb == NULL) {
        return sh_error(p->sh, "no memory");
    }
    while (status == 0 && (p->count == 0 || p->sent < p->count) && !sh_interrupted(p->sh)) {
        status = one_round(p);
    }
    LOCK_TCPIP_CORE();
    raw_remove(p->pcb);
    UNLOCK_TCPIP_CORE();
    ul avg = p->received != 0 ? p->sum / p->received / NSEC_PER_USEC : 0;
    sh_printf(p->sh, "%u sent, %u received, %u%% lost, min/avg/max %lu/%lu/%lu us\n", p->sent,
              p->received, p->sent != 0 ? (p->sent - p->received) * 100 / p->sent : 0,
              (ul)(p->shortest / NSEC_PER_USEC), avg, (ul)(p->longest / NSEC_PER_USEC));
    return status != 0 ? status : p->received != 0 ? SH_OK : SH_FAIL;
}

static bool ping_interrupted(void *arg)
{
    return sh_interrupted(arg);
}

static int ping_parse(struct ping *p, int argc, char **argv, uint8_t *type, const char **host)
{
    uint64_t value;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-6") == 0) {
            *type = LWIP_DNS_ADDRTYPE_IPV6;
        } else if ((strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "-s") == 0) && i + 1 < argc) {
            unsigned *field = argv[i][1] == 'c' ? &p->count : &p->size;

            if (parse_u64(argv[++i], &value) != 0 ||
                value > (field == &p->size ? SIZE_MAX_V4 : 1000000)) {
                return sh_error(p->sh, "%s: not a number, or too large", argv[i]);
            }
            *field = (unsigned)value;
        } else if (argv[i][0] == '-' || *host != NULL) {
            return SH_USAGE;
        } else {
            *host = argv[i];
        }
    }
    return *host != NULL ? SH_OK : SH_USAGE;
}

static int cmd_ping(struct shell *sh, int argc, char **argv)
{
    struct ping p = {.sh = sh, .size = DEFAULT_SIZE};
    uint8_t type = LWIP_DNS_ADDRTYPE_IPV4_IPV6;
    const char *host = NULL;
    int status = ping_parse(&p, argc, argv, &type, &host);

    if (status != 0) {
        return status;
    }
    if (net_stack_start() != 0) {
        return sh_error(sh, "no memory for the network");
    }
    int rc = net_resolve(host, type, ping_interrupted, sh, &p.to);
    if (rc != 0) {
        return rc == -EAGAIN ? SH_INTERRUPTED : sh_error(sh, "%s: no such host", host);
    }
    net_addr_text(&p.to, p.name, sizeof(p.name));
    waitq_init(&p.wq, "ping");
    p.id = (uint16_t)LWIP_RAND();
    sh_printf(sh, "ping %s (%s): %u bytes of data\n", host, p.name, p.size);
    return ping_run(&p);
}

const struct sh_command ping_commands[] = {
    {"ping", "ping [-6] [-c COUNT] [-s SIZE] HOST", "ask a host for echoes",
     "One request of SIZE bytes of data (56) a second, COUNT of them, else until ^C. HOST is an\n"
     "address of IPv4 or IPv6 or a name; -6 looks for the name's IPv6 address. A link-local\n"
     "address may say its interface: fe80::1%et0. The status is 0 if an answer came.\n",
     ARGS_NONE, cmd_ping},
    {0},
};
