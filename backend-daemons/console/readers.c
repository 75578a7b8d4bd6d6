/*
 * Noticing readers with inotify: see readers.h.
 */
#include "readers.h"

#include <sys/inotify.h>
#include <unistd.h>

static void on_reader_event(struct cons_readers *readers, const struct inotify_event *event)
{
    struct cons_reader *watch = NULL, *next;

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

static void on_inotify(void *arg, uint32_t events)
{
    struct cons_readers *readers = arg;
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t len = read(readers->fd, buffer, sizeof(buffer));

    (void)events;
    for (ssize_t at = 0; at < len;) {
        const struct inotify_event *event = (const struct inotify_event *)(buffer + at);

        on_reader_event(readers, event);
        at += (ssize_t)(sizeof(*event) + event->len);
    }
}

int cons_readers_open(struct cons_readers *readers, struct loop *loop, int fd)
{
    *readers = (struct cons_readers){.fd = fd};
    return loop_fd_add(loop, &readers->watch, readers->fd, EPOLLIN, on_inotify, readers);
}

void cons_readers_add(struct cons_readers *readers, struct cons_reader *watch, int wd, loop_fn *fn,
                      void *arg)
{
    *watch = (struct cons_reader){.wd = wd, .watched = true, .fn = fn, .arg = arg};
    HASH_ADD_INT(readers->watches, wd, watch);
}

void cons_readers_del(struct cons_readers *readers, struct cons_reader *watch)
{
    if (!watch->watched) {
        return;
    }
    HASH_DEL(readers->watches, watch);
    inotify_rm_watch(readers->fd, watch->wd);
    watch->watched = false;
}
