/*
 * The supervisor: see supervisor.h. What is to be done about an event is device.c's business.
 */
#include "supervisor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "device.h"
#include "notify.h"

#define KERNEL_DRIVER "/sys/bus/xen-backend/drivers/vif"
#define KERNEL_LOG_MS 5000

static void show_status(const struct supervisor *sup)
{
    notify_status("serving %u network device%s", sup->nr_devices, sup->nr_devices == 1 ? "" : "s");
}

/* Keys of a back end's directory whose change can mean something for us. */
static bool key_matters(const char *key)
{
    static const char *const keys[] = {"", "state", "online", "hotplug-status", "rate"};

    for (unsigned int i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (strcmp(key, keys[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* The kernel's driver would create an interface of the same name: what it claims is left to it. */
static bool kernel_serves(struct supervisor *sup, int domid, int device)
{
    const struct log_id id = {.class = "vif", .domid = domid, .device = device};

    if (access(KERNEL_DRIVER, F_OK) != 0) {
        return false;
    }
    log_limited(&sup->kernel_log, LOG_ERR, &id,
                "left to the kernel's xen-netback, which is loaded (" KERNEL_DRIVER
                "); unload it with: modprobe -r xen-netback");
    return true;
}

static bool device_exists(void *arg, int domid, int device)
{
    struct supervisor *sup = arg;
    char state[128];

    snprintf(state, sizeof(state), "%s/%d/%d/state", sup->class.root, domid, device);
    return store_exists(sup->store, STORE_NO_TX, state, NULL);
}

static struct device *add_device(struct supervisor *sup, const struct device_key *key)
{
    struct device *dev;

    if (!device_exists(sup, key->domid, key->device) ||
        kernel_serves(sup, key->domid, key->device)) {
        return NULL;
    }
    dev = device_new(sup, key);
    if (dev == NULL) {
        log_msg(LOG_ERR, NULL, "vif %d/%d: out of memory", key->domid, key->device);
        return NULL;
    }
    HASH_ADD(hh, sup->devices, key, sizeof(dev->key), dev);
    sup->nr_devices++;
    show_status(sup);
    return dev;
}

static void on_event(void *arg, int domid, int device, const char *key)
{
    struct supervisor *sup = arg;
    struct device_key name;
    struct device *dev;

    if (sup->stopping || !key_matters(key)) {
        return;
    }
    memset(&name, 0, sizeof(name));
    name.domid = domid;
    name.device = device;
    HASH_FIND(hh, sup->devices, &name, sizeof(name), dev);
    if (dev == NULL) {
        dev = add_device(sup, &name);
    }
    if (dev != NULL) {
        device_changed(dev);
    }
}

static void on_look(void *arg, int domid)
{
    struct supervisor *sup = arg;
    struct device *dev = NULL, *tmp = NULL;

    HASH_ITER (hh, sup->devices, dev, tmp) {
        if (domid < 0 || dev->key.domid == domid) {
            device_changed(dev);
        }
    }
}

static void on_store_lost(void *arg)
{
    struct supervisor *sup = arg;

    log_msg(LOG_ERR, NULL, "xenstored closed the connection");
    loop_stop(sup->loop, 1);
}

int supervisor_start(struct supervisor *sup)
{
    int err;

    sup->kernel_log = (struct log_limit){.burst = 1, .interval_ms = KERNEL_LOG_MS};
    sup->store = store_open(sup->loop, on_store_lost, sup);
    if (sup->store == NULL) {
        err = errno;
        log_msg(LOG_ERR, NULL,
                "no connection to xenstored: %s (is this a Xen domain, and does xenstored run?)",
                strerror(err));
        return -err;
    }
    err = backend_class_watch(&sup->class, sup->store, "vif", on_event, on_look, sup);
    if (err != 0) {
        log_msg(LOG_ERR, NULL, "cannot watch %s", store_error(sup->store));
        return err;
    }
    tap_remove_stale(sup->tap_prefix, device_exists, sup);
    show_status(sup);
    return 0;
}

static void stop_when_idle(struct supervisor *sup)
{
    if (sup->stopping && sup->devices == NULL) {
        loop_stop(sup->loop, 0);
    }
}

void supervisor_stop(struct supervisor *sup)
{
    struct device *dev = NULL, *tmp = NULL;

    sup->stopping = true;
    HASH_ITER (hh, sup->devices, dev, tmp) {
        device_stop(dev);
    }
    stop_when_idle(sup);
}

void supervisor_count(struct supervisor *sup)
{
    struct device *dev = NULL, *tmp = NULL;

    HASH_ITER (hh, sup->devices, dev, tmp) {
        device_count(dev);
    }
}

void supervisor_forget(struct supervisor *sup, struct device *dev)
{
    HASH_DEL(sup->devices, dev);
    sup->nr_devices--;
    show_status(sup);
    stop_when_idle(sup);
}

void supervisor_free(struct supervisor *sup)
{
    struct device *dev = NULL, *tmp = NULL;

    HASH_ITER (hh, sup->devices, dev, tmp) {
        HASH_DEL(sup->devices, dev);
        device_free(dev);
    }
    store_close(sup->store);
}
