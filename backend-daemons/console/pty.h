/*
 * The terminal of a console: a pseudo-terminal whose slave `xl console` opens. The daemon holds the
 * master only, so that the kernel can say whether anybody has the slave open. Its modes stay as
 * they are set while the master lives.
 *
 * Types owned: struct pty. No locks.
 */
#ifndef DUET_CONSOLE_PTY_H
#define DUET_CONSOLE_PTY_H

#include <stdbool.h>

/* Room for "/dev/pts/" and a number. */
#define PTY_PATH_MAX 32

struct pty {
    int master;
    char path[PTY_PATH_MAX];
};

/* A pty that is not open. */
void pty_init(struct pty *pty);

/* Opens a raw pty, its master non-blocking. Returns 0 or -errno. */
int pty_open(struct pty *pty);

/* Closes it; harmless when it is not open. */
void pty_close(struct pty *pty);

/* Whether somebody has the slave open now. */
bool pty_has_reader(const struct pty *pty);

/*
 * After the last reader has left: drops what it did not read, and makes the terminal raw again.
 * Returns 0 or -errno.
 */
int pty_reset(struct pty *pty);

#endif
