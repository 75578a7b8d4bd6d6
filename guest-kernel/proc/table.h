/*
 * table.h - what the life of processes (proc.c) and that of their threads (uthread.c) share.
 *
 * For these two alone.
 */
#ifndef PROC_TABLE_H
#define PROC_TABLE_H

#include "proc/proc.h"

extern struct mutex proc_table_lock; /* "processes": over the table, and who belongs to whom */
extern struct proc *proc_table[PROC_MAX];

/** proc_new_id() - a number for a process or a thread. The table is locked. */
unsigned proc_new_id(void);

/** proc_set_space() - give a process another space. Return: what it had. Thread context. */
struct vm_space *proc_set_space(struct proc *p, struct vm_space *space);

/** uthread_find() - a process's thread of a number, or NULL. The table is locked. */
struct uthread *uthread_find(const struct proc *p, unsigned tid);

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
