/*
 * Uevents of block devices: see uevent.h. Messages that are not the kernel's are ignored.
 */
#include "uevent.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define KERNEL_GROUP 1U
#define MESSAGE_MAX  8192

/* Takes the number when `text` is `key` followed by it. */
static void take_number(const char *text, const char *key, long *number)
{
    unsigned long n = strlen(key);

    if (strncmp(text, key, n) == 0) {
        *number = strtol(text + n, NULL, 10);
    }
}

bool uevent_is_change(const char *message, unsigned long len, dev_t *dev)
{
    bool change = false, block = false;
    long maj = -1, min = -1;

    if (len == 0 || message[len - 1] != '\0') {
        return false;
    }
    for (const char *text = message; text < message + len; text += strlen(text) + 1) {
        change = change || strcmp(text, "ACTION=change") == 0;
        block = block || strcmp(text, "SUBSYSTEM=block") == 0;
        take_number(text, "MAJOR=", &maj);
        take_number(text, "MINOR=", &min);
    }
    if (!change || !block || maj < 0 || min < 0) {
        return false;
    }
    *dev = makedev((unsigned int)maj, (unsigned int)min);
    return true;
}

static void on_uevent(void *arg, uint32_t events)
{
    struct uevent_watch *w = arg;
    char message[MESSAGE_MAX];
    struct sockaddr_nl from = {0};
    socklen_t from_len = sizeof(from);
    ssize_t n;

    (void)events;
    while ((n = recvfrom(w->socket.fd, message, sizeof(message), MSG_DONTWAIT,
                         (struct sockaddr *)&from, &from_len)) > 0) {
        dev_t dev;

        if (from.nl_pid == 0 && uevent_is_change(message, (unsigned long)n, &dev)) {
            w->changed(w->arg, dev);
        }
        from_len = sizeof(from);
    }
}

int uevent_watch_start(struct uevent_watch *w, struct loop *loop, uevent_changed_fn *changed,
                       void *arg)
{
    const struct sockaddr_nl addr = {.nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP};
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
    int err = fd < 0 ? -errno : 0;

    if (err == 0 && bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
        err = -errno;
    }
    w->loop = loop;
    w->changed = changed;
    w->arg = arg;
    if (err == 0) {
        err = loop_fd_add(loop, &w->socket, fd, EPOLLIN, on_uevent, w);
    }
    if (err != 0 && fd >= 0) {
        close(fd);
    }
    return err;
}

void uevent_watch_stop(struct uevent_watch *w)
{
    if (w->socket.added) {
        loop_fd_del(w->loop, &w->socket);
        close(w->socket.fd);
    }
}
