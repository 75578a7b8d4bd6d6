/*
 * Token bucket, see rate.h.
 */
#include "rate.h"

#define SECOND_NS 1000000000ULL

void rate_init(struct rate *rate, uint64_t per_second, uint64_t burst, uint64_t now_ns)
{
    *rate = (struct rate){
        .per_second = per_second, .burst = burst, .tokens = burst, .filled_ns = now_ns};
}

size_t rate_allowance(struct rate *rate, uint64_t now_ns)
{
    uint64_t elapsed = now_ns - rate->filled_ns, fresh;

    if (rate->per_second == 0) {
        return SIZE_MAX;
    }
    /* Longer than it takes to fill the bucket: full, without a product that could overflow. */
    if (elapsed / SECOND_NS > rate->burst / rate->per_second) {
        rate->tokens = rate->burst;
        rate->filled_ns = now_ns;
        return rate->tokens;
    }
    fresh = elapsed * rate->per_second / SECOND_NS;
    rate->filled_ns += fresh * SECOND_NS / rate->per_second;
    rate->tokens += fresh;
    if (rate->tokens > rate->burst) {
        rate->tokens = rate->burst;
    }
    return rate->tokens;
}

void rate_spend(struct rate *rate, size_t bytes)
{
    if (rate->per_second != 0) {
        rate->tokens -= bytes < rate->tokens ? bytes : rate->tokens;
    }
}

uint64_t rate_wait_ns(const struct rate *rate)
{
    uint64_t wanted = rate->burst / 4 + 1;

    if (rate->per_second == 0 || rate->tokens >= wanted) {
        return 0;
    }
    return (wanted - rate->tokens) * SECOND_NS / rate->per_second + 1;
}
