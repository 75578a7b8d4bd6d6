/*
 * A worker's system calls that are no disk's and no ring's: see workerside.h. The program is the
 * real one, blk_worker_class in worker_main().
 */
#include "workerside.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>

#include "blk_worker.h"
#include "sandbox.h"

#define EXIT_STATUS(n) ((n) << 8)

static void run(void *arg)
{
    struct process *p = arg;
    struct blk_worker *b = heap_alloc(p->heap, sizeof(*b));
    char *argv[] = {"worker", NULL};
    int status;

    memset(b, 0, sizeof(*b));
    b->base.class = &blk_worker_class;
    b->base.head = &b->config.head;
    status = worker_main(&b->base, 1, argv);
    process_kill(p, EXIT_STATUS(status));
}

void worker_begin(struct peer *p)
{
    p->process = process_start(PROCESS_WORKER, "worker", run);
    p->process->peer = p;
    sim_trace("worker %u begins", p->process->number);
}

bool worker_socket_speaks(const struct process *p)
{
    return p->peer->to_child.nr != 0 || p->peer->child == NULL;
}

static bool socket_speaks(void *arg)
{
    return worker_socket_speaks(arg);
}

void child_take_name(void)
{
}

long child_receive(int sock, void *msg, unsigned long size, int *fds, unsigned int nr_fds)
{
    struct process *p = process_current();
    struct message *m;
    long n;

    (void)sock;
    task_wait(socket_speaks, p, SIM_NEVER);
    m = message_take(&p->peer->to_child);
    if (m == NULL) {
        return 0;
    }
    if (m->len > size || m->nr_files != nr_fds) {
        message_free(m);
        return -EPROTO; /* told to stop before it has got anything */
    }
    memcpy(msg, m->bytes, m->len);
    for (unsigned int i = 0; i < nr_fds; i++) {
        fds[i] = fd_new(p, m->files[i]);
    }
    n = (long)m->len;
    message_free(m);
    return n;
}

ssize_t __wrap_send(int sock, const void *bytes, size_t len, int flags);
ssize_t __wrap_recv(int sock, void *bytes, size_t len, int flags);
void (*__wrap_signal(int signo, void (*fn)(int)))(int);
int __wrap_sigprocmask(int how, const sigset_t *set, sigset_t *old);
int __wrap_signalfd(int fd, const sigset_t *mask, int flags);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left);

ssize_t __wrap_send(int sock, const void *bytes, size_t len, int flags)
{
    (void)sock;
    (void)flags;
    peer_says(process_current()->peer, bytes, len);
    return (ssize_t)len;
}

ssize_t __wrap_recv(int sock, void *bytes, size_t len, int flags)
{
    struct process *p = process_current();
    struct message *m = message_take(&p->peer->to_child);

    (void)sock;
    (void)flags;
    if (m == NULL && p->peer->child == NULL) {
        return 0;
    }
    if (m == NULL) {
        errno = EAGAIN;
        return -1;
    }
    len = m->len < len ? m->len : len;
    memcpy(bytes, m->bytes, len);
    message_free(m);
    return (ssize_t)len;
}

void (*__wrap_signal(int signo, void (*fn)(int)))(int)
{
    (void)signo;
    (void)fn;
    return SIG_DFL;
}

int __wrap_sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
    (void)how;
    (void)set;
    (void)old;
    return 0;
}

int __wrap_signalfd(int fd, const sigset_t *mask, int flags)
{
    struct file *f = file_new(FILE_OTHER);

    (void)mask;
    (void)flags;
    fd = fd_new(process_current(), f);
    file_put(f);
    return fd;
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
    (void)left;
    task_wait(never, NULL, sim_now + (uint64_t)time->tv_sec * SIM_S + (uint64_t)time->tv_nsec);
    return 0;
}

int sandbox_enter(uid_t id, const char *root, const struct sandbox_rule *rules, unsigned int nr,
                  const char **stage)
{
    (void)id;
    (void)root;
    (void)rules;
    (void)nr;
    (void)stage;
    task_give_way(300);
    return 0;
}
