/*
 * The terminal that somebody sits at: raw while a console is attached, and put right again however
 * the program ends: at its end, by a signal that ends or stops it, or by a fault of its own.
 *
 * One per process.
 */
#ifndef DUET_CONSOLE_TOOL_TERMINAL_H
#define DUET_CONSOLE_TOOL_TERMINAL_H

#include <stdbool.h>

/*
 * Makes the terminal at @fd raw, if it is one, and has the signals that end or stop a program
 * arrive at *@signals, a descriptor that can be read (a struct signalfd_siginfo each). Returns 0 or
 * -errno.
 */
int terminal_open(int fd, int *signals);

/* Whether there is one. */
bool terminal_is_raw(void);

/*
 * Does what the signal is for: ends the program by it (does not return), or stops it and comes back
 * when it goes on.
 */
void terminal_obey(int signo);

/* Puts it right. Harmless when it is. */
void terminal_close(void);

#endif
