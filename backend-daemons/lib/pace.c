/*
 * How often something may be done: see pace.h.
 */
#include "pace.h"

#define NS_PER_MS       UINT64_C(1000000)
#define MIN_INTERVAL_NS (250 * NS_PER_MS)
#define FORGIVEN_NS     (10000 * NS_PER_MS)
#define MAX_HURRY       3U /* the interval doubles with each */

uint64_t pace_ask(struct pace *pace, uint64_t now_ns)
{
    uint64_t next = pace->last_ns + (MIN_INTERVAL_NS << pace->hurry);

    if (pace->last_ns == 0 || now_ns >= pace->last_ns + FORGIVEN_NS) {
        pace->hurry = 0;
    } else if (now_ns < next) {
        return next - now_ns;
    } else if (pace->hurry < MAX_HURRY) {
        pace->hurry++;
    }
    pace->last_ns = now_ns;
    return 0;
}
