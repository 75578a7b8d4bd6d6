/*
 * Child processes: see child.h. posix_spawn() is used rather than fork(), because the parent has
 * libxenstore's reader thread, and because the child must start with an address space that never
 * held another guest's data. The exit is learnt from a pidfd, so that no SIGCHLD handler walks all
 * children.
 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"

/* Messages for one turn of the loop; and of a child that has ended, whose socket another process
 * may hold. */
#define MESSAGES_PER_TURN 16
#define MESSAGES_AT_END   1024

/* What a child may send: a device's worker sends a few in all its life. */
#define MESSAGES       UINT64_C(100)
#define MESSAGES_BURST UINT64_C(1000)
#define SECOND_NS      UINT64_C(1000000000)

union fd_control {
    struct cmsghdr align;
    char buf[CMSG_SPACE(CHILD_FDS_MAX * sizeof(int))];
};

void child_give_up(struct child *c)
{
    loop_fd_del(c->loop, &c->socket);
    child_signal(c, SIGKILL);
}

/* Delivers up to `most` messages. */
static void drain_socket(struct child *c, unsigned int most)
{
    char msg[CHILD_MESSAGE_MAX];

    for (unsigned int i = 0; c->socket.added && i < most; i++) {
        ssize_t n = recv(c->socket.fd, msg, sizeof(msg), MSG_DONTWAIT);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == ENOMEM || errno == ENOBUFS)) {
            return; /* it is there still, and the loop comes back for it */
        }
        if (n < 0 && errno != ECONNRESET) {
            log_msg(LOG_ERR, NULL, "process %d cannot be heard: %s; killed", (int)c->pid,
                    strerror(errno));
            child_give_up(c);
            return;
        }
        if (n <= 0) { /* it has ended, or is about to */
            loop_fd_del(c->loop, &c->socket);
            return;
        }
        if (!bucket_take(&c->messages, 1, loop_now_ns())) {
            log_msg(LOG_ERR, NULL,
                    "process %d sends more than %" PRIu64 " messages a second; killed", (int)c->pid,
                    c->messages.amount);
            child_give_up(c);
            return;
        }
        c->on_message(c->arg, msg, (unsigned long)n);
    }
}

static void on_socket(void *arg, uint32_t events)
{
    (void)events;
    drain_socket(arg, MESSAGES_PER_TURN);
}

static void on_pidfd(void *arg, uint32_t events)
{
    struct child *c = arg;
    siginfo_t info = {.si_pid = 0};
    int status = 0;

    (void)events;
    if (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0) {
        return;
    }
    /* It keeps its number until it is reaped: a signal because of its last words hits nobody else.
     */
    drain_socket(c, MESSAGES_AT_END);
    while (waitpid(c->pid, &status, WNOHANG) < 0 && errno == EINTR) {
    }
    loop_fd_del(c->loop, &c->socket);
    loop_fd_del(c->loop, &c->pidfd);
    close(c->socket.fd);
    close(c->pidfd.fd);
    c->pid = 0;
    c->on_exit(c->arg, status);
}

int child_find_program(const char *path)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    int high;

    if (fd < 0) {
        return -errno;
    }
    high = fcntl(fd, F_DUPFD_CLOEXEC, CHILD_SOCKET_FD + 1); /* spawn() overwrites the low ones */
    if (high < 0) {
        high = -errno;
    }
    close(fd);
    return high;
}

void child_take_name(void)
{
    prctl(PR_SET_NAME, program_invocation_short_name);
}

/* What the child has instead of our descriptors. Returns an error's number. */
static int set_descriptors(posix_spawn_file_actions_t *fa, int sock)
{
    int err = posix_spawn_file_actions_adddup2(fa, sock, CHILD_SOCKET_FD);

    if (err == 0) {
        err = posix_spawn_file_actions_addopen(fa, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    }
    if (err == 0) {
        err = posix_spawn_file_actions_addopen(fa, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    }
    return err;
}

/* Spawns it with `sock` as CHILD_SOCKET_FD. Returns the pid or -errno. */
static pid_t spawn(int program, char *const argv[], int sock)
{
    char path[32];
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    static const int blocked[] = {SIGHUP, SIGINT, SIGUSR1, SIGUSR2};
    sigset_t mask, deflt;
    pid_t pid;
    int err;

    sigemptyset(&mask);
    for (unsigned int i = 0; i < sizeof(blocked) / sizeof(blocked[0]); i++) {
        sigaddset(&mask, blocked[i]);
    }
    sigemptyset(&deflt);
    sigaddset(&deflt, SIGPIPE);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &mask);
    posix_spawnattr_setsigdefault(&attr, &deflt);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", program);
    err = posix_spawn_file_actions_init(&fa);
    if (err == 0) {
        err = set_descriptors(&fa, sock);
        if (err == 0) {
            err = posix_spawn(&pid, program >= 0 ? path : argv[0], &fa, &attr, argv, environ);
        }
        posix_spawn_file_actions_destroy(&fa);
    }
    posix_spawnattr_destroy(&attr);
    return err != 0 ? -err : pid;
}

/* Registers a running child with the loop. Returns 0 or -errno. */
static int watch_child(struct child *c, int sock)
{
    int fd = (int)syscall(SYS_pidfd_open, c->pid, 0);
    int err;

    if (fd < 0) {
        return -errno;
    }
    err = loop_fd_add(c->loop, &c->pidfd, fd, EPOLLIN, on_pidfd, c);
    if (err == 0) {
        err = loop_fd_add(c->loop, &c->socket, sock, EPOLLIN, on_socket, c);
    }
    if (err != 0) {
        loop_fd_del(c->loop, &c->pidfd);
        close(fd);
    }
    return err;
}

int child_start(struct child *c, struct loop *loop, int program, char *const argv[],
                child_message_fn *on_message, child_exit_fn *on_exit, void *arg)
{
    int sv[2];
    int err;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0) {
        return -errno;
    }
    *c = (struct child){.loop = loop, .on_message = on_message, .on_exit = on_exit, .arg = arg};
    bucket_set(&c->messages, MESSAGES, SECOND_NS, MESSAGES_BURST, loop_now_ns());
    c->messages.tokens = MESSAGES_BURST;
    c->pid = spawn(program, argv, sv[1]);
    close(sv[1]);
    if (c->pid < 0) {
        err = c->pid;
        c->pid = 0;
        close(sv[0]);
        return err;
    }
    err = watch_child(c, sv[0]);
    if (err != 0) {
        close(sv[0]);
        kill(c->pid, SIGKILL);
        while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        c->pid = 0;
    }
    return err;
}

static int send_with_fds(int sock, const void *msg, unsigned long len, const int *fds,
                         unsigned int nr_fds, int flags)
{
    union fd_control control = {0};
    struct iovec iov = {.iov_base = (void *)msg, .iov_len = len};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

    if (nr_fds > CHILD_FDS_MAX) {
        return -E2BIG;
    }
    if (nr_fds != 0) {
        struct cmsghdr *cm;

        mh.msg_control = control.buf;
        mh.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
        cm = CMSG_FIRSTHDR(&mh);
        cm->cmsg_level = SOL_SOCKET;
        cm->cmsg_type = SCM_RIGHTS;
        cm->cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
        memcpy(CMSG_DATA(cm), fds, nr_fds * sizeof(int));
    }
    return sendmsg(sock, &mh, MSG_NOSIGNAL | flags) < 0 ? -errno : 0;
}

int child_send(struct child *c, const void *msg, unsigned long len, const int *fds,
               unsigned int nr_fds)
{
    if (c->pid == 0 || !c->socket.added) {
        return -EPIPE;
    }
    return send_with_fds(c->socket.fd, msg, len, fds, nr_fds, MSG_DONTWAIT);
}

int child_send_over(int sock, const void *msg, unsigned long len, const int *fds,
                    unsigned int nr_fds)
{
    return send_with_fds(sock, msg, len, fds, nr_fds, 0);
}

void child_signal(struct child *c, int signo)
{
    if (c->pid > 0) {
        kill(c->pid, signo);
    }
}

/* Takes the descriptors out of a received message. Returns how many there were. */
static unsigned int take_fds(struct msghdr *mh, int *fds, unsigned int max)
{
    unsigned int n = 0;

    for (struct cmsghdr *cm = CMSG_FIRSTHDR(mh); cm != NULL; cm = CMSG_NXTHDR(mh, cm)) {
        unsigned int count;

        if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        count = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (unsigned int i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(cm) + i * sizeof(int), sizeof(fd));
            if (n < max) {
                fds[n] = fd;
            } else {
                close(fd);
            }
            n++;
        }
    }
    return n;
}

static void close_fds(const int *fds, unsigned int nr)
{
    for (unsigned int i = 0; i < nr; i++) {
        close(fds[i]);
    }
}

long child_receive_any(int sock, void *msg, unsigned long size, int *fds, unsigned int max_fds,
                       unsigned int *nr_fds)
{
    union fd_control control;
    struct iovec iov = {.iov_base = msg, .iov_len = size};
    struct msghdr mh = {.msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = control.buf,
                        .msg_controllen = sizeof(control.buf)};
    ssize_t n;

    *nr_fds = 0;
    do {
        n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return -errno;
    }
    *nr_fds = take_fds(&mh, fds, max_fds);
    if (*nr_fds > max_fds || (mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
        close_fds(fds, *nr_fds < max_fds ? *nr_fds : max_fds);
        *nr_fds = 0;
        return -EPROTO;
    }
    return n;
}

long child_receive(int sock, void *msg, unsigned long size, int *fds, unsigned int nr_fds)
{
    unsigned int got;
    long n = child_receive_any(sock, msg, size, fds, nr_fds, &got);

    if (n < 0 || (n == 0 && got == 0) || got == nr_fds) {
        return n;
    }
    close_fds(fds, got);
    return -EPROTO;
}

void child_describe_status(int status, char *out, unsigned long size)
{
    if (WIFSIGNALED(status)) {
        snprintf(out, size, "killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    } else {
        snprintf(out, size, "exited with status %d", WEXITSTATUS(status));
    }
}
