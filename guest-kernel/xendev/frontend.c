/*
 * frontend.c - the life of a front end, as a table.
 *
 * The phases, what is shared in each, and how long it may last:
 *
 *   WAITING   nothing is shared; the back end has not offered itself
 *   OFFERED   the rings are shared, and the back end knows; it has not connected
 *   UP        both ends are connected, the data path runs
 *   LEFT      the back end went and may come again; nothing is shared
 *   FAILED    ours was an error, or its words made no sense: Closing is announced, nothing shared
 *   BROKEN    it broke the protocol: as FAILED, and it may not come again
 *   GONE      for good
 *
 * WAITING, OFFERED and LEFT wait for the back end without a deadline. That is meant so: a restart
 * of the back end may take any time, and a guest whose disk fails meanwhile is worse off than one
 * that waits. Who cannot wait that long sets a deadline of its own: boot
 * (xendev_wait_settled()), shutdown (blk_flush_all()), suspend (pause()). UP ends when the back end
 * says so; leaving() and pause() are bounded by the driver. FAILED, BROKEN and GONE wait for
 * nobody.
 *
 * What the back end's state makes of a phase. "News" is a state other than the one before: the
 * store tells some twice.
 *
 *             InitWait    Initialised,  Connected  Closing  Closed    no directory
 *             as news     InitWait
 *   WAITING   offer       offer         connect    -        -         -
 *   OFFERED   -           -             connect    leave    ask       end
 *   UP        leave       -             refresh    leave    ask       end
 *   LEFT      offer       -             -          -        ask       end
 *   FAILED    offer       -             -          -        -         end
 *   BROKEN    -           -             -          end      end       end
 *   GONE      -           -             -          -        -         -
 *
 *   offer     open(), publish(), announce ops->offered: OFFERED
 *   connect   offer if need be, refresh(), start(), announce Connected: UP
 *   refresh   refresh()
 *   leave     stop(DOWN), close(), announce Closed: LEFT
 *   ask       leave if need be; if it has been up since it was last asked, announce Initialising,
 *             on which a closed back end offers itself again: WAITING. Only once, since one that
 *             was never up may be closed because of us
 *   end       leaving(), stop(GONE), close(), gone(), announce Closed: GONE
 *
 * UP and InitWait: the back end went and came unseen and may still be at work on the old rings.
 * Closed makes it start over. Closing and Closed with `online` 0 mean "end" in every phase: the
 * toolstack takes the device away.
 *
 * From elsewhere: an error in open(), publish(), the first refresh() or start() leads to FAILED;
 * one in a later refresh(), and frontend_break(), to BROKEN, both by stop(BROKEN), close() and
 * Closing. The directory's end leads to GONE, a restore from everywhere but GONE to WAITING.
 *
 * Rings are freed by shut() alone, and that stops the data path first: no driver can have it the
 * wrong way round. Owns struct frontend. Locks and suspend: see frontend.h. Compiles on the host
 * for tests/unit.
 */
#include "xendev/frontend.h"

#include "kern/log.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "xendev/xendev.h"

enum event { EV_NEWS, EV_READY, EV_CONNECTED, EV_CLOSING, EV_CLOSED, EV_VANISHED, EV_COUNT };
enum action { NOTHING, OFFER, CONNECT, REFRESH, LEAVE, ASK, END };

static const uint8_t actions[][EV_COUNT] = {
    [FRONTEND_WAITING] = {OFFER, OFFER, CONNECT, NOTHING, NOTHING, NOTHING},
    [FRONTEND_OFFERED] = {NOTHING, NOTHING, CONNECT, LEAVE, ASK, END},
    [FRONTEND_UP] = {LEAVE, NOTHING, REFRESH, LEAVE, ASK, END},
    [FRONTEND_LEFT] = {OFFER, NOTHING, NOTHING, NOTHING, ASK, END},
    [FRONTEND_FAILED] = {OFFER, NOTHING, NOTHING, NOTHING, NOTHING, END},
    [FRONTEND_BROKEN] = {NOTHING, NOTHING, NOTHING, END, END, END},
    [FRONTEND_GONE] = {NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING},
};

void frontend_init(struct frontend *fe, const struct frontend_ops *ops, struct xendev *dev,
                   const char *name)
{
    *fe = (struct frontend){.ops = ops, .dev = dev, .name = name, .phase = FRONTEND_WAITING};
    dev->fe = fe;
}

void *frontend_alloc(const struct xendev *dev, const char *name, size_t size)
{
    void *driver = kzalloc(size);

    if (driver == NULL) {
        xenbus_dev_error(dev->node, -ENOMEM, "%s: no memory", name);
    }
    return driver;
}

const char *frontend_otherend(const struct frontend *fe)
{
    return fe->dev->otherend;
}

/* Every ring's page begins with the indices that both ends see. */
void frontend_show_ring(void (*say)(const char *fmt, ...), const struct frontend_ring *ring)
{
    const struct {
        uint32_t req_prod, req_event, rsp_prod, rsp_event;
    } *shared = ring->shared;

    say("%s: ring of %u at %p, grant %u, port %u\n", ring->name, ring->entries, ring->shared,
        ring->gref, ring->port);
    say("  ours    req_prod_pvt %u  rsp_cons %u\n", ring->req_prod_pvt, ring->rsp_cons);
    say("  shared  req_prod %u  req_event %u  rsp_prod %u  rsp_event %u\n", shared->req_prod,
        shared->req_event, shared->rsp_prod, shared->rsp_event);
}

const char *frontend_path_name(enum frontend_path path)
{
    static const char *const names[] = {"waiting", "up", "broken", "gone"};

    return names[path];
}

int frontend_refuse(struct frontend *fe, int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(fe->why, sizeof(fe->why), fmt, ap);
    va_end(ap);
    return err;
}

int frontend_gather(struct frontend *fe, const struct xs_field *fields, size_t n)
{
    const char *bad = "";
    int rc = xs_gather(XS_NO_TXN, fe->dev->otherend, fields, n, &bad);

    return rc == 0 ? 0
                   : frontend_refuse(fe, rc, "back end's %s/%s is missing or makes no sense",
                                     fe->dev->otherend, bad);
}

void frontend_break(struct frontend *fe, const char *breach)
{
    log_err("%s: back end of domain %u broke the protocol: %s; out of use until it is attached "
            "again",
            fe->name, fe->otherend_id, breach);
    WRITE_ONCE(fe->breach, breach);
    xendev_poke(fe->dev);
}

/* Stops the data path, then frees the rings: the only place that does either. */
static void shut(struct frontend *fe, enum frontend_path path, bool lost)
{
    fe->ops->stop(fe, path);
    if (fe->open) {
        fe->open = false;
        fe->ops->close(fe, lost);
    }
}

/* No more of this back end: for now (FAILED) or until it is attached again (BROKEN). */
static void fail(struct frontend *fe, enum frontend_phase phase, int err, const char *why)
{
    shut(fe, PATH_BROKEN, false);
    fe->phase = phase;
    xendev_fatal(fe->dev, err, "%s: %s", fe->name, why);
}

/* Nothing is written for a device whose directory is gone: that would make it anew. */
static int publish_keys(xs_txn_t t, void *arg)
{
    struct frontend *fe = arg;
    char *state;
    int rc = xs_read(t, fe->dev->node, "state", &state, NULL);

    if (rc != 0) {
        return rc;
    }
    kfree(state);
    return fe->ops->publish(fe, t);
}

static void frontend_offer(struct frontend *fe)
{
    fe->otherend_id = fe->dev->otherend_id;
    int rc = fe->ops->open(fe);
    if (rc == 0) {
        fe->open = true;
        rc = xs_transaction(publish_keys, fe);
        if (rc != 0) {
            (void)frontend_refuse(fe, rc, "the rings cannot be published");
        }
    }
    if (rc != 0) {
        fail(fe, FRONTEND_FAILED, rc, fe->why);
        return;
    }
    fe->phase = FRONTEND_OFFERED;
    (void)xendev_set_state(fe->dev, fe->ops->offered);
}

static void refresh(struct frontend *fe)
{
    int rc = fe->ops->refresh(fe);

    if (rc != 0) {
        fail(fe, FRONTEND_BROKEN, rc, fe->why);
    }
}

static void frontend_connect(struct frontend *fe)
{
    if (fe->phase == FRONTEND_WAITING) {
        frontend_offer(fe);
    }
    if (fe->phase != FRONTEND_OFFERED) {
        return;
    }
    int rc = fe->ops->refresh(fe);
    if (rc == 0) {
        rc = fe->ops->start(fe);
    }
    if (rc != 0) {
        fail(fe, FRONTEND_FAILED, rc, fe->why);
        return;
    }
    fe->phase = FRONTEND_UP;
    fe->may_ask = true;
    if (fe->ops->offered != XenbusStateConnected) {
        (void)xendev_set_state(fe->dev, XenbusStateConnected);
    }
}

static void frontend_leave(struct frontend *fe)
{
    log_warn("%s: back end of domain %u went away, waiting for another", fe->name, fe->otherend_id);
    shut(fe, PATH_DOWN, false);
    fe->phase = FRONTEND_LEFT;
    (void)xendev_set_state(fe->dev, XenbusStateClosed);
}

static void frontend_ask(struct frontend *fe)
{
    if (fe->phase != FRONTEND_LEFT) {
        frontend_leave(fe);
    }
    if (fe->may_ask) {
        fe->may_ask = false;
        fe->phase = FRONTEND_WAITING;
        (void)xendev_set_state(fe->dev, XenbusStateInitialising);
    }
}

static void frontend_end(struct frontend *fe)
{
    if (fe->phase == FRONTEND_GONE) {
        return;
    }
    if (fe->ops->leaving != NULL) {
        fe->ops->leaving(fe);
    }
    shut(fe, PATH_GONE, false);
    fe->phase = FRONTEND_GONE;
    if (fe->ops->gone != NULL) {
        fe->ops->gone(fe);
    }
    log_info("%s: detached", fe->name);
    (void)xendev_set_state(fe->dev, XenbusStateClosed);
}

/* Whether the toolstack means the device to stay. */
static bool online(const struct frontend *fe)
{
    bool on = false;
    const struct xs_field field = {"online", XS_BOOL, &on, false};

    return xs_gather(XS_NO_TXN, fe->dev->otherend, &field, 1, NULL) == 0 && on;
}

/* What a state, some other end's word, means here. False: nothing. */
static bool classify(struct frontend *fe, enum xenbus_state state, enum event *ev)
{
    bool news = state != fe->seen;

    fe->seen = state;
    switch (state) {
    case XenbusStateInitWait:
        *ev = news ? EV_NEWS : EV_READY;
        return true;
    case XenbusStateInitialised:
        *ev = EV_READY;
        return true;
    case XenbusStateConnected:
        *ev = EV_CONNECTED;
        return true;
    case XenbusStateClosing:
        *ev = EV_CLOSING;
        return true;
    case XenbusStateClosed:
        *ev = EV_CLOSED;
        return true;
    case XenbusStateUnknown:
        *ev = EV_VANISHED;
        return true;
    default:
        return false;
    }
}

static void act(struct frontend *fe, enum action action)
{
    static void (*const steps[])(struct frontend * fe) = {
        [OFFER] = frontend_offer, [CONNECT] = frontend_connect, [REFRESH] = refresh,
        [LEAVE] = frontend_leave, [ASK] = frontend_ask,         [END] = frontend_end,
    };

    if (action != NOTHING) {
        steps[action](fe);
    }
}

/* The data path gave the back end up: take everything away from it and tell the store, once. */
static void take_breach(struct frontend *fe)
{
    const char *breach = READ_ONCE(fe->breach);

    if (breach != NULL) {
        WRITE_ONCE(fe->breach, NULL);
        if (fe->phase == FRONTEND_UP) {
            char why[sizeof(fe->why)];

            snprintf(why, sizeof(why), "back end broke the protocol: %s", breach);
            fail(fe, FRONTEND_BROKEN, -EIO, why);
        }
    }
}

void frontend_event(struct frontend *fe, enum xenbus_state state)
{
    enum event ev;

    take_breach(fe);
    if (!classify(fe, state, &ev)) {
        return;
    }
    if ((ev == EV_CLOSING || ev == EV_CLOSED) && !online(fe)) {
        frontend_end(fe);
    } else {
        act(fe, actions[fe->phase][ev]);
    }
}

void frontend_remove(struct frontend *fe)
{
    frontend_end(fe);
    fe->ops->release(fe);
}

void frontend_suspend(struct frontend *fe)
{
    fe->ops->pause(fe);
}

void frontend_cancel(struct frontend *fe)
{
    fe->ops->unpause(fe);
}

/* What the old back end broke does not count against the new one. */
void frontend_resume(struct frontend *fe)
{
    bool gone = fe->phase == FRONTEND_GONE;

    shut(fe, gone ? PATH_GONE : PATH_DOWN, true);
    WRITE_ONCE(fe->breach, NULL);
    fe->seen = XenbusStateUnknown;
    fe->may_ask = false;
    fe->ops->unpause(fe);
    if (!gone) {
        fe->phase = FRONTEND_WAITING;
    }
    (void)xendev_set_state(fe->dev, gone ? XenbusStateClosed : XenbusStateInitialising);
}
