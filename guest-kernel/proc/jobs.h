/*
 * jobs.h - process groups, sessions, and processes that are stopped.
 *
 * A group has the pid of its first process, and so has a session, of which groups are parts. What
 * the kernel's shell begins is a group of its own in the shell's session, as with any shell. A
 * terminal has one session, and tells one of its groups what is typed.
 *
 * A process is stopped when one of its threads has taken a signal that does so: then each sleeps on
 * its way back to ring 3, and the last one tells the parent. SIGCONT lets them go on, SIGKILL end.
 * A group is an orphan if none of its processes has a parent elsewhere in its session: nobody would
 * let it go on, so a terminal's signals do not stop it. What a kernel thread began is never
 * stopped. Locks: all under "processes"; whether a process is stopped under its "signals". Suspend:
 * who is stopped stays so.
 */
#ifndef PROC_JOBS_H
#define PROC_JOBS_H

#include "proc/proc.h"

/** job_stop() - a thread of @p took a signal that stops it. */
void job_stop(struct proc *p, unsigned number);

/** job_sleep() - the calling thread sleeps while its process is stopped, or until it shall end. */
void job_sleep(struct uthread *t);

/**
 * job_background() - a thread of a group in the background uses its terminal
 * @number: SIGTTIN or SIGTTOU, which its group is sent
 *
 * Return: -CALL_RESTARTS: it was; 0: go on, since SIGTTOU is blocked or ignored; -EIO: the group is
 * an orphan, or the process one that is never stopped, which would ask again for ever.
 */
int job_background(const struct uthread *t, unsigned number);

/**
 * job_set_group() - setpgid()
 * @pid: of @p or a child of it, 0: @p; @group: 0: one of its own
 *
 * Return: 0, -EINVAL, -ESRCH: no such child; -EACCES: it runs another program by now; -EPERM.
 */
int job_set_group(struct proc *p, int pid, int group);

/** job_new_session() - setsid(): the new one, or -EPERM. */
int job_new_session(struct proc *p);

/** job_of() - the group, or the session, of a process, 0: of @p. -ESRCH. */
int job_of(const struct proc *p, int pid, bool session);

/** job_in_session() - 0 if a session has the group, -EPERM if another one has it, -ESRCH. */
int job_in_session(unsigned group, unsigned session);

/** job_signal() - send a signal of the kernel's to a group. Thread context. */
void job_signal(unsigned group, unsigned number);

#endif /* PROC_JOBS_H */
