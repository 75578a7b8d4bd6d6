/*
 * The terminal of a console: a pseudo-terminal whose slave `xl console` opens. The supervisor opens
 * it and hands its master over. The daemon holds only the master, so that the kernel can say
 * whether anybody has the slave open. The terminal's modes stay as they are set while the master
 * lives.
 *
 * Types: struct cons_pty.
 */
#ifndef DUET_CONSOLE_PTY_H
#define DUET_CONSOLE_PTY_H

#include <stdbool.h>

/* Room for "/dev/pts/" and a number. */
#define CONS_TTY_MAX 32

struct cons_pty {
    int master;
};

/* A pty that is not open. */
void cons_pty_init(struct cons_pty *pty);

/* Opens a pty, its master non-blocking, its slave at @path. Returns 0 or -errno. */
int cons_pty_open(struct cons_pty *pty, char path[CONS_TTY_MAX]);

/* Closes it; harmless when it is not open. */
void cons_pty_close(struct cons_pty *pty);

/* Whether somebody has the slave open now. */
bool cons_pty_has_reader(const struct cons_pty *pty);

/*
 * Before the first reader and after the last one has left: drops what was not read, and makes the
 * terminal raw. Returns 0 or -errno.
 */
int cons_pty_reset(struct cons_pty *pty);

#endif
