/*
 * evtchn_2l.c - event channels as two-level bitmaps.
 *
 * A vCPU's evtchn_pending_sel has a bit for each word of shared_info's evtchn_pending that may
 * hold something for it; a port is deliverable when its bit is set there and clear in evtchn_mask.
 * Xen changes all three, so every change of ours is a locked instruction.
 * See "Event channel endpoints" in xen/xen.h. Suspend: Xen hands over clean bitmaps.
 */
#include "os/evtchn_ops.h"

#include "kern/string.h"
#include "os/start_info.h"
#include "psm/cpu.h"

#include <xen/event_channel.h>

#define BITS_PER_WORD 64

static bool bit_test(const xen_ulong_t *words, evtchn_port_t port)
{
    return READ_ONCE(words[port / BITS_PER_WORD]) >> (port % BITS_PER_WORD) & 1;
}

static void bit_set(xen_ulong_t *words, evtchn_port_t port)
{
    __atomic_fetch_or(&words[port / BITS_PER_WORD], 1ul << (port % BITS_PER_WORD),
                      __ATOMIC_SEQ_CST);
}

static void bit_clear(xen_ulong_t *words, evtchn_port_t port)
{
    __atomic_fetch_and(&words[port / BITS_PER_WORD], ~(1ul << (port % BITS_PER_WORD)),
                       __ATOMIC_SEQ_CST);
}

static void evtchn_2l_mask(evtchn_port_t port)
{
    bit_set(shared_info->evtchn_mask, port);
}

static bool evtchn_2l_is_masked(evtchn_port_t port)
{
    return bit_test(shared_info->evtchn_mask, port);
}

static bool evtchn_2l_is_pending(evtchn_port_t port)
{
    return bit_test(shared_info->evtchn_pending, port);
}

static void evtchn_2l_set_pending(evtchn_port_t port)
{
    bit_set(shared_info->evtchn_pending, port);
}

static void evtchn_2l_clear_pending(evtchn_port_t port)
{
    bit_clear(shared_info->evtchn_pending, port);
}

static void evtchn_2l_unmask_local(struct cpu *cpu, evtchn_port_t port)
{
    bit_clear(shared_info->evtchn_mask, port);
    if (evtchn_2l_is_pending(port)) {
        bit_set(&cpu->info.evtchn_pending_sel, port / BITS_PER_WORD);
        WRITE_ONCE(cpu->info.evtchn_upcall_pending, 1);
    }
}

static void evtchn_2l_collect(struct cpu *cpu, void (*fn)(struct cpu *cpu, evtchn_port_t port))
{
    xen_ulong_t words = __atomic_exchange_n(&cpu->info.evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);

    for (; words != 0; words &= words - 1) {
        unsigned w = (unsigned)__builtin_ctzl(words);
        xen_ulong_t ready =
            READ_ONCE(shared_info->evtchn_pending[w]) & ~READ_ONCE(shared_info->evtchn_mask[w]);

        for (; ready != 0; ready &= ready - 1) {
            fn(cpu, w * BITS_PER_WORD + (unsigned)__builtin_ctzl(ready));
        }
    }
}

static int evtchn_2l_cover(evtchn_port_t port)
{
    return port < EVTCHN_2L_NR_CHANNELS ? 0 : -ERANGE;
}

/* shared_info and vcpu_info are all there is. */
static int evtchn_2l_cpu_init(struct cpu *cpu)
{
    (void)cpu;
    return 0;
}

/* Every port masked and none pending, whatever the toolstack left there. */
static int evtchn_2l_resume(void)
{
    memset(shared_info->evtchn_mask, 0xff, sizeof(shared_info->evtchn_mask));
    memset(shared_info->evtchn_pending, 0, sizeof(shared_info->evtchn_pending));
    return 0;
}

/* The bitmaps know no order; evtchn.c's levels are the only ones. */
static void evtchn_2l_set_level(evtchn_port_t port, enum ipl level)
{
    (void)port;
    (void)level;
}

const struct evtchn_ops evtchn_2l_ops = {
    .name = "2-level",
    .limit = EVTCHN_2L_NR_CHANNELS,
    .mask = evtchn_2l_mask,
    .is_masked = evtchn_2l_is_masked,
    .is_pending = evtchn_2l_is_pending,
    .set_pending = evtchn_2l_set_pending,
    .clear_pending = evtchn_2l_clear_pending,
    .unmask_local = evtchn_2l_unmask_local,
    .collect = evtchn_2l_collect,
    .cover = evtchn_2l_cover,
    .cpu_init = evtchn_2l_cpu_init,
    .resume = evtchn_2l_resume,
    .set_level = evtchn_2l_set_level,
};
