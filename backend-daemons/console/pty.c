/*
 * Pseudo-terminals, see pty.h.
 */
#include "pty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

void pty_init(struct pty *pty)
{
    *pty = (struct pty){.master = -1, .slave = -1};
}

static int make_raw(int fd)
{
    struct termios mode;

    if (tcgetattr(fd, &mode) < 0)
        return -errno;
    cfmakeraw(&mode);
    return tcsetattr(fd, TCSANOW, &mode) < 0 ? -errno : 0;
}

int pty_open(struct pty *pty)
{
    int number, err = 0;

    pty->master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (pty->master < 0)
        return -errno;
    if (unlockpt(pty->master) < 0 || ioctl(pty->master, TIOCGPTN, &number) < 0) {
        err = -errno;
    } else {
        snprintf(pty->path, sizeof(pty->path), "/dev/pts/%d", number);
        /* By the master, not by the path: it is the right one whatever is mounted there. */
        pty->slave = ioctl(pty->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
        err = pty->slave < 0 ? -errno : make_raw(pty->slave);
    }
    if (err != 0)
        pty_close(pty);
    return err;
}

void pty_close(struct pty *pty)
{
    if (pty->slave >= 0)
        close(pty->slave);
    if (pty->master >= 0)
        close(pty->master);
    pty_init(pty);
}

void pty_reset(struct pty *pty)
{
    tcflush(pty->slave, TCIFLUSH);
    make_raw(pty->slave);
}
