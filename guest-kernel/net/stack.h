/*
 * stack.h - the TCP/IP stack, as the boot sequence and commands see it.
 *
 * lwIP runs in the thread "tcpip" and in whoever calls it with its lock held (LOCK_TCPIP_CORE(),
 * lwip/tcpip.h). It starts when the first interface appears or a command asks for it: a domain
 * without a network pays nothing for it. Suspend: connections live on; see ethif.c.
 */
#ifndef NET_STACK_H
#define NET_STACK_H

#include "io/net.h"
#include "lwip/err.h"
#include "lwip/ip_addr.h"
#include "lwip/netif.h"

#define NET_ADDR_TEXT 48 /* an address with its zone, and a NUL */

/** net_stack_init() - serve the interfaces that are there or appear. Thread context, once. */
void net_stack_init(void);

/** net_stack_start() - start lwIP if it does not run. Return: 0 or -ENOMEM. May sleep. */
int net_stack_start(void);

/** net_stack_runs() - whether it was started. Any context. */
bool net_stack_runs(void);

/**
 * net_configure() - give an interface its addresses
 * @text: words with ',' or ' ' between them: ADDR[/PREFIX] (IPv4 and IPv6), gw=ADDR, dns=ADDR,
 *        dhcp, none; NULL or "": DHCP. docs/tcpip.md
 *
 * IPv6's link-local address is there unless @text is none. Return: 0; -EINVAL with nothing changed
 * and *@bad the word that is wrong. lwIP's lock is held.
 */
int net_configure(struct netif *netif, const char *text, const char **bad);

/** net_if_name() - "eth0", "lo". lwIP's lock is held. */
const char *net_if_name(const struct netif *netif);

/** net_if_find() - the interface of that name or NULL. lwIP's lock is held. */
struct netif *net_if_find(const char *name);

/** net_if_info() - what its driver says of it; false for the loopback. lwIP's lock is held. */
bool net_if_info(const struct netif *netif, struct net_info *info);

/** net_addr_text() - an address as RFC 5952 writes it; cut to @size. Any context. */
void net_addr_text(const ip_addr_t *addr, char *text, size_t size);

struct netconn;

/**
 * net_listen() - wait for connections at a port of every address, IPv4 and IPv6
 * @timeout: of netconn_accept(), in ms
 *
 * Connections of an earlier listener that are about to end do not keep the port. Return: for the
 * caller to delete, or NULL and @err: ERR_MEM, ERR_USE when somebody listens there. May sleep.
 */
struct netconn *net_listen(uint16_t port, int timeout, err_t *err);

/**
 * net_bulk() - a connection is about to send much
 *
 * Its segments are then several times as large as its peer takes, and cut by the interface's back
 * end on their way; nothing changes where that is not offered. Established connections. May sleep.
 */
void net_bulk(struct netconn *conn);

/**
 * net_room() - a count that changes when an interface that was full can send again. Any context.
 *
 * What UDP could not send is lost; who would rather wait asks before sending, and then waits.
 */
unsigned net_room(void);

/** net_room_wait() - sleep until net_room() is not @seen any more, or @deadline. May sleep. */
void net_room_wait(unsigned seen, nsec_t deadline);

/** net_strerror() - an error of lwIP's in words, for messages. Any context. */
const char *net_strerror(err_t err);

/**
 * net_resolve() - a host's address
 * @host: an address, or a name for DNS
 * @type: LWIP_DNS_ADDRTYPE_* (lwip/dns.h): what to ask for
 * @give_up: called now and then while DNS is asked: true ends it. NULL: never
 *
 * Return: 0, -ENOENT (no such name, no answer), -EAGAIN (given up), -ENOMEM. May sleep.
 */
int net_resolve(const char *host, uint8_t type, bool (*give_up)(void *arg), void *arg,
                ip_addr_t *addr);

#endif /* NET_STACK_H */
