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

#define KERNEL_LOG_MS 5000

/* Keys of a back end's directory whose change can mean something for us. */
static bool key_matters(const char *key)
{
    static const char *const keys[] = {"", "state", "online", "hotplug-status",
                                       "physical-device-path"};

    for (unsigned int i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (strcmp(key, keys[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void show_status(const struct supervisor *sup)
{
    notify_status("serving %u block device%s", sup->nr_devices, sup->nr_devices == 1 ? "" : "s");
}

/* Two back ends on one device would corrupt it: what the kernel's driver claims is left to it. */
static bool kernel_serves(struct device_class *class, int domid, int device)
{
    const struct log_id id = {.class = class->name, .domid = domid, .device = device};

    if (class->kernel_driver == NULL || access(class->kernel_driver, F_OK) != 0) {
        return false;
    }
    log_limited(&class->kernel_log, LOG_ERR, &id,
                "left to the kernel's xen-blkback, which is loaded (%s); unload it with: modprobe "
                "-r xen-blkback",
                class->kernel_driver);
    return true;
}

static struct device *add_device(struct device_class *class, const struct device_key *key)
{
    struct supervisor *sup = class->sup;
    struct device *dev;
    char state[128];

    snprintf(state, sizeof(state), "%s/%d/%d/state", class->watch.root, key->domid, key->device);
    if (!store_exists(sup->store, STORE_NO_TX, state, NULL) ||
        kernel_serves(class, key->domid, key->device)) {
        return NULL;
    }
    dev = device_new(sup, key);
    if (dev == NULL) {
        log_msg(LOG_ERR, NULL, "%s %d/%d: out of memory", class->name, key->domid, key->device);
        return NULL;
    }
    HASH_ADD(hh, sup->devices, key, sizeof(dev->key), dev);
    sup->nr_devices++;
    show_status(sup);
    return dev;
}

/* Something about this device changed; it may be new. */
static void on_event(void *arg, int domid, int device, const char *key)
{
    struct device_class *class = arg;
    struct supervisor *sup = class->sup;
    struct device_key name;
    struct device *dev;

    if (!key_matters(key)) {
        return;
    }
    memset(&name, 0, sizeof(name));
    name.class = (int)(class - sup->classes);
    name.domid = domid;
    name.device = device;
    HASH_FIND(hh, sup->devices, &name, sizeof(name), dev);
    if (dev == NULL) {
        dev = add_device(class, &name);
    }
    if (dev != NULL) {
        device_changed(dev);
    }
}

static void on_look(void *arg, int domid)
{
    struct device_class *class = arg;
    struct device *dev = NULL, *tmp = NULL;

    HASH_ITER (hh, class->sup->devices, dev, tmp) {
        if (dev->key.class == (int)(class - class->sup->classes) &&
            (domid < 0 || dev->key.domid == domid)) {
            device_changed(dev);
        }
    }
}

static void on_store_lost(void *arg)
{
    struct supervisor *sup = arg;

    log_msg(LOG_ERR, NULL, "lost the connection to xenstored");
    loop_stop(sup->loop, 1);
}

int supervisor_start(struct supervisor *sup)
{
    static const struct {
        const char *name, *kernel_driver;
    } known[NR_CLASSES] = {{"vbd", "/sys/bus/xen-backend/drivers/vbd"}, {"vbd3", NULL}};

    sup->store = store_open(sup->loop, on_store_lost, sup);
    if (sup->store == NULL) {
        int err = errno;

        log_msg(LOG_ERR, NULL,
                "cannot connect to xenstored: %s (is this a Xen domain, and does xenstored run?)",
                strerror(err));
        return -err;
    }
    for (int i = 0; i < NR_CLASSES; i++) {
        struct device_class *class = &sup->classes[i];
        int err;

        class->sup = sup;
        class->name = known[i].name;
        class->kernel_driver = known[i].kernel_driver;
        class->kernel_log = (struct log_limit){.burst = 1, .interval_ms = KERNEL_LOG_MS};
        err = backend_class_watch(&class->watch, sup->store, class->name, on_event, on_look, class);
        if (err != 0) {
            log_msg(LOG_ERR, NULL, "cannot watch %s", store_error(sup->store));
            return err;
        }
    }
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
