/*
 * A child process that is none, in place of lib/child.c: it is started, told things and sent
 * signals like one; what it says and how it ends the target says.
 */
#ifndef DUET_FUZZ_CHILD_H
#define DUET_FUZZ_CHILD_H

#include <stdbool.h>

#include "child.h"

/* Told of each message that it is sent; returns what child_send() returns. NULL: 0. */
extern int (*fuzz_child_on_send)(struct child *c, const void *msg, unsigned long len);

/* Told of each signal. NULL: nobody is. */
extern void (*fuzz_child_on_signal)(struct child *c, int signo);

/* None can be started. */
extern bool fuzz_child_fails;

/* It says something: a copy of exactly these bytes is what the code under test gets. */
void fuzz_child_says(struct child *c, const void *msg, unsigned long len);

/* It ends; `status` as waitpid() gives it. Its structure may be gone then. */
void fuzz_child_ends(struct child *c, int status);

#endif
