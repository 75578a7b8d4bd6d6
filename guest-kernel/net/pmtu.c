/*
 * pmtu.c - how large a packet of IPv6 to a destination may be.
 *
 * lwIP believes any "packet too big", whoever sent it: told of 50 bytes it would cut packets into
 * pieces of nothing without end, and told of more than the link takes it would send just that. No
 * path is narrower than 1280 bytes (RFC 8200), unless the link itself is, and none is ever found to
 * be wider (RFC 8201). The linker puts this function in the place of lwIP's (cmake/lwip.cmake).
 * Locks: lwIP's is held.
 */
#include "lwip/nd6.h"
#include "lwip/netif.h"
#include "lwip/prot/ip6.h"

/* Names that the linker makes. */
u16_t __real_nd6_get_destination_mtu(const ip6_addr_t *to, struct netif *netif);
u16_t __wrap_nd6_get_destination_mtu(const ip6_addr_t *to, struct netif *netif);

u16_t __wrap_nd6_get_destination_mtu(const ip6_addr_t *to, struct netif *netif)
{
    u16_t told = __real_nd6_get_destination_mtu(to, netif);
    u16_t link = netif != NULL && netif_mtu6(netif) != 0 ? netif_mtu6(netif)
                                                         : 0xffff; /* 0: hidden, see ethif.c */

    return LWIP_MIN(LWIP_MAX(told, IP6_MIN_MTU_LENGTH), link);
}
