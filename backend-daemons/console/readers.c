/*
 * Counting readers with inotify, see readers.h.
 *
 * Should the kernel's queue overflow, events are lost and the counts with them: every console is
 * then taken as attached until its next close. The worst that happens is a write to a terminal
 * nobody reads.
 */
#include "readers.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "log.h"

static void set_open(struct reader_count *count, unsigned int open)
{
    bool before = count->open > 0, after = open > 0;

    count->open = open;
    if (before != after)
        count->fn(count->arg, after);
}

static void overflowed(struct readers *readers)
{
    struct reader_count *count, *next;

    log_msg(LOG_WARNING, NULL, "too many terminals opened at once; consoles count as attached");
    HASH_ITER (hh, readers->counts, count, next)
        set_open(count, 1);
}

static void handle_event(struct readers *readers, const struct inotify_event *event)
{
    struct reader_count *count = NULL;

    if (event->mask & IN_Q_OVERFLOW) {
        overflowed(readers);
        return;
    }
    HASH_FIND_INT(readers->counts, &event->wd, count);
    if (!count)
        return;
    if (event->mask & IN_OPEN)
        set_open(count, count->open + 1);
    if ((event->mask & IN_CLOSE) && count->open > 0)
        set_open(count, count->open - 1);
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
    if (readers->fd < 0)
        return -errno;
    return loop_fd_add(loop, &readers->watch, readers->fd, EPOLLIN, on_events, readers);
}

void readers_close(struct readers *readers, struct loop *loop)
{
    loop_fd_del(loop, &readers->watch);
    if (readers->fd >= 0)
        close(readers->fd);
    readers->fd = -1;
}

int readers_add(struct readers *readers, struct reader_count *count, const char *path,
                reader_fn *fn, void *arg)
{
    int wd = inotify_add_watch(readers->fd, path, IN_OPEN | IN_CLOSE);

    if (wd < 0)
        return -errno;
    *count = (struct reader_count){.wd = wd, .watched = true, .fn = fn, .arg = arg};
    HASH_ADD_INT(readers->counts, wd, count);
    return 0;
}

void readers_del(struct readers *readers, struct reader_count *count)
{
    if (!count->watched)
        return;
    HASH_DEL(readers->counts, count);
    inotify_rm_watch(readers->fd, count->wd);
    count->watched = false;
    count->open = 0;
}
