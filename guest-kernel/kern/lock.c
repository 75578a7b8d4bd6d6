/*
 * lock.c - masking upcalls, and spinlocks.
 *
 * The mask is a byte of vcpu_info, which is the head of struct cpu: %gs-relative loads and stores
 * reach the running vCPU's whatever happens between them. If the mask was clear, a thread may be
 * moved between load and store, but then it is clear on the other vCPU as well.
 */
#include "kern/lock.h"

#include "kern/witness.h"
#include "os/hypercall.h"
#include "os/panic.h"
#include "psm/cpu.h"

/* After so many turns the holder's vCPU has most likely lost its processor: let Xen run others. */
#define SPINS_BEFORE_YIELD 512

#define GS_MASK        "%%gs:%c[mask]"
#define GS_PENDING     "%%gs:%c[pending]"
#define MASK_OFFSET    [mask] "i"(offsetof(struct vcpu_info, evtchn_upcall_mask))
#define PENDING_OFFSET [pending] "i"(offsetof(struct vcpu_info, evtchn_upcall_pending))

bool upcalls_masked(void)
{
    uint8_t mask;

    __asm__ volatile("movb " GS_MASK ", %[out]" : [out] "=q"(mask) : MASK_OFFSET);
    return mask != 0;
}

upcall_state_t upcalls_save(void)
{
    bool masked = upcalls_masked();

    __asm__ volatile("movb $1, " GS_MASK : : MASK_OFFSET : "memory");
    return masked;
}

void upcalls_restore(upcall_state_t state)
{
    uint8_t pending;

    if (state) {
        return;
    }
    __asm__ volatile("movb $0, " GS_MASK "\n\t"
                     "movb " GS_PENDING ", %[out]"
                     : [out] "=q"(pending)
                     : MASK_OFFSET, PENDING_OFFSET
                     : "memory");
    if (unlikely(pending)) {
        /* Any hypercall delivers what is pending on its way back; this one does nothing else. */
        (void)HYPERVISOR_xen_version(XENVER_version, NULL);
    }
}

static bool bypassed; /* see locks_set_bypass() */

void locks_set_bypass(bool on)
{
    WRITE_ONCE(bypassed, on);
}

bool locks_bypassed(void)
{
    return READ_ONCE(bypassed);
}

void spin_init(spinlock_t *lock, const char *name)
{
    *lock = (spinlock_t)SPINLOCK(name);
}

/* Take a free lock. False if it was not free. */
static bool try_acquire(spinlock_t *lock, int16_t self)
{
    int16_t free = -1;

    return READ_ONCE(lock->owner) == free &&
           __atomic_compare_exchange_n(&lock->owner, &free, self, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

void spin_pause(unsigned spins)
{
    if (spins % SPINS_BEFORE_YIELD == 0) {
        (void)HYPERVISOR_sched_op(SCHEDOP_yield, NULL);
    }
    __builtin_ia32_pause();
}

/* Take it as soon as it is free, waiting visibly to the debugger. */
static void spin_wait(spinlock_t *lock, int16_t self)
{
    struct cpu *cpu = this_cpu();

    ASSERT(lock->name != NULL); /* else nobody has made it usable, and nobody will release it */
    WRITE_ONCE(cpu->wants_lock, lock);
    for (unsigned spins = 1; !try_acquire(lock, self); spins++) {
        spin_pause(spins);
    }
    WRITE_ONCE(cpu->wants_lock, NULL);
}

/* @place is for the witness: who wants it. */
static inline void acquire(spinlock_t *lock, uint64_t place)
{
    int16_t self = (int16_t)this_cpu()->id;

    if (unlikely(locks_bypassed())) {
        return;
    }
    if (unlikely(READ_ONCE(lock->owner) == self)) {
        panic("spinlock \"%s\": taken twice by vCPU %d", lock->name, self);
    }
    witness_spin_wants(lock, place);
    if (!try_acquire(lock, self)) {
        spin_wait(lock, self);
    }
    witness_spin_has(lock, place);
}

void spin_acquire(spinlock_t *lock)
{
    acquire(lock, (uint64_t)__builtin_return_address(0));
}

void spin_release(spinlock_t *lock)
{
    if (unlikely(locks_bypassed())) {
        return;
    }
    ASSERT(READ_ONCE(lock->owner) == (int16_t)this_cpu()->id);
    witness_spin_drops(lock);
    __atomic_store_n(&lock->owner, -1, __ATOMIC_RELEASE);
}

upcall_state_t spin_lock(spinlock_t *lock)
{
    upcall_state_t state = upcalls_save();

    acquire(lock, (uint64_t)__builtin_return_address(0));
    return state;
}

void spin_unlock(spinlock_t *lock, upcall_state_t state)
{
    spin_release(lock);
    upcalls_restore(state);
}
