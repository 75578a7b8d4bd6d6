/*
 * console.h - the console as a terminal of programs.
 *
 * While the kernel's shell runs a program, all that is typed is for programs: the shell's thread
 * takes each key, so that ^C is heard whether somebody reads or not.
 */
#ifndef SYSCALL_CONSOLE_H
#define SYSCALL_CONSOLE_H

#include "proc/proc.h"

/** console_boot() - once. */
void console_boot(void);

/** console_begin() - the console is that of a process which has not started, and of its group. */
void console_begin(const struct proc *p);

/** console_serve() - take keys until @over(@arg), which xencons_look_again() tells of. Sleeps. */
void console_serve(bool (*over)(void *arg), void *arg);

/** console_end() - it is the shell's again, with what nobody has read. */
void console_end(void);

/** console_leave() - a process ends: if it leads the console's session, that has none then. */
void console_leave(const struct proc *p);

#endif /* SYSCALL_CONSOLE_H */
