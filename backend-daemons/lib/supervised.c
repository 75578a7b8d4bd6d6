/*
 * A device under a supervisor: see supervised.h. Every event of the store ends in evaluate().
 * supervised_act() does what the table of the device's life asks for.
 */
#include "supervised.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/xen.h>

#include "supervisor.h"

/* Lines of one device in a minute: enough for whoever looks for a fault, not for a flood. */
#define GUEST_LOG_LINES 30
#define GUEST_LOG_MS    60000

/* Evaluations of one device: so many at once, and so many a second. To connect takes a handful. */
#define LOOKS_AT_ONCE UINT64_C(40)
#define LOOKS         UINT64_C(20)
#define SECOND_NS     UINT64_C(1000000000)

/* The back end's state, nonsense being Unknown. Returns 0, -ENOENT when its directory is gone, or
 * -errno: nothing is known. */
static int supervised_read_back(struct supervised *dev, xs_transaction_t t,
                                enum xenbus_state *state)
{
    struct store *st = dev->sup->store;
    char *text;
    int err = xenbus_read_state(st, t, dev->back, state);

    if (err != 0 && !store_error_passes(err)) {
        log_limited(&dev->guest_log, LOG_ERR, &dev->id, "%s", store_error(st));
        return 0;
    }
    if (err == 0 && *state == XenbusStateUnknown) {
        err = store_read_str(st, t, dev->back, "state", 64, &text);
        free(text);
        err = err == -ENOENT || store_error_passes(err) ? err : 0;
    }
    return err;
}

/* Reads what decides; without an answer it is what it was. Returns as supervised_read_back() does.
 */
static int supervised_look(struct supervised *dev)
{
    struct supervised_view *v = &dev->view;
    const struct supervised_view before = *v;
    struct store *st = dev->sup->store;
    uint64_t online = 0;
    int err;

    *v = (struct supervised_view){.front = XenbusStateUnknown};
    err = supervised_read_back(dev, STORE_NO_TX, &v->back);
    if (err == 0 && dev->front != NULL) {
        err = xenbus_read_state(st, STORE_NO_TX, dev->front, &v->front);
        if (err != 0 && !store_error_passes(err)) {
            /* the guest writes nonsense: nothing to go on with */
            v->front = XenbusStateClosing;
            log_limited(&dev->guest_log, LOG_WARNING, &dev->id, "%s", store_error(st));
            err = 0;
        }
    }
    if (err == 0) {
        err = store_read_uint_def(st, STORE_NO_TX, dev->back, "online", 1, 0, &online);
        err = store_error_passes(err) ? err : 0;
    }
    v->online = online != 0;
    if (store_error_passes(err)) {
        *v = before;
    }
    return err;
}

/* The store did not answer: what it holds is looked at again later. */
static void supervised_look_later(struct supervised *dev)
{
    log_limited(&dev->guest_log, LOG_WARNING, &dev->id, "looks again: %s",
                store_error(dev->sup->store));
    supervised_reconsider_soon(dev);
}

/* The one event that tells how the store looks. */
static enum life_event supervised_event(const struct supervised *dev)
{
    const struct supervised_view *v = &dev->view;
    bool ready = (dev->sup->ops->ready_states & (1U << v->front)) != 0;

    if (v->front == XenbusStateClosed || v->front == XenbusStateUnknown) {
        return LIFE_ON_CLOSED;
    }
    if (v->front == XenbusStateClosing) {
        return LIFE_ON_CLOSING;
    }
    if (v->back == XenbusStateClosing) {
        /* a guest that is connected, and not just by its own word, needs its device to close it */
        return v->front == XenbusStateConnected && dev->in_use ? LIFE_ON_REMOVE_READY
                                                               : LIFE_ON_REMOVE;
    }
    return ready ? LIFE_ON_READY : LIFE_ON_IDLE;
}

/* Learns where the front end is, and watches its state from now on. */
static int supervised_learn_front(struct supervised *dev, char *why, unsigned long why_size)
{
    struct store *st = dev->sup->store;
    char path[STORE_PATH_MAX];
    uint64_t id = 0;
    int err;

    free(dev->front);
    err = store_read_str(st, STORE_NO_TX, dev->back, "frontend", STORE_PATH_MAX - 64, &dev->front);
    if (err == 0) {
        err = store_read_uint(st, STORE_NO_TX, dev->back, "frontend-id", DOMID_FIRST_RESERVED - 1,
                              &id);
    }
    if (err == 0 && (int)id != dev->key.domid) {
        snprintf(why, why_size, "%s/frontend-id = \"%" PRIu64 "\": the path names another domain",
                 dev->back, id);
        return -EINVAL;
    }
    if (err != 0) {
        snprintf(why, why_size, "%s", store_error(st));
        return err;
    }
    snprintf(path, sizeof(path), "%.*s/state", STORE_PATH_MAX - 16, dev->front);
    return supervised_watch(dev, &dev->front_watch, path, why, why_size);
}

/* Learns the domain's name and uuid, for messages and the configuration: what cannot be read is
 * left out. */
static void supervised_learn_domain(struct supervised *dev)
{
    char path[64], *name;

    domname_read_uuid(dev->sup->store, dev->key.domid, dev->uuid);
    snprintf(path, sizeof(path), DOMNAME_KEY, dev->key.domid);
    if (store_read_str(dev->sup->store, STORE_NO_TX, path, NULL, DOMNAME_MAX, &name) != 0) {
        return;
    }
    domname_drop_role(name);
    snprintf(dev->domain, sizeof(dev->domain), "%s", name);
    dev->id.domain = dev->domain;
    free(name);
}

static void supervised_refuse(struct supervised *dev, int err, const char *why)
{
    dev->unusable = true;
    supervised_tell_error(dev, err, why);
    life_happens(&dev->life, LIFE_ON_REFUSED);
}

/* Learns what the device is, at the start of each of its lives. Returns false after refusing it, or
 * when it is looked at again later. */
static bool supervised_learn(struct supervised *dev)
{
    char why[SUPERVISED_SENTENCE_MAX];
    int err;

    supervised_learn_domain(dev);
    err = supervised_learn_front(dev, why, sizeof(why));
    if (err == 0) {
        err = dev->sup->ops->learn(dev, why, sizeof(why));
    }
    if (store_error_passes(err) || lacks_for_now(err)) {
        supervised_look_later(dev);
    } else if (err != 0) {
        supervised_refuse(dev, err, why);
    }
    return err == 0;
}

/*
 * A device that the daemon has just found, and that is further than new already, belongs to a guest
 * that was served before a restart.
 */
static void supervised_find(struct supervised *dev)
{
    enum life_event event;
    int err;

    if (!supervised_learn(dev)) {
        return;
    }
    err = supervised_look(dev);
    if (err == -ENOENT) {
        life_happens(&dev->life, LIFE_ON_GONE);
        return;
    }
    if (err != 0) {
        supervised_look_later(dev);
        return;
    }
    dev->adopted = dev->view.back == XenbusStateInitWait || dev->view.back > XenbusStateInitialised;
    dev->in_use = dev->view.back > XenbusStateInitialised && dev->view.back != XenbusStateClosed;
    event = dev->view.back == XenbusStateClosed ? LIFE_ON_CLOSED : supervised_event(dev);
    if (dev->in_use && event == LIFE_ON_IDLE) {
        event = LIFE_ON_CLOSED; /* it began anew meanwhile, and waits for us to do so */
    }
    dev->written = dev->adopted ? dev->view.back : XenbusStateUnknown;
    if (!dev->adopted) {
        crew_dismiss(dev); /* what was kept was another's of the same name */
    } else if (event != LIFE_ON_CLOSED) {
        log_msg(LOG_INFO, &dev->id, "taken over in state %s", xenbus_state_name(dev->view.back));
    }
    life_happens(&dev->life, event);
}

/* Whether an evaluation has to wait; then it comes by itself. A guest can cause them without end.
 */
static bool supervised_looks_too_often(struct supervised *dev)
{
    uint64_t now = loop_now_ns();

    if (bucket_take(&dev->looks, 1, now)) {
        return false;
    }
    supervised_reconsider_later(dev, dev->looks.next_ns - now);
    return true;
}

/* Whether the device was removed and made again before anybody looked: only the toolstack writes
 * the first state. */
static bool supervised_is_another(const struct supervised *dev)
{
    return dev->view.back == XenbusStateInitialising && dev->written != XenbusStateUnknown;
}

static void evaluate(void *arg)
{
    struct supervised *dev = arg;
    int err;

    if (dev->sup->stopping || supervised_looks_too_often(dev)) {
        return;
    }
    err = supervised_look(dev);
    if (err == -ENOENT) {
        life_happens(&dev->life, LIFE_ON_GONE);
    } else if (err != 0) {
        supervised_look_later(dev);
    } else if (dev->life.phase == LIFE_NEW) {
        supervised_find(dev);
    } else if (supervised_is_another(dev)) {
        life_happens(&dev->life, LIFE_ON_GONE); /* the new one is found then */
    } else {
        life_happens(&dev->life, supervised_event(dev));
    }
}

void supervised_reconsider(struct supervised *dev)
{
    loop_defer(dev->sup->loop, &dev->work, evaluate, dev);
}

static void supervised_retry(void *arg)
{
    supervised_reconsider(arg);
}

void supervised_reconsider_later(struct supervised *dev, uint64_t ns)
{
    loop_timer_set(dev->sup->loop, &dev->later, ns, supervised_retry, dev);
}

void supervised_look_anew(struct supervised *dev)
{
    supervised_learn_domain(dev);
    supervised_reconsider(dev);
}

void supervised_reconsider_soon(struct supervised *dev)
{
    supervised_reconsider_later(dev, SECOND_NS);
}

int supervised_try_again(struct supervised *dev, const char *why)
{
    log_limited(&dev->guest_log, LOG_WARNING, &dev->id, "tries again: %s", why);
    supervised_reconsider_soon(dev);
    return -EAGAIN;
}

void supervised_on_store(void *arg, const char *path)
{
    (void)path;
    supervised_reconsider(arg);
}

int supervised_watch(struct supervised *dev, struct store_watch *watch, const char *path, char *why,
                     unsigned long why_size)
{
    struct store *st = dev->sup->store;
    int err;

    store_watch_del(st, watch);
    err = store_watch_add(st, watch, path, supervised_on_store, dev);
    if (err != 0) {
        snprintf(why, why_size, "%s", store_error(st));
    }
    return err;
}

struct supervised_publication {
    struct supervised *dev;
    const struct key_value *values;
    unsigned int nr;
    enum xenbus_state state;
    bool again; /* the state is written although it stands there */
};

/* The toolstack may have written another state since we looked: its word is not overwritten. */
static int supervised_publish_tx(struct store *st, xs_transaction_t t, void *arg)
{
    const struct supervised_publication *p = arg;
    enum xenbus_state found;
    int err = supervised_read_back(p->dev, t, &found);

    if (err != 0) {
        return err;
    }
    if (p->state != XenbusStateUnknown && found != p->dev->view.back) {
        return -ECANCELED;
    }
    err = keys_write(st, t, p->dev->back, p->values, p->nr);
    if (err == 0 && p->state != XenbusStateUnknown && (p->again || p->state != found)) {
        err = store_write(st, t, p->dev->back, "state", "%d", p->state);
    }
    return err;
}

static bool supervised_publish_it(struct supervised *dev, const struct supervised_publication *p)
{
    int err = store_transaction(dev->sup->store, supervised_publish_tx, (void *)p);

    if (err == 0 && p->state != XenbusStateUnknown) {
        dev->view.back = dev->written = p->state;
        log_msg(LOG_DEBUG, &dev->id, "state %s", xenbus_state_name(p->state));
    } else if (err == -ECANCELED) {
        supervised_reconsider(dev);
    } else if (err != 0 && err != -ENOENT) {
        log_limited(&dev->guest_log, LOG_ERR, &dev->id, "cannot publish: %s",
                    store_error(dev->sup->store));
        supervised_reconsider_soon(dev);
    }
    return err == 0 || err == -ENOENT;
}

bool supervised_publish(struct supervised *dev, const struct key_value *values, unsigned int nr,
                        enum xenbus_state state)
{
    const struct supervised_publication p = {
        .dev = dev, .values = values, .nr = nr, .state = state};

    return (nr == 0 && state == dev->view.back) || supervised_publish_it(dev, &p);
}

bool supervised_publish_again(struct supervised *dev, const struct key_value *values,
                              unsigned int nr)
{
    const struct supervised_publication p = {
        .dev = dev, .values = values, .nr = nr, .state = dev->view.back, .again = true};

    return supervised_publish_it(dev, &p);
}

static void supervised_set_state(struct supervised *dev, enum xenbus_state state)
{
    supervised_publish(dev, NULL, 0, state);
}

void supervised_write_key(struct supervised *dev, const char *key, const char *text)
{
    const struct key_value value = {.key = key, .text = text};

    supervised_publish(dev, &value, 1, XenbusStateUnknown);
}

int supervised_remove_key(struct supervised *dev, const char *key, char *why,
                          unsigned long why_size)
{
    int err = store_rm(dev->sup->store, STORE_NO_TX, dev->back, key);

    if (err != 0) {
        snprintf(why, why_size, "%s", store_error(dev->sup->store));
    }
    return err;
}

void supervised_tell_error(struct supervised *dev, int err, const char *sentence)
{
    xenbus_write_error(dev->sup->store, dev->back, -err, sentence);
    log_limited(&dev->guest_log, LOG_ERR, &dev->id, "%s", sentence);
}

uint64_t supervised_conf(const struct supervised *dev, const char *key, uint64_t general)
{
    return conf_of_guest(&dev->sup->conf, key, dev->domain, dev->uuid, general);
}

int supervised_configure(struct supervised *dev, struct crew_orders *orders, char *why,
                         unsigned long why_size)
{
    const struct supervisor_ops *ops = dev->sup->ops;
    int err = supervised_read_front(dev, why, why_size);

    supervised_learn_domain(dev); /* a guest that has migrated has got its own name back */
    orders->config = (const char *)dev + ops->config_at;
    orders->size = ops->wire->config_bytes;
    return err != 0 ? err : ops->configure(dev, orders, why, why_size);
}

/* Has the class open what it serves; what is to be found later is no failure. */
static void supervised_open(struct supervised *dev)
{
    char why[SUPERVISED_SENTENCE_MAX];
    int err = dev->sup->ops->open(dev, why, sizeof(why));

    if (err != -EINPROGRESS) {
        supervised_opened(dev, err, why);
    }
}

/* It goes to the store, and from there to people's terminals. */
static void supervised_keep_verdict(struct supervised *dev, int err, const char *why)
{
    char shown[SUPERVISED_SENTENCE_MAX];

    log_escape(shown, sizeof(shown), why);
    free(dev->verdict);
    dev->verdict = strdup(shown);
    supervised_tell_error(dev, err, why);
}

static void supervised_offer(struct supervised *dev)
{
    if (dev->verdict == NULL) {
        xenbus_clear_error(dev->sup->store, dev->back);
    }
    if (!dev->adopted) {
        dev->sup->ops->offer(dev);
    }
    supervised_reconsider(dev);
}

void supervised_opened(struct supervised *dev, int err, const char *why)
{
    if (err == 0) {
        dev->opened = true;
        if (dev->verdict != NULL) {
            free(dev->verdict);
            dev->verdict = NULL;
            xenbus_clear_error(dev->sup->store, dev->back);
            if (!dev->adopted && dev->view.back == XenbusStateInitWait) {
                dev->sup->ops->offer(dev); /* those who were told otherwise hear it */
            }
        }
    } else if (err == -EAGAIN && dev->life.phase != LIFE_OPENING) {
        return; /* asked again at the next evaluation */
    } else if (err != -EAGAIN && dev->sup->ops->offers_unusable) {
        dev->unusable = true;
        supervised_keep_verdict(dev, err, why);
    } else if (err != -EAGAIN) {
        supervised_refuse(dev, err, why);
        return;
    }
    life_happens(&dev->life, LIFE_ON_OPENED);
}

void supervised_opening_late(struct supervised *dev, int err, const char *why)
{
    supervised_keep_verdict(dev, err, why);
    if (dev->life.phase == LIFE_OPENING) {
        life_happens(&dev->life, LIFE_ON_OPENED);
    }
}

void supervised_lost(struct supervised *dev, int err, const char *why)
{
    dev->opened = false;
    if (dev->life.phase == LIFE_OPENING || dev->life.phase == LIFE_WAITING ||
        dev->life.phase == LIFE_CALLED) {
        supervised_opened(dev, err, why);
        return;
    }
    dev->unusable = true;
    dev->crew.told = true;
    supervised_tell_error(dev, err, why);
    life_happens(&dev->life, LIFE_ON_FAILED);
    supervised_reconsider(dev);
}

void supervised_open_anew(struct supervised *dev, const char *why)
{
    dev->opened = false;
    log_limited(&dev->guest_log, LOG_WARNING, &dev->id, "%s; opens it again", why);
    supervised_reconsider(dev);
    life_happens(&dev->life, LIFE_ON_LOST);
}

static void supervised_open_late(struct supervised *dev)
{
    char why[SUPERVISED_SENTENCE_MAX];

    snprintf(why, sizeof(why), "its opening did not end within %u s: does its storage answer?",
             life_deadline_ms(LIFE_OPENING) / 1000);
    supervised_keep_verdict(dev, -ETIMEDOUT, why);
}

static void supervised_connect(struct supervised *dev)
{
    if (dev->unusable) {
        life_happens(&dev->life, LIFE_ON_REFUSED); /* why was told when it became unusable */
        return;
    }
    switch (dev->sup->ops->turn(dev)) {
    case SUPERVISED_YIELD:
        life_happens(&dev->life, LIFE_ON_YIELD);
        break;
    case SUPERVISED_WAIT:
        break;
    case SUPERVISED_GO:
        if (dev->opened) {
            crew_start(dev);
        } else {
            supervised_open(dev); /* OPENED leads here again */
        }
        break;
    }
}

/* A guest that is connected already waits for its storage as long as that takes. */
static void supervised_connect_late(struct supervised *dev)
{
    char why[SUPERVISED_SENTENCE_MAX];

    if (dev->in_use && !dev->opened) {
        log_msg(LOG_WARNING, &dev->id, "what it serves is not there yet: its guest waits");
        return;
    }
    snprintf(why, sizeof(why), "not connected: %s within %u s",
             dev->opened ? "neither its script nor who had it before ended"
                         : "what it serves was not there",
             life_deadline_ms(LIFE_CALLED) / 1000);
    supervised_tell_error(dev, -ETIMEDOUT, why);
    life_happens(&dev->life, LIFE_ON_REFUSED);
}

void supervised_yield(struct supervised *dev, const char *why)
{
    if (dev->life.phase == LIFE_STARTING || dev->life.phase == LIFE_CONNECTED) {
        log_limited(&dev->guest_log, LOG_INFO, &dev->id, "lets go: %s", why);
        life_happens(&dev->life, LIFE_ON_YIELD);
    }
}

static void supervised_serve(struct supervised *dev)
{
    crew_watch(dev);
    dev->sup->ops->serve(dev);
    log_limited(&dev->guest_log, LOG_INFO, &dev->id, "connected%s",
                dev->crew.refusing ? ", to say no" : "");
    supervised_reconsider(dev);
}

static void supervised_rest(struct supervised *dev)
{
    dev->sup->ops->rest(dev);
    supervised_reconsider(dev);
}

/* Ends a life of the device; the toolstack or a new front end may start another. */
static void supervised_close(struct supervised *dev)
{
    if (dev->in_use) {
        log_limited(&dev->guest_log, LOG_INFO, &dev->id, "disconnected");
    }
    dev->in_use = false;
    crew_dismiss(dev);
    dev->sup->ops->rest(dev);
    supervised_set_state(dev, XenbusStateClosed);
    supervised_reconsider(dev);
}

/* A front end that starts anew has its device offered again: not as often as it likes. */
static void supervised_stay_closed(struct supervised *dev)
{
    const struct supervised_view *v = &dev->view;
    uint64_t wait_ns;

    if (v->back != XenbusStateUnknown) {
        supervised_set_state(dev, XenbusStateClosed); /* unless it stands there */
    }
    if (dev->sup->ops->idle != NULL && (!v->online || v->front == XenbusStateUnknown)) {
        dev->sup->ops->idle(dev);
        return;
    }
    if (dev->unusable || !v->online || v->front != XenbusStateInitialising) {
        return;
    }
    wait_ns = pace_ask(&dev->lives, loop_now_ns());
    if (wait_ns != 0) {
        loop_timer_set(dev->sup->loop, &dev->retry, wait_ns, supervised_retry, dev);
        return;
    }
    dev->adopted = false;
    if (supervised_learn(dev)) {
        life_happens(&dev->life, LIFE_ON_ANEW);
    }
}

static void supervised_free(struct supervised *dev)
{
    if (!dev->sup->stopping) {
        crew_dismiss(dev);
        if (dev->sup->ops->gone != NULL) {
            dev->sup->ops->gone(dev);
        }
        log_msg(LOG_INFO, &dev->id, "removed");
    }
    supervisor_remove(dev->sup, dev);
}

/* An offer that the store did not take, or that the toolstack came before, is made again. */
static void supervised_try_open(struct supervised *dev)
{
    if (!dev->adopted && dev->view.back != XenbusStateInitWait) {
        dev->sup->ops->offer(dev);
    }
    if (!dev->opened && !dev->unusable) {
        supervised_open(dev);
    }
}

static void supervised_update(struct supervised *dev)
{
    if (dev->life.phase == LIFE_CONNECTED && dev->view.back == XenbusStateInitWait) {
        dev->sup->ops->serve(dev); /* the store did not take it */
    }
    dev->sup->ops->update(dev);
}

static void supervised_tell_closing(struct supervised *dev)
{
    supervised_set_state(dev, XenbusStateClosing);
}

static void supervised_terminate(struct supervised *dev)
{
    child_signal(&dev->crew.child, SIGTERM);
}

static void supervised_kill(struct supervised *dev)
{
    log_limited(&dev->guest_log, LOG_WARNING, &dev->id, "the worker does not %s: killed",
                dev->life.after != LIFE_PAUSING ? "end"
                : crew_serves(&dev->crew)       ? "move"
                                                : "start");
    child_signal(&dev->crew.child, SIGKILL);
}

static void supervised_resume(struct supervised *dev)
{
    if (dev->sup->ops->turn(dev) == SUPERVISED_GO) {
        life_happens(&dev->life, LIFE_ON_RESUME);
    }
}

static void supervised_act(struct life *life, enum life_action action)
{
    static void (*const doers[LIFE_NR_ACTIONS])(struct supervised *) = {
        [LIFE_DO_OPEN] = supervised_open,
        [LIFE_DO_OPEN_LATE] = supervised_open_late,
        [LIFE_DO_OFFER] = supervised_offer,
        [LIFE_DO_TRY_OPEN] = supervised_try_open,
        [LIFE_DO_CONNECT] = supervised_connect,
        [LIFE_DO_CONNECT_LATE] = supervised_connect_late,
        [LIFE_DO_SERVE] = supervised_serve,
        [LIFE_DO_UPDATE] = supervised_update,
        [LIFE_DO_TELL_CLOSING] = supervised_tell_closing,
        [LIFE_DO_STOP] = crew_stop,
        [LIFE_DO_TERMINATE] = supervised_terminate,
        [LIFE_DO_KILL] = supervised_kill,
        [LIFE_DO_REST] = supervised_rest,
        [LIFE_DO_RESUME] = supervised_resume,
        [LIFE_DO_CLOSE] = supervised_close,
        [LIFE_DO_STAY_CLOSED] = supervised_stay_closed,
        [LIFE_DO_FREE] = supervised_free,
    };

    doers[action]((struct supervised *)((char *)life - offsetof(struct supervised, life)));
}

void supervised_init(struct supervised *dev)
{
    static const struct life_ops ops = {.act = supervised_act};

    dev->life.ops = &ops;
    dev->life.loop = dev->sup->loop;
    dev->guest_log = (struct log_limit){.burst = GUEST_LOG_LINES, .interval_ms = GUEST_LOG_MS};
    bucket_set(&dev->looks, LOOKS, SECOND_NS, LOOKS_AT_ONCE, loop_now_ns());
    dev->looks.tokens = LOOKS_AT_ONCE;
    crew_init(&dev->crew);
}

void supervised_leave(struct supervised *dev)
{
    life_happens(&dev->life, LIFE_ON_LEAVE);
}

void supervised_count(struct supervised *dev)
{
    log_msg(LOG_INFO, &dev->id, "%s, state %s, front end %s, %u workers died in a row",
            life_phase_name(dev->life.phase), xenbus_state_name(dev->view.back),
            xenbus_state_name(dev->view.front), dev->crew.deaths);
    if (dev->sup->ops->count != NULL && crew_has_worker(&dev->crew)) {
        dev->sup->ops->count(dev);
    }
}

void supervised_release(struct supervised *dev)
{
    crew_release(dev);
    life_release(&dev->life);
    store_watch_del(dev->sup->store, &dev->front_watch);
    loop_timer_cancel(dev->sup->loop, &dev->retry);
    loop_timer_cancel(dev->sup->loop, &dev->later);
    loop_defer_cancel(dev->sup->loop, &dev->work);
    free(dev->verdict);
    free(dev->front);
    free(dev->back);
}
