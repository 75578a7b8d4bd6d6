/*
 * mmuq.c - MMU requests gathered into multicalls.
 *
 * A queue holds an array of calls and the arguments they point to. A request that is of the same
 * kind as the last call joins it. See mmuq.h for the rules.
 */
#include "hat/mmuq.h"

#include "hat/hat.h"

#include "kern/mem.h"
#include "os/hypercall.h"
#include "os/panic.h"
#include "psm/cpu.h"

#define MAX_CALLS   32
#define MAX_UPDATES 128
#define MAX_EXT     16

struct mmuq {
    unsigned ncalls, nupdates, next;
    uint64_t hypercalls;
    int error; /* the first since mmuq_begin() */
    bool open;
    upcall_state_t saved;
    struct multicall_entry calls[MAX_CALLS];
    struct mmu_update updates[MAX_UPDATES];
    struct mmuext_op ext[MAX_EXT];
};

static struct mmuq boot_queue;

struct mmuq *mmuq_boot_queue(void)
{
    return &boot_queue;
}

struct mmuq *mmuq_create(void)
{
    return kzalloc(sizeof(struct mmuq));
}

void mmuq_destroy(struct mmuq *q)
{
    kfree(q);
}

struct mmuq *mmuq_begin(void)
{
    upcall_state_t state = upcalls_save();
    struct mmuq *q = this_cpu()->mmuq;

    ASSERT(!q->open);
    q->open = true;
    q->saved = state;
    q->error = 0;
    return q;
}

static void flush(struct mmuq *q)
{
    if (q->ncalls == 0) {
        return;
    }
    long rc = HYPERVISOR_multicall(q->calls, q->ncalls);
    q->hypercalls++;
    ASSERT(rc == 0);
    for (unsigned i = 0; i < q->ncalls && q->error == 0; i++) {
        if ((long)q->calls[i].result < 0) {
            q->error = (int)(long)q->calls[i].result;
        }
    }
    q->ncalls = q->nupdates = q->next = 0;
}

/* A new call at the end of the queue, which must have room. */
static struct multicall_entry *add_call(struct mmuq *q, unsigned op)
{
    struct multicall_entry *call = &q->calls[q->ncalls++];

    *call = (struct multicall_entry){.op = op};
    return call;
}

/* The last call, if it is of this kind and so can take another request. */
static struct multicall_entry *last_call(struct mmuq *q, unsigned op)
{
    struct multicall_entry *last = q->ncalls > 0 ? &q->calls[q->ncalls - 1] : NULL;

    return last != NULL && last->op == op ? last : NULL;
}

/* An array call: (array, count, done, domid). Grows the last call or adds one. */
static void queue_array(struct mmuq *q, unsigned op, void *element)
{
    struct multicall_entry *call = last_call(q, op);

    if (call == NULL) {
        call = add_call(q, op);
        call->args[0] = (unsigned long)element;
        call->args[3] = DOMID_SELF;
    }
    call->args[1]++;
}

static void queue_update(struct mmuq *q, uint64_t ptr, pte_t value)
{
    if (q->nupdates == MAX_UPDATES || q->ncalls == MAX_CALLS) {
        flush(q);
    }
    struct mmu_update *update = &q->updates[q->nupdates++];

    *update = (struct mmu_update){.ptr = ptr, .val = value.v};
    queue_array(q, __HYPERVISOR_mmu_update, update);
}

void mmuq_set_pte(struct mmuq *q, maddr_t entry, pte_t value)
{
    queue_update(q, entry.a | MMU_NORMAL_PT_UPDATE, value);
}

void mmuq_set_pte_keep_ad(struct mmuq *q, maddr_t entry, pte_t value)
{
    queue_update(q, entry.a | MMU_PT_UPDATE_PRESERVE_AD, value);
}

void mmuq_set_va(struct mmuq *q, const void *va, pte_t value, unsigned long uvmf_flags)
{
    if (q->ncalls == MAX_CALLS) {
        flush(q);
    }
    struct multicall_entry *call = add_call(q, __HYPERVISOR_update_va_mapping);

    call->args[0] = (unsigned long)va;
    call->args[1] = value.v;
    call->args[2] = uvmf_flags;
}

void mmuq_ext(struct mmuq *q, const struct mmuext_op *op)
{
    if (q->next == MAX_EXT || q->ncalls == MAX_CALLS) {
        flush(q);
    }
    q->ext[q->next] = *op;
    queue_array(q, __HYPERVISOR_mmuext_op, &q->ext[q->next++]);
}

void mmuq_flush_all(struct mmuq *q, const void *va, size_t n)
{
    const struct mmuext_op one = {.cmd = MMUEXT_INVLPG_ALL, .arg1.linear_addr = (unsigned long)va};
    const struct mmuext_op all = {.cmd = MMUEXT_TLB_FLUSH_ALL};

    mmuq_ext(q, n == 1 ? &one : &all);
}

void mmuq_send(struct mmuq *q)
{
    ASSERT(q->open);
    flush(q);
}

int mmuq_end(struct mmuq *q)
{
    flush(q);
    int error = q->error;

    q->open = false;
    upcalls_restore(q->saved);
    return error;
}

uint64_t mmuq_hypercalls(void)
{
    return this_cpu()->mmuq->hypercalls;
}
