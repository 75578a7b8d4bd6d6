/*
 * groups.c - has drivers know which multicast lwIP wants, so that the rest need not come.
 *
 * lwIP tells of each group that it joins or leaves, the solicited nodes of its addresses (RFC 4291)
 * among them. It does not tell of all nodes (ff02::1), which every interface listens to: router
 * advertisements come there. Owns struct groups. Locks: lwIP's. Suspend: the driver sees to it.
 */
#include "net/groups.h"

#include "kern/log.h"
#include "kern/string.h"
#include "net/ethif.h"

static void tell(struct ethif *e)
{
    int rc = net_set_multicast(e->dev, e->groups.macs, e->groups.n);

    if (rc != 0) {
        log_warn("%s: %u multicast addresses: %s", e->name, e->groups.n, errno_name(rc));
    }
}

static err_t groups_add(struct ethif *e, unsigned i, const uint8_t mac[NET_MAC_LEN])
{
    struct groups *g = &e->groups;

    if (i == NET_MULTICAST_MAX) {
        log_warn("%s: a group is not heard: there are %u multicast addresses already", e->name,
                 g->n);
        return ERR_MEM;
    }
    if (i == g->n) {
        memcpy(g->macs[i], mac, NET_MAC_LEN);
        g->users[i] = 0;
        g->n++;
        tell(e);
    }
    g->users[i]++;
    return ERR_OK;
}

static err_t groups_drop(struct ethif *e, unsigned i)
{
    struct groups *g = &e->groups;

    if (i < g->n && --g->users[i] == 0) {
        g->n--;
        memmove(g->macs[i], g->macs[g->n], NET_MAC_LEN);
        g->users[i] = g->users[g->n];
        tell(e);
    }
    return ERR_OK;
}

static err_t groups_change(struct netif *netif, const uint8_t mac[NET_MAC_LEN],
                           enum netif_mac_filter_action action)
{
    struct ethif *e = ethif_of(netif);
    unsigned i = 0;

    while (i < e->groups.n && memcmp(e->groups.macs[i], mac, NET_MAC_LEN) != 0) {
        i++;
    }
    return action == NETIF_ADD_MAC_FILTER ? groups_add(e, i, mac) : groups_drop(e, i);
}

/* RFC 1112, 6.4: the lower 23 bits. */
static err_t group4(struct netif *netif, const ip4_addr_t *group,
                    enum netif_mac_filter_action action)
{
    const uint8_t mac[NET_MAC_LEN] = {
        0x01, 0x00, 0x5e, ip4_addr2(group) & 0x7f, ip4_addr3(group), ip4_addr4(group)};

    return groups_change(netif, mac, action);
}

/* RFC 2464, 7: the lower 32 bits. */
static err_t group6(struct netif *netif, const ip6_addr_t *group,
                    enum netif_mac_filter_action action)
{
    uint8_t mac[NET_MAC_LEN] = {0x33, 0x33};

    memcpy(mac + 2, &group->addr[3], 4);
    return groups_change(netif, mac, action);
}

void groups_begin(struct netif *netif)
{
    ip6_addr_t all_nodes;

    netif_set_igmp_mac_filter(netif, group4);
    netif_set_mld_mac_filter(netif, group6);
    ip6_addr_set_allnodes_linklocal(&all_nodes);
    (void)group6(netif, &all_nodes, NETIF_ADD_MAC_FILTER);
}
