/*
 * xnf_mcast.c - two lists of addresses and the way from one to the other. See xnf_mcast.h.
 *
 * The lists are short and change seldom: no index. Suspend: another back end, which
 * xnf_mcast_forget() stands for.
 */
#include "io/xennetf/xnf_mcast.h"

#include "kern/string.h"

/* Its place in the list, or @n. */
static unsigned xnf_mcast_find(const uint8_t (*list)[NET_MAC_LEN], unsigned n, const uint8_t *mac)
{
    unsigned i = 0;

    while (i < n && memcmp(list[i], mac, NET_MAC_LEN) != 0) {
        i++;
    }
    return i;
}

int xnf_mcast_want(struct xnf_mcast *m, const uint8_t (*macs)[NET_MAC_LEN], unsigned n)
{
    if (n > NET_MULTICAST_MAX) {
        return -ENOSPC;
    }
    m->nwanted = 0;
    for (unsigned i = 0; i < n; i++) {
        if (xnf_mcast_find(m->wanted, m->nwanted, macs[i]) == m->nwanted) {
            memcpy(m->wanted[m->nwanted++], macs[i], NET_MAC_LEN);
        }
    }
    return 0;
}

bool xnf_mcast_next(struct xnf_mcast *m, struct xnf_mcast_change *change)
{
    for (unsigned i = 0; i < m->ntold; i++) {
        if (xnf_mcast_find(m->wanted, m->nwanted, m->told[i]) == m->nwanted) {
            change->add = false;
            memcpy(change->mac, m->told[i], NET_MAC_LEN);
            memmove(m->told[i], m->told[--m->ntold], NET_MAC_LEN);
            return true;
        }
    }
    for (unsigned i = 0; i < m->nwanted; i++) {
        if (xnf_mcast_find(m->told, m->ntold, m->wanted[i]) == m->ntold) {
            change->add = true;
            memcpy(change->mac, m->wanted[i], NET_MAC_LEN);
            memcpy(m->told[m->ntold++], m->wanted[i], NET_MAC_LEN);
            return true;
        }
    }
    return false;
}

void xnf_mcast_forget(struct xnf_mcast *m)
{
    m->ntold = 0;
}
