/*
 * See fake_guest.h.
 */
#include "fake_guest.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xen/xen.h>
#include <xen/io/xs_wire.h>

#include "hat/p2m.h"
#include "kern/errno.h"
#include "kern/lock.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/page.h"
#include "kern/thread.h"
#include "kern/wait.h"
#include "os/evtchn.h"
#include "os/gnttab.h"
#include "os/panic.h"
#include "psm/clock.h"
#include "psm/cpu.h"
#include "psm/timer.h"
#include "xenbus/xs_conn.h"

#define GRANTS 4096u
#define PORTS  64u
#define TIMERS 8u
#define KEYS   64u

/* The kernel's own, which dom0's library has not: kern/string.h would declare what it has again. */
size_t strlcpy(char *dst, const char *src, size_t size);
int parse_u64(const char *s, uint64_t *out);

static struct {
    bool used, granted, readonly, held, deferred;
    void *page;
} grants[GRANTS];
static struct {
    evtchn_handler_t handler;
    void *arg;
} ports[PORTS];
static struct timer *timers[TIMERS];
static struct {
    char path[96];
    char value[4096];
} keys[KEYS];
static unsigned pages, objects;
static struct xendev device;
static char line[256];
bool fake_poked;
const char *fake_said = line;

void fake_guest_begin(void)
{
    memset(grants, 0, sizeof(grants));
    memset(ports, 0, sizeof(ports));
    memset(timers, 0, sizeof(timers));
    memset(keys, 0, sizeof(keys));
    memset(line, 0, sizeof(line));
    pages = objects = 0;
    fake_poked = false;
}

unsigned fake_guest_left(void)
{
    unsigned n = pages + objects;

    for (unsigned i = 0; i < GRANTS; i++) {
        n += grants[i].used;
    }
    for (unsigned i = 0; i < PORTS; i++) {
        n += ports[i].handler != NULL;
    }
    return n;
}

struct xendev *fake_device(const char *class, const char *id)
{
    static char otherend[] = FAKE_BACK;

    device = (struct xendev){
        .otherend = otherend, .otherend_id = FAKE_OTHEREND, .state = XenbusStateInitialising};
    strlcpy(device.class, class, sizeof(device.class));
    strlcpy(device.id, id, sizeof(device.id));
    snprintf(device.node, sizeof(device.node), "device/%s/%s", class, id);
    fake_key("state", "1");
    return &device;
}

/* ---- the store ---- */

static char *key_at(const char *path)
{
    for (unsigned i = 0; i < KEYS; i++) {
        if (strcmp(keys[i].path, path) == 0) {
            return keys[i].value;
        }
    }
    return NULL;
}

/* A path without a slash is below the front end's node. */
void fake_key(const char *path, const char *value)
{
    char whole[96];

    snprintf(whole, sizeof(whole), "%s%s%s", *path == '/' ? "" : device.node,
             *path == '/' ? "" : "/", path);
    char *at = key_at(whole);
    if (at == NULL && value != NULL) {
        at = key_at("");
        strlcpy(at - sizeof(keys[0].path), whole, sizeof(keys[0].path));
    }
    if (value != NULL) {
        strlcpy(at, value, sizeof(keys[0].value));
    } else if (at != NULL) {
        memset(at - sizeof(keys[0].path), 0, sizeof(keys[0]));
    }
}

uint32_t fake_number(const char *key)
{
    char whole[96];

    snprintf(whole, sizeof(whole), "%s/%s", device.node, key);
    const char *value = key_at(whole);
    if (value == NULL) {
        panic("%s was not published", whole);
    }
    return (uint32_t)strtoul(value, NULL, 10);
}

/* The first string of the request, and what stands behind it. */
static void join(const struct xs_part *parts, unsigned n, char *path, size_t size, char *rest)
{
    size_t used = 0;

    memset(path, 0, size);
    for (unsigned i = 0; i < n && i < 3; i++) {
        memcpy(path + used, parts[i].data, MIN(parts[i].len, size - 1 - used));
        used += MIN(parts[i].len, size - 1 - used);
    }
    if (rest != NULL) {
        memcpy(rest, parts[3].data, parts[3].len);
        rest[parts[3].len] = '\0';
    }
}

int xs_talk(uint32_t type, xs_txn_t t __unused, const struct xs_part *parts, unsigned nparts,
            struct xs_reply *reply)
{
    char path[96], value[256];

    if (type == XS_TRANSACTION_END) {
        return 0;
    }
    join(parts, nparts, path, sizeof(path), type == XS_WRITE ? value : NULL);
    if (type == XS_WRITE) {
        fake_key(strrchr(path, '/') + 1, value);
        return 0;
    }
    const char *found = key_at(path);
    if (found == NULL || type != XS_READ) {
        return -ENOENT;
    }
    reply->body = kstrdup(found);
    reply->len = strlen(found);
    return 0;
}

int xs_talk_short(uint32_t type __unused, xs_txn_t t __unused, const struct xs_part *parts __unused,
                  unsigned nparts __unused, char *buf)
{
    strlcpy(buf, "1", XS_SHORT);
    return 0;
}

void xs_conn_txn_ended(void)
{
}

int xs_watch_add(struct xs_watch *w __unused)
{
    return 0;
}

void xs_watch_remove(struct xs_watch *w __unused)
{
}

int xendev_set_state(struct xendev *dev, enum xenbus_state state)
{
    dev->state = state;
    return 0;
}

void xendev_fatal(struct xendev *dev, int err __unused, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    dev->state = XenbusStateClosing;
}

void xendev_poke(struct xendev *dev __unused)
{
    fake_poked = true;
}

void xendev_look_again(struct xendev *dev __unused)
{
    fake_poked = true;
}

void xenbus_dev_error(const char *dir __unused, int err __unused, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
}

/* ---- grants ---- */

int gnttab_alloc(gref_t *ref)
{
    for (gref_t i = 8; i < GRANTS; i++) {
        if (!grants[i].used) {
            grants[i].used = true;
            *ref = i;
            return 0;
        }
    }
    return -ENOSPC;
}

void gnttab_free(gref_t ref)
{
    if (!grants[ref].used || grants[ref].granted) {
        panic("grant %u is given back and is not free of use", ref);
    }
    grants[ref].used = false;
}

void gnttab_grant(gref_t ref, uint16_t domid, mfn_t mfn, bool readonly)
{
    if (!grants[ref].used || grants[ref].granted || domid != FAKE_OTHEREND) {
        panic("grant %u is not to be made", ref);
    }
    grants[ref].granted = true;
    grants[ref].readonly = readonly;
    grants[ref].page = (void *)(uintptr_t)(mfn.n << PAGE_SHIFT);
}

int gnttab_end(gref_t ref)
{
    if (grants[ref].held) {
        return -EBUSY;
    }
    grants[ref].granted = false;
    return 0;
}

int gnttab_share_new_page(uint16_t domid, void **page, gref_t *ref)
{
    *page = page_alloc_zeroed(0);
    int rc = gnttab_alloc(ref);

    if (rc == 0) {
        gnttab_grant(*ref, domid, virt_to_mfn(*page), false);
    }
    return rc;
}

void gnttab_unshare_page(gref_t ref, void *page)
{
    if (gnttab_end(ref) != 0) {
        grants[ref].deferred = true;
        return;
    }
    gnttab_free(ref);
    page_free(page, 0);
}

bool gnttab_holds_too_much(uint16_t domid __unused)
{
    return false;
}

void *fake_page(uint32_t gref, bool write)
{
    return gref < GRANTS && grants[gref].granted && !(write && grants[gref].readonly)
               ? grants[gref].page
               : NULL;
}

void fake_hold(uint32_t gref, bool held)
{
    grants[gref].held = held;
    if (!held && grants[gref].deferred) {
        grants[gref].deferred = false;
        gnttab_unshare_page(gref, grants[gref].page);
    }
}

/* ---- event channels ---- */

int evtchn_alloc_unbound(uint16_t otherend __unused, const char *name __unused,
                         enum ipl ipl __unused, evtchn_handler_t handler, void *arg)
{
    for (unsigned port = 1; port < PORTS; port++) {
        if (ports[port].handler == NULL) {
            ports[port].handler = handler;
            ports[port].arg = arg;
            return (int)port;
        }
    }
    return -ENOSPC;
}

void evtchn_close(evtchn_port_t port)
{
    ports[port].handler = NULL;
}

void evtchn_notify(evtchn_port_t port)
{
    if (port >= PORTS || ports[port].handler == NULL) {
        panic("port %u is notified and is not bound", port);
    }
}

void evtchn_again(evtchn_port_t port __unused)
{
}

void evtchn_set_home(evtchn_port_t port __unused, unsigned vcpu __unused)
{
}

void fake_kick(uint32_t port)
{
    if (port < PORTS && ports[port].handler != NULL) {
        ports[port].handler(port, ports[port].arg);
    }
}

/* ---- memory ---- */

void *page_alloc_zeroed(unsigned order)
{
    size_t size = PAGE_SIZE << order;
    void *page = aligned_alloc(PAGE_SIZE, size);

    pages++;
    return page != NULL ? memset(page, 0, size) : NULL;
}

void page_free(void *page, unsigned order __unused)
{
    pages--;
    free(page);
}

bool page_is_cleared(const void *addr __unused)
{
    return true;
}

pfn_t virt_to_pfn(const void *va)
{
    return PFN((uintptr_t)va >> PAGE_SHIFT);
}

mfn_t p2m_get(pfn_t pfn)
{
    return MFN(pfn.n);
}

void *kmalloc(size_t size)
{
    objects++;
    return malloc(size);
}

void *kzalloc(size_t size)
{
    objects++;
    return calloc(1, size);
}

char *kstrdup(const char *s)
{
    objects++;
    return strdup(s);
}

void kfree(void *ptr)
{
    objects -= ptr != NULL;
    free(ptr);
}

void mem_get_stats(struct mem_stats *stats)
{
    *stats = (struct mem_stats){.pages_total = 8192};
}

unsigned cpu_count_online(void)
{
    return 1;
}

void frames_hold(void)
{
}

void frames_release(void)
{
}

/* ---- locks, time, text ---- */

void spin_init(spinlock_t *lock, const char *name)
{
    *lock = (spinlock_t)SPINLOCK(name);
}

upcall_state_t spin_lock(spinlock_t *lock)
{
    if (lock->owner != -1) {
        panic("%s is taken twice", lock->name);
    }
    lock->owner = 0;
    return false;
}

void spin_unlock(spinlock_t *lock, upcall_state_t state __unused)
{
    lock->owner = -1;
}

struct thread *thread_self(void)
{
    return (struct thread *)&device; /* there is one, of whom nobody asks more */
}

void waitq_init(struct waitq *wq __unused, const char *name __unused)
{
}

void waitq_wake_all(struct waitq *wq __unused)
{
}

void waitq_prepare(struct waitq *wq __unused, struct waiter *w __unused)
{
}

int waitq_sleep(struct waitq *wq __unused, struct waiter *w __unused, nsec_t deadline)
{
    if (deadline == NSEC_FOREVER) {
        panic("somebody waits for ever");
    }
    return -ETIMEDOUT;
}

void waitq_finish(struct waitq *wq __unused, struct waiter *w __unused)
{
}

nsec_t clock_now(void)
{
    return 0;
}

void timer_init(struct timer *t, void (*fn)(struct timer *t))
{
    *t = (struct timer){.fn = fn};
}

bool timer_cancel_wait(struct timer *t)
{
    for (unsigned i = 0; i < TIMERS; i++) {
        if (timers[i] == t) {
            timers[i] = NULL;
            return true;
        }
    }
    return false;
}

void timer_arm(struct timer *t, nsec_t deadline __unused)
{
    unsigned i = 0;

    (void)timer_cancel_wait(t);
    while (timers[i] != NULL) {
        i++;
    }
    timers[i] = t;
}

void fake_time(void)
{
    struct timer *due[TIMERS];

    memcpy(due, timers, sizeof(due));
    memset(timers, 0, sizeof(timers));
    for (unsigned i = 0; i < TIMERS; i++) {
        if (due[i] != NULL) {
            due[i]->fn(due[i]);
        }
    }
}

void klog(enum log_level level __unused, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
}

void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    abort();
}

size_t strlcpy(char *dst, const char *src, size_t size)
{
    snprintf(dst, size, "%s", src);
    return strlen(src);
}

int parse_u64(const char *s, uint64_t *out)
{
    char *end;

    *out = strtoull(s, &end, 0);
    return *s == '\0' || *end != '\0' ? -EINVAL : 0;
}
