/*
 * cmd_iperf.c - iperf: how fast TCP is, with version 2 of the program of that name as the peer.
 *
 * Its protocol needs nothing in the server's direction: a stream begins with a header of 24 bytes
 * whose flags, all zero, ask for no test back; the rest is data until the stream ends. lwIP's own
 * lwiperf has fixed times and cannot be interrupted, so it is not used. No state but the running
 * command's. Suspend: the stream goes on.
 */
#include "kern/string.h"
#include "lwip/api.h"
#include "lwip/dns.h"
#include "net/stack.h"
#include "psm/clock.h"
#include "shell/commands.h"

#define IPERF_PORT   5001
#define HEADER_BYTES 24
#define CHUNK        (32 * 1024)
#define LOOK         200 /* ms: how often ^C is looked for */

typedef unsigned long ul;

struct iperf {
    struct shell *sh;
    bool server, client;
    const char *host;
    uint64_t port, seconds, bytes, streams; /* as given; @bytes 0: by time */
};

/* Zeros, with the header among them: sent from here without a copy. */
static const uint8_t data[CHUNK];

static bool interrupted(void *arg)
{
    return sh_interrupted(arg);
}

static void report(struct shell *sh, const char *what, uint64_t bytes, nsec_t took)
{
    ul ms = took / NSEC_PER_MSEC;
    ul kbit = bytes * 8 / MAX(ms, 1ul);

    sh_printf(sh, "%s %lu bytes in %lu.%03lu s, %lu.%03lu Mbit/s\n", what, (ul)bytes, ms / 1000,
              ms % 1000, kbit / 1000, kbit % 1000);
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
    netconn_set_recvtimeout(conn, LOOK);
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
    report(sh, "received", bytes, clock_now() - start);
    return err == ERR_CLSD ? SH_OK : sh_error(sh, "%s", net_strerror(err));
}

static int serve(struct iperf *o)
{
    struct netconn *listener = netconn_new(NETCONN_TCP_IPV6), *conn;
    int status = SH_OK;

    if (!listener) {
        return sh_error(o->sh, "no memory");
    }
    err_t err = netconn_bind(listener, IP6_ADDR_ANY, (u16_t)o->port);
    if (!err) {
        err = netconn_listen(listener);
    }
    if (err) {
        status = sh_error(o->sh, "port %lu: %s", (ul)o->port, net_strerror(err));
    } else {
        netconn_set_recvtimeout(listener, LOOK);
        sh_printf(o->sh, "serving port %lu\n", (ul)o->port);
    }
    for (uint64_t done = 0; !status && (!o->streams || done < o->streams);) {
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

static int send_stream(struct iperf *o, struct netconn *conn)
{
    nsec_t start = clock_now();
    nsec_t end = o->bytes ? NSEC_FOREVER : start + o->seconds * NSEC_PER_SEC;
    uint64_t sent = 0;
    err_t err = ERR_OK;

    net_bulk(conn);
    netconn_set_sendtimeout(conn, LOOK);
    while (!err && clock_now() < end && (!o->bytes || sent < o->bytes) && !sh_interrupted(o->sh)) {
        size_t want = o->bytes ? MIN(o->bytes - sent, CHUNK) : CHUNK;
        size_t written = 0;

        err = netconn_write_partly(conn, data, want, NETCONN_NOCOPY, &written);
        sent += written;
        err = err == ERR_WOULDBLOCK || err == ERR_TIMEOUT ? ERR_OK : err;
    }
    report(o->sh, "sent", sent, clock_now() - start);
    if (err) {
        return sh_error(o->sh, "%s: %s", o->host, net_strerror(err));
    }
    return sh_interrupted(o->sh) ? SH_INTERRUPTED : SH_OK;
}

static int connect_and_send(struct iperf *o)
{
    ip_addr_t to;
    int rc = net_resolve(o->host, LWIP_DNS_ADDRTYPE_IPV4_IPV6, interrupted, o->sh, &to);

    if (rc) {
        return rc == -EAGAIN ? SH_INTERRUPTED : sh_error(o->sh, "%s: no such host", o->host);
    }
    struct netconn *conn = netconn_new(IP_IS_V6(&to) ? NETCONN_TCP_IPV6 : NETCONN_TCP);
    if (!conn) {
        return sh_error(o->sh, "no memory");
    }
    err_t err = netconn_connect(conn, &to, (u16_t)o->port);
    int status = err ? sh_error(o->sh, "%s port %lu: %s", o->host, (ul)o->port, net_strerror(err))
                     : send_stream(o, conn);
    netconn_delete(conn);
    return status;
}

static int parse(struct iperf *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        uint64_t *number = !strcmp(argv[i], "-p")   ? &o->port
                           : !strcmp(argv[i], "-t") ? &o->seconds
                           : !strcmp(argv[i], "-n") ? &o->bytes
                           : !strcmp(argv[i], "-P") ? &o->streams
                                                    : NULL;

        if (!strcmp(argv[i], "-s")) {
            o->server = true;
        } else if (i + 1 == argc) {
            return SH_USAGE;
        } else if (!strcmp(argv[i], "-c")) {
            o->client = true;
            o->host = argv[++i];
        } else if (!number) {
            return SH_USAGE;
        } else if (parse_u64(argv[++i], number)) {
            return sh_error(o->sh, "%s is no number", argv[i]);
        }
    }
    return o->server != o->client && o->port && o->port <= UINT16_MAX &&
                   o->seconds <= UINT32_MAX / 1000
               ? SH_OK
               : SH_USAGE;
}

static int cmd_iperf(struct shell *sh, int argc, char **argv)
{
    struct iperf o = {.sh = sh, .port = IPERF_PORT, .seconds = 10};
    int status = parse(&o, argc, argv);

    if (status) {
        return status;
    }
    if (net_stack_start()) {
        return sh_error(sh, "no memory for the network");
    }
    return o.server ? serve(&o) : connect_and_send(&o);
}

const struct sh_command iperf_commands[] = {
    {"iperf", "iperf -s [-P STREAMS] | -c HOST [-t SECONDS] [-n BYTES]  [-p PORT]",
     "measure TCP with an iperf (version 2) elsewhere",
     "-s takes streams one after the other, STREAMS of them, else until ^C; -c sends one for\n"
     "SECONDS (10) or BYTES. The port is 5001.\n",
     ARGS_NONE, cmd_iperf},
    {0},
};
