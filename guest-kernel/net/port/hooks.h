/*
 * hooks.h - functions of ours that lwIP calls at its hooks.
 *
 * Included by lwIP's sources after its own types. Suspend does not touch it.
 */
#ifndef PORT_HOOKS_H
#define PORT_HOOKS_H

#include "lwip/ip_addr.h"

/** random_isn() - the first sequence number of a connection (RFC 6528). Any context. */
u32_t random_isn(const ip_addr_t *local, u16_t local_port, const ip_addr_t *remote,
                 u16_t remote_port);

#endif /* PORT_HOOKS_H */
