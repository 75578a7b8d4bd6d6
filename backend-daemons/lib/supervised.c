/*
 * A device under a supervisor: see supervised.h. evaluate() is where every event ends.
 */
#include "supervised.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <xen/xen.h>

#include "supervisor.h"

#define NS_PER_MS             UINT64_C(1000000)
#define MIN_START_INTERVAL_MS 250U
#define MAX_HURRY             3U /* the interval doubles with each */
#define FORGIVEN_MS           10000U

bool supervised_look(struct supervised *dev, struct supervised_view *v)
{
    struct store *st = dev->sup->store;
    uint64_t online = 0;

    *v = (struct supervised_view){.front = XenbusStateUnknown};
    if (xenbus_read_state(st, STORE_NO_TX, dev->back, &v->back) != 0) {
        log_msg(LOG_ERR, &dev->id, "%s", store_error(st));
    } else if (v->back == XenbusStateUnknown &&
               !store_exists(st, STORE_NO_TX, dev->back, "state")) {
        return false;
    }
    if (dev->front != NULL && xenbus_read_state(st, STORE_NO_TX, dev->front, &v->front) != 0) {
        /* the guest writes nonsense: nothing to go on with */
        v->front = XenbusStateClosing;
        log_limited(&dev->guest_log, LOG_WARNING, &dev->id, "%s", store_error(st));
    }
    store_read_uint_def(st, STORE_NO_TX, dev->back, "online", 1, 0, &online);
    v->online = online != 0;
    return true;
}

static void evaluate(void *arg)
{
    struct supervised *dev = arg;
    const struct supervisor_ops *ops = dev->sup->ops;
    struct supervised_view v;

    if (dev->sup->stopping) {
        return;
    }
    if (supervised_look(dev, &v)) {
        ops->evaluate(dev, &v);
    } else {
        ops->gone(dev);
    }
}

void supervised_reconsider(struct supervised *dev)
{
    loop_defer(dev->sup->loop, &dev->work, evaluate, dev);
}

void supervised_on_store(void *arg, const char *path)
{
    (void)path;
    supervised_reconsider(arg);
}

int supervised_read_front(struct supervised *dev, char *why, unsigned long why_size)
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
    if (err == 0) {
        snprintf(path, sizeof(path), "%.*s/state", STORE_PATH_MAX - 16, dev->front);
        store_watch_del(st, &dev->front_watch);
        err = store_watch_add(st, &dev->front_watch, path, supervised_on_store, dev);
    }
    if (err != 0) {
        snprintf(why, why_size, "%s", store_error(st));
    }
    return err;
}

void supervised_set_state(struct supervised *dev, enum xenbus_state state)
{
    int err = xenbus_write_state(dev->sup->store, dev->back, state);

    log_msg(LOG_DEBUG, &dev->id, "state %s", xenbus_state_name(state));
    if (err != 0 && err != -ENOENT) {
        log_msg(LOG_ERR, &dev->id, "state %s cannot be written: %s", xenbus_state_name(state),
                store_error(dev->sup->store));
    }
}

void supervised_tell_error(struct supervised *dev, int err, const char *sentence)
{
    xenbus_write_error(dev->sup->store, dev->back, -err, sentence);
    log_msg(LOG_ERR, &dev->id, "%s", sentence);
}

static void retry(void *arg)
{
    supervised_reconsider(arg);
}

bool supervised_too_soon(struct supervised *dev)
{
    uint64_t now = loop_now_ns();
    uint64_t next = dev->last_start_ns + (MIN_START_INTERVAL_MS << dev->hurry) * NS_PER_MS;

    if (dev->last_start_ns == 0 || now >= dev->last_start_ns + FORGIVEN_MS * NS_PER_MS) {
        dev->hurry = 0;
    } else if (now < next) {
        log_limited(&dev->guest_log, LOG_INFO, &dev->id,
                    "connects again too soon: waits %" PRIu64 " ms", (next - now) / NS_PER_MS + 1);
        return loop_timer_set(dev->sup->loop, &dev->retry, next - now, retry, dev) == 0;
    } else if (dev->hurry < MAX_HURRY) {
        dev->hurry++;
    }
    dev->last_start_ns = now;
    return false;
}

void supervised_wire_head(const struct supervised *dev, uint32_t magic, struct wire_head *head)
{
    *head = (struct wire_head){
        .magic = magic,
        .domid = (uint16_t)dev->id.domid,
        .device = dev->id.device,
        .uid = dev->sup->uid_base + (uid_t)dev->id.domid,
        .log_level = log_level(),
    };
    snprintf(head->class, sizeof(head->class), "%s", dev->id.class);
}

void supervised_release(struct supervised *dev)
{
    store_watch_del(dev->sup->store, &dev->front_watch);
    loop_timer_cancel(dev->sup->loop, &dev->retry);
    loop_defer_cancel(dev->sup->loop, &dev->work);
    free(dev->front);
    free(dev->back);
}
