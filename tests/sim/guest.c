/*
 * The kernel below the guest's front end: see guest.h. A thread of the guest is a task; handlers
 * and timers run wherever they find it, and never wait.
 */
#include <stdio.h>
#include <string.h>

#include "host.h"
#include "store.h"
#include "xen.h"

#include "guest.h"
#include "hat/p2m.h"
#include "kern/lock.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/page.h"
#include "kern/thread.h"
#include "kern/wait.h"
#include "io/xvbd/xvbd.h"
#include "os/evtchn.h"
#include "os/gnttab.h"
#include "os/panic.h"
#include "psm/clock.h"
#include "psm/timer.h"
#include "work.h"
#include "xenbus/xenbus.h"
#include "xenbus/xs_conn.h"
#include "xendev/drivers.h"

#include <xen/io/xs_wire.h>

#define THREADS   4U
#define TIMERS    16U
#define FIRST_REF 8U
#define DEFERRED  16U

const struct xendev_driver *const xendev_drivers[] = {&xvbd_driver, NULL};

extern char __start_sim_guest_data[], __stop_sim_guest_data[];
extern char __start_sim_guest_bss[], __stop_sim_guest_bss[];
static char pristine[65536]; /* the kernel's data as it was built */
static size_t pristine_bytes;

static struct heap *heap;
uint32_t guest_memory_fails;
bool guest_was_refused_memory;

struct thread {
    struct task *task;
};
static struct thread threads[THREADS];
static unsigned int nr_threads;

static struct timer *timers[TIMERS];
static unsigned int nr_timers;

static struct {
    evtchn_handler_t fn;
    void *arg;
} handlers[XEN_PORTS];

static bool ref_used[XEN_REFS];
static struct {
    gref_t ref;
    void *page;
    struct xen_domain *domain;
} deferred[DEFERRED];
static unsigned int nr_deferred;

static enum { RUNS, ASKED, HELD, GOES_ON } suspending;
static bool goes_elsewhere;
static bool gate_closed;
static struct task *gate_owner;
static unsigned int busy; /* requests and transactions */

/* ---- memory ---- */

static bool memory_is_out(void)
{
    if (sim_chance(guest_memory_fails)) {
        guest_was_refused_memory = true;
        return true;
    }
    return false;
}

void *kmalloc(size_t size)
{
    return memory_is_out() ? NULL : heap_alloc(heap, size);
}

void *kzalloc(size_t size)
{
    void *p = kmalloc(size);

    return p != NULL ? memset(p, 0, size) : NULL;
}

void kfree(void *p)
{
    if (p != NULL) {
        heap_free(p);
    }
}

char *kstrdup(const char *s)
{
    size_t size = strlen(s) + 1;
    char *copy = kmalloc(size);

    return copy != NULL ? memcpy(copy, s, size) : NULL;
}

unsigned int guest_memory_live(void)
{
    return heap->live;
}

void *page_alloc_zeroed(unsigned order)
{
    return xen_page_alloc(1U << order);
}

void page_free(void *page, unsigned order)
{
    xen_page_free(page, 1U << order);
}

bool page_is_cleared(const void *addr)
{
    return xen_is_page(addr);
}

pfn_t virt_to_pfn(const void *va)
{
    sim_require(xen_is_page(va));
    return PFN((uint64_t)((const uint8_t *)va - xen_pages[0]) / XEN_PAGE);
}

mfn_t p2m_get(pfn_t pfn)
{
    return MFN(pfn.n);
}

/* ---- locks, threads, queues ---- */

void spin_init(spinlock_t *lock, const char *name)
{
    *lock = (spinlock_t)SPINLOCK(name);
}

upcall_state_t spin_lock(spinlock_t *lock)
{
    sim_require(lock->owner < 0);
    lock->owner = 0;
    return false;
}

void spin_unlock(spinlock_t *lock, upcall_state_t state)
{
    (void)state;
    sim_require(lock->owner == 0);
    lock->owner = -1;
}

struct thread *thread_create(const char *name, void (*fn)(void *arg), void *arg,
                             enum thread_prio prio)
{
    struct thread *t = &threads[nr_threads++];

    (void)prio;
    sim_require(nr_threads <= THREADS);
    t->task = task_start(name, fn, arg, NULL);
    return t;
}

struct thread *thread_self(void)
{
    for (unsigned int i = 0; i < nr_threads; i++) {
        if (threads[i].task == sim_task) {
            return &threads[i];
        }
    }
    return NULL;
}

void waitq_init(struct waitq *wq, const char *name)
{
    (void)name;
    XEN_TAILQ_INIT(&wq->waiters);
}

void waitq_wake_all(struct waitq *wq)
{
    struct waiter *w;

    XEN_TAILQ_FOREACH (w, &wq->waiters, link) {
        w->waiting = false;
    }
}

void waitq_prepare(struct waitq *wq, struct waiter *w)
{
    w->waiting = w->queued = true;
    XEN_TAILQ_INSERT_TAIL(&wq->waiters, w, link);
}

static bool was_woken(void *arg)
{
    return !((struct waiter *)arg)->waiting;
}

int waitq_sleep(struct waitq *wq, struct waiter *w, nsec_t deadline)
{
    (void)wq;
    return task_wait(was_woken, w, deadline) ? 0 : -ETIMEDOUT;
}

void waitq_finish(struct waitq *wq, struct waiter *w)
{
    if (w->queued) {
        w->queued = false;
        XEN_TAILQ_REMOVE(&wq->waiters, w, link);
    }
}

void mutex_init(struct mutex *m, const char *name)
{
    (void)name;
    m->owner = NULL;
}

static bool is_free(void *arg)
{
    return ((struct mutex *)arg)->owner == NULL;
}

void mutex_lock(struct mutex *m)
{
    struct thread *self = thread_self();

    if (self != NULL) {
        sim_require(m->owner != self);
        task_wait(is_free, m, SIM_NEVER);
    }
    sim_require(m->owner == NULL);
    m->owner = self;
}

void mutex_unlock(struct mutex *m)
{
    m->owner = NULL;
}

/* ---- time ---- */

nsec_t clock_now(void)
{
    return sim_now;
}

void timer_init(struct timer *t, void (*fn)(struct timer *t))
{
    *t = (struct timer){.fn = fn};
}

bool timer_cancel(struct timer *t)
{
    for (unsigned int i = 0; i < nr_timers; i++) {
        if (timers[i] == t) {
            timers[i] = timers[--nr_timers];
            t->link = NULL;
            return true;
        }
    }
    return false;
}

bool timer_cancel_wait(struct timer *t)
{
    return timer_cancel(t);
}

void timer_arm(struct timer *t, nsec_t deadline)
{
    timer_cancel(t);
    sim_require(nr_timers < TIMERS);
    t->deadline = deadline;
    t->link = &t->child;
    timers[nr_timers++] = t;
}

uint64_t guest_next(void)
{
    uint64_t next = SIM_NEVER;

    for (unsigned int i = 0; i < nr_timers; i++) {
        next = timers[i]->deadline < next ? timers[i]->deadline : next;
    }
    return next;
}

bool guest_has_timer(void)
{
    return guest_next() <= sim_now;
}

void guest_timer(void)
{
    for (unsigned int i = 0; i < nr_timers; i++) {
        struct timer *t = timers[i];

        if (t->deadline <= sim_now) {
            timer_cancel(t);
            t->fn(t);
            return;
        }
    }
}

/* ---- events ---- */

int evtchn_alloc_unbound(uint16_t otherend, const char *name, enum ipl ipl,
                         evtchn_handler_t handler, void *arg)
{
    int port = xen_port_open();

    (void)otherend;
    (void)name;
    (void)ipl;
    if (port > 0) {
        handlers[port].fn = handler;
        handlers[port].arg = arg;
    }
    return port;
}

void evtchn_close(evtchn_port_t port)
{
    handlers[port].fn = NULL;
    xen_port_close(port);
}

void evtchn_notify(evtchn_port_t port)
{
    xen_port_notify(port);
}

void guest_interrupt(void)
{
    unsigned int port = xen_port_take();

    if (port != 0 && handlers[port].fn != NULL) {
        handlers[port].fn(port, handlers[port].arg);
    }
}

/* ---- grants ---- */

int gnttab_alloc(gref_t *ref)
{
    for (gref_t i = FIRST_REF; i < XEN_REFS; i++) {
        if (!ref_used[i]) {
            ref_used[i] = true;
            *ref = i;
            return 0;
        }
    }
    return -ENOSPC;
}

void gnttab_free(gref_t ref)
{
    sim_require(ref_used[ref] && xen_guest->refs[ref].page == NULL);
    ref_used[ref] = false;
}

void gnttab_grant(gref_t ref, uint16_t domid, mfn_t mfn, bool readonly)
{
    (void)domid;
    sim_require(ref_used[ref] && xen_guest->refs[ref].page == NULL);
    xen_guest->refs[ref].page = xen_pages[mfn.n];
    xen_guest->refs[ref].read_only = readonly;
}

int gnttab_end(gref_t ref)
{
    if (xen_guest->refs[ref].maps != 0) {
        return -EBUSY;
    }
    xen_guest->refs[ref].page = NULL;
    return 0;
}

int gnttab_share_new_page(uint16_t domid, void **page, gref_t *ref)
{
    int rc = memory_is_out() ? -ENOMEM : gnttab_alloc(ref);

    *page = NULL;
    if (rc == 0) {
        *page = page_alloc_zeroed(0);
        sim_require(*page != NULL);
        gnttab_grant(*ref, domid, virt_to_mfn(*page), false);
    }
    return rc;
}

static bool unshare(gref_t ref, void *page, struct xen_domain *d)
{
    if (d == xen_guest && gnttab_end(ref) != 0) {
        return false;
    }
    gnttab_free(ref);
    page_free(page, 0);
    return true;
}

void gnttab_unshare_page(gref_t ref, void *page)
{
    if (!unshare(ref, page, xen_guest)) {
        sim_require(nr_deferred < DEFERRED);
        deferred[nr_deferred].ref = ref;
        deferred[nr_deferred].domain = xen_guest;
        deferred[nr_deferred++].page = page;
    }
}

void guest_retry(void)
{
    for (unsigned int i = 0; i < nr_deferred; i++) {
        if (unshare(deferred[i].ref, deferred[i].page, deferred[i].domain)) {
            deferred[i--] = deferred[--nr_deferred];
        }
    }
}

bool gnttab_holds_too_much(uint16_t domid)
{
    (void)domid;
    return nr_deferred > DEFERRED / 2;
}

/* ---- what it says ---- */

void klog(enum log_level level, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    sim_trace("guest: %s", text);
    if (level == LOG_ERR && strstr(text, "broke the protocol") != NULL) {
        sim_found("%s", text);
    }
}

const char *errno_name(int err)
{
    static char text[24];

    snprintf(text, sizeof(text), "error %d", err);
    return text;
}

void panic(const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    sim_found("the guest panics: %s", text);
}

size_t strlcpy(char *dst, const char *src, size_t size);

size_t strlcpy(char *dst, const char *src, size_t size)
{
    snprintf(dst, size, "%s", src);
    return strlen(src);
}

/* ---- the way to the store ---- */

static bool may_pass(void *arg)
{
    (void)arg;
    return !gate_closed || gate_owner == sim_task;
}

/* An absolute path; those that are relative begin at the domain's own directory. */
static void path_of(const char *path, char *out)
{
    if (path[0] == '/') {
        snprintf(out, STORE_PATH, "%s", path);
    } else {
        snprintf(out, STORE_PATH, "/local/domain/%u/%s", xen_guest->domid, path);
    }
}

static int answer(struct xs_reply *reply, const char *bytes, size_t len)
{
    if (reply == NULL) {
        return 0;
    }
    reply->body = kmalloc(len + 1);
    if (reply->body == NULL) {
        return -ENOMEM;
    }
    memcpy(reply->body, bytes, len);
    reply->body[len] = '\0';
    reply->len = len;
    return 0;
}

static int list(xs_txn_t t, const char *path, struct xs_reply *reply)
{
    char names[1024];
    int n = sim_store_list(t, path, names, sizeof(names));

    return n < 0 ? n : answer(reply, names, (size_t)n);
}

/* The request's body has been put together; its first string is a path or a word. */
static int request(uint32_t type, xs_txn_t t, char *body, struct xs_reply *reply)
{
    const char *second = body + strlen(body) + 1, *value = "";
    char path[STORE_PATH];
    int rc;

    path_of(body, path);
    switch (type) {
    case XS_READ:
        rc = sim_store_read(CLIENT_GUEST, t, path, &value);
        return rc != 0 ? rc : answer(reply, value, strlen(value));
    case XS_WRITE:
        return sim_store_write(CLIENT_GUEST, t, path, second);
    case XS_RM:
        return sim_store_rm(CLIENT_GUEST, t, path);
    case XS_DIRECTORY:
        return list(t, path, reply);
    case XS_WATCH:
        return sim_store_watch(CLIENT_GUEST, path, second);
    case XS_UNWATCH:
        return sim_store_unwatch(CLIENT_GUEST, path, second);
    case XS_TRANSACTION_END:
        return sim_store_end(CLIENT_GUEST, t, body[0] == 'T');
    default:
        sim_found("request %u of the guest", type);
    }
}

static int talk(uint32_t type, xs_txn_t t, const struct xs_part *parts, unsigned nparts,
                struct xs_reply *reply)
{
    char body[4096];
    size_t len = 0;
    int rc;

    for (unsigned i = 0; i < nparts; i++) {
        memcpy(body + len, parts[i].data, parts[i].len);
        len += parts[i].len;
    }
    body[len] = '\0';
    if (t == XS_NO_TXN) {
        task_wait(may_pass, NULL, SIM_NEVER);
    }
    busy++;
    rc = request(type, t, body, reply);
    busy--;
    return rc;
}

int xs_talk(uint32_t type, xs_txn_t t, const struct xs_part *parts, unsigned nparts,
            struct xs_reply *reply)
{
    return talk(type, t, parts, nparts, reply);
}

/* XS_TRANSACTION_START is the one request that comes here. */
int xs_talk_short(uint32_t type, xs_txn_t t, const struct xs_part *parts, unsigned nparts,
                  char *buf)
{
    uint32_t id;

    (void)t;
    (void)parts;
    (void)nparts;
    sim_require(type == XS_TRANSACTION_START);
    task_wait(may_pass, NULL, SIM_NEVER);
    busy++;
    id = sim_store_begin(CLIENT_GUEST);
    snprintf(buf, XS_SHORT, "%u", id);
    return 0;
}

void xs_conn_txn_ended(void)
{
    busy--;
}

/* xenbus_init() alone asks for it, which is not called: the way to the store is there. */
void xs_conn_init(void)
{
}

bool xs_available(void)
{
    return true;
}

void guest_hear(void)
{
    struct store_event e;
    char body[STORE_PATH + STORE_TOKEN], own[32];
    size_t len, skip;

    if (!sim_store_event(CLIENT_GUEST, &e)) {
        return;
    }
    snprintf(own, sizeof(own), "/local/domain/%u/", xen_guest->domid);
    skip = strncmp(e.path, own, strlen(own)) == 0 ? strlen(own) : 0;
    len = strlen(e.path + skip) + 1;
    memcpy(body, e.path + skip, len);
    memcpy(body + len, e.token, strlen(e.token) + 1);
    xs_watch_deliver(body, len + strlen(e.token) + 1);
}

/* ---- suspend: what domain/suspend.c does ---- */

static bool nobody_talks(void *arg)
{
    (void)arg;
    return busy == 0;
}

static bool is_asked(void *arg)
{
    (void)arg;
    return suspending == ASKED;
}

static bool goes_on(void *arg)
{
    (void)arg;
    return suspending == GOES_ON;
}

static void suspend(void)
{
    xs_watches_hold();
    gate_closed = true;
    task_wait(nobody_talks, NULL, SIM_NEVER);
    gate_owner = sim_task;
    xendev_suspend();
    suspending = HELD;
    sim_trace("guest: suspended");
    task_wait(goes_on, NULL, SIM_NEVER);
    if (goes_elsewhere) {
        xendev_forget();
        if (xs_watch_again() != 0) {
            sim_trace("guest: its watches are not all there again");
        }
        gate_closed = false;
        xendev_resume();
    } else {
        gate_closed = false;
        xendev_cancel();
    }
    gate_owner = NULL;
    suspending = RUNS;
    xs_watches_release();
    sim_trace("guest: goes on");
}

static void first_thread(void *arg)
{
    (void)arg;
    xendev_init();
    for (;;) {
        task_wait(is_asked, NULL, SIM_NEVER);
        suspend();
    }
}

void guest_suspend(void)
{
    suspending = ASKED;
}

bool guest_may_suspend(void)
{
    return suspending == RUNS;
}

bool guest_is_suspended(void)
{
    return suspending == HELD;
}

void guest_go_on(bool elsewhere)
{
    if (elsewhere) { /* Xen knows nothing of the old ports and grants in the new domain */
        memset(handlers, 0, sizeof(handlers));
    }
    goes_elsewhere = elsewhere;
    suspending = GOES_ON;
}

/* ---- its life ---- */

void guest_boot(void)
{
    size_t data = (size_t)(__stop_sim_guest_data - __start_sim_guest_data);

    if (pristine_bytes == 0) {
        pristine_bytes = data;
        sim_require(data <= sizeof(pristine));
        memcpy(pristine, __start_sim_guest_data, data);
    }
    memcpy(__start_sim_guest_data, pristine, data);
    memset(__start_sim_guest_bss, 0, (size_t)(__stop_sim_guest_bss - __start_sim_guest_bss));
    heap = heap_new();
    nr_threads = nr_timers = nr_deferred = 0;
    memset(handlers, 0, sizeof(handlers));
    memset(ref_used, 0, sizeof(ref_used));
    suspending = RUNS;
    gate_closed = false;
    gate_owner = NULL;
    busy = 0;
    xs_watch_init();
    (void)thread_create("guest", first_thread, NULL, PRIO_NORMAL);
}

bool guest_runs(void)
{
    return heap != NULL;
}

void guest_drop(void)
{
    for (unsigned int i = 0; i < nr_threads; i++) {
        task_drop(threads[i].task);
    }
    nr_threads = nr_timers = 0;
    heap_drop(heap);
    heap = NULL;
}

void guest_reset(void)
{
    heap = NULL;
    nr_threads = nr_timers = 0;
    guest_memory_fails = 0;
    guest_was_refused_memory = false;
}
