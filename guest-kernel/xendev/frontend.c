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
 *             InitWait    Initialised,  Connected  Closing  Closed    no         not to
 *             as news     InitWait                                    directory  be read
 *   WAITING   offer       offer         connect    -        -         -          -
 *   OFFERED   -           -             connect    leave    ask       end        leave
 *   UP        leave       -             refresh    leave    ask       end        leave
 *   LEFT      offer       -             -          -        ask       end        -
 *   FAILED    offer       -             -          -        -         end        -
 *   BROKEN    -           -             -          end      end       end        -
 *   GONE      -           -             -          -        -         -          -
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
 * toolstack takes the device away. "Not to be read" is what the store says of a back end whose
 * domain has died: another may serve the device later.
 *
 * From elsewhere: an error in open(), publish(), the first refresh() or start() leads to FAILED;
 * one in a later refresh(), and frontend_break(), to BROKEN, both by stop(BROKEN), close() and
 * Closing. The directory's end leads to GONE; a restore, and another domain that serves the device
 * from now on, from everywhere but GONE to WAITING.
 *
 * That memory is out, or the store does not answer, says nothing of the back end: with such an
 * error (xs_error_passes()) an offer leads back to WAITING, everything else stays where it was, and
 * the same is tried again a little later (xendev_look_again()). An offer also waits, in WAITING, as
 * long as the back end's domain has too many pages of earlier connections mapped: else one that
 * comes and goes could take all of the memory.
 *
 * Rings are freed by shut() alone, and that stops the data path first: no driver can have it the
 * wrong way round. Owns struct frontend. Locks and suspend: see frontend.h. Compiles on the host
 * for tests/unit.
 */
#include "xendev/frontend.h"

#include "kern/log.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "os/gnttab.h"
#include "xendev/xendev.h"

enum event {
    EV_NEWS,
    EV_READY,
    EV_CONNECTED,
    EV_CLOSING,
    EV_CLOSED,
    EV_VANISHED,
    EV_HIDDEN,
    EV_COUNT
};
enum action { NOTHING, OFFER, CONNECT, REFRESH, LEAVE, ASK, END };

static const uint8_t actions[][EV_COUNT] = {
    [FRONTEND_WAITING] = {OFFER, OFFER, CONNECT, NOTHING, NOTHING, NOTHING, NOTHING},
    [FRONTEND_OFFERED] = {NOTHING, NOTHING, CONNECT, LEAVE, ASK, END, LEAVE},
    [FRONTEND_UP] = {LEAVE, NOTHING, REFRESH, LEAVE, ASK, END, LEAVE},
    [FRONTEND_LEFT] = {OFFER, NOTHING, NOTHING, NOTHING, ASK, END, NOTHING},
    [FRONTEND_FAILED] = {OFFER, NOTHING, NOTHING, NOTHING, NOTHING, END, NOTHING},
    [FRONTEND_BROKEN] = {NOTHING, NOTHING, NOTHING, END, END, END, NOTHING},
    [FRONTEND_GONE] = {NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING},
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

/* What stands in the way may pass. */
static void look_later(struct frontend *fe, int err, const char *what)
{
    if (!fe->stuck) {
        log_warn("%s: %s: %s; looking again until it works", fe->name, what, errno_name(err));
    }
    fe->stuck = true;
    xendev_look_again(fe->dev);
}

static void frontend_offer(struct frontend *fe)
{
    fe->otherend_id = fe->dev->otherend_id;
    if (gnttab_holds_too_much(fe->otherend_id)) {
        fe->phase = FRONTEND_WAITING;
        look_later(fe, -EBUSY, "back end holds on to too many pages of earlier connections");
        return;
    }
    int rc = fe->ops->open(fe);
    if (rc == 0) {
        fe->open = true;
        rc = xs_transaction(publish_keys, fe);
        if (rc != 0) {
            (void)frontend_refuse(fe, rc, "the rings cannot be published");
        }
    }
    if (xs_error_passes(rc)) {
        shut(fe, PATH_DOWN, false);
        fe->phase = FRONTEND_WAITING;
        look_later(fe, rc, fe->why);
        return;
    }
    if (rc != 0) {
        fail(fe, FRONTEND_FAILED, rc, fe->why);
        return;
    }
    fe->stuck = false;
    fe->phase = FRONTEND_OFFERED;
    (void)xendev_set_state(fe->dev, fe->ops->offered);
}

static void refresh(struct frontend *fe)
{
    int rc = fe->ops->refresh(fe);

    if (xs_error_passes(rc)) {
        look_later(fe, rc, fe->why);
    } else if (rc != 0) {
        fail(fe, FRONTEND_BROKEN, rc, fe->why);
    } else {
        fe->stuck = false;
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
    if (xs_error_passes(rc)) {
        look_later(fe, rc, fe->why);
        return;
    }
    if (rc == 0) {
        rc = fe->ops->start(fe);
    }
    if (rc != 0) {
        fail(fe, FRONTEND_FAILED, rc, fe->why);
        return;
    }
    fe->stuck = false;
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

/*
 * The back end closes: whether for good, as the toolstack says by `online`. What is missing or is
 * no number means so, too. Nonzero: nobody knows now.
 */
static int closes_for_good(const struct frontend *fe, bool *for_good)
{
    bool on = false;
    const struct xs_field field = {"online", XS_BOOL, &on, true};
    int rc = xs_gather(XS_NO_TXN, fe->dev->otherend, &field, 1, NULL);

    *for_good = !on;
    return xs_error_passes(rc) ? rc : 0;
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

void frontend_take_breach(struct frontend *fe)
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
    bool for_good = false;
    enum event ev;
    int rc = 0;

    frontend_take_breach(fe);
    if (!classify(fe, state, &ev)) {
        return;
    }
    if (ev == EV_CLOSING || ev == EV_CLOSED) {
        rc = closes_for_good(fe, &for_good);
    }
    if (rc != 0) {
        look_later(fe, rc, "the back end closes, and whether for good cannot be read");
    } else if (for_good) {
        frontend_end(fe);
    } else {
        act(fe, actions[fe->phase][ev]);
    }
}

void frontend_hidden(struct frontend *fe)
{
    frontend_take_breach(fe);
    fe->seen = XenbusStateUnknown;
    act(fe, actions[fe->phase][EV_HIDDEN]);
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
static bool begin_anew(struct frontend *fe, bool lost)
{
    bool gone = fe->phase == FRONTEND_GONE;

    shut(fe, gone ? PATH_GONE : PATH_DOWN, lost);
    WRITE_ONCE(fe->breach, NULL);
    fe->seen = XenbusStateUnknown;
    fe->may_ask = false;
    return gone;
}

void frontend_move(struct frontend *fe)
{
    (void)begin_anew(fe, false);
    fe->phase = FRONTEND_WAITING;
    (void)xendev_set_state(fe->dev, XenbusStateInitialising);
}

void frontend_resume(struct frontend *fe)
{
    bool gone = begin_anew(fe, true);

    fe->ops->unpause(fe);
    if (!gone) {
        fe->phase = FRONTEND_WAITING;
    }
    (void)xendev_set_state(fe->dev, gone ? XenbusStateClosed : XenbusStateInitialising);
}
