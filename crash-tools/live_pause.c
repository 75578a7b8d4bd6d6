/*
 * The pause's keeper, a process of its own: it pauses, waits until its socket's other end is gone,
 * and unpauses. That end goes when the reader is done, and as well when it is interrupted or
 * killed, so no signal has to be handled for it. The keeper itself is in another session, where a
 * terminal's signals do not reach it, and holds none of the reader's files.
 */
#include "live_pause.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void leave_terminal(void)
{
    sigset_t all;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    (void)setsid();
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (null < 0 || dup2(null, fd) < 0) {
            close(fd);
        }
    }
}

/* Never returns. The exit status is whether the domain was left as it was found. */
static void keep(unsigned int domid, int fd, live_pause_fn *pause)
{
    char byte;
    ssize_t n;

    leave_terminal();
    int err = pause(domid, true);
    bool told = send(fd, &err, sizeof(err), MSG_NOSIGNAL) == sizeof(err);
    if (err != 0) {
        _exit(EXIT_SUCCESS);
    }
    do {
        n = told ? read(fd, &byte, sizeof(byte)) : 0;
    } while (n > 0 || (n < 0 && errno == EINTR));
    err = pause(domid, false);
    _exit(err == 0 || err == -ESRCH ? EXIT_SUCCESS : EXIT_FAILURE);
}

int live_pause_begin(struct live_pause *p, unsigned int domid, live_pause_fn *pause)
{
    int fds[2], err = -EIO;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
        return -errno;
    }
    *p = (struct live_pause){.keeper = fork(), .fd = fds[0]};
    if (p->keeper == 0) {
        close(fds[0]);
        keep(domid, fds[1], pause);
    }
    int failed = p->keeper < 0 ? -errno : 0;
    close(fds[1]);
    if (failed == 0 && read(fds[0], &err, sizeof(err)) != sizeof(err)) {
        err = -EIO;
    }
    if (failed == 0 && err != 0) {
        (void)live_pause_end(p);
    } else if (failed != 0) {
        close(fds[0]);
    }
    return failed != 0 ? failed : err;
}

int live_pause_end(struct live_pause *p)
{
    int status = 0;
    pid_t ended;

    close(p->fd);
    do {
        ended = waitpid(p->keeper, &status, 0);
    } while (ended < 0 && errno == EINTR);
    return ended == p->keeper && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS ? 0
                                                                                          : -EIO;
}
