/*
 * timers.c - lwIP's timers (lwip/timeouts.h), in the place of its own.
 *
 * lwIP's take memory for each tick and stop the kernel when there is none, which a peer can bring
 * about. All that runs in lwIP as it is configured are the protocols' cyclic timers: they are a
 * table here. TCP's runs only while there are connections. Locks: lwIP's covers the table. Suspend:
 * sys_now() stands still, and so do they.
 */
#include "lwip/timeouts.h"

#include "lwip/dhcp.h"
#include "lwip/dns.h"
#include "lwip/etharp.h"
#include "lwip/igmp.h"
#include "lwip/ip4_frag.h"
#include "lwip/ip6_frag.h"
#include "lwip/mld6.h"
#include "lwip/nd6.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/sys.h"

struct cyclic {
    u32_t period; /* ms */
    void (*tick)(void);
    u32_t next; /* in sys_now() time */
    bool on;
};

static struct cyclic timers[] = {
    {.period = TCP_TMR_INTERVAL, .tick = tcp_tmr}, /* first: see tcp_timer_needed() */
    {.period = IP_TMR_INTERVAL, .tick = ip_reass_tmr},
    {.period = ARP_TMR_INTERVAL, .tick = etharp_tmr},
    {.period = DHCP_COARSE_TIMER_MSECS, .tick = dhcp_coarse_tmr},
    {.period = DHCP_FINE_TIMER_MSECS, .tick = dhcp_fine_tmr},
    {.period = IGMP_TMR_INTERVAL, .tick = igmp_tmr},
    {.period = DNS_TMR_INTERVAL, .tick = dns_tmr},
    {.period = ND6_TMR_INTERVAL, .tick = nd6_tmr},
    {.period = IP6_REASS_TMR_INTERVAL, .tick = ip6_reass_tmr},
    {.period = MLD6_TMR_INTERVAL, .tick = mld6_tmr},
};

static void timers_start(struct cyclic *t)
{
    t->on = true;
    t->next = sys_now() + t->period;
}

void sys_timeouts_init(void)
{
    for (size_t i = 1; i < ARRAY_SIZE(timers); i++) {
        timers_start(&timers[i]);
    }
}

/* lwIP calls this whenever a connection appears. */
void tcp_timer_needed(void)
{
    if (!timers[0].on && (tcp_active_pcbs != NULL || tcp_tw_pcbs != NULL)) {
        timers_start(&timers[0]);
    }
}

void sys_check_timeouts(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(timers); i++) {
        struct cyclic *t = &timers[i];

        if (t->on && (s32_t)(sys_now() - t->next) >= 0) {
            timers_start(t);
            t->tick();
        }
    }
    timers[0].on = timers[0].on && (tcp_active_pcbs != NULL || tcp_tw_pcbs != NULL);
}

/* Milliseconds until the next is due, for the tcpip thread. */
u32_t sys_timeouts_sleeptime(void)
{
    u32_t now = sys_now();
    u32_t sleep = SYS_TIMEOUTS_SLEEPTIME_INFINITE;

    for (size_t i = 0; i < ARRAY_SIZE(timers); i++) {
        if (timers[i].on) {
            s32_t left = (s32_t)(timers[i].next - now);

            sleep = LWIP_MIN(sleep, left > 0 ? (u32_t)left : 0);
        }
    }
    return sleep;
}
