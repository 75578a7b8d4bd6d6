/*
 * cmd_iperf.c - iperf: how fast TCP and UDP are, with version 2 of the program of that name as the
 * peer. Here are its options and TCP; iperf_udp.c has UDP.
 *
 * TCP's protocol needs nothing in the server's direction: a stream begins with a header of 24 bytes
 * whose flags, all zero, ask for no test back; the rest is data until the stream ends. lwIP's own
 * lwiperf has fixed times and cannot be interrupted, so it is not used. No state but the running
 * command's. Suspend: the stream goes on.
 */
#include "kern/string.h"
#include "lwip/api.h"
#include "lwip/dns.h"
#include "lwip/tcpip.h"
#include "net/stack.h"
#include "psm/clock.h"
#include "shell/commands.h"
#include "shell/iperf.h"

#define IPERF_PORT 5001
#define CHUNK      (32 * 1024)
#define HOST_MAX   256
#define UDP_RATE   1000000 /* bit/s, as iperf has it */
#define UDP_LEAST  16      /* bytes of a datagram: its header */
#define UDP_MOST   65507

typedef unsigned long ul;

/* Zeros, with the header among them: sent from here without a copy. */
static const uint8_t data[CHUNK];

static bool iperf_interrupted(void *arg)
{
    return sh_interrupted(arg);
}

void iperf_rate(struct shell *sh, const char *what, uint64_t bytes, uint64_t took_us)
{
    ul us = MAX(took_us, 1u);
    ul kbit = bytes * 8000 / us;

    sh_printf(sh, "%s %lu bytes in %lu.%03lu s, %lu.%03lu Mbit/s", what, (ul)bytes, us / 1000000,
              us / 1000 % 1000, kbit / 1000, kbit % 1000);
}

static void iperf_say_report(struct shell *sh, const char *what, uint64_t bytes, nsec_t took)
{
    iperf_rate(sh, what, bytes, took / NSEC_PER_USEC);
    sh_printf(sh, "\n");
}

/* The interface of @place. lwIP's lock is held. */
static int place_interface(struct iperf *o, struct iperf_place *place, const char *name)
{
    bool group = ip_addr_ismulticast(&place->addr);
    struct netif *netif = name != NULL ? net_if_find(name) : group ? netif_default : NULL;

    if ((name != NULL || group) && netif == NULL) {
        return sh_error(o->sh, "there is no interface %s",
                        name != NULL ? name : "that leads anywhere");
    }
    place->interface = netif != NULL ? netif_get_index(netif) : NETIF_NO_INDEX;
    if (netif != NULL && IP_IS_V6(&place->addr)) {
        ip6_addr_assign_zone(ip_2_ip6(&place->addr), IP6_UNKNOWN, netif);
    }
    return SH_OK;
}

int iperf_find(struct iperf *o, const char *text, struct iperf_place *place)
{
    char host[HOST_MAX];

    strlcpy(host, text, sizeof(host));
    char *name = strchr(host, '%');
    if (name != NULL) {
        *name++ = '\0';
    }
    int rc = net_resolve(host, LWIP_DNS_ADDRTYPE_IPV4_IPV6, iperf_interrupted, o->sh, &place->addr);
    if (rc != 0) {
        return rc == -EAGAIN ? SH_INTERRUPTED : sh_error(o->sh, "%s: no such host", host);
    }
    LOCK_TCPIP_CORE();
    int status = place_interface(o, place, name);
    UNLOCK_TCPIP_CORE();
    return status;
}

/* Takes one stream to its end. */
static int take_stream(struct shell *sh, struct netconn *conn)
{
    char name[NET_ADDR_TEXT];
    ip_addr_t from;
    u16_t port;
    uint64_t bytes = 0;
    struct pbuf *p;
    err_t err;

    if (netconn_peer(conn, &from, &port) == ERR_OK) {
        net_addr_text(&from, name, sizeof(name));
        sh_printf(sh, "stream from %s port %u\n", name, port);
    }
    netconn_set_recvtimeout(conn, IPERF_LOOK);
    nsec_t start = clock_now();
    while ((err = netconn_recv_tcp_pbuf(conn, &p)) == ERR_OK || err == ERR_TIMEOUT) {
        if (err == ERR_OK) {
            bytes += p->tot_len;
            pbuf_free(p);
        }
        if (sh_interrupted(sh)) {
            return SH_INTERRUPTED;
        }
    }
    iperf_say_report(sh, "received", bytes, clock_now() - start);
    return err == ERR_CLSD ? SH_OK : sh_error(sh, "%s", net_strerror(err));
}

static int iperf_serve(struct iperf *o)
{
    err_t err;
    struct netconn *listener = net_listen((u16_t)o->port, IPERF_LOOK, &err), *conn;
    int status = SH_OK;

    if (listener == NULL) {
        return sh_error(o->sh, "port %lu: %s", (ul)o->port, net_strerror(err));
    }
    sh_printf(o->sh, "serving port %lu\n", (ul)o->port);
    for (uint64_t done = 0; status == 0 && (o->streams == 0 || done < o->streams);) {
        err = netconn_accept(listener, &conn);
        if (err == ERR_OK) {
            status = take_stream(o->sh, conn);
            netconn_delete(conn);
            done++;
        } else if (err != ERR_TIMEOUT) {
            status = sh_error(o->sh, "%s", net_strerror(err));
        }
        if (sh_interrupted(o->sh)) {
            status = SH_INTERRUPTED;
        }
    }
    netconn_delete(listener);
    return status;
}

/* Throws away what the peer sent, which would wait for us to take it. */
static void drain(struct netconn *conn)
{
    struct pbuf *p;

    while (netconn_recv_tcp_pbuf_flags(conn, &p, NETCONN_DONTBLOCK) == ERR_OK) {
        pbuf_free(p);
    }
}

static int iperf_send_stream(struct iperf *o, struct netconn *conn)
{
    nsec_t start = clock_now();
    nsec_t end = o->bytes != 0 ? NSEC_FOREVER : start + o->seconds * NSEC_PER_SEC;
    uint64_t sent = 0;
    err_t err = ERR_OK;

    net_bulk(conn);
    netconn_set_sendtimeout(conn, IPERF_LOOK);
    while (err == 0 && clock_now() < end && (o->bytes == 0 || sent < o->bytes) &&
           !sh_interrupted(o->sh)) {
        size_t want = o->bytes != 0 ? MIN(o->bytes - sent, CHUNK) : CHUNK;
        size_t written = 0;

        err = netconn_write_partly(conn, data, want, NETCONN_NOCOPY, &written);
        sent += written;
        drain(conn);
        err = err == ERR_WOULDBLOCK || err == ERR_TIMEOUT ? ERR_OK : err;
    }
    iperf_say_report(o->sh, "sent", sent, clock_now() - start);
    if (err != 0) {
        return sh_error(o->sh, "%s: %s", o->host, net_strerror(err));
    }
    return sh_interrupted(o->sh) ? SH_INTERRUPTED : SH_OK;
}

static int connect_and_send(struct iperf *o)
{
    struct iperf_place to;
    int status = iperf_find(o, o->host, &to);

    if (status != 0) {
        return status;
    }
    struct netconn *conn = netconn_new(IP_IS_V6(&to.addr) ? NETCONN_TCP_IPV6 : NETCONN_TCP);
    if (conn == NULL) {
        return sh_error(o->sh, "no memory");
    }
    err_t err = netconn_connect(conn, &to.addr, (u16_t)o->port);
    status = err != 0 ? sh_error(o->sh, "%s port %lu: %s", o->host, (ul)o->port, net_strerror(err))
                      : iperf_send_stream(o, conn);
    netconn_delete(conn);
    return status;
}

/* "10M": bits a second, in steps of 1000 as networks have them; "500pps": datagrams a second. */
static int parse_rate(struct iperf *o, const char *text)
{
    static const char units[] = "kmg";
    char number[24];
    uint64_t factor = 1, value;

    strlcpy(number, text, sizeof(number));
    size_t len = strlen(number);
    bool packets = len > 3 && strcmp(number + len - 3, "pps") == 0;
    if (packets) {
        number[len -= 3] = '\0';
    }
    for (unsigned i = 0; len > 1 && units[i] != 0; i++) {
        if ((number[len - 1] | ' ') == units[i]) {
            number[--len] = '\0';
            factor = i == 0 ? 1000ull : i == 1 ? 1000000ull : 1000000000ull;
        }
    }
    if (parse_u64(number, &value) != 0 || value > 1000000000 || value * factor > 1000000000000ull) {
        return sh_error(o->sh, "%s is no rate up to 1000G", text);
    }
    o->per_second = packets ? value * factor : 0;
    o->rate = packets ? 0 : value * factor;
    return SH_OK;
}

/* The option @name with a word of its own. */
static int parse_value(struct iperf *o, const char *name, const char *value)
{
    uint64_t *number = strcmp(name, "-p") == 0   ? &o->port
                       : strcmp(name, "-t") == 0 ? &o->seconds
                       : strcmp(name, "-n") == 0 ? &o->bytes
                       : strcmp(name, "-P") == 0 ? &o->streams
                       : strcmp(name, "-l") == 0 ? &o->length
                       : strcmp(name, "-T") == 0 ? &o->ttl
                                                 : NULL;

    if (strcmp(name, "-c") == 0) {
        o->client = true;
        o->host = value;
    } else if (strcmp(name, "-B") == 0) {
        o->group = value;
    } else if (strcmp(name, "-b") == 0) {
        return parse_rate(o, value);
    } else if (number == NULL) {
        return SH_USAGE;
    } else if (parse_u64(value, number) != 0) {
        return sh_error(o->sh, "%s is no number", value);
    }
    return SH_OK;
}

static int iperf_parse(struct iperf *o, int argc, char **argv)
{
    int status = SH_OK;

    for (int i = 1; i < argc && status == 0; i++) {
        if (strcmp(argv[i], "-s") == 0) {
            o->server = true;
        } else if (strcmp(argv[i], "-u") == 0) {
            o->udp = true;
        } else if (i + 1 == argc) {
            status = SH_USAGE;
        } else {
            status = parse_value(o, argv[i], argv[i + 1]);
            i++;
        }
    }
    if (status == 0 && o->length != 0 && (o->length < UDP_LEAST || o->length > UDP_MOST)) {
        return sh_error(o->sh, "a datagram has %d to %d bytes", UDP_LEAST, UDP_MOST);
    }
    bool fits = (o->server != o->client && o->port != 0 && o->port <= UINT16_MAX && o->ttl &&
                 o->ttl <= UINT8_MAX && o->seconds <= UINT32_MAX / 1000) != 0 &&
                (o->group == NULL || (o->udp && o->server)) && (o->length == 0 || o->udp);
    return status != 0 ? status : fits ? SH_OK : SH_USAGE;
}

static int cmd_iperf(struct shell *sh, int argc, char **argv)
{
    struct iperf o = {.sh = sh, .port = IPERF_PORT, .seconds = 10, .ttl = 1, .rate = UDP_RATE};
    int status = iperf_parse(&o, argc, argv);

    if (status != 0) {
        return status;
    }
    if (net_stack_start() != 0) {
        return sh_error(sh, "no memory for the network");
    }
    if (o.udp) {
        return o.server ? iperf_udp_serve(&o) : iperf_udp_send(&o);
    }
    return o.server ? iperf_serve(&o) : connect_and_send(&o);
}

const struct sh_command iperf_commands[] = {
    {"iperf",
     "iperf [-u] -s [-P STREAMS] [-B GROUP] | [-u] -c HOST [-t SECONDS] [-n BYTES] [-b RATE] "
     "[-l LENGTH] [-T TTL]  [-p PORT]",
     "measure TCP or UDP with an iperf (version 2) elsewhere",
     "-s takes streams, of TCP one after the other, STREAMS of them, else until ^C; -c sends one "
     "for\n"
     "SECONDS (10) or BYTES. The port is 5001. With -u, UDP: datagrams of LENGTH bytes at RATE "
     "bit/s\n"
     "(1M; 500pps: so many datagrams; 0: as many as can be sent), and what the server says came. "
     "A\n"
     "GROUP is a multicast address to join; HOST may be one, too, and TTL (1) is how far it goes.\n"
     "Either may say its interface: ff02::4242%eth0.\n",
     ARGS_NONE, cmd_iperf},
    {0},
};
