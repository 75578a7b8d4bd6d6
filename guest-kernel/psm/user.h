/*
 * user.h - what a vCPU must know before a thread of it goes to ring 3.
 *
 * The stack on which Xen enters the kernel again, and the bases of %fs and the user's %gs, which no
 * instruction of the kernel's touches. The scheduler loads them at each switch to a thread that has
 * them, so nothing is left of another's. No locks. Suspend: they are loaded again, since the thread
 * that suspends has none.
 */
#ifndef PSM_USER_H
#define PSM_USER_H

#include "kern/types.h"

/* One for each thread that goes to ring 3: struct thread's `user`. */
struct user_cpu {
    uint64_t fs_base, gs_base; /* below USER_END */
};

/** user_load() - tell Xen; the next entry from ring 3 begins at @stack_top. Upcalls masked. */
void user_load(const struct user_cpu *user, const void *stack_top);

/** user_begin() - from here on the calling thread may go to ring 3; NULL: no more. */
void user_begin(struct user_cpu *user);

#endif /* PSM_USER_H */
