/*
 * Patience: see patience.h.
 */
#include "patience.h"

#define SMOOTHING 8U

void net_patience_busy(struct net_patience *p)
{
    p->looks = 0;
    p->last_look_at = 0;
}

bool net_patience_look(struct net_patience *p, uint64_t now)
{
    if (p->last_look_at != 0 && now > p->last_look_at) {
        uint64_t ticks = now - p->last_look_at;

        p->look_ticks =
            p->look_ticks == 0 ? ticks : (p->look_ticks * (SMOOTHING - 1) + ticks) / SMOOTHING;
    }
    p->last_look_at = now;
    return p->looks++ < p->limit;
}

void net_patience_waited(struct net_patience *p, uint64_t begin, uint64_t end)
{
    uint64_t worth = p->look_ticks * NET_PATIENCE_LOOKS_MAX;

    net_patience_busy(p);
    if (p->look_ticks == 0) {
        p->limit = 1; /* to learn what a look costs */
    } else if (end > begin && end - begin > worth) {
        p->limit /= 2;
    } else if (p->limit < NET_PATIENCE_LOOKS_MAX) {
        p->limit = p->limit == 0 ? 1 : p->limit * 2;
    }
}
