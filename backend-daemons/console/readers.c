/*
 * Noticing readers with inotify, see readers.h.
 */
#include "readers.h"

#include <errno.h>
#include <sys/inotify.h>
#include <unistd.h>

static void handle_event(struct readers *readers, const struct inotify_event *event)
{
    struct reader_watch *watch = NULL, *next;

    if (event->mask & IN_Q_OVERFLOW) {
        HASH_ITER (hh, readers->watches, watch, next)
            watch->fn(watch->arg);
        return;
    }
    HASH_FIND_INT(readers->watches, &event->wd, watch);
    if (watch != NULL && (event->mask & IN_OPEN)) {
        watch->fn(watch->arg);
    }
}

static void on_events(void *arg, uint32_t events)
{
    struct readers *readers = arg;
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t len = read(readers->fd, buffer, sizeof(buffer));

    (void)events;
    for (ssize_t at = 0; at < len;) {
        const struct inotify_event *event = (const struct inotify_event *)(buffer + at);

        handle_event(readers, event);
        at += (ssize_t)(sizeof(*event) + event->len);
    }
}

int readers_open(struct readers *readers, struct loop *loop)
{
    *readers = (struct readers){.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
    if (readers->fd < 0) {
        return -errno;
    }
    return loop_fd_add(loop, &readers->watch, readers->fd, EPOLLIN, on_events, readers);
}

void readers_close(struct readers *readers, struct loop *loop)
{
    loop_fd_del(loop, &readers->watch);
    if (readers->fd >= 0) {
        close(readers->fd);
    }
    readers->fd = -1;
}

int readers_add(struct readers *readers, struct reader_watch *watch, const char *path, loop_fn *fn,
                void *arg)
{
    int wd = inotify_add_watch(readers->fd, path, IN_OPEN);

    if (wd < 0) {
        return -errno;
    }
    *watch = (struct reader_watch){.wd = wd, .watched = true, .fn = fn, .arg = arg};
    HASH_ADD_INT(readers->watches, wd, watch);
    return 0;
}

void readers_del(struct readers *readers, struct reader_watch *watch)
{
    if (!watch->watched) {
        return;
    }
    HASH_DEL(readers->watches, watch);
    inotify_rm_watch(readers->fd, watch->wd);
    watch->watched = false;
}
