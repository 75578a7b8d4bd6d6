/*
 * run.h - running a program from the kernel: what the shell's `exec` does.
 *
 * Thread context.
 */
#ifndef SYSCALL_RUN_H
#define SYSCALL_RUN_H

#include "kern/types.h"

/** syscall_boot() - look at the ramdisk; programs can run. Once. */
void syscall_boot(void);

/**
 * program_run() - run a program on the console, which is its terminal, until it ends
 * @status: of its end, as shells count: an exit status, or 128 and the signal's number
 * @why: what is wrong with the program, on -ENOEXEC
 *
 * Return: 0, or -errno if it could not begin.
 */
int program_run(int argc, char **argv, int *status, const char **why);

#endif /* SYSCALL_RUN_H */
