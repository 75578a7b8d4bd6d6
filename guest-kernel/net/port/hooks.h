/*
 * hooks.h - functions of ours that lwIP calls at its hooks.
 *
 * Included by lwIP's sources after its own types.
 */
#ifndef PORT_HOOKS_H
#define PORT_HOOKS_H

#include "lwip/err.h"
#include "lwip/ip_addr.h"

/** random_isn() - the first sequence number of a connection (RFC 6528). Any context. */
u32_t random_isn(const ip_addr_t *local, u16_t local_port, const ip_addr_t *remote,
                 u16_t remote_port);

struct pbuf;
struct tcp_pcb;

/** ethif_segment() - a TCP segment is about to be sent. Return: @opts. lwIP's lock is held. */
u32_t *ethif_segment(struct pbuf *p, const struct tcp_pcb *pcb, u32_t *opts);

/** window_keep() - a segment came for a connection, or one that listens. ERR_OK: it is taken. */
err_t window_keep(struct tcp_pcb *pcb);

#endif /* PORT_HOOKS_H */
