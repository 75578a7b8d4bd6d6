/*
 * Orders and reports: see link.h.
 */
#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lacks.h"
#include "log.h"

#define SECOND_NS UINT64_C(1000000000)
/* For room in the socket, for the answer to a ping, for the orderly end. */
#define PATIENCE_NS (10 * SECOND_NS)

/* Reports a second, and at once: it answers for every console of this host. */
#define ANSWERS UINT64_C(20000)

struct cons_parcel {
    XEN_TAILQ_ENTRY(struct cons_parcel) link;
    int fd; /* -1: none */
    struct cons_order order;
};

static void drop_parcels(struct cons_link *link)
{
    struct cons_parcel *parcel, *next;

    XEN_TAILQ_FOREACH_SAFE(parcel, &link->waiting, link, next)
    {
        if (parcel->fd >= 0) {
            close(parcel->fd);
        }
        XEN_TAILQ_REMOVE(&link->waiting, parcel, link);
        free(parcel);
    }
}

/* Nothing is waited for, and nothing sent, any more. */
static void fall_silent(struct cons_link *link)
{
    link->ended = true;
    loop_timer_cancel(link->loop, &link->deadline);
    loop_timer_cancel(link->loop, &link->beat);
    loop_fd_del(link->loop, &link->room);
    drop_parcels(link);
}

static void link_ends(struct cons_link *link, bool orderly)
{
    if (link->ended) {
        return;
    }
    fall_silent(link);
    link->on_end(link->arg, orderly);
}

static void on_late(void *arg)
{
    struct cons_link *link = arg;

    log_msg(LOG_CRIT, NULL, "the worker %s",
            link->stopping ? "does not end" : "takes no orders any more");
    link_ends(link, false);
}

static int post(struct cons_link *link, const struct cons_order *order, int fd)
{
    return child_send(&link->child, order, sizeof(*order), &fd, fd >= 0 ? 1 : 0);
}

static void on_room(void *arg, uint32_t events)
{
    struct cons_link *link = arg;
    struct cons_parcel *parcel;
    int err = 0;

    (void)events;
    while (err == 0 && (parcel = XEN_TAILQ_FIRST(&link->waiting)) != NULL) {
        err = post(link, &parcel->order, parcel->fd);
        if (err == 0) {
            if (parcel->fd >= 0) {
                close(parcel->fd);
            }
            XEN_TAILQ_REMOVE(&link->waiting, parcel, link);
            free(parcel);
            loop_timer_set(link->loop, &link->deadline, PATIENCE_NS, on_late, link);
        }
    }
    /* Nothing is left; or the worker is gone, which its exit tells. */
    if (!lacks_for_now(err)) {
        drop_parcels(link);
        loop_fd_del(link->loop, &link->room);
        if (link->ready && !link->stopping) {
            loop_timer_cancel(link->loop, &link->deadline);
        }
    }
}

/* Keeps an order that does not fit. Returns 0 or -errno. */
static int keep(struct cons_link *link, const struct cons_order *order, int fd)
{
    struct cons_parcel *parcel = malloc(sizeof(*parcel));
    int err = 0;

    if (parcel == NULL) {
        return -ENOMEM;
    }
    *parcel = (struct cons_parcel){.fd = fd, .order = *order};
    XEN_TAILQ_INSERT_TAIL(&link->waiting, parcel, link);
    if (!link->room.added) {
        err = loop_fd_add(link->loop, &link->room, link->room.fd, EPOLLOUT, on_room, link);
        if (err == 0) {
            loop_timer_set(link->loop, &link->deadline, PATIENCE_NS, on_late, link);
        }
    }
    return err;
}

void cons_link_send(struct cons_link *link, const struct cons_order *order, int fd)
{
    int err = -EAGAIN;

    if (!link->ended && XEN_TAILQ_EMPTY(&link->waiting)) {
        err = post(link, order, fd);
    }
    if (!link->ended && lacks_for_now(err)) { /* no room, or this host lacks memory just now */
        err = keep(link, order, fd);
        if (err == 0) {
            return;
        }
        log_msg(LOG_CRIT, NULL, "cannot keep an order for the worker: %s", strerror(-err));
        link_ends(link, false);
    }
    if (fd >= 0) {
        close(fd);
    }
}

/* Every beat the answer to the last ping must be there. */
static void on_beat(void *arg)
{
    struct cons_link *link = arg;
    const struct cons_order ping = {.kind = CONS_PING};

    if (link->ping_open) {
        log_msg(LOG_CRIT, NULL, "the worker does not answer");
        link_ends(link, false);
        return;
    }
    link->ping_open = true;
    cons_link_send(link, &ping, -1);
    loop_timer_set(link->loop, &link->beat, PATIENCE_NS, on_beat, link);
}

static void on_message(void *arg, const void *msg, unsigned long len)
{
    struct cons_link *link = arg;
    struct cons_report report;

    if (link->ended) {
        return;
    }
    if (!bucket_take(&link->answers, 1, loop_now_ns())) {
        log_msg(LOG_CRIT, NULL, "the worker sends without end");
        link_ends(link, false);
        return;
    }
    if (len != sizeof(report)) {
        log_msg(LOG_CRIT, NULL, "the worker sent %lu bytes that are no report", len);
        link_ends(link, false);
        return;
    }
    memcpy(&report, msg, sizeof(report));
    report.report.text[sizeof(report.report.text) - 1] = '\0';
    if (report.report.kind == CONS_PONG) {
        link->ping_open = false;
        return;
    }
    if (report.report.kind == WIRE_READY && !link->ready) {
        link->ready = true;
        if (!link->stopping) { /* else the deadline is that of its end */
            loop_timer_cancel(link->loop, &link->deadline);
            on_beat(link);
        }
    }
    link->on_report(link->arg, &report);
}

static void on_exit_of_worker(void *arg, int status)
{
    struct cons_link *link = arg;
    char text[64];

    child_describe_status(status, text, sizeof(text));
    if (!link->stopping || status != 0) {
        log_msg(LOG_CRIT, NULL, "the worker %s", text);
    }
    link_ends(link, link->stopping && status == 0);
}

int cons_link_start(struct cons_link *link, struct loop *loop, const char *path,
                    const struct cons_wire_config *config, const int fds[CONS_NR_FDS])
{
    char *argv[] = {(char *)path, NULL};
    int err;

    link->loop = loop;
    XEN_TAILQ_INIT(&link->waiting);
    err = child_start(&link->child, loop, -1, argv, on_message, on_exit_of_worker, link);
    if (err != 0) {
        return err;
    }
    /* Nobody is killed from within the cage: on_message() ends the link. */
    bucket_set(&link->child.messages, 0, SECOND_NS, 0, loop_now_ns());
    bucket_set(&link->answers, ANSWERS, SECOND_NS, ANSWERS, loop_now_ns());
    /* A descriptor of its own: the loop knows each once, and the child's is watched for reports. */
    link->room.fd = fcntl(link->child.socket.fd, F_DUPFD_CLOEXEC, 0);
    if (link->room.fd < 0) {
        return -errno;
    }
    err = child_send(&link->child, config, sizeof(*config), fds, CONS_NR_FDS);
    if (err != 0) {
        return err;
    }
    loop_timer_set(loop, &link->deadline, PATIENCE_NS, on_late, link);
    return 0;
}

void cons_link_stop(struct cons_link *link)
{
    const struct cons_order stop = {.kind = WIRE_STOP};

    if (link->stopping || link->ended) {
        return;
    }
    link->stopping = true;
    loop_timer_cancel(link->loop, &link->beat);
    loop_timer_set(link->loop, &link->deadline, PATIENCE_NS, on_late, link);
    cons_link_send(link, &stop, -1);
}

void cons_link_close(struct cons_link *link)
{
    if (link->loop == NULL) {
        return;
    }
    fall_silent(link);
    if (link->room.fd > 0) {
        close(link->room.fd);
    }
}
