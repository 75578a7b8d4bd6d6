/*
 * A child process that is none: see fake_child.h.
 */
#include "fake_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>

#include "input.h"

int (*fuzz_child_on_send)(struct child *c, const void *msg, unsigned long len);
void (*fuzz_child_on_signal)(struct child *c, int signo);

bool fuzz_child_fails;

int child_start(struct child *c, struct loop *loop, int program, char *const argv[],
                child_message_fn *on_message, child_exit_fn *on_exit, void *arg)
{
    static int null = -1; /* its socket: a descriptor that there is */

    (void)program;
    (void)argv;
    null = null < 0 ? open("/dev/null", O_RDWR | O_CLOEXEC) : null;
    require(c->pid == 0 && null >= 0);
    if (fuzz_child_fails) {
        return -EAGAIN;
    }
    *c = (struct child){.loop = loop,
                        .pid = 1,
                        .on_message = on_message,
                        .on_exit = on_exit,
                        .arg = arg,
                        .socket = {.fd = null, .added = true}};
    return 0;
}

int child_send(struct child *c, const void *msg, unsigned long len, const int *fds,
               unsigned int nr_fds)
{
    (void)fds;
    require(nr_fds <= CHILD_FDS_MAX && len <= CHILD_MESSAGE_MAX);
    return fuzz_child_on_send != NULL ? fuzz_child_on_send(c, msg, len) : 0;
}

void child_give_up(struct child *c)
{
    c->socket.added = false;
    child_signal(c, SIGKILL);
}

void child_signal(struct child *c, int signo)
{
    if (c->pid != 0 && fuzz_child_on_signal != NULL) {
        fuzz_child_on_signal(c, signo);
    }
}

void child_describe_status(int status, char *out, unsigned long size)
{
    snprintf(out, size, "ended with status %d", status);
}

void fuzz_child_says(struct child *c, const void *msg, unsigned long len)
{
    uint8_t *copy = malloc(len != 0 ? len : 1);

    require(copy != NULL && c->pid != 0);
    if (!c->socket.added) {
        free(copy); /* it was given up */
        return;
    }
    memcpy(copy, msg, len);
    c->on_message(c->arg, copy, len);
    free(copy);
}

void fuzz_child_ends(struct child *c, int status)
{
    c->pid = 0;
    c->on_exit(c->arg, status);
}
