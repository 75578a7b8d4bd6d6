/*
 * lock.h - spinlocks and the upcall mask.
 *
 * Xen's "interrupts" are event upcalls; a vCPU masks them in its vcpu_info (cli and sti do nothing
 * in a PV guest). Every spinlock masks upcalls on the taking vCPU while it is held, so one kind
 * of lock serves threads and event handlers alike, and a holder is never pre-empted by us. Hold
 * them for a short while; never sleep or call into a driver with one held. Which may be taken
 * with which others held is told in lockorder.def, and checked in the debug kernel (witness.h).
 * Suspend: runs with upcalls masked on vCPU 0 and the others stopped, so no spinlock is held.
 */
#ifndef KERN_LOCK_H
#define KERN_LOCK_H

#include "kern/lockorder.h"
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
    uint16_t class;   /* its enum lock_class, once the witness has looked it up */
    const char *name; /* for the debugger and panics, and its row of lockorder.def */
} spinlock_t;

/* A lock of a class that has a row of its own whatever the lock's name. */
#define SPINLOCK_OF(lockclass, lockname)                      \
    {                                                         \
        .owner = -1, .class = (lockclass), .name = (lockname) \
    }

#define SPINLOCK(lockname) SPINLOCK_OF(LOCK_UNKNOWN, lockname)

/** spin_init() - make a lock usable. @name must stay valid and have a row in lockorder.def. */
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
 * spin_pause() - a moment in a loop that waits for another vCPU
 * @spins: the loop's turns so far, counted from 1: now and then Xen may run other vCPUs
 */
void spin_pause(unsigned spins);

/**
 * locks_set_bypass() - whether taking and releasing spinlocks and mutexes does nothing
 *
 * For the debugger, which reads structures whose lock a stopped CPU holds. On only while all other
 * vCPUs stand still and this one runs the debugger, upcalls masked.
 */
void locks_set_bypass(bool on);
bool locks_bypassed(void);

#endif /* KERN_LOCK_H */
