/*
 * Letting people in: see entrance.h.
 */
#include "entrance.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "listener.h"

#define BACKLOG 64
/* Before it is tried again when this host lacks a descriptor. */
#define REST_NS UINT64_C(100000000)

void cons_entrance_open(struct cons_entrance *entrance, const char *path)
{
    struct address address;
    char why[256];
    int fd = -EINVAL;

    *entrance = (struct cons_entrance){.complaints = {.burst = 5, .interval_ms = 60000}};
    if (address_read(path, &address, why, sizeof(why)) && address_is_path(&address)) {
        fd = listener_open(&address, SOCK_SEQPACKET, BACKLOG);
    }
    entrance->fd = fd;
    if (fd < 0) {
        log_msg(LOG_ERR, NULL,
                "%s: cannot listen there: %s; duet-console cannot attach, xl console can", path,
                strerror(-fd));
    }
}

/* Root's alone: whoever else got a descriptor of the folder, or root's rights for a moment. */
static bool may_enter(int fd, struct ucred *who)
{
    socklen_t len = sizeof(*who);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, who, &len) == 0 && len == sizeof(*who) &&
           who->uid == 0;
}

static void on_rested(void *arg)
{
    struct cons_entrance *entrance = arg;

    loop_fd_events(entrance->loop, &entrance->watch, EPOLLIN);
}

static void on_visitor(void *arg, uint32_t events)
{
    struct cons_entrance *entrance = arg;
    struct cons_order order = {.kind = CONS_VISIT};
    struct ucred who = {0};
    int fd = accept4(entrance->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    (void)events;
    if (fd < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
            log_limited(&entrance->complaints, LOG_WARNING, NULL,
                        "cannot let a reader of a console in: %s; tries again", strerror(errno));
            loop_fd_events(entrance->loop, &entrance->watch, 0);
            loop_timer_set(entrance->loop, &entrance->rest, REST_NS, on_rested, entrance);
        }
        return;
    }
    if (!may_enter(fd, &who)) {
        log_limited(&entrance->complaints, LOG_WARNING, NULL,
                    "user %u may not attach to consoles; only root may", who.uid);
        close(fd);
        return;
    }
    order.pid = (uint32_t)who.pid;
    cons_link_send(entrance->link, &order, fd);
}

void cons_entrance_begin(struct cons_entrance *entrance, struct loop *loop, struct cons_link *link)
{
    int err;

    if (entrance->fd < 0) {
        return;
    }
    entrance->loop = loop;
    entrance->link = link;
    err = loop_fd_add(loop, &entrance->watch, entrance->fd, EPOLLIN, on_visitor, entrance);
    if (err != 0) {
        log_msg(LOG_ERR, NULL, "duet-console cannot attach: %s", strerror(-err));
    }
}

void cons_entrance_close(struct cons_entrance *entrance)
{
    if (entrance->loop != NULL) {
        loop_fd_del(entrance->loop, &entrance->watch);
        loop_timer_cancel(entrance->loop, &entrance->rest);
    }
    if (entrance->fd >= 0) {
        close(entrance->fd);
    }
    entrance->fd = -1;
}
