/*
 * httpd.c - taking connections, a thread for each; see httpd.h.
 *
 * Threads wait for their peer in short spells, so that a stop is noticed; a peer that says nothing
 * is let go after IDLE. Locks: httpd_lock (mutex), over lwIP's; the counters are atomic.
 */
#include "net/httpd/httpd.h"

#include "kern/mem.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "kern/wait.h"
#include "lwip/api.h"
#include "net/stack.h"
#include "psm/clock.h"

#define LOOK 200 /* ms: how often a stop is looked for */
#define IDLE (15 * NSEC_PER_SEC)

static struct mutex httpd_lock = {.waiters = WAITQ(httpd_lock.waiters, "httpd")};
static struct waitq ended_wq = WAITQ(ended_wq, "httpd-ended");
static struct httpd_stats stats; /* disk, port, running: under httpd_lock */
static struct ext_fs fs;
static struct netconn *listener;
static struct thread *acceptor;
static bool stopping;

bool httpd_stopping(void)
{
    return READ_ONCE(stopping);
}

void httpd_count(uint64_t requests, uint64_t errors, uint64_t bytes)
{
    __atomic_add_fetch(&stats.requests, requests, __ATOMIC_RELAXED);
    __atomic_add_fetch(&stats.errors, errors, __ATOMIC_RELAXED);
    __atomic_add_fetch(&stats.bytes, bytes, __ATOMIC_RELAXED);
}

/* Waits for more of a request. Return: false at the end of the connection. */
static bool httpd_receive(struct httpd_conn *c)
{
    nsec_t deadline = clock_now() + IDLE;

    while (!httpd_stopping() && clock_now() < deadline) {
        struct pbuf *p;
        err_t err = netconn_recv_tcp_pbuf(c->nc, &p);

        if (err == ERR_OK) {
            u16_t n = (u16_t)MIN(p->tot_len, sizeof(c->head) - c->have);
            bool fits = n == p->tot_len;

            c->have += pbuf_copy_partial(p, c->head + c->have, n, 0);
            pbuf_free(p);
            return fits;
        }
        if (err != ERR_TIMEOUT) {
            return false;
        }
    }
    return false;
}

/* One request after the other; what came behind a request stays for the next. */
static void httpd_serve(struct httpd_conn *c)
{
    bool on = true;

    while (on) {
        size_t len = http_head_length(c->head, c->have);

        if (len == 0) {
            on = httpd_receive(c);
            continue;
        }
        int status = http_parse(c->head, len, &c->req);
        memmove(c->head, c->head + len, c->have - len);
        c->have -= len;
        on = httpd_answer(c, status) && !httpd_stopping();
    }
}

static void free_connection(struct httpd_conn *c)
{
    netconn_close(c->nc);
    netconn_delete(c->nc);
    if (c->buf != NULL) {
        page_free(c->buf, HTTPD_BUF_ORDER);
    }
    kfree(c);
    __atomic_sub_fetch(&stats.connections, 1, __ATOMIC_RELEASE);
    waitq_wake_all(&ended_wq);
}

static void connection_main(void *arg)
{
    struct httpd_conn *c = arg;

    netconn_set_recvtimeout(c->nc, LOOK);
    net_bulk(c->nc);
    httpd_serve(c);
    free_connection(c);
}

static void httpd_take(struct netconn *nc)
{
    struct httpd_conn *c = kzalloc(sizeof(*c));

    if (c == NULL) {
        httpd_count(0, 1, 0);
        netconn_delete(nc);
        return;
    }
    __atomic_add_fetch(&stats.connections, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&stats.accepted, 1, __ATOMIC_RELAXED);
    c->nc = nc;
    c->fs = &fs;
    c->buf = page_alloc_zeroed(HTTPD_BUF_ORDER);
    struct thread *t =
        c->buf != NULL ? thread_create("http", connection_main, c, PRIO_NORMAL) : NULL;
    if (t == NULL) {
        httpd_count(0, 1, 0);
        free_connection(c);
        return;
    }
    thread_detach(t);
}

static bool httpd_has_room(void)
{
    return httpd_stopping() ||
           __atomic_load_n(&stats.connections, __ATOMIC_ACQUIRE) < HTTPD_CONNECTIONS;
}

/* While as many as may be are served, others wait in the listener's queue. */
static void accept_main(void *arg)
{
    struct netconn *nc;

    (void)arg;
    while (!httpd_stopping()) {
        wait_event(&ended_wq, httpd_has_room());
        if (netconn_accept(listener, &nc) == ERR_OK) {
            httpd_take(nc);
        }
    }
}

static int httpd_listen(uint16_t port, const char **why)
{
    err_t err;

    listener = net_listen(port, LOOK, &err);
    stopping = false;
    acceptor = err != 0 ? NULL : thread_create("httpd", accept_main, NULL, PRIO_NORMAL);
    if (acceptor != NULL) {
        return 0;
    }
    *why = err != 0 ? net_strerror(err) : "no memory";
    if (listener != NULL) {
        netconn_delete(listener);
    }
    return -EADDRINUSE;
}

int httpd_start(struct blk_dev *disk, uint16_t port, const char **why)
{
    *why = "it runs already; `httpd stop` ends it";
    mutex_lock(&httpd_lock);
    int rc = stats.running ? -EBUSY : 0;
    if (rc == 0) {
        *why = "the disk cannot be read";
        rc = ext_open(disk, &fs, why);
    }
    if (rc == 0) {
        rc = httpd_listen(port, why);
        if (rc != 0) {
            ext_close(&fs);
        }
    }
    if (rc == 0) {
        stats = (struct httpd_stats){.running = true, .port = port};
        strlcpy(stats.disk, disk->name, sizeof(stats.disk));
    }
    mutex_unlock(&httpd_lock);
    return rc;
}

int httpd_stop(void)
{
    mutex_lock(&httpd_lock);
    int rc = stats.running ? 0 : -ENOENT;
    if (rc == 0) {
        WRITE_ONCE(stopping, true);
        waitq_wake_all(&ended_wq);
        thread_join(acceptor);
        netconn_delete(listener);
        wait_event(&ended_wq, !__atomic_load_n(&stats.connections, __ATOMIC_ACQUIRE));
        ext_close(&fs);
        blk_put(fs.dev);
        stats.running = false;
    }
    mutex_unlock(&httpd_lock);
    return rc;
}

void httpd_get_stats(struct httpd_stats *out)
{
    mutex_lock(&httpd_lock);
    *out = stats;
    mutex_unlock(&httpd_lock);
}
