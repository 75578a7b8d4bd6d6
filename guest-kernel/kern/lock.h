/*
 * lock.h - spinlocks and the upcall mask.
 *
 * Xen's "interrupts" are event upcalls; a vCPU masks them in its vcpu_info (cli and sti do nothing
 * in a PV guest). Every spinlock masks upcalls on the taking vCPU while it is held, so one kind
 * of lock serves threads and event handlers alike, and a holder is never pre-empted by us. Hold
 * them for a short while; never sleep or call into a driver with one held.
 * Suspend: runs with upcalls masked on vCPU 0 and the others stopped, so no spinlock is held.
 */
#ifndef KERN_LOCK_H
#define KERN_LOCK_H

#include "kern/types.h"

/* What upcalls_save() found: true if upcalls were masked already. */
typedef bool upcall_state_t;

/** upcalls_save() - mask upcalls on this vCPU, say how they were. Any context. */
upcall_state_t upcalls_save(void);

/** upcalls_restore() - back to @state; if that unmasks, pending events are taken at once. */
void upcalls_restore(upcall_state_t state);

/** upcalls_masked() - whether this vCPU holds upcalls back now. */
bool upcalls_masked(void);

/*
 * Whoever finds it free takes it. No queue: where vCPUs share processors, the next in line is often
 * one that does not run, and all would wait until Xen gives it its turn.
 */
typedef struct spinlock {
    int16_t owner;    /* cpu id of the holder, -1 when free */
    const char *name; /* for the debugger and panics */
} spinlock_t;

#define SPINLOCK(lockname)              \
    {                                   \
        .owner = -1, .name = (lockname) \
    }

/** spin_init() - make a lock usable. @name must stay valid. */
void spin_init(spinlock_t *lock, const char *name);

/**
 * spin_lock() - mask upcalls, then take the lock
 *
 * Return: the state to hand back to spin_unlock(). Any context. Panics, naming the lock, if this
 * vCPU holds it already.
 */
upcall_state_t spin_lock(spinlock_t *lock) __must_check;
void spin_unlock(spinlock_t *lock, upcall_state_t state);

/** spin_acquire() / spin_release() - the same for who has masked upcalls already. */
void spin_acquire(spinlock_t *lock);
void spin_release(spinlock_t *lock);

/**
 * locks_set_bypass() - whether taking and releasing spinlocks and mutexes does nothing
 *
 * For the debugger, which reads structures whose lock a stopped CPU holds. On only while all other
 * vCPUs stand still and this one runs the debugger, upcalls masked.
 */
void locks_set_bypass(bool on);
bool locks_bypassed(void);

#endif /* KERN_LOCK_H */
