/*
 * iperf.h - what the parts of the command iperf share: cmd_iperf.c (its options, and TCP) and
 * iperf_udp.c.
 *
 * struct iperf is one run's, on the command's stack. No locks.
 */
#ifndef SHELL_IPERF_H
#define SHELL_IPERF_H

#include "lwip/ip_addr.h"
#include "shell/shell.h"

#define IPERF_LOOK 200 /* ms: how often ^C is looked for */

/* The options, as given. */
struct iperf {
    struct shell *sh;
    bool server, client, udp;
    const char *host;        /* -c, with the interface behind a % */
    const char *group;       /* -B, too; NULL: no multicast is received */
    uint64_t port, ttl;      /* @ttl: of multicast */
    uint64_t seconds, bytes; /* @bytes 0: by time */
    uint64_t streams;        /* 0: any number */
    uint64_t length;         /* of a datagram, 0: what fits */
    uint64_t rate;           /* of datagrams: bits a second, 0: as many as can be sent */
    uint64_t per_second;     /* or so many datagrams, 0: by @rate */
};

/* Where to send or to listen. */
struct iperf_place {
    ip_addr_t addr;
    uint8_t interface; /* lwIP's index of it, 0: whichever leads there */
};

/**
 * iperf_find() - the address and interface of "HOST%INTERFACE"
 *
 * Without an interface multicast takes the default one. Return: SH_OK, or a status with the reason
 * written. May sleep.
 */
int iperf_find(struct iperf *o, const char *text, struct iperf_place *place);

/** iperf_rate() - write "sent 1 bytes in 1.000 s, 0.008 Mbit/s", without the line's end. */
void iperf_rate(struct shell *sh, const char *what, uint64_t bytes, uint64_t took_us);

/** iperf_udp_serve(), iperf_udp_send() - UDP's half. Return: a status. */
int iperf_udp_serve(struct iperf *o);
int iperf_udp_send(struct iperf *o);

#endif /* SHELL_IPERF_H */
