/*
 * t_xen.c - promises of grants, event channels and the store's client.
 */
#include "hat/p2m.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "kern/wait.h"
#include "os/evtchn.h"
#include "os/gnttab.h"
#include "os/gnttab_move.h"
#include "os/hypercall.h"
#include "os/start_info.h"
#include "psm/clock.h"
#include "selftest/own_domid.h"
#include "selftest/selftest.h"
#include "xendev/xendev.h"

#define DIR      "data/selftest"
#define PATIENCE (10 * NSEC_PER_SEC)

int own_domid(uint16_t *domid)
{
    uint32_t number = 0;
    struct xs_field field = {.key = "domid", .type = XS_U32, .out = &number};
    int rc = is_dom0() ? 0 : xs_gather(XS_NO_TXN, "", &field, 1, NULL);

    *domid = (uint16_t)number;
    return rc;
}

static bool grants_share_and_end(void)
{
    uint64_t *page = page_alloc_zeroed(0);
    struct gnttab_map map;
    uint16_t domid;
    gref_t ref;

    CHECK(page != NULL);
    CHECK(gnttab_alloc(&ref) == 0);
    CHECK(own_domid(&domid) == 0);
    gnttab_grant(ref, domid, virt_to_mfn(page), false);
    CHECK(gnttab_map(domid, ref, false, &map) == 0);
    *(volatile uint64_t *)map.va = 0x5ca1ab1e;
    bool seen = *(volatile uint64_t *)page == 0x5ca1ab1e;
    int busy = gnttab_end(ref);
    CHECK(gnttab_unmap(&map) == 0);
    int ended = gnttab_end(ref);
    gnttab_free(ref);
    page_free(page, 0);
    CHECK(seen);
    CHECK(busy == -EBUSY);
    CHECK(ended == 0);
    return true;
}

/* A page whose peer does not let go is freed when it does. */
static bool grants_held_are_freed_later(void)
{
    struct gnttab_stats before, held, after;
    nsec_t deadline = clock_now() + 10 * NSEC_PER_SEC;
    void *page = page_alloc_zeroed(0);
    struct gnttab_map map;
    uint16_t domid;
    gref_t ref;

    CHECK(page != NULL);
    CHECK(own_domid(&domid) == 0);
    gnttab_get_stats(&before);
    CHECK(gnttab_share_page(domid, page, false, &ref) == 0);
    CHECK(gnttab_map(domid, ref, false, &map) == 0);
    gnttab_unshare_page(ref, page);
    gnttab_get_stats(&held);
    *(volatile uint64_t *)map.va = 1; /* the page is still there */
    CHECK(gnttab_unmap(&map) == 0);
    do {
        thread_sleep_until(clock_now() + 100 * NSEC_PER_MSEC);
        gnttab_get_stats(&after);
    } while (after.deferred != before.deferred && clock_now() < deadline);
    CHECK(held.deferred == before.deferred + 1);
    CHECK(after.deferred == before.deferred);
    CHECK(after.entries - after.entries_free == before.entries - before.entries_free);
    return true;
}

static bool grants_copy(void)
{
    char *page = page_alloc_zeroed(0), *other = page_alloc_zeroed(0);
    struct gnttab_place place = {.offset = 8};
    gref_t ref;

    CHECK(page != NULL && other != NULL);
    CHECK(own_domid(&place.domid) == 0);
    CHECK(gnttab_share_page(place.domid, page, false, &ref) == 0);
    place.ref = ref;
    strlcpy(other + 100, "across", 7);
    int to = gnttab_copy_to(&place, other + 100, 7);
    int from = gnttab_copy_from(&place, other, 7);
    place.offset = PAGE_SIZE - 4;
    int crossing = gnttab_copy_from(&place, other, 7);
    bool same = strcmp(page + 8, "across") == 0 && strcmp(other, "across") == 0;
    gnttab_unshare_page(ref, page);
    page_free(other, 0);
    CHECK(to == 0 && from == 0);
    CHECK(crossing == -EINVAL);
    CHECK(same);
    return true;
}

static bool pages_can_be_transferred(void)
{
    struct gnttab_slot slot;
    uint16_t domid;
    char *gift = page_alloc(0);

    CHECK(gift != NULL && own_domid(&domid) == 0);
    strlcpy(gift, "a gift", PAGE_SIZE);
    CHECK(gnttab_accept(domid, &slot) == 0);
    CHECK(gnttab_accepted(&slot) == -EAGAIN);
    CHECK(gnttab_transfer(domid, slot.ref, gift) == 0);
    CHECK(gnttab_accepted(&slot) == 0);
    bool same = strcmp(slot.page, "a gift") == 0;
    page_free(slot.page, 0);
    CHECK(same);
    CHECK(gnttab_accept(domid, &slot) == 0);
    CHECK(gnttab_decline(&slot) == 0);
    return true;
}

static bool values_come_back(void)
{
    char *value = NULL;
    size_t len;

    CHECK(xs_write(XS_NO_TXN, DIR, "key", "a value") == 0);
    CHECK(xs_read(XS_NO_TXN, DIR, "key", &value, &len) == 0);
    bool same = len == 7 && strcmp(value, "a value") == 0;
    kfree(value);
    CHECK(same);
    CHECK(xs_rm(XS_NO_TXN, DIR, NULL) == 0);
    CHECK(xs_read(XS_NO_TXN, DIR, "key", &value, &len) == -ENOENT);
    return true;
}

/* Count up, with somebody else writing in between the first two times. */
static int count_up(xs_txn_t t, void *arg)
{
    unsigned *attempts = arg;
    uint32_t n = 0;
    struct xs_field field = {.key = "n", .type = XS_U32, .out = &n};
    int rc = xs_gather(t, DIR, &field, 1, NULL);

    if (rc == 0 && ++*attempts <= 2) {
        rc = xs_writef(XS_NO_TXN, DIR, "n", "%u", n + 10);
    }
    return rc != 0 ? rc : xs_writef(t, DIR, "n", "%u", n + 1);
}

static bool transactions_are_tried_again(void)
{
    unsigned attempts = 0;
    uint32_t n = 0;
    struct xs_field field = {.key = "n", .type = XS_U32, .out = &n};

    CHECK(xs_write(XS_NO_TXN, DIR, "n", "0") == 0);
    CHECK(xs_transaction(count_up, &attempts) == 0);
    CHECK(xs_gather(XS_NO_TXN, DIR, &field, 1, NULL) == 0);
    CHECK(xs_rm(XS_NO_TXN, DIR, NULL) == 0);
    CHECK(attempts == 3);
    CHECK(n == 21);
    return true;
}

struct storm {
    struct xs_watch watch;
    struct waitq wake;
    unsigned events;
    uint32_t last;
};

static void storm_event(struct xs_watch *w, const char *path)
{
    struct storm *s = CONTAINER_OF(w, struct storm, watch);
    struct xs_field field = {.key = "storm", .type = XS_U32, .out = &s->last, .optional = true};

    (void)path;
    s->events++;
    if (xs_gather(XS_NO_TXN, DIR, &field, 1, NULL) == 0) {
        waitq_wake_all(&s->wake);
    }
}

static bool watch_storms_end_with_the_last_value(void)
{
    static struct storm s;
    const uint32_t writes = 50;

    s = (struct storm){.watch = {.path = DIR, .fn = storm_event}};
    waitq_init(&s.wake, "selftest");
    CHECK(xs_watch_add(&s.watch) == 0);
    for (uint32_t i = 1; i <= writes; i++) {
        CHECK(xs_writef(XS_NO_TXN, DIR, "storm", "%u", i) == 0);
    }
    int rc =
        wait_event_until(&s.wake, READ_ONCE(s.last) == writes, clock_now() + 10 * NSEC_PER_SEC);
    xs_watch_remove(&s.watch);
    CHECK(xs_rm(XS_NO_TXN, DIR, NULL) == 0);
    CHECK(rc == 0);
    CHECK(s.events <= writes + 2);
    return true;
}

/* ---- event channels ---- */

static void note_arrival(evtchn_port_t port, void *arg)
{
    (void)port;
    WRITE_ONCE(*(bool *)arg, true);
}

/* Who wants a port that has its handler is refused, and its owner still gets its events. */
static bool refused_bind_changes_nothing(void)
{
    bool arrived = false, strayed = false;
    nsec_t deadline = clock_now() + PATIENCE;
    int port = evtchn_bind_ipi(0, "selftest", IPL_SOFT, note_arrival, &arrived);

    CHECK(port > 0);
    int rc = evtchn_bind_existing((evtchn_port_t)port, "selftest thief", IPL_SOFT, note_arrival,
                                  &strayed);
    evtchn_notify((evtchn_port_t)port);
    while (!READ_ONCE(arrived) && clock_now() < deadline) {
        thread_yield();
    }
    evtchn_close((evtchn_port_t)port);
    CHECK(rc == -EBUSY);
    CHECK(arrived && !strayed);
    return true;
}

/* ---- without memory ---- */

/* What the store did is not taken for a failure because memory is out. */
static bool writes_need_no_memory(void)
{
    char *value = NULL;

    memory_refuse(true);
    int rc = xs_write(XS_NO_TXN, DIR, "starved", "done");
    int made = xs_mkdir(XS_NO_TXN, DIR, "starved-dir");
    memory_refuse(false);
    int read = xs_read(XS_NO_TXN, DIR, "starved", &value, NULL);
    bool same = read == 0 && strcmp(value, "done") == 0;
    kfree(value);
    CHECK(xs_rm(XS_NO_TXN, DIR, NULL) == 0);
    CHECK(rc == 0 && made == 0 && same);
    return true;
}

static int read_in_vain(xs_txn_t t, void *arg __unused)
{
    char *value = NULL;
    int rc = xs_read(t, "domid", NULL, &value, NULL);

    kfree(value);
    return rc;
}

#define MORE_THAN_ALLOWED 12 /* transactions that a domain may have open: ten, as a rule */

/* Those that fail for want of memory are not left open in the store. */
static bool starved_transactions_end(void)
{
    int rc = -ENOMEM;

    memory_refuse(true);
    for (unsigned i = 0; i < MORE_THAN_ALLOWED && rc == -ENOMEM; i++) {
        rc = xs_transaction(read_in_vain, NULL);
    }
    memory_refuse(false);
    CHECK(rc == -ENOMEM);
    CHECK(xs_transaction(read_in_vain, NULL) == 0);
    return true;
}

struct onlooker {
    struct xs_watch watch;
    struct waitq wake;
    unsigned calls;
};

static void onlooker_event(struct xs_watch *w, const char *path __unused)
{
    struct onlooker *o = CONTAINER_OF(w, struct onlooker, watch);

    WRITE_ONCE(o->calls, o->calls + 1);
    waitq_wake_all(&o->wake);
}

static bool look_on(struct onlooker *o, const char *path)
{
    *o = (struct onlooker){.watch = {.path = path, .fn = onlooker_event}};
    waitq_init(&o->wake, "selftest");
    return xs_watch_add(&o->watch) == 0 &&
           wait_event_until(&o->wake, READ_ONCE(o->calls) > 0, clock_now() + PATIENCE) == 0;
}

struct device_states {
    unsigned n, up;
};

static void count_device(const struct xendev_info *info, void *arg)
{
    struct device_states *d = arg;

    d->n += info->driver != NULL;
    d->up += info->driver != NULL && info->state == XenbusStateConnected &&
             info->otherend_state == XenbusStateConnected;
}

/*
 * An event finds no memory: every watch is called, and whoever looks at the store then learns
 * nothing. No device may take that for its back end's end.
 */
static bool starved_devices_stay(void)
{
    static struct onlooker o;
    struct device_states before = {0}, after = {0};

    xendev_foreach(count_device, &before);
    CHECK(look_on(&o, DIR));
    memory_refuse(true);
    unsigned calls = READ_ONCE(o.calls);
    int rc = xs_write(XS_NO_TXN, DIR, "a-key-whose-event-does-not-fit-a-short-reply", "1");
    /* The last watch that was added is the last to be called. */
    int called = wait_event_until(&o.wake, READ_ONCE(o.calls) > calls, clock_now() + PATIENCE);
    memory_refuse(false);
    xs_watch_remove(&o.watch);
    xendev_foreach(count_device, &after);
    CHECK(xs_rm(XS_NO_TXN, DIR, NULL) == 0);
    CHECK(rc == 0 && called == 0);
    CHECK(after.n == before.n && after.up == before.up);
    return true;
}

/* ---- fairness ---- */

#define QUEUED 20
#define NEVER  UINT32_MAX

static unsigned calls_before_poke;

static void poked_event(struct xs_watch *w, const char *path __unused)
{
    struct onlooker *busy = w->arg;

    WRITE_ONCE(calls_before_poke, READ_ONCE(busy->calls));
    waitq_wake_all(&busy->wake);
}

/* Events that wait do not keep a watch waiting that looks at everything. */
static bool events_and_pokes_by_turns(void)
{
    static struct onlooker busy;
    static struct xs_watch poked;
    struct xs_stats before, now;
    nsec_t limit = clock_now() + PATIENCE;
    char key[16];

    CHECK(look_on(&busy, DIR));
    poked = (struct xs_watch){.path = DIR "-other", .fn = poked_event, .arg = &busy};
    calls_before_poke = NEVER;
    CHECK(xs_watch_add(&poked) == 0);
    CHECK(wait_event_until(&busy.wake, READ_ONCE(calls_before_poke) != NEVER, limit) == 0);
    xs_watches_hold();
    busy.calls = 0;
    calls_before_poke = NEVER;
    xs_get_stats(&before);
    for (unsigned i = 0; i < QUEUED; i++) {
        snprintf(key, sizeof(key), "key%u", i);
        (void)xs_write(XS_NO_TXN, DIR, key, "1");
    }
    do {
        thread_yield();
        xs_get_stats(&now);
    } while (now.events < before.events + QUEUED && clock_now() < limit);
    xs_watch_poke(&poked);
    xs_watches_release();
    int rc = wait_event_until(
        &busy.wake, READ_ONCE(busy.calls) >= QUEUED && READ_ONCE(calls_before_poke) != NEVER,
        limit);
    xs_watch_remove(&poked);
    xs_watch_remove(&busy.watch);
    CHECK(xs_rm(XS_NO_TXN, DIR, NULL) == 0);
    CHECK(rc == 0);
    CHECK(calls_before_poke <= QUEUED / 4);
    return true;
}

const struct selftest selftests_xen[] = {
    {.name = "xen-grants-share-and-end", .fn = grants_share_and_end},
    {.name = "xen-grants-held-are-freed-later", .fn = grants_held_are_freed_later},
    {.name = "xen-grants-copy", .fn = grants_copy},
    {.name = "xen-pages-can-be-transferred", .fn = pages_can_be_transferred},
    {.name = "xen-values-come-back", .fn = values_come_back, .needs_store = true},
    {.name = "xen-transactions-are-tried-again",
     .fn = transactions_are_tried_again,
     .needs_store = true},
    {.name = "xen-watch-storms-end-with-the-last-value",
     .fn = watch_storms_end_with_the_last_value,
     .needs_store = true},
    {.name = "xen-a-refused-bind-changes-nothing", .fn = refused_bind_changes_nothing},
    {.name = "xen-writes-need-no-memory", .fn = writes_need_no_memory, .needs_store = true},
    {.name = "xen-starved-transactions-end", .fn = starved_transactions_end, .needs_store = true},
    {.name = "xen-devices-outlive-a-moment-without-memory",
     .fn = starved_devices_stay,
     .needs_store = true},
    {.name = "xen-events-and-pokes-by-turns", .fn = events_and_pokes_by_turns, .needs_store = true},
    {.name = NULL},
};
