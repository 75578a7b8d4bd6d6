/*
 * deliver.h - a thread's signals on its way back to ring 3.
 */
#ifndef PROC_DELIVER_H
#define PROC_DELIVER_H

#include "proc/proc.h"
#include "psm/trap.h"

/** deliver_due() - whether deliver_signals() has something to do. Upcalls masked or not. */
bool deliver_due(const struct uthread *t, const struct trap_frame *regs);

/** deliver_signals() - act on all that is ready. The calling thread's; may end it; may sleep. */
void deliver_signals(struct uthread *t, struct trap_frame *regs);

/**
 * deliver_fault() - call the handler of what the thread brought on itself
 * @cr2: of a page fault
 *
 * Return: false if there is none, or if it cannot be called. As above.
 */
bool deliver_fault(struct uthread *t, struct trap_frame *regs, unsigned number,
                   const struct signal_info *info, uint64_t cr2);

/** fault_of_user() - struct user_traps' `exception`: by deliver_fault(), or it ends the process. */
void fault_of_user(struct trap_frame *frame, uint64_t va, int why);

/** deliver_return() - rt_sigreturn(): 0 with @regs as the frame says, or -EINVAL, -EFAULT. */
int deliver_return(struct uthread *t, struct trap_frame *regs, const char **why);

#endif /* PROC_DELIVER_H */
