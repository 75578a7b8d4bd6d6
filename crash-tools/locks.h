/*
 * The kernel's locks: who holds which, who waits, and circles of those who wait for one another.
 */
#ifndef DUET_CRASH_LOCKS_H
#define DUET_CRASH_LOCKS_H

#include "kernel.h"

#define LOCKS_MAX  256
#define CIRCLE_MAX 64

/* A lock that somebody holds or waits for. */
struct klock {
    uint64_t address;
    bool mutex;
    char name[KERNEL_NAME_MAX];
    char place[128];             /* the variable that it is or is in; empty: not one */
    const struct kthread *owner; /* a mutex's; NULL: nobody */
    int cpu;                     /* a spinlock's; -1: nobody */
};

/* Finds locks among the kernel's variables and by who waits. Returns how many, LOCKS_MAX at most.
 */
unsigned int locks_find(struct session *s, const struct kernel *k, struct klock locks[LOCKS_MAX]);

/* A mutex's owner; NULL: nobody. */
const struct kthread *lock_owner(struct session *s, const struct kernel *k, uint64_t mutex);

/*
 * The threads that wait for one another's mutexes, @first among them with the lowest address.
 * Returns how many, 0 if it is in no circle or not the lowest.
 */
unsigned int lock_circle(struct session *s, const struct kernel *k, const struct kthread *first,
                         const struct kthread *circle[CIRCLE_MAX]);

/* The same of vCPUs that spin. A vCPU that waits for itself is a circle of one. */
unsigned int lock_spin_circle(struct session *s, const struct kernel *k, const struct kcpu *first,
                              const struct kcpu *circle[CIRCLE_MAX]);

#endif
