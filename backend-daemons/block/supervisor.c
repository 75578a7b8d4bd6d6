/*
 * The supervisor: see supervisor.h. Everything here is about which device an event is for; what is
 * to be done about it is device.c's business.
 */
#include "supervisor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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

static struct device *find_device(struct supervisor *sup, const struct device_key *key)
{
    struct device *dev;

    HASH_FIND(hh, sup->devices, key, sizeof(*key), dev);
    return dev;
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

/* Something about this device changed; it may be new. */
static void device_event(struct device_class *class, int domid, int device)
{
    struct supervisor *sup = class->sup;
    struct device_key key;
    struct device *dev;

    memset(&key, 0, sizeof(key));
    key.class = (int)(class - sup->classes);
    key.domid = domid;
    key.device = device;
    dev = find_device(sup, &key);
    if (dev == NULL) {
        char state[128];

        snprintf(state, sizeof(state), "%s/%d/%d/state", class->root, domid, device);
        if (!store_exists(sup->store, STORE_NO_TX, state, NULL)) {
            return;
        }
        if (kernel_serves(class, domid, device)) {
            return;
        }
        dev = device_new(sup, &key);
        if (dev == NULL) {
            log_msg(LOG_ERR, NULL, "%s %d/%d: out of memory", class->name, domid, device);
            return;
        }
        HASH_ADD(hh, sup->devices, key, sizeof(dev->key), dev);
        sup->nr_devices++;
        show_status(sup);
    }
    device_changed(dev);
}

/* Parses a path component that must be a small number. Returns it, or -1. */
static int parse_number(const char *s)
{
    char *end;
    unsigned long n;

    if (*s < '0' || *s > '9') {
        return -1;
    }
    errno = 0;
    n = strtoul(s, &end, 10);
    return errno != 0 || *end != '\0' || n > INT32_MAX ? -1 : (int)n;
}

/* Looks at every device that the store has for one domain. */
static void scan_domain(struct device_class *class, int domid)
{
    char dir[96];
    unsigned int count;
    char **names;

    snprintf(dir, sizeof(dir), "%s/%d", class->root, domid);
    names = store_list(class->sup->store, STORE_NO_TX, dir, &count);
    for (unsigned int i = 0; i < count; i++) {
        int device = parse_number(names[i]);

        if (device >= 0) {
            device_event(class, domid, device);
        }
    }
    free(names);
}

/* The whole class, at the start and when its directory comes or goes. */
static void scan_class(struct device_class *class)
{
    unsigned int count;
    char **names = store_list(class->sup->store, STORE_NO_TX, class->root, &count);

    for (unsigned int i = 0; i < count; i++) {
        int domid = parse_number(names[i]);

        if (domid >= 0) {
            scan_domain(class, domid);
        }
    }
    free(names);
}

/* A directory above devices was removed: those that we know below it have to look. */
static void check_known(struct device_class *class, int domid)
{
    struct device *dev = NULL, *tmp = NULL;

    HASH_ITER (hh, class->sup->devices, dev, tmp) {
        if (dev->key.class == (int)(class - class->sup->classes) &&
            (domid < 0 || dev->key.domid == domid)) {
            device_changed(dev);
        }
    }
}

/* An event below `backend/CLASS`: root[/DOMID[/DEVICE[/KEY]]]. */
static void on_backend_event(void *arg, const char *path)
{
    struct device_class *class = arg;
    unsigned long root_len = strlen(class->root);
    char rest[128];
    char *domain, *device, *key, *save = NULL;

    if (strncmp(path, class->root, root_len) != 0 || strlen(path + root_len) >= sizeof(rest)) {
        return;
    }
    snprintf(rest, sizeof(rest), "%s", path + root_len);
    domain = strtok_r(rest, "/", &save);
    device = domain != NULL ? strtok_r(NULL, "/", &save) : NULL;
    key = device != NULL ? strtok_r(NULL, "", &save) : NULL;
    if (domain == NULL) {
        scan_class(class);
        check_known(class, -1);
    } else if (parse_number(domain) < 0) {
        log_msg(LOG_DEBUG, NULL, "ignored %s: not a domain id", path);
    } else if (device == NULL) {
        scan_domain(class, parse_number(domain));
        check_known(class, parse_number(domain));
    } else if (parse_number(device) >= 0 && key_matters(key != NULL ? key : "")) {
        device_event(class, parse_number(domain), parse_number(device));
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
        snprintf(class->root, sizeof(class->root), "/local/domain/%u/backend/%s",
                 store_self_domid(sup->store), class->name);
        err = store_watch_add(sup->store, &class->watch, class->root, on_backend_event, class);
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
