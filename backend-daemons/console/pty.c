/*
 * Pseudo-terminals: see pty.h.
 */
#include "pty.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

void cons_pty_init(struct cons_pty *pty)
{
    *pty = (struct cons_pty){.master = -1};
}

int cons_pty_reset(struct cons_pty *pty)
{
    /* By the master, not by the path: it is the right one whatever is mounted there. */
    int slave = ioctl(pty->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC), err = 0;
    struct termios mode;

    if (slave < 0) {
        return -errno;
    }
    tcflush(slave, TCIFLUSH);
    if (tcgetattr(slave, &mode) < 0) {
        err = -errno;
    } else {
        cfmakeraw(&mode);
        if (tcsetattr(slave, TCSANOW, &mode) < 0) {
            err = -errno;
        }
    }
    close(slave);
    return err;
}

int cons_pty_open(struct cons_pty *pty, char path[CONS_TTY_MAX])
{
    int number, err = 0;

    pty->master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (pty->master < 0) {
        return -errno;
    }
    if (unlockpt(pty->master) < 0 || ioctl(pty->master, TIOCGPTN, &number) < 0) {
        err = -errno;
        cons_pty_close(pty);
        return err;
    }
    snprintf(path, CONS_TTY_MAX, "/dev/pts/%d", number);
    return 0;
}

void cons_pty_close(struct cons_pty *pty)
{
    if (pty->master >= 0) {
        close(pty->master);
    }
    cons_pty_init(pty);
}

bool cons_pty_has_reader(const struct cons_pty *pty)
{
    struct pollfd pfd = {.fd = pty->master};

    return poll(&pfd, 1, 0) == 0;
}
