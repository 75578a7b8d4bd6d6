/*
 * sys_arch.h - lwIP's semaphores, mailboxes and locks, made of ours.
 *
 * Each has a spinlock of its own, held while a waker changes it and wakes: who waits may free it as
 * soon as it has what it waited for. Suspend: sleepers stay asleep, see kern/wait.h.
 */
#ifndef ARCH_SYS_ARCH_H
#define ARCH_SYS_ARCH_H

#include "kern/wait.h"

typedef struct sys_sem {
    spinlock_t lock;
    struct waitq wq;
    unsigned count;
    bool valid;
} sys_sem_t;

typedef struct sys_mutex {
    struct mutex m;
    bool valid;
} sys_mutex_t;

typedef struct sys_mbox {
    spinlock_t lock;
    struct waitq filled, drained;
    void **ring; /* NULL: not valid */
    unsigned size, head, count;
} sys_mbox_t;

typedef struct thread *sys_thread_t;
typedef upcall_state_t sys_prot_t;

#define sys_mutex_valid(m)       ((m)->valid)
#define sys_mutex_set_invalid(m) ((m)->valid = false)
#define sys_sem_valid(s)         ((s)->valid)
#define sys_sem_set_invalid(s)   ((s)->valid = false)
#define sys_mbox_valid(m)        ((m)->ring != NULL)
#define sys_mbox_set_invalid(m)  ((m)->ring = NULL)

#endif /* ARCH_SYS_ARCH_H */
