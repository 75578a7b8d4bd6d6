/*
 * xs_watch.c - watches: the table of tokens, the queue of events, the thread that delivers them.
 *
 * The reader thread (xs_conn.c) queues events here; the watch thread calls the owners, one
 * event after the other. An event whose path is queued for its watch already is dropped, and when a
 * watch has QUEUE_MAX events waiting, or memory is out, they are merged into one that names the
 * watched path itself: "look at everything". So a storm of changes costs bounded memory. Events and
 * merged watches are called by turns: a stream of either does not keep the other waiting.
 *
 * Owns struct xs_event; struct xs_watch is its registrar's.
 * Locks: watch_lock (spinlock: all lists, counters, who is being called), a leaf. Callbacks run
 * with nothing held. Suspend: the table stays, xs_watch_again() registers all of it anew.
 */
#include "xenbus/xs.h"

#include <xen/xen.h>
#include <xen/io/xs_wire.h>

#include "kern/lock.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "kern/wait.h"
#include "os/panic.h"
#include "xenbus/xs_conn.h"
#include "xenbus/xs_parse.h"

#define QUEUE_MAX  32 /* events that may wait for one watch */
#define TOKEN_SIZE 12

static spinlock_t watch_lock = SPINLOCK("xenbus-watch");
static XEN_TAILQ_HEAD(watch_list, struct xs_watch) watches = XEN_TAILQ_HEAD_INITIALIZER(watches);
static XEN_TAILQ_HEAD(merged_list, struct xs_watch) merged = XEN_TAILQ_HEAD_INITIALIZER(merged);
static XEN_TAILQ_HEAD(event_list, struct xs_event) events = XEN_TAILQ_HEAD_INITIALIZER(events);
static struct waitq work_wq = WAITQ(work_wq, "xenwatch");
static struct waitq idle_wq = WAITQ(idle_wq, "xenwatch-idle");
static struct thread *deliverer;
static struct xs_watch *calling; /* whose callback runs now */
static uint32_t next_token = 1;
static uint64_t events_seen, events_merged;
static unsigned watch_count;
static bool held;        /* nobody is called */
static bool merged_next; /* the last one was an event, if there were both */

/* Caller holds watch_lock for the helpers down to the next comment about it. */
static struct xs_watch *xs_watch_find(uint32_t token)
{
    struct xs_watch *w;

    XEN_TAILQ_FOREACH (w, &watches, link) {
        if (w->token == token) {
            return w;
        }
    }
    return NULL;
}

/* Takes all of a watch's events off the queue; the caller frees what *@garbage lists then. */
static void unqueue(struct xs_watch *w, struct event_list *garbage)
{
    struct xs_event *e, *next;

    XEN_TAILQ_FOREACH_SAFE(e, &events, link, next)
    {
        if (e->watch == w) {
            XEN_TAILQ_REMOVE(&events, e, link);
            XEN_TAILQ_INSERT_TAIL(garbage, e, link);
        }
    }
    w->queued = 0;
}

static void merge(struct xs_watch *w)
{
    events_merged++;
    if (!w->merged) {
        w->merged = true;
        XEN_TAILQ_INSERT_TAIL(&merged, w, merged_link);
    }
}

static bool queued_already(const struct xs_watch *w, const char *path)
{
    const struct xs_event *e;

    if (w->merged) {
        return true;
    }
    XEN_TAILQ_FOREACH (e, &events, link) {
        if (e->watch == w && strcmp(e->path, path) == 0) {
            return true;
        }
    }
    return false;
}

/* From here on functions take watch_lock by themselves. */
static void free_events(struct event_list *list)
{
    struct xs_event *e, *next;

    XEN_TAILQ_FOREACH_SAFE(e, list, link, next)
    {
        kfree(e);
    }
}

static void queue_event(uint32_t token, const char *path)
{
    struct event_list garbage = XEN_TAILQ_HEAD_INITIALIZER(garbage);
    size_t size = strlen(path) + 1;
    struct xs_event *e = kmalloc(sizeof(*e) + size);
    upcall_state_t s = spin_lock(&watch_lock);
    struct xs_watch *w = xs_watch_find(token);

    events_seen++;
    if (w != NULL && !queued_already(w, path)) {
        if (e == NULL || w->queued >= QUEUE_MAX) {
            unqueue(w, &garbage);
            merge(w);
        } else {
            e->watch = w;
            memcpy(e->path, path, size);
            w->queued++;
            XEN_TAILQ_INSERT_TAIL(&events, e, link);
            e = NULL;
        }
    }
    spin_unlock(&watch_lock, s);
    waitq_wake_all(&work_wq);
    kfree(e);
    free_events(&garbage);
}

/* An event was lost for want of memory: whoever it was for must look at everything. */
static void merge_all(void)
{
    upcall_state_t s = spin_lock(&watch_lock);
    struct xs_watch *w;

    XEN_TAILQ_FOREACH (w, &watches, link) {
        merge(w);
    }
    spin_unlock(&watch_lock, s);
    waitq_wake_all(&work_wq);
}

void xs_watch_deliver(const char *body, size_t len)
{
    const char *path, *token;
    uint32_t id;

    if (body == NULL) {
        merge_all();
        return;
    }
    if (xs_parse_watch_event(body, len, &path, &token) != 0 || xs_parse_hex(token, &id) != 0) {
        log_warn("xenbus: malformed watch event of %zu bytes thrown away", len);
        return;
    }
    queue_event(id, path);
}

/* Next piece of work: an event to free afterwards, or a merged watch; notes who is called. */
static struct xs_watch *next_work(struct xs_event **event)
{
    upcall_state_t s = spin_lock(&watch_lock);
    struct xs_watch *w = held ? NULL : XEN_TAILQ_FIRST(&merged);

    *event = held || (w != NULL && merged_next) ? NULL : XEN_TAILQ_FIRST(&events);
    merged_next = *event != NULL;
    if (*event != NULL) {
        XEN_TAILQ_REMOVE(&events, *event, link);
        w = (*event)->watch;
        w->queued--;
    } else if (w != NULL) {
        XEN_TAILQ_REMOVE(&merged, w, merged_link);
        w->merged = false;
    }
    calling = w;
    spin_unlock(&watch_lock, s);
    return w;
}

static bool work_there(void)
{
    return !READ_ONCE(held) && (READ_ONCE(events.tqh_first) || READ_ONCE(merged.tqh_first));
}

static void xs_watch_thread(void *arg __unused)
{
    for (;;) {
        struct xs_event *e;

        wait_event(&work_wq, work_there());
        struct xs_watch *w = next_work(&e);
        if (w == NULL) {
            continue;
        }
        w->fn(w, e != NULL ? e->path : w->path);
        kfree(e);
        WRITE_ONCE(calling, NULL);
        waitq_wake_all(&idle_wq);
    }
}

/*
 * XS_WATCH and XS_UNWATCH take the path and the token. Tokens are ours alone, so a watch that
 * exists already is this one, set anew by a resume.
 */
static int tell_store(uint32_t type, const struct xs_watch *w)
{
    char token[TOKEN_SIZE];
    int digits = snprintf(token, sizeof(token), "%x", w->token);
    const struct xs_part parts[] = {{w->path, strlen(w->path) + 1}, {token, (size_t)digits + 1}};

    int rc = xs_talk(type, XS_NO_TXN, parts, ARRAY_SIZE(parts), NULL);
    return rc == -EEXIST ? 0 : rc;
}

/* Takes a watch out of all lists. */
static void forget(struct xs_watch *w)
{
    struct event_list garbage = XEN_TAILQ_HEAD_INITIALIZER(garbage);
    upcall_state_t s = spin_lock(&watch_lock);

    XEN_TAILQ_REMOVE(&watches, w, link);
    watch_count--;
    unqueue(w, &garbage);
    if (w->merged) {
        w->merged = false;
        XEN_TAILQ_REMOVE(&merged, w, merged_link);
    }
    spin_unlock(&watch_lock, s);
    free_events(&garbage);
}

static void set_held(bool on)
{
    upcall_state_t s = spin_lock(&watch_lock);

    held = on;
    spin_unlock(&watch_lock, s);
}

void xs_watches_hold(void)
{
    set_held(true);
    wait_event(&idle_wq, !READ_ONCE(calling));
}

void xs_watches_release(void)
{
    set_held(false);
    waitq_wake_all(&work_wq);
}

void xs_watch_forget(struct xs_watch *w)
{
    forget(w);
}

int xs_watch_add(struct xs_watch *w)
{
    upcall_state_t s = spin_lock(&watch_lock);

    w->token = next_token++;
    w->queued = 0;
    w->merged = false;
    XEN_TAILQ_INSERT_TAIL(&watches, w, link);
    watch_count++;
    spin_unlock(&watch_lock, s);

    int rc = tell_store(XS_WATCH, w);
    if (rc != 0) {
        forget(w);
    }
    return rc;
}

void xs_watch_remove(struct xs_watch *w)
{
    int rc = tell_store(XS_UNWATCH, w);

    if (rc != 0 && rc != -ENOENT) {
        log_warn("xenbus: the store keeps the watch on %s: %s", w->path, errno_name(rc));
    }
    forget(w);
    if (thread_self() != deliverer) {
        wait_event(&idle_wq, READ_ONCE(calling) != w);
    }
}

void xs_watch_poke(struct xs_watch *w)
{
    upcall_state_t s = spin_lock(&watch_lock);

    if (xs_watch_find(w->token) == w) {
        merge(w);
    }
    spin_unlock(&watch_lock, s);
    waitq_wake_all(&work_wq);
}

int xs_watch_again(void)
{
    upcall_state_t s = spin_lock(&watch_lock);
    struct xs_watch *w = XEN_TAILQ_FIRST(&watches);
    int rc = 0;

    spin_unlock(&watch_lock, s);
    /* Others stand at the gate before they remove a watch; new ones come at the tail: no lock. One
     * that was added while the gate was shut is told to the store twice, which does no harm. */
    for (; w != NULL; w = XEN_TAILQ_NEXT(w, link)) {
        int err = tell_store(XS_WATCH, w);

        rc = rc != 0 ? rc : err;
    }
    return rc;
}

void xs_watch_get_stats(struct xs_stats *stats)
{
    upcall_state_t s = spin_lock(&watch_lock);

    stats->events = events_seen;
    stats->merged = events_merged;
    stats->watches = watch_count;
    spin_unlock(&watch_lock, s);
}

void xs_watch_init(void)
{
    deliverer = thread_create("xenwatch", xs_watch_thread, NULL, PRIO_HIGH);
    if (deliverer == NULL) {
        panic("xenbus: no memory for the watch thread");
    }
}

void xenbus_init(void)
{
    xs_watch_init();
    xs_conn_init();
}
