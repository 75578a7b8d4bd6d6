/*
 * witness.h - checks while the kernel runs that locks are taken in the order of lockorder.def.
 *
 * In the debug kernel (DUET_WITNESS) each vCPU keeps a list of the spinlocks that it holds and each
 * thread one of its mutexes. Taking a lock whose rank is not above that of all that is held is a
 * panic at the first time, whether or not anybody else is there to make a deadlock of it. The panic
 * names both places, and those where the two were taken the other way round, if that was seen.
 * Running a timer's callback or an event's handler counts as holding it, waiting for its end as
 * taking it. Wherever a thread might sleep it may hold no spinlock, even if it need not sleep now.
 *
 * In the release kernel all of this is empty.
 */
#ifndef KERN_WITNESS_H
#define KERN_WITNESS_H

#include "kern/lock.h"
#include "kern/lockorder.h"

struct mutex;

#define WITNESS_HELD_MAX 8

/* A lock, and from where it was taken. */
struct held_lock {
    enum lock_class class;
    const void *lock;
    const char *name;
    uint64_t place;
};

struct held_locks {
    unsigned n;
    struct held_lock at[WITNESS_HELD_MAX];
};

#ifdef DUET_WITNESS

/** witness_spin_wants(), witness_spin_has(), witness_spin_drops() - lock.c's; upcalls are masked.
 */
void witness_spin_wants(spinlock_t *lock, uint64_t place);
void witness_spin_has(const spinlock_t *lock, uint64_t place);
void witness_spin_drops(const spinlock_t *lock);

/** witness_mutex_wants(), witness_mutex_has(), witness_mutex_drops() - the same for wait.c. */
void witness_mutex_wants(struct mutex *m, uint64_t place);
void witness_mutex_has(struct mutex *m, uint64_t place);
void witness_mutex_drops(const struct mutex *m);

/** witness_may_sleep() - the caller may sleep here: panics if it holds a spinlock. */
void witness_may_sleep(void);

/**
 * witness_callback_begin(), witness_callback_end() - this vCPU runs a function that others wait for
 * @class: of kind CALLBACK
 * @fn: its address
 */
void witness_callback_begin(enum lock_class class, uint64_t fn);
void witness_callback_end(void);

/** witness_waits() - the caller waits for the end of functions of a class. Any context. */
void witness_waits(enum lock_class class);

#else

static inline void witness_spin_wants(spinlock_t *lock __unused, uint64_t place __unused)
{
}
static inline void witness_spin_has(const spinlock_t *lock __unused, uint64_t place __unused)
{
}
static inline void witness_spin_drops(const spinlock_t *lock __unused)
{
}
static inline void witness_mutex_wants(struct mutex *m __unused, uint64_t place __unused)
{
}
static inline void witness_mutex_has(struct mutex *m __unused, uint64_t place __unused)
{
}
static inline void witness_mutex_drops(const struct mutex *m __unused)
{
}
static inline void witness_may_sleep(void)
{
}
static inline void witness_callback_begin(enum lock_class class __unused, uint64_t fn __unused)
{
}
static inline void witness_callback_end(void)
{
}
static inline void witness_waits(enum lock_class class __unused)
{
}

#endif /* DUET_WITNESS */

#endif /* KERN_WITNESS_H */
