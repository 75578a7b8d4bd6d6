/*
 * Programs that are asked something: see probe.h. The reading ends with the pipe, the time, the
 * size, or when we are to stop, and then whatever is left of the program is killed, so that nothing
 * here waits for somebody who does not end.
 */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "xenbus.h"

enum { CHUNK = 65536 };

/* Starts it in a process group of its own. Returns 0 or -errno. */
static int start(char *const argv[], int out, int err, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none;
    int rc;

    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    rc = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    rc = rc != 0 ? rc : posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    rc = rc != 0 ? rc : posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
    rc = rc != 0 ? rc : posix_spawnattr_setpgroup(&attr, 0);
    sigemptyset(&none);
    rc = rc != 0 ? rc : posix_spawnattr_setsigmask(&attr, &none);
    rc = rc != 0 ? rc
                 : posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    rc = rc != 0 ? rc : posix_spawnp(pid, argv[0], &actions, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    return -rc;
}

/* Takes what is there. Returns whether more may come. */
static bool take(int fd, size_t most, struct probe *probe)
{
    char *grown = realloc(probe->text, probe->len + CHUNK);
    ssize_t n;

    if (grown == NULL) {
        probe->cut = true;
        return false;
    }
    probe->text = grown;
    n = read(fd, grown + probe->len, CHUNK);
    if (n <= 0) {
        return n < 0 && errno == EINTR;
    }
    probe->len += (size_t)n;
    if (probe->len > most) {
        probe->len = most;
        probe->cut = true;
    }
    return !probe->cut;
}

/* All that it says, and its end. Returns 0, or -EINTR. */
static int listen_to(int fd, pid_t pid, const struct question *q, struct probe *probe)
{
    long long deadline = deadline_after(q->seconds);
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    int n;

    do {
        n = wait_for(fd, POLLIN, q->stop, deadline);
    } while (n > 0 && take(fd, q->most, probe));
    if (n > 0 && !probe->cut) {
        /* It may go on when it has closed its output. */
        n = wait_for(pidfd, POLLIN, q->stop, deadline);
    }
    close(pidfd);
    probe->late = n == 0;
    return n < 0 ? n : 0;
}

int probe_run_into(int out, const struct question *q, struct probe *probe)
{
    long long began = now_ms();
    int ends[2], err;
    pid_t pid = 0;

    *probe = (struct probe){0};
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -errno;
    }
    err = start(q->argv, out >= 0 ? out : ends[1], ends[1], &pid);
    close(ends[1]);
    if (err == 0) {
        err = listen_to(ends[0], pid, q, probe);
        if (err != 0 || probe->late || probe->cut) {
            kill(-pid, SIGKILL);
        }
        while (waitpid(pid, &probe->status, 0) < 0 && errno == EINTR) {
        }
    }
    close(ends[0]);
    probe->took_ms = now_ms() - began;
    return err;
}

int probe_run(const struct question *question, struct probe *probe)
{
    return probe_run_into(-1, question, probe);
}

void probe_free(struct probe *probe)
{
    free(probe->text);
}
