/*
 * isn.c - the first sequence number of a connection, after RFC 6528.
 */
#include "kern/string.h"
#include "net/port/hooks.h"
#include "psm/clock.h"
#include "psm/random.h"

/* The clock of RFC 793, four microseconds a step, plus a hash of the connection. */
u32_t random_isn(const ip_addr_t *local, u16_t local_port, const ip_addr_t *remote,
                 u16_t remote_port)
{
    uint64_t words[5] = {0};
    const ip_addr_t *addrs[] = {local, remote};

    for (unsigned i = 0; i < ARRAY_SIZE(addrs); i++) {
        if (IP_IS_V6(addrs[i])) {
            memcpy(&words[2 * i], ip_2_ip6(addrs[i])->addr, 16);
        } else {
            words[2 * i] = ip4_addr_get_u32(ip_2_ip4(addrs[i]));
        }
    }
    words[4] = (uint64_t)local_port << 16 | remote_port;
    return (u32_t)(random_hash(words, ARRAY_SIZE(words)) + clock_now() / (4 * NSEC_PER_USEC));
}
