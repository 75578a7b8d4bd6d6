/*
 * Multicast control: see mcast.h. The list is short and read only for multicast: no index.
 */
#include "mcast.h"

#include "kept.h"

#include <errno.h>
#include <string.h>

/* Its place in the list, or m->nr. */
static unsigned int net_mcast_find(const struct net_mcast *m, const uint8_t *mac)
{
    unsigned int i = 0;

    while (i < m->nr && memcmp(m->list[i], mac, NET_MAC_BYTES) != 0) {
        i++;
    }
    return i;
}

int net_mcast_change(struct net_mcast *m, enum net_mcast_op op, const uint8_t mac[NET_MAC_BYTES])
{
    unsigned int i = net_mcast_find(m, mac);

    if (op == NET_MCAST_DEL) {
        /* who was killed between these two lines has left the last one there twice */
        for (; i < m->nr; i = net_mcast_find(m, mac)) {
            memmove(m->list[i], m->list[m->nr - 1], NET_MAC_BYTES);
            kept_put(&m->nr, m->nr - 1);
        }
        return 0;
    }
    if (i == NET_MCAST_MAX) {
        return -ENOSPC;
    }
    if (i == m->nr) {
        memcpy(m->list[i], mac, NET_MAC_BYTES);
        kept_put(&m->nr, i + 1);
    }
    return 0;
}

bool net_mcast_wanted(const struct net_mcast *m, const uint8_t mac[NET_MAC_BYTES])
{
    static const uint8_t broadcast[NET_MAC_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    if (!m->enabled || m->unknown || (mac[0] & 1) == 0 ||
        memcmp(mac, broadcast, NET_MAC_BYTES) == 0) {
        return true;
    }
    return net_mcast_find(m, mac) < m->nr;
}
