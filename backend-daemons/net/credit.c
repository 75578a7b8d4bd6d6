/*
 * The limit of `rate=`: see credit.h.
 */
#include "credit.h"

#define LARGEST_PACKET 65536U
#define BURST          (2U * LARGEST_PACKET)

void net_credit_set(struct net_credit *c, uint64_t bytes, uint64_t interval_us, uint64_t now_ns)
{
    c->bytes = interval_us != 0 ? bytes : 0;
    c->interval_ns = interval_us * 1000;
    c->left = c->bytes;
    c->next_ns = now_ns + c->interval_ns;
}

static void net_credit_refill(struct net_credit *c, uint64_t now_ns)
{
    uint64_t intervals, burst;

    if (now_ns < c->next_ns) {
        return;
    }
    intervals = 1 + (now_ns - c->next_ns) / c->interval_ns;
    burst = c->bytes > BURST ? c->bytes : BURST;
    c->next_ns += intervals * c->interval_ns;
    if (intervals > burst / c->bytes) {
        c->left = burst;
    } else {
        c->left += intervals * c->bytes;
        c->left = c->left < burst ? c->left : burst;
    }
}

bool net_credit_spend(struct net_credit *c, uint32_t bytes, uint64_t now_ns)
{
    if (c->bytes == 0) {
        return true;
    }
    net_credit_refill(c, now_ns);
    if (bytes > c->left) {
        return false;
    }
    c->left -= bytes;
    return true;
}
