/*
 * table.h - what the life of processes (proc.c), their threads (uthread.c) and jobs (jobs.c) share.
 *
 * For these alone.
 */
#ifndef PROC_TABLE_H
#define PROC_TABLE_H

#include "proc/proc.h"

#define STATUS_GOES_ON 0xffff /* of wait4(): the child was stopped, and is no more */

extern struct mutex proc_table_lock; /* "processes": over the table, and who belongs to whom */
extern struct proc *proc_table[PROC_MAX];

/** job_settle() - the parent is told if the process is stopped by now. The table is locked. */
void job_settle(struct proc *p);

/**
 * job_orphans() - @p is @parent's no more, or has ended itself
 *
 * Jobs of its that are stopped, and that nobody can let go on by now, are hung up. Locked.
 */
void job_orphans(const struct proc *p, const struct proc *parent);

/** proc_new_id() - a number for a process or a thread. The table is locked. */
unsigned proc_new_id(void);

/** proc_set_space() - give a process another space. Return: what it had. Thread context. */
struct vm_space *proc_set_space(struct proc *p, struct vm_space *space);

/** uthread_find() - a process's thread of a number, or NULL. The table is locked. */
struct uthread *uthread_find(const struct proc *p, unsigned tid);

/** tell_parent() - SIGCHLD for a status, if there is a parent. The table is locked. */
void tell_parent(const struct proc *p, int status);

/** proc_set_status() - what the process ends with, if nothing was said before. */
void proc_set_status(struct proc *p, int status);

/** proc_end() - the calling thread was the last one: end the process, and the thread. */
__noreturn void proc_end(struct proc *p);

/** proc_rouse() - let all threads of a process look what they were told. Any context. */
void proc_rouse(struct proc *p);

/** proc_wait_alone() - sleep until a process has one thread. False: it is to end. */
bool proc_wait_alone(const struct proc *p);

/** uthread_leaves() - struct user_traps' `leave`. */
void uthread_leaves(struct trap_frame *frame);

#endif /* PROC_TABLE_H */
