/*
 * evtchn_fifo.c - event channels as queues of event words.
 *
 * Each port has a word in an array that we give to Xen page by page: pending, masked, and a link.
 * Each vCPU has a control block with the heads of sixteen queues, one per priority, and a bit for
 * each that is not empty. Xen appends to a queue by setting the LINKED bit and the link of the
 * word before; we consume from the head, which we remember ourselves once we have begun.
 * An entry's word may be BUSY while Xen moves it: then a mask bit must not be cleared yet.
 * See "FIFO ABI" in xen/event_channel.h.
 *
 * Locks: evtchn.c's around evtchn_fifo_cover(); the words are changed by locked instructions only.
 * Suspend: everything is gone afterwards; evtchn_fifo_resume() gives Xen the same pages again,
 * emptied.
 */
#include "os/evtchn_ops.h"

#include "hat/p2m.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "os/hypercall.h"
#include "os/panic.h"
#include "psm/cpu.h"

#define WORDS_PER_PAGE (PAGE_SIZE / sizeof(event_word_t))
#define ARRAY_PAGES    (EVTCHN_FIFO_NR_CHANNELS / WORDS_PER_PAGE)

#define PENDING   (1u << EVTCHN_FIFO_PENDING)
#define MASKED    (1u << EVTCHN_FIFO_MASKED)
#define LINKED    (1u << EVTCHN_FIFO_LINKED)
#define BUSY      (1u << EVTCHN_FIFO_BUSY)
#define LINK_MASK ((uint32_t)EVTCHN_FIFO_LINK_MASK)

static event_word_t *array[ARRAY_PAGES];
static unsigned array_pages;

static event_word_t *word_of(evtchn_port_t port)
{
    ASSERT(port / WORDS_PER_PAGE < array_pages);
    return &array[port / WORDS_PER_PAGE][port % WORDS_PER_PAGE];
}

static void evtchn_fifo_mask(evtchn_port_t port)
{
    __atomic_fetch_or(word_of(port), MASKED, __ATOMIC_SEQ_CST);
}

static bool evtchn_fifo_is_masked(evtchn_port_t port)
{
    return READ_ONCE(*word_of(port)) & MASKED;
}

static bool evtchn_fifo_is_pending(evtchn_port_t port)
{
    return READ_ONCE(*word_of(port)) & PENDING;
}

static void evtchn_fifo_clear_pending(evtchn_port_t port)
{
    __atomic_fetch_and(word_of(port), ~PENDING, __ATOMIC_SEQ_CST);
}

/* Clear the mask, waiting out BUSY. If the event is pending, Xen must put it into its queue. */
static void evtchn_fifo_unmask_local(struct cpu *cpu, evtchn_port_t port)
{
    event_word_t *word = word_of(port);
    event_word_t old = READ_ONCE(*word) & ~BUSY;

    (void)cpu;
    while (!__atomic_compare_exchange_n(word, &old, old & ~MASKED, true, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST)) {
        old &= ~BUSY;
    }
    if ((old & PENDING) != 0) {
        struct evtchn_unmask op = {.port = port};

        (void)HYPERVISOR_event_channel_op(EVTCHNOP_unmask, &op);
    }
}

/* Take a word out of its queue. Return: the port behind it, 0 if it was the last. */
static evtchn_port_t unlink(event_word_t *word)
{
    event_word_t old = READ_ONCE(*word);

    while (!__atomic_compare_exchange_n(word, &old, old & ~(LINKED | LINK_MASK), true,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
    return old & LINK_MASK;
}

/* Consume one entry of a queue. Return: whether there may be more. */
static bool consume(struct cpu *cpu, unsigned queue,
                    void (*fn)(struct cpu *cpu, evtchn_port_t port))
{
    evtchn_port_t port = cpu->events->fifo_heads[queue];

    if (port == 0) {
        rmb(); /* the ready bit before the head */
        port = READ_ONCE(cpu->events->fifo->head[queue]);
    }
    event_word_t *word = word_of(port);
    cpu->events->fifo_heads[queue] = unlink(word);
    bool more = cpu->events->fifo_heads[queue] != 0;
    if ((READ_ONCE(*word) & (PENDING | MASKED)) == PENDING) {
        fn(cpu, port);
    }
    return more;
}

static void evtchn_fifo_collect(struct cpu *cpu, void (*fn)(struct cpu *cpu, evtchn_port_t port))
{
    uint32_t ready;

    while ((ready = __atomic_exchange_n(&cpu->events->fifo->ready, 0, __ATOMIC_SEQ_CST)) != 0) {
        for (; ready != 0; ready &= ready - 1) {
            unsigned queue = (unsigned)__builtin_ctz(ready);

            while (consume(cpu, queue, fn)) {
            }
        }
    }
}

/* Give Xen a page of words, all masked. */
static int give_page(event_word_t *page)
{
    struct evtchn_expand_array op = {.array_gfn = virt_to_mfn(page).n};

    for (size_t i = 0; i < WORDS_PER_PAGE; i++) {
        page[i] = MASKED;
    }
    return (int)HYPERVISOR_event_channel_op(EVTCHNOP_expand_array, &op);
}

/* Give Xen one more page of words. */
static int expand(void)
{
    event_word_t *page = page_alloc(0);

    if (page == NULL || array_pages == ARRAY_PAGES) {
        return -ENOMEM;
    }
    array[array_pages++] = page;
    int rc = give_page(page);
    if (rc != 0) {
        array_pages--;
        page_free(page, 0);
    }
    return rc;
}

static int evtchn_fifo_cover(evtchn_port_t port)
{
    int rc = 0;

    while (rc == 0 && port / WORDS_PER_PAGE >= array_pages) {
        rc = expand();
    }
    return rc;
}

static int evtchn_fifo_cpu_init(struct cpu *cpu)
{
    struct evtchn_init_control op = {.vcpu = cpu->id};

    if (cpu->events->fifo == NULL) {
        cpu->events->fifo = page_alloc_zeroed(0);
    }
    if (cpu->events->fifo == NULL) {
        return -ENOMEM;
    }
    op.control_gfn = virt_to_mfn(cpu->events->fifo).n;
    int rc = (int)HYPERVISOR_event_channel_op(EVTCHNOP_init_control, &op);
    if (rc != 0) {
        page_free(cpu->events->fifo, 0);
        cpu->events->fifo = NULL;
    }
    return rc;
}

/* The new domain has 2-level events and no ports of ours: all as at boot, in the same pages. */
static int evtchn_fifo_resume(void)
{
    int rc = 0;

    for (unsigned id = 0; id < CPU_MAX && rc == 0; id++) {
        struct cpu *cpu = cpu_by_id(id);

        if (cpu != NULL && cpu->events->fifo != NULL) {
            memset(cpu->events->fifo, 0, PAGE_SIZE);
            memset(cpu->events->fifo_heads, 0, sizeof(cpu->events->fifo_heads));
            rc = evtchn_fifo_cpu_init(cpu);
        }
    }
    for (unsigned i = 0; i < array_pages && rc == 0; i++) {
        rc = give_page(array[i]);
    }
    return rc;
}

/* Priorities here count down from 15; our levels count up. */
static void evtchn_fifo_set_level(evtchn_port_t port, enum ipl level)
{
    struct evtchn_set_priority op = {.port = port,
                                     .priority = EVTCHN_FIFO_PRIORITY_MIN - 1 - (unsigned)level};

    (void)HYPERVISOR_event_channel_op(EVTCHNOP_set_priority, &op);
}

const struct evtchn_ops evtchn_fifo_ops = {
    .name = "FIFO",
    .limit = EVTCHN_FIFO_NR_CHANNELS,
    .queue_per_cpu = true,
    .mask = evtchn_fifo_mask,
    .is_masked = evtchn_fifo_is_masked,
    .is_pending = evtchn_fifo_is_pending,
    .clear_pending = evtchn_fifo_clear_pending,
    .unmask_local = evtchn_fifo_unmask_local,
    .collect = evtchn_fifo_collect,
    .cover = evtchn_fifo_cover,
    .cpu_init = evtchn_fifo_cpu_init,
    .resume = evtchn_fifo_resume,
    .set_level = evtchn_fifo_set_level,
};
