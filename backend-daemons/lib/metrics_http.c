/*
 * Who asks for a daemon's figures: see metrics_http.h.
 */
#include "metrics_http.h"

#include <dlfcn.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "listener.h"
#include "log.h"

#define METRICS_LIBRARY      "libmicrohttpd.so.12"
#define METRICS_MEMORY       ((size_t)16 * 1024)
#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_ELSEWHERE    "The figures are at /metrics.\n"
#define METRICS_BACKLOG      16
#define METRICS_LOOK_NS      UINT64_C(1000000000)
#define METRICS_FRESH_NS     UINT64_C(250000000)
#define METRICS_REST_NS      UINT64_C(100000000)
#define NS_PER_MS            UINT64_C(1000000)

/* What is used of the library. */
static struct {
    void *handle;
    __typeof__(MHD_start_daemon) *start_daemon;
    __typeof__(MHD_stop_daemon) *stop_daemon;
    __typeof__(MHD_get_daemon_info) *get_daemon_info;
    __typeof__(MHD_get_connection_info) *get_connection_info;
    __typeof__(MHD_run) *run;
    __typeof__(MHD_get_timeout) *get_timeout;
    __typeof__(MHD_create_response_from_buffer) *create_response_from_buffer;
    __typeof__(MHD_add_response_header) *add_response_header;
    __typeof__(MHD_queue_response) *queue_response;
    __typeof__(MHD_destroy_response) *destroy_response;
} mhd;

static const struct {
    const char *name;
    void *to; /* one of those pointers */
} metrics_calls[] = {
    {"MHD_start_daemon", &mhd.start_daemon},
    {"MHD_stop_daemon", &mhd.stop_daemon},
    {"MHD_get_daemon_info", &mhd.get_daemon_info},
    {"MHD_get_connection_info", &mhd.get_connection_info},
    {"MHD_run", &mhd.run},
    {"MHD_get_timeout", &mhd.get_timeout},
    {"MHD_create_response_from_buffer", &mhd.create_response_from_buffer},
    {"MHD_add_response_header", &mhd.add_response_header},
    {"MHD_queue_response", &mhd.queue_response},
    {"MHD_destroy_response", &mhd.destroy_response},
};

/* Returns 0, or -ENOENT with a sentence. */
static int metrics_load(char *why, unsigned long why_size)
{
    const char *missing = NULL;

    if (mhd.handle != NULL) {
        return 0;
    }
    mhd.handle = dlopen(METRICS_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (mhd.handle == NULL) {
        snprintf(why, why_size, "libmicrohttpd is needed for that: %s", dlerror());
        return -ENOENT;
    }
    for (unsigned int i = 0; i < sizeof(metrics_calls) / sizeof(metrics_calls[0]); i++) {
        void *found = dlsym(mhd.handle, metrics_calls[i].name);

        memcpy(metrics_calls[i].to, &found, sizeof(found));
        missing = found == NULL ? metrics_calls[i].name : missing;
    }
    if (missing != NULL) {
        snprintf(why, why_size, "%s has no %s", METRICS_LIBRARY, missing);
        dlclose(mhd.handle);
        mhd.handle = NULL;
        return -ENOENT;
    }
    return 0;
}

/* Returns an answer, to which the text belongs from now on if it is to be freed; or NULL. */
static struct MHD_Response *metrics_response(const char *type, void *text, unsigned long len,
                                             enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *r = mhd.create_response_from_buffer(len, text, mode);

    if (r == NULL) {
        if (mode == MHD_RESPMEM_MUST_FREE) {
            free(text);
        }
        return NULL;
    }
    if (mhd.add_response_header(r, "Content-Type", type) != MHD_YES ||
        mhd.add_response_header(r, "Connection", "close") != MHD_YES) {
        mhd.destroy_response(r);
        return NULL;
    }
    return r;
}

static enum MHD_Result metrics_turn_down(struct MHD_Connection *c, unsigned int status)
{
    struct MHD_Response *r = metrics_response("text/plain", METRICS_ELSEWHERE,
                                              strlen(METRICS_ELSEWHERE), MHD_RESPMEM_PERSISTENT);
    enum MHD_Result done = MHD_NO;

    if (r != NULL) {
        done = mhd.queue_response(c, status, r);
        mhd.destroy_response(r);
    }
    return done;
}

static void metrics_forget(struct metrics_server *s)
{
    if (s->told != NULL) {
        mhd.destroy_response(s->told);
        s->told = NULL;
    }
}

/* The figures, as they are or were a moment ago: who asks without end does not have them put
 * together each time. NULL: there is no memory. */
static struct MHD_Response *metrics_figures(struct metrics_server *s)
{
    const uint64_t now = loop_now_ns();
    unsigned long len = 0;
    char *text;

    if (s->told != NULL && now - s->told_ns < METRICS_FRESH_NS) {
        return s->told;
    }
    metrics_forget(s);
    text = s->text(s->arg, &len);
    if (text != NULL) {
        s->told = metrics_response(METRICS_CONTENT_TYPE, text, len, MHD_RESPMEM_MUST_FREE);
        s->told_ns = now;
    }
    return s->told;
}

static enum MHD_Result metrics_answer(void *arg, struct MHD_Connection *c, const char *url,
                                      const char *method, const char *version, const char *data,
                                      size_t *data_size, void **state)
{
    struct MHD_Response *figures;

    (void)version;
    (void)data;
    (void)data_size;
    (void)state;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        return metrics_turn_down(c, MHD_HTTP_METHOD_NOT_ALLOWED);
    }
    if (strcmp(url, "/metrics") != 0) {
        return metrics_turn_down(c, MHD_HTTP_NOT_FOUND);
    }
    figures = metrics_figures(arg);
    return figures == NULL ? MHD_NO : mhd.queue_response(c, MHD_HTTP_OK, figures);
}

/* Somebody has come, or has left. */
static void metrics_on_visitor(void *arg, struct MHD_Connection *c, void **place,
                               enum MHD_ConnectionNotificationCode what)
{
    struct metrics_server *s = arg;
    const union MHD_ConnectionInfo *info;
    struct metrics_visitor *v = *place;

    s->moved = true;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (v != NULL) {
            v->here = false;
        }
        return;
    }
    info = mhd.get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    for (unsigned int i = 0; info != NULL && i < METRICS_VISITORS_MAX; i++) {
        v = &s->visitors[i];
        if (!v->here) {
            *v = (struct metrics_visitor){
                .here = true, .fd = info->connect_fd, .since_ns = loop_now_ns()};
            *place = v;
            return;
        }
    }
}

/* Who stays too long sees the end of the connection, and the library does. Returns whether anybody
 * is here. */
static bool metrics_see_off(struct metrics_server *s)
{
    const uint64_t now = loop_now_ns();
    bool any = false;

    for (unsigned int i = 0; i < METRICS_VISITORS_MAX; i++) {
        struct metrics_visitor *v = &s->visitors[i];

        if (v->here && now - v->since_ns >= METRICS_VISIT_NS) {
            shutdown(v->fd, SHUT_RDWR);
        }
        any = any || v->here;
    }
    return any;
}

static void metrics_turn(void *arg)
{
    struct metrics_server *s = arg;
    MHD_UNSIGNED_LONG_LONG ms = 0;
    uint64_t wait_ns;

    s->moved = false;
    mhd.run(s->http);
    s->any = metrics_see_off(s);
    wait_ns = s->any ? METRICS_LOOK_NS : UINT64_MAX;
    if (mhd.get_timeout(s->http, &ms) == MHD_YES && ms < wait_ns / NS_PER_MS) {
        wait_ns = ms * NS_PER_MS;
    }
    loop_timer_cancel(s->loop, &s->timer);
    if (wait_ns != UINT64_MAX) {
        loop_timer_set(s->loop, &s->timer, wait_ns, metrics_turn, s);
    }
}

static void metrics_hear_again(void *arg)
{
    struct metrics_server *s = arg;

    loop_fd_events(s->loop, &s->ready, EPOLLIN);
    metrics_turn(s);
}

/*
 * Somebody may stand outside who cannot be let in, for there is no descriptor. The library tries
 * that again without end as long as nobody else is here, so it is not heard for a while.
 */
static void metrics_on_ready(void *arg, uint32_t events)
{
    struct metrics_server *s = arg;

    (void)events;
    metrics_turn(s);
    if (!s->any && !s->moved) {
        loop_fd_events(s->loop, &s->ready, 0);
        loop_timer_set(s->loop, &s->timer, METRICS_REST_NS, metrics_hear_again, s);
    }
}

/* Has the library serve the socket, which becomes its own. Returns 0 or -errno. */
static int metrics_start(struct metrics_server *s, int fd)
{
    const union MHD_DaemonInfo *info;
    int err;

    s->http = mhd.start_daemon(
        MHD_USE_EPOLL | MHD_USE_SUPPRESS_DATE_NO_CLOCK, 0, NULL, NULL, metrics_answer, s,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, METRICS_VISITORS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, s->is_path ? METRICS_QUIET_S : METRICS_QUIET_OPEN_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, METRICS_MEMORY, MHD_OPTION_NOTIFY_CONNECTION,
        metrics_on_visitor, s, MHD_OPTION_END);
    if (s->http == NULL) {
        close(fd);
        return -ENOMEM;
    }
    info = mhd.get_daemon_info(s->http, MHD_DAEMON_INFO_EPOLL_FD);
    err = info == NULL
              ? -ENOSYS
              : loop_fd_add(s->loop, &s->ready, info->epoll_fd, EPOLLIN, metrics_on_ready, s);
    if (err != 0) {
        mhd.stop_daemon(s->http);
        s->http = NULL;
    }
    return err;
}

/* All that can fail for a reason of its own. Returns a socket that listens, or -errno with a
 * sentence. */
static int metrics_prepare(const char *address, struct address *a, char *why,
                           unsigned long why_size)
{
    int err = address_read(address, a, why, why_size) ? metrics_load(why, why_size) : -EINVAL;
    int fd;

    if (err != 0) {
        return err;
    }
    fd = listener_open(a, SOCK_STREAM, METRICS_BACKLOG);
    if (fd < 0) {
        snprintf(why, why_size, "%s: %s%s", address, strerror(-fd),
                 fd == -EAFNOSUPPORT || fd == -EACCES
                     ? "; the unit's sandbox may have to be opened for it (docs/metrics.md)"
                     : "");
    }
    return fd;
}

int metrics_open(struct metrics_server *s, struct loop *loop, const char *address,
                 metrics_text_fn *text, void *arg, char *why, unsigned long why_size)
{
    struct address a;
    int fd = metrics_prepare(address, &a, why, why_size);
    int err;

    if (fd < 0) {
        return fd;
    }
    metrics_close(s); /* not before there is another */
    s->loop = loop;
    s->text = text;
    s->arg = arg;
    s->is_path = address_is_path(&a);
    err = metrics_start(s, fd);
    if (err != 0) {
        snprintf(why, why_size, "%s: %s", address, strerror(-err));
        return err;
    }
    snprintf(s->address, sizeof(s->address), "%s", address);
    return 0;
}

void metrics_close(struct metrics_server *s)
{
    if (s->http == NULL) {
        return;
    }
    loop_fd_del(s->loop, &s->ready);
    loop_timer_cancel(s->loop, &s->timer);
    mhd.stop_daemon(s->http);
    s->http = NULL;
    metrics_forget(s);
    if (s->is_path) {
        unlink(s->address);
    }
    s->address[0] = '\0';
}

void metrics_move(struct metrics_server *s, struct loop *loop, const char *address,
                  metrics_text_fn *text, void *arg)
{
    char why[512];

    if (strcmp(address != NULL ? address : "", s->address) == 0) {
        return;
    }
    if (address == NULL) {
        metrics_close(s);
        log_msg(LOG_NOTICE, NULL, "metrics: off");
    } else if (metrics_open(s, loop, address, text, arg, why, sizeof(why)) == 0) {
        log_msg(LOG_NOTICE, NULL, "metrics: at %s", address);
    } else {
        log_msg(LOG_ERR, NULL, "metrics: %s%s%s", why, s->http != NULL ? "; still at " : "",
                s->address);
    }
}
