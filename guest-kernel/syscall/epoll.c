/*
 * epoll.c - sets of files that are watched: see epoll.h.
 */
#include "syscall/epoll.h"

#include "kern/mem.h"
#include "kern/page.h"

#define ALWAYS  (POLLERR | POLLHUP) /* whether one asks or not */
#define SETTING (EPOLLET | EPOLLONESHOT)

struct watch {
    XEN_TAILQ_ENTRY(struct watch) link; /* of its epoll's: whoever was told of is the last */
    int fd;
    struct file *f;
    struct abi_epoll_event event; /* no events but the settings: it told, and that was to be once */
    unsigned told;                /* the file's file_changes() */
    bool fresh;                   /* it told nothing since it was set */
};

XEN_TAILQ_HEAD(watch_list, struct watch);

struct epoll {
    XEN_TAILQ_ENTRY(struct epoll) link;
    struct watch_list watches;
    unsigned n;
};

static struct mutex lock;
static XEN_TAILQ_HEAD(epoll_list, struct epoll) epolls = XEN_TAILQ_HEAD_INITIALIZER(epolls);

void epoll_boot(void)
{
    mutex_init(&lock, "epoll");
}

static void watch_remove(struct epoll *e, struct watch *w)
{
    XEN_TAILQ_REMOVE(&e->watches, w, link);
    e->n--;
    WRITE_ONCE(w->f->watched, w->f->watched - 1);
    kfree(w);
}

/* The watches of a file, or all of them: NULL. */
static void watches_end(struct epoll *e, const struct file *f)
{
    struct watch *w = XEN_TAILQ_FIRST(&e->watches);

    while (w != NULL) {
        struct watch *next = XEN_TAILQ_NEXT(w, link);

        if (f == NULL || w->f == f) {
            watch_remove(e, w);
        }
        w = next;
    }
}

void epoll_forget(struct file *f)
{
    struct epoll *e;

    mutex_lock(&lock);
    XEN_TAILQ_FOREACH (e, &epolls, link) {
        watches_end(e, f);
    }
    mutex_unlock(&lock);
}

static void epoll_close(struct file *f)
{
    struct epoll *e = f->own;

    mutex_lock(&lock);
    watches_end(e, NULL);
    XEN_TAILQ_REMOVE(&epolls, e, link);
    mutex_unlock(&lock);
    kfree(e);
}

static void epoll_stat(const struct file *f __unused, struct abi_stat *st)
{
    *st = (struct abi_stat){.mode = 0600, .nlink = 1, .blksize = PAGE_SIZE};
}

/* What there is to tell of a watch. */
static unsigned watch_due(const struct watch *w)
{
    unsigned asked = w->event.events & ~SETTING;

    if (asked == 0 || ((w->event.events & EPOLLET) && !w->fresh && w->told == file_changes(w->f))) {
        return 0;
    }
    return file_ready(w->f) & asked;
}

static unsigned epoll_ready(const struct file *f)
{
    const struct epoll *e = f->own;
    const struct watch *w;
    unsigned ready = 0;

    mutex_lock(&lock);
    XEN_TAILQ_FOREACH (w, &e->watches, link) {
        if (watch_due(w) != 0) {
            ready = POLLIN;
            break;
        }
    }
    mutex_unlock(&lock);
    return ready;
}

static const struct file_ops epoll_ops = {
    .stat = epoll_stat, .close = epoll_close, .ready = epoll_ready};

struct file *epoll_create(void)
{
    struct epoll *e = kzalloc(sizeof(*e));
    struct file *f = e == NULL ? NULL : file_new(&epoll_ops, O_RDWR);

    if (f == NULL) {
        kfree(e);
        return NULL;
    }
    XEN_TAILQ_INIT(&e->watches);
    f->own = e;
    mutex_lock(&lock);
    XEN_TAILQ_INSERT_TAIL(&epolls, e, link);
    mutex_unlock(&lock);
    return f;
}

bool epoll_is(const struct file *f)
{
    return f->ops == &epoll_ops;
}

static struct watch *watch_find(const struct epoll *e, int fd, const struct file *f)
{
    struct watch *w;

    XEN_TAILQ_FOREACH (w, &e->watches, link) {
        if (w->fd == fd && w->f == f) {
            return w;
        }
    }
    return NULL;
}

static void watch_set(struct watch *w, const struct abi_epoll_event *event)
{
    w->event = *event;
    w->event.events |= ALWAYS;
    w->fresh = true;
}

static int watch_add(struct epoll *e, int fd, struct file *f, const struct abi_epoll_event *event)
{
    if (e->n >= WATCHES_MAX) {
        return -ENOSPC;
    }
    struct watch *w = page_users_may_take() ? kzalloc(sizeof(*w)) : NULL;
    if (w == NULL) {
        return -ENOMEM;
    }
    w->fd = fd;
    w->f = f;
    watch_set(w, event);
    XEN_TAILQ_INSERT_TAIL(&e->watches, w, link);
    e->n++;
    WRITE_ONCE(f->watched, f->watched + 1);
    return 0;
}

int epoll_control(struct file *epoll, enum epoll_do what, int fd, struct file *f,
                  const struct abi_epoll_event *event)
{
    struct epoll *e = epoll->own;
    int rc = 0;

    mutex_lock(&lock);
    struct watch *w = watch_find(e, fd, f);
    if (what == EPOLL_ADD) {
        rc = w != NULL ? -EEXIST : watch_add(e, fd, f, event);
    } else if (w == NULL) {
        rc = -ENOENT;
    } else if (what == EPOLL_DEL) {
        watch_remove(e, w);
    } else {
        watch_set(w, event);
    }
    mutex_unlock(&lock);
    proc_wake(); /* who waits may have something to tell now */
    return rc;
}

/* Tell of a watch, if there is anything. */
static bool watch_tell(struct watch *w, struct abi_epoll_event *event)
{
    unsigned changes = file_changes(w->f);
    unsigned ready = watch_due(w);

    if (ready == 0) {
        return false;
    }
    *event = (struct abi_epoll_event){.events = ready, .data = w->event.data};
    w->told = changes;
    w->fresh = false;
    if (w->event.events & EPOLLONESHOT) {
        w->event.events &= SETTING;
    }
    return true;
}

unsigned epoll_collect(struct file *epoll, struct abi_epoll_event *events, unsigned max)
{
    struct epoll *e = epoll->own;
    unsigned count = 0;

    mutex_lock(&lock);
    struct watch *w = XEN_TAILQ_FIRST(&e->watches);
    for (unsigned left = e->n; left != 0 && count < max; left--) {
        struct watch *next = XEN_TAILQ_NEXT(w, link);

        if (watch_tell(w, &events[count])) {
            count++;
            XEN_TAILQ_REMOVE(&e->watches, w, link);
            XEN_TAILQ_INSERT_TAIL(&e->watches, w, link);
        }
        w = next;
    }
    mutex_unlock(&lock);
    return count;
}
