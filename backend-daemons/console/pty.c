/*
 * Pseudo-terminals, see pty.h.
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

void pty_init(struct pty *pty)
{
    *pty = (struct pty){.master = -1};
}

int pty_reset(struct pty *pty)
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

int pty_open(struct pty *pty)
{
    int number, err = 0;

    pty->master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (pty->master < 0) {
        return -errno;
    }
    if (unlockpt(pty->master) < 0 || ioctl(pty->master, TIOCGPTN, &number) < 0) {
        err = -errno;
    } else {
        snprintf(pty->path, sizeof(pty->path), "/dev/pts/%d", number);
        err = pty_reset(pty);
    }
    if (err != 0) {
        pty_close(pty);
    }
    return err;
}

void pty_close(struct pty *pty)
{
    if (pty->master >= 0) {
        close(pty->master);
    }
    pty_init(pty);
}

bool pty_has_reader(const struct pty *pty)
{
    struct pollfd pfd = {.fd = pty->master};

    return poll(&pfd, 1, 0) == 0;
}
