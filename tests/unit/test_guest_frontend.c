/*
 * The life of the guest's front ends: what every state of the back end does in every phase; and for
 * all sequences of events up to some length, that no ring is freed while the data path may touch
 * it, that a driver's steps come in their order, and that nothing is left at the end.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kern/log.h"
#include "kern/mem.h"
#include "os/gnttab.h"
#include "xendev/xendev.h"

#define DEPTH 5 /* of the sequences */

/* ---- a driver that notes what is done to it ---- */

enum step { OPEN, PUBLISH, REFRESH, START, STEPS };

static struct {
    struct frontend fe;
    struct xendev dev;
    enum frontend_path path;
    bool open, published, refreshed, paused, left, gone, released;
    bool online;
    int fails[STEPS];  /* the errors of steps that fail next time */
    int store;         /* what reading the back end's `online` ends with */
    unsigned looks;    /* how often another look was asked for */
    bool greedy;       /* the back end holds on to too much */
    const char *wrong; /* the first rule that was broken */
} d;

static void must(bool holds, const char *rule)
{
    if (!holds && d.wrong == NULL) {
        d.wrong = rule;
    }
}

static int fails(enum step step)
{
    must(!d.released, "nothing is asked of a driver that has let go");
    return d.fails[step] != 0 ? frontend_refuse(&d.fe, d.fails[step], "step %d fails", step) : 0;
}

static int fake_open(struct frontend *fe)
{
    int rc = fails(OPEN);

    (void)fe;
    must(!d.open, "rings are made once");
    d.open = rc == 0;
    d.published = false;
    d.refreshed = false;
    return rc;
}

static int fake_publish(struct frontend *fe, xs_txn_t t)
{
    (void)fe;
    (void)t;
    must(d.open, "what is published was made");
    d.published = true;
    return fails(PUBLISH);
}

static int fake_refresh(struct frontend *fe)
{
    (void)fe;
    must(d.open && d.published, "who looks at the back end has published");
    d.refreshed = true;
    return fails(REFRESH);
}

static int fake_start(struct frontend *fe)
{
    int rc = fails(START);

    (void)fe;
    must(d.open && d.published && d.refreshed, "started last");
    must(d.path != PATH_UP && d.path != PATH_GONE, "started once, and never when gone");
    d.path = rc == 0 ? PATH_UP : d.path;
    return rc;
}

static void fake_stop(struct frontend *fe, enum frontend_path path)
{
    (void)fe;
    must(!d.released, "nothing is stopped after the end");
    must(path != PATH_UP, "to stop is to be down");
    d.path = path;
}

static void fake_close(struct frontend *fe, bool lost)
{
    (void)fe;
    (void)lost;
    must(d.open, "what is freed was made");
    must(d.path != PATH_UP, "no ring is freed while its data path is up");
    d.open = false;
}

static void fake_leaving(struct frontend *fe)
{
    (void)fe;
    must(!d.left && !d.gone, "leaves once, before it is gone");
    d.left = true;
}

static void fake_gone(struct frontend *fe)
{
    (void)fe;
    must(d.left && !d.open && d.path == PATH_GONE && !d.gone, "gone once, after all the rest");
    d.gone = true;
}

static void fake_pause(struct frontend *fe)
{
    (void)fe;
    d.paused = true;
}

static void fake_unpause(struct frontend *fe)
{
    (void)fe;
    d.paused = false;
}

static void fake_release(struct frontend *fe)
{
    (void)fe;
    must(d.gone && !d.open && !d.released, "let go once, at the very end");
    d.released = true;
}

static const struct frontend_ops fake_ops = {
    .offered = XenbusStateInitialised,
    .open = fake_open,
    .publish = fake_publish,
    .refresh = fake_refresh,
    .start = fake_start,
    .stop = fake_stop,
    .close = fake_close,
    .leaving = fake_leaving,
    .gone = fake_gone,
    .pause = fake_pause,
    .unpause = fake_unpause,
    .release = fake_release,
};

/* ---- the kernel around it ---- */

int xendev_set_state(struct xendev *dev, enum xenbus_state state)
{
    dev->state = state;
    return 0;
}

void xendev_fatal(struct xendev *dev, int err, const char *fmt, ...)
{
    (void)fmt;
    must(err != 0, "an error has a number");
    dev->state = XenbusStateClosing;
}

void xendev_poke(struct xendev *dev)
{
    (void)dev;
}

void xendev_look_again(struct xendev *dev)
{
    (void)dev;
    d.looks++;
}

bool gnttab_holds_too_much(uint16_t domid)
{
    must(domid == d.dev.otherend_id, "it is the back end's domain that is asked about");
    return d.greedy;
}

const char *errno_name(int err)
{
    (void)err;
    return "an error";
}

int xs_gather(xs_txn_t t, const char *dir, const struct xs_field *fields, size_t n,
              const char **bad)
{
    (void)t;
    (void)bad;
    must(n == 1 && strcmp(fields->key, "online") == 0 && strcmp(dir, d.dev.otherend) == 0,
         "the engine reads the back end's `online`");
    if (d.store == 0) {
        *(bool *)fields->out = d.online;
    }
    return d.store;
}

int xs_transaction(int (*fn)(xs_txn_t t, void *arg), void *arg)
{
    return fn(XS_NO_TXN, arg);
}

int xs_read(xs_txn_t t, const char *dir, const char *key, char **value, size_t *len)
{
    (void)t;
    (void)key;
    (void)len;
    must(strcmp(dir, d.dev.node) == 0, "the directory that is looked at is ours");
    *value = strdup("1");
    return 0;
}

void *kzalloc(size_t size)
{
    return calloc(1, size);
}

void xenbus_dev_error(const char *dir, int err, const char *fmt, ...)
{
    (void)dir;
    (void)err;
    (void)fmt;
}

void kfree(void *ptr)
{
    free(ptr);
}

void klog(enum log_level level, const char *fmt, ...)
{
    (void)level;
    (void)fmt;
}

/* ---- what may happen ---- */

static void state(enum xenbus_state s)
{
    frontend_event(&d.fe, s);
}

static void failing_with(int err, enum step step, enum xenbus_state s)
{
    d.fails[step] = err;
    state(s);
    d.fails[step] = 0;
}

static void failing(enum step step, enum xenbus_state s)
{
    failing_with(-EINVAL, step, s);
}

/* For want of memory, which says nothing of the back end. */
static void starving(enum step step, enum xenbus_state s)
{
    unsigned looks = d.looks;

    failing_with(-ENOMEM, step, s);
    must(d.looks <= looks + 1, "one look more is enough");
}

/* It closes while nobody can tell whether for good. */
static void unreadable(enum xenbus_state s)
{
    unsigned looks = d.looks;

    d.store = -EIO;
    state(s);
    d.store = 0;
    must(d.looks == looks + 1, "what cannot be read is looked at again");
}

static void offline(enum xenbus_state s)
{
    d.online = false;
    state(s);
    d.online = true;
}

static void init_wait(void)
{
    state(XenbusStateInitWait);
}
static void initialised(void)
{
    state(XenbusStateInitialised);
}
static void connected(void)
{
    state(XenbusStateConnected);
}
static void closing(void)
{
    state(XenbusStateClosing);
}
static void closed(void)
{
    state(XenbusStateClosed);
}
static void vanished(void)
{
    state(XenbusStateUnknown);
}
static void reconfiguring(void)
{
    state(XenbusStateReconfiguring);
}
static void closing_offline(void)
{
    offline(XenbusStateClosing);
}
static void closed_offline(void)
{
    offline(XenbusStateClosed);
}
static void open_fails(void)
{
    failing(OPEN, XenbusStateInitWait);
}
static void publish_fails(void)
{
    failing(PUBLISH, XenbusStateInitWait);
}
static void refresh_fails(void)
{
    failing(REFRESH, XenbusStateConnected);
}
static void start_fails(void)
{
    failing(START, XenbusStateConnected);
}

static void open_starves(void)
{
    starving(OPEN, XenbusStateInitWait);
}
static void publish_starves(void)
{
    starving(PUBLISH, XenbusStateInitWait);
}
static void refresh_starves(void)
{
    starving(REFRESH, XenbusStateConnected);
}
static void closing_unreadable(void)
{
    unreadable(XenbusStateClosing);
}
static void closed_unreadable(void)
{
    unreadable(XenbusStateClosed);
}

/* The data path finds the ring garbled, if it runs; then the watch thread comes. */
static void breach(void)
{
    if (d.path == PATH_UP) {
        d.path = PATH_BROKEN;
        frontend_break(&d.fe, "garbled");
    }
    state(d.fe.seen);
}

static void checkpoint(void)
{
    frontend_suspend(&d.fe);
    frontend_cancel(&d.fe);
}

static void restore(void)
{
    frontend_suspend(&d.fe);
    frontend_resume(&d.fe);
}

/* The back end's domain has died. */
static void hidden(void)
{
    frontend_hidden(&d.fe);
}

/* Another serves the device now. One that is gone is attached anew by the nexus. */
static void moved(void)
{
    if (d.fe.phase != FRONTEND_GONE) {
        frontend_move(&d.fe);
    }
}

/* ---- the rules that hold between any two events ---- */

static void check(void)
{
    enum frontend_phase phase = d.fe.phase;

    must(d.open == (phase == FRONTEND_OFFERED || phase == FRONTEND_UP),
         "rings exist in OFFERED and UP");
    must((d.path == PATH_UP) == (phase == FRONTEND_UP), "the data path runs in UP");
    must((d.path == PATH_GONE) == (phase == FRONTEND_GONE), "GONE fails all requests");
    must(phase != FRONTEND_BROKEN || d.path == PATH_BROKEN, "BROKEN fails all requests");
    must(phase != FRONTEND_LEFT || d.path == PATH_DOWN, "in LEFT requests wait");
    must(phase != FRONTEND_UP || d.dev.state == XenbusStateConnected, "UP is announced");
    must(!d.paused, "no pause outlives its suspend");
}

static void begin(void)
{
    static char otherend[] = "/local/domain/0/backend/vbd/1/51712";

    memset(&d, 0, sizeof(d));
    d.online = true;
    d.dev.otherend = otherend;
    strcpy(d.dev.node, "device/vbd/51712");
    d.dev.state = XenbusStateInitialising;
    frontend_init(&d.fe, &fake_ops, &d.dev, "xvda");
}

static void finish(void)
{
    frontend_remove(&d.fe);
    must(d.released && !d.open && d.dev.state == XenbusStateClosed, "nothing is left");
}

typedef void (*event_fn)(void);

static const struct {
    const char *name;
    event_fn fn;
} events[] = {
    {"InitWait", init_wait},
    {"Initialised", initialised},
    {"Connected", connected},
    {"Closing", closing},
    {"Closed", closed},
    {"directory gone", vanished},
    {"Reconfiguring", reconfiguring},
    {"Closing, online=0", closing_offline},
    {"Closed, online=0", closed_offline},
    {"InitWait, open fails", open_fails},
    {"InitWait, publish fails", publish_fails},
    {"Connected, refresh fails", refresh_fails},
    {"Connected, start fails", start_fails},
    {"InitWait, no memory to open", open_starves},
    {"InitWait, no memory to publish", publish_starves},
    {"Connected, no memory to look", refresh_starves},
    {"Closing, unreadable", closing_unreadable},
    {"the ring is garbled", breach},
    {"checkpoint", checkpoint},
    {"restore", restore},
    {"not to be read", hidden},
    {"moved", moved},
};

#define EVENTS (sizeof(events) / sizeof(events[0]))

/* All sequences of up to DEPTH events, each ended by the directory's end. */
static void no_sequence_breaks_a_rule(void **unused)
{
    unsigned long total = 1;

    (void)unused;
    for (unsigned i = 0; i < DEPTH; i++) {
        total *= EVENTS;
    }
    for (unsigned long n = 0; n < total; n++) {
        unsigned long rest = n;

        begin();
        for (unsigned i = 0; i < DEPTH; i++, rest /= EVENTS) {
            events[rest % EVENTS].fn();
            check();
        }
        finish();
        if (d.wrong != NULL) {
            rest = n;
            for (unsigned i = 0; i < DEPTH; i++, rest /= EVENTS) {
                print_error("%s; ", events[rest % EVENTS].name);
            }
            fail_msg("then: %s", d.wrong);
        }
    }
}

/* ---- the table ---- */

static void reach(enum frontend_phase phase)
{
    begin();
    switch (phase) {
    case FRONTEND_WAITING:
        break;
    case FRONTEND_OFFERED:
        init_wait();
        break;
    case FRONTEND_LEFT:
        connected();
        closing();
        break;
    case FRONTEND_FAILED:
        open_fails();
        break;
    case FRONTEND_BROKEN:
        connected();
        breach();
        break;
    case FRONTEND_GONE:
        connected();
        vanished();
        break;
    default:
        connected();
        break;
    }
    assert_int_equal(d.fe.phase, phase);
}

struct row {
    enum frontend_phase from;
    event_fn fn;
    enum frontend_phase to;
    enum xenbus_state said; /* what is announced then */
};

#define W FRONTEND_WAITING
#define O FRONTEND_OFFERED
#define U FRONTEND_UP
#define L FRONTEND_LEFT
#define F FRONTEND_FAILED
#define B FRONTEND_BROKEN
#define G FRONTEND_GONE

/* From each phase, what follows each event. */
static const struct row transitions[] = {
    {W, init_wait, O, XenbusStateInitialised},
    {W, initialised, O, XenbusStateInitialised},
    {W, connected, U, XenbusStateConnected},
    {W, closing, W, XenbusStateInitialising},
    {W, closed, W, XenbusStateInitialising},
    {W, vanished, W, XenbusStateInitialising},
    {W, reconfiguring, W, XenbusStateInitialising},
    {W, closing_offline, G, XenbusStateClosed},
    {W, open_fails, F, XenbusStateClosing},
    {W, publish_fails, F, XenbusStateClosing},
    {W, refresh_fails, F, XenbusStateClosing},
    {W, start_fails, F, XenbusStateClosing},
    {W, open_starves, W, XenbusStateInitialising},
    {W, publish_starves, W, XenbusStateInitialising},
    {W, refresh_starves, O, XenbusStateInitialised},
    {W, closing_unreadable, W, XenbusStateInitialising},
    {W, restore, W, XenbusStateInitialising},
    {W, hidden, W, XenbusStateInitialising},
    {W, moved, W, XenbusStateInitialising},
    {O, initialised, O, XenbusStateInitialised},
    {O, init_wait, O, XenbusStateInitialised},
    {O, connected, U, XenbusStateConnected},
    {O, refresh_fails, F, XenbusStateClosing},
    {O, refresh_starves, O, XenbusStateInitialised},
    {O, closing_unreadable, O, XenbusStateInitialised},
    {O, closing, L, XenbusStateClosed},
    {O, closed, L, XenbusStateClosed}, /* was never up: not asked again */
    {O, closed_offline, G, XenbusStateClosed},
    {O, vanished, G, XenbusStateClosed},
    {O, restore, W, XenbusStateInitialising},
    {O, hidden, L, XenbusStateClosed},
    {O, moved, W, XenbusStateInitialising},
    {U, connected, U, XenbusStateConnected},
    {U, initialised, U, XenbusStateConnected},
    {U, init_wait, L, XenbusStateClosed},
    {U, refresh_fails, B, XenbusStateClosing},
    {U, refresh_starves, U, XenbusStateConnected},
    {U, closing_unreadable, U, XenbusStateConnected},
    {U, closed_unreadable, U, XenbusStateConnected},
    {U, closing, L, XenbusStateClosed},
    {U, closed, W, XenbusStateInitialising},
    {U, closing_offline, G, XenbusStateClosed},
    {U, vanished, G, XenbusStateClosed},
    {U, breach, B, XenbusStateClosing},
    {U, checkpoint, U, XenbusStateConnected},
    {U, restore, W, XenbusStateInitialising},
    {U, hidden, L, XenbusStateClosed},
    {U, moved, W, XenbusStateInitialising},
    {L, init_wait, O, XenbusStateInitialised},
    {L, connected, L, XenbusStateClosed},
    {L, closing, L, XenbusStateClosed},
    {L, open_starves, W, XenbusStateClosed},
    {L, closed_unreadable, L, XenbusStateClosed},
    {L, closed, W, XenbusStateInitialising},
    {L, closed_offline, G, XenbusStateClosed},
    {L, vanished, G, XenbusStateClosed},
    {L, restore, W, XenbusStateInitialising},
    {L, hidden, L, XenbusStateClosed},
    {L, moved, W, XenbusStateInitialising},
    {F, init_wait, F, XenbusStateClosing}, /* told twice */
    {F, connected, F, XenbusStateClosing},
    {F, closing, F, XenbusStateClosing},
    {F, closed, F, XenbusStateClosing},
    {F, closed_offline, G, XenbusStateClosed},
    {F, vanished, G, XenbusStateClosed},
    {F, restore, W, XenbusStateInitialising},
    {F, hidden, F, XenbusStateClosing},
    {F, moved, W, XenbusStateInitialising},
    {B, init_wait, B, XenbusStateClosing},
    {B, connected, B, XenbusStateClosing},
    {B, closing_unreadable, B, XenbusStateClosing},
    {B, closing, G, XenbusStateClosed},
    {B, closed, G, XenbusStateClosed},
    {B, vanished, G, XenbusStateClosed},
    {B, restore, W, XenbusStateInitialising},
    {B, hidden, B, XenbusStateClosing},
    {B, moved, W, XenbusStateInitialising},
    {G, init_wait, G, XenbusStateClosed},
    {G, connected, G, XenbusStateClosed},
    {G, closed, G, XenbusStateClosed},
    {G, vanished, G, XenbusStateClosed},
    {G, restore, G, XenbusStateClosed},
    {G, hidden, G, XenbusStateClosed},
};

static void every_phase_knows_every_event(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof(transitions) / sizeof(transitions[0]); i++) {
        reach(transitions[i].from);
        transitions[i].fn();
        check();
        if (d.fe.phase != transitions[i].to || d.dev.state != transitions[i].said ||
            d.wrong != NULL) {
            fail_msg("row %zu: phase %d, said %d: %s", i, d.fe.phase, d.dev.state,
                     d.wrong != NULL ? d.wrong : "not what is due");
        }
        finish();
    }
}

/* One that closes us as often as it connects is asked each time; one that never connects, once. */
static void a_back_end_is_asked_again_once(void **unused)
{
    (void)unused;
    begin();
    for (unsigned round = 0; round < 3; round++) {
        init_wait();
        connected();
        closed();
        assert_int_equal(d.dev.state, XenbusStateInitialising);
    }
    init_wait();
    closed();
    assert_int_equal(d.fe.phase, FRONTEND_LEFT);
    init_wait();
    connected();
    assert_int_equal(d.fe.phase, FRONTEND_UP);
    finish();
    assert_null(d.wrong);
}

/* What a back end failed at counts until it offers itself anew. */
static void a_failed_one_is_tried_when_offered_anew(void **unused)
{
    (void)unused;
    begin();
    refresh_fails();
    closing();
    closed();
    assert_int_equal(d.fe.phase, FRONTEND_FAILED);
    init_wait();
    connected();
    assert_int_equal(d.fe.phase, FRONTEND_UP);
    finish();
    assert_null(d.wrong);
}

/* What was in the way has passed: the same words of the back end lead on, without any news. */
static void another_look_goes_on(void **unused)
{
    (void)unused;
    begin();
    open_starves();
    assert_int_equal(d.looks, 1);
    init_wait();
    assert_int_equal(d.fe.phase, FRONTEND_OFFERED);
    refresh_starves();
    assert_int_equal(d.looks, 2);
    connected();
    assert_int_equal(d.fe.phase, FRONTEND_UP);
    closing_unreadable();
    closing();
    assert_int_equal(d.fe.phase, FRONTEND_LEFT);
    open_starves();
    init_wait();
    assert_int_equal(d.fe.phase, FRONTEND_OFFERED);
    finish();
    assert_null(d.wrong);
}

/* Who keeps the pages of earlier connections gets no others before it has let go. */
static void a_greedy_one_waits(void **unused)
{
    (void)unused;
    begin();
    d.greedy = true;
    init_wait();
    connected();
    assert_int_equal(d.fe.phase, FRONTEND_WAITING);
    assert_int_equal(d.looks, 2);
    assert_false(d.open);
    d.greedy = false;
    connected();
    assert_int_equal(d.fe.phase, FRONTEND_UP);
    finish();
    assert_null(d.wrong);
}

/* A driver domain dies and another takes its place: the rings are made anew, for the new one. */
static void another_domain_takes_over(void **unused)
{
    (void)unused;
    begin();
    d.dev.otherend_id = 5;
    connected();
    hidden();
    assert_int_equal(d.path, PATH_DOWN);
    assert_false(d.open);
    d.dev.otherend_id = 7;
    moved();
    init_wait();
    assert_int_equal(d.fe.otherend_id, 7);
    connected();
    assert_int_equal(d.path, PATH_UP);
    finish();
    assert_null(d.wrong);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_domain_takes_over),
        cmocka_unit_test(every_phase_knows_every_event),
        cmocka_unit_test(no_sequence_breaks_a_rule),
        cmocka_unit_test(a_back_end_is_asked_again_once),
        cmocka_unit_test(a_failed_one_is_tried_when_offered_anew),
        cmocka_unit_test(another_look_goes_on),
        cmocka_unit_test(a_greedy_one_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
