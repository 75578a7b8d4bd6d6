/*
 * The supervisor: see supervisor.h.
 */
#include "supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "journal.h"
#include "notify.h"
#include "single.h"
#include "supervisor_metrics.h"

#define KERNEL_LOG_MS    5000
#define UID_BASE_DEFAULT 0x70000000U
#define UID_BASE_MAX     0xfffe0000U /* every domain id has room above it */
#define LEAVE_MS         2000U
#define NS_PER_MS        UINT64_C(1000000)

_Static_assert(sizeof(struct device_key) == 3 * sizeof(int), "hashed as a whole");

static bool key_matters(const struct supervisor *sup, const char *key)
{
    for (const char *const *k = sup->ops->keys; *k != NULL; k++) {
        if (strcmp(key, *k) == 0) {
            return true;
        }
    }
    return false;
}

static void show_status(const struct supervisor *sup)
{
    notify_status("serving %u %s%s", sup->nr_devices, sup->ops->noun,
                  sup->nr_devices == 1 ? "" : "s");
}

static struct log_id id_of(const struct supervisor *sup, const struct device_key *key)
{
    return (struct log_id){
        .class = sup->ops->classes[key->class].name, .domid = key->domid, .device = key->device};
}

bool supervisor_exists(const struct supervisor *sup, const struct device_key *key)
{
    char state[128];

    snprintf(state, sizeof(state), "%s/%d/%d/state", sup->classes[key->class].watch.root,
             key->domid, key->device);
    return store_has(sup->store, STORE_NO_TX, state, NULL) != 0;
}

/* Two back ends on one device would ruin it: what the kernel's driver claims, or may claim as far
 * as this host can tell, is left to it. */
static bool kernel_serves(struct supervisor *sup, const struct device_key *key)
{
    const char *module = sup->ops->classes[key->class].kernel_module;
    const struct log_id id = id_of(sup, key);

    char driver[64];

    snprintf(driver, sizeof(driver), "/sys/bus/xen-backend/drivers/%s", id.class);
    if (module == NULL) {
        return false;
    }
    if (access(driver, F_OK) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) {
            return false;
        }
        log_limited(&sup->classes[key->class].kernel_log, LOG_ERR, &id, "looks again: %s: %s",
                    driver, strerror(errno));
        backend_class_look_again(&sup->classes[key->class].watch);
        return true;
    }
    log_limited(&sup->classes[key->class].kernel_log, LOG_ERR, &id,
                "left to the kernel's %s, which is loaded (%s); unload it with: modprobe -r %s",
                module, driver, module);
    return true;
}

/* What an earlier daemon had for a device of this name: a descriptor, or -1. */
static int take_kept(struct supervisor *sup, const char *name)
{
    for (struct supervisor_kept **p = &sup->kept; *p != NULL; p = &(*p)->next) {
        struct supervisor_kept *k = *p;
        int fd = k->fd;

        if (strcmp(k->name, name) == 0) {
            *p = k->next;
            free(k);
            return fd;
        }
    }
    return -1;
}

/* The name of a device of ours that exists: "vbd-5-51712". */
static bool is_kept_for_device(struct supervisor *sup, const char *name)
{
    for (unsigned int i = 0; i < SUPERVISOR_CLASSES_MAX && sup->ops->classes[i].name != NULL; i++) {
        const unsigned long len = strlen(sup->ops->classes[i].name);
        struct device_key key = {.class = (int)i};
        char *end;

        if (strncmp(name, sup->ops->classes[i].name, len) != 0 || name[len] != '-') {
            continue;
        }
        key.domid = (int)strtol(name + len + 1, &end, 10);
        if (*end != '-') {
            continue;
        }
        key.device = (int)strtol(end + 1, &end, 10);
        if (*end == '\0' && supervisor_exists(sup, &key)) {
            return true;
        }
    }
    return false;
}

void supervisor_keep(void *arg, const char *name, int fd)
{
    struct supervisor *sup = arg;
    struct supervisor_kept *k = calloc(1, sizeof(*k));

    if (k == NULL || !is_kept_for_device(sup, name)) {
        notify_drop_fd(name); /* the device went while no daemon ran */
        close(fd);
        free(k);
        return;
    }
    snprintf(k->name, sizeof(k->name), "%s", name);
    k->fd = fd;
    k->next = sup->kept;
    sup->kept = k;
}

static struct supervised *new_device(struct supervisor *sup, const struct device_key *key)
{
    struct supervised *dev = calloc(1, sup->ops->device_size);

    if (dev == NULL || asprintf(&dev->back, "%s/%d/%d", sup->classes[key->class].watch.root,
                                key->domid, key->device) < 0) {
        free(dev);
        return NULL;
    }
    dev->key = *key;
    dev->sup = sup;
    dev->id = id_of(sup, key);
    supervised_init(dev);
    snprintf(dev->name, sizeof(dev->name), "%s-%d-%d", dev->id.class, key->domid, key->device);
    dev->crew.log_fd = take_kept(sup, dev->name);
    return dev;
}

static struct supervised *add_device(struct supervisor *sup, const struct device_key *key)
{
    struct supervised *dev;

    if (!supervisor_exists(sup, key) || kernel_serves(sup, key)) {
        return NULL;
    }
    dev = new_device(sup, key);
    if (dev == NULL) {
        const struct log_id id = id_of(sup, key);

        log_msg(LOG_ERR, &id, "looks again: out of memory");
        backend_class_look_again(&sup->classes[key->class].watch);
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
    struct supervisor_class *class = arg;
    struct supervisor *sup = class->sup;
    struct supervised *dev = NULL;
    struct device_key name;

    if (sup->stopping || !key_matters(sup, key)) {
        return;
    }
    memset(&name, 0, sizeof(name));
    name.class = (int)(class - sup->classes);
    name.domid = domid;
    name.device = device;
    HASH_FIND(hh, sup->devices, &name, sizeof(name), dev);
    if (dev == NULL) {
        dev = add_device(sup, &name);
    }
    if (dev != NULL) {
        supervised_reconsider(dev);
    }
}

static void on_look(void *arg, int domid)
{
    struct supervisor_class *class = arg;
    struct supervisor *sup = class->sup;
    struct supervised *dev = NULL, *tmp = NULL;

    HASH_ITER (hh, sup->devices, dev, tmp) {
        if (dev->key.class == (int)(class - sup->classes) &&
            (domid < 0 || dev->key.domid == domid)) {
            supervised_reconsider(dev);
        }
    }
}

static void on_store_lost(void *arg)
{
    struct supervisor *sup = arg;

    log_msg(LOG_ERR, NULL, "lost the connection to xenstored");
    loop_stop(sup->loop, 1);
}

static int watch_class(struct supervisor *sup, unsigned int i)
{
    struct supervisor_class *class = &sup->classes[i];
    int err;

    class->sup = sup;
    class->kernel_log = (struct log_limit){.burst = 1, .interval_ms = KERNEL_LOG_MS};
    err = backend_class_watch(&class->watch, sup->loop, sup->store, sup->ops->classes[i].name,
                              on_event, on_look, class);
    if (err != 0) {
        log_msg(LOG_ERR, NULL, "cannot watch %s", store_error(sup->store));
    }
    return err;
}

/*
 * Programs are found once: while an upgrade replaces them, the ones that this supervisor speaks
 * with go on to be started.
 */
int supervisor_find_program(const char *path, int *program)
{
    *program = child_find_program(path);
    if (*program < 0) {
        log_msg(LOG_ERR, NULL, "%s: cannot be found: %s", path, strerror(-*program));
        return *program;
    }
    return 0;
}

int supervisor_start(struct supervisor *sup)
{
    int err = supervisor_find_program(sup->worker_path, &sup->worker_program);

    metric_bounds(sup->ops->metrics, &sup->bounds);
    if (err != 0) {
        return err;
    }
    sup->store = store_open(sup->loop, on_store_lost, sup);
    if (sup->store == NULL) {
        err = errno;
        log_msg(LOG_ERR, NULL,
                "cannot connect to xenstored: %s (is this a Xen domain, and does xenstored run?)",
                strerror(err));
        return -err;
    }
    for (unsigned int i = 0;
         err == 0 && i < SUPERVISOR_CLASSES_MAX && sup->ops->classes[i].name != NULL; i++) {
        err = watch_class(sup, i);
    }
    if (err != 0) {
        return err;
    }
    if (sup->ops->started != NULL) {
        err = sup->ops->started(sup);
    }
    if (err != 0) {
        return err;
    }
    notify_kept_fds(supervisor_keep, sup);
    show_status(sup);
    return 0;
}

static void stop_when_idle(struct supervisor *sup)
{
    if (sup->stopping && sup->devices == NULL) {
        loop_stop(sup->loop, 0);
    }
}

/* Calls `fn`, which may remove it, for every device. */
static void for_all(struct supervisor *sup, void (*fn)(struct supervised *dev))
{
    struct supervised *dev = NULL, *tmp = NULL;

    HASH_ITER (hh, sup->devices, dev, tmp) {
        fn(dev);
    }
}

static void leave_behind(struct supervised *dev)
{
    log_msg(LOG_WARNING, &dev->id, "its worker is late: it ends by itself, and the next one waits");
}

static void on_leave(void *arg)
{
    struct supervisor *sup = arg;

    for_all(sup, leave_behind);
    loop_stop(sup->loop, 0);
}

void supervisor_stop(struct supervisor *sup)
{
    const unsigned int ms = sup->leave_ms != 0 ? sup->leave_ms : LEAVE_MS;

    sup->stopping = true;
    loop_timer_set(sup->loop, &sup->leave, ms * NS_PER_MS, on_leave, sup);
    for_all(sup, supervised_leave);
    stop_when_idle(sup);
}

static void forget(struct supervised *dev)
{
    struct supervisor *sup = dev->sup;

    HASH_DEL(sup->devices, dev);
    sup->nr_devices--;
    sup->ops->release(dev);
    supervised_release(dev);
    free(dev);
}

/* One of the same name may have been created while the worker of the last one ended. */
void supervisor_remove(struct supervisor *sup, struct supervised *dev)
{
    const struct device_key key = dev->key;

    forget(dev);
    dev = sup->stopping ? NULL : add_device(sup, &key);
    if (dev != NULL) {
        supervised_reconsider(dev);
    }
    show_status(sup);
    stop_when_idle(sup);
}

void supervisor_free(struct supervisor *sup)
{
    loop_timer_cancel(sup->loop, &sup->leave);
    for_all(sup, forget);
    for (unsigned int i = 0; i < SUPERVISOR_CLASSES_MAX; i++) {
        backend_class_unwatch(&sup->classes[i].watch);
    }
    while (sup->kept != NULL) {
        close(take_kept(sup, sup->kept->name));
    }
    if (sup->ops->stopped != NULL) {
        sup->ops->stopped(sup);
    }
    store_close(sup->store);
    conf_free(&sup->conf);
    if (sup->worker_program > 0) {
        close(sup->worker_program);
    }
}

static void on_terminate(void *arg, int signo)
{
    log_msg(LOG_INFO, NULL, "%s: letting the workers finish", strsignal(signo));
    journal_end();
    notify_stopping();
    supervisor_stop(arg);
}

/* Devices see what is theirs of the configuration when they are looked at. */
static void on_reload(void *arg, int signo)
{
    struct supervisor *sup = arg;

    log_msg(LOG_NOTICE, NULL, "%s: reads %s", strsignal(signo), sup->conf.path);
    conf_reload(&sup->conf);
    supervisor_metrics_follow(sup);
    for_all(sup, supervised_look_anew);
}

/* How each device is; what else an administrator may send to a whole unit means nothing here. */
static void on_ask(void *arg, int signo)
{
    log_msg(LOG_DEBUG, NULL, "%s", strsignal(signo));
    if (signo == SIGUSR1) {
        for_all(arg, supervised_count);
    }
}

/* Signals that mean nothing are handled, too: one that was meant well must not end it. */
static int handle_signals(struct supervisor *sup)
{
    static const struct loop_signal_rule signals[] = {{SIGTERM, on_terminate},
                                                      {SIGINT, on_terminate},
                                                      {SIGUSR1, on_ask},
                                                      {SIGUSR2, on_ask},
                                                      {SIGHUP, on_reload}};

    return loop_signals(sup->loop, signals, sizeof(signals) / sizeof(signals[0]), sup);
}

/* The empty directory that becomes a worker's file system. */
static bool make_empty_directory(void)
{
    static const char *const dirs[] = {"/run/duet", "/run/duet/empty"};

    for (unsigned int i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
        if (mkdir(dirs[i], i == 0 ? 0755 : 0555) < 0 && errno != EEXIST) {
            log_msg(LOG_ERR, NULL, "%s: cannot be created: %s", dirs[i], strerror(errno));
            return false;
        }
    }
    return true;
}

static bool is_the_only_one(const struct supervisor *sup)
{
    char why[SUPERVISED_SENTENCE_MAX];

    if (single_claim(SINGLE_DIR, sup->ops->wire->daemon, why, sizeof(why)) != 0) {
        log_msg(LOG_ERR, NULL, "%s", why);
        return false;
    }
    return true;
}

static int supervisor_run(struct supervisor *sup)
{
    int status = 1;

    journal_begin(JOURNAL_SOCKET);
    sup->loop = loop_new();
    if (sup->loop == NULL || handle_signals(sup) != 0) {
        log_msg(LOG_ERR, NULL, "cannot set up the event loop: %s", strerror(errno));
        return status;
    }
    if (make_empty_directory() && is_the_only_one(sup) && supervisor_start(sup) == 0) {
        sup->began_s = time(NULL);
        supervisor_metrics_follow(sup);
        notify_ready(sup->loop);
        status = loop_run(sup->loop);
    }
    supervisor_metrics_end(sup);
    supervisor_free(sup);
    loop_free(sup->loop);
    return status;
}

int supervisor_main(struct supervisor *sup, const struct option_rule *rules, unsigned int nr,
                    int argc, char **argv)
{
    struct options *options = &sup->conf.options;
    char worker_help[256];
    const struct option_rule shared[] = {
        {.letter = 'u',
         .name = "uid-base",
         .argument = "UID",
         .help = "a worker runs as UID plus its guest's domain id\n(default 0x70000000)",
         .type = OPTION_NUMBER,
         .to = &sup->uid_base,
         .min = 1,
         .max = UID_BASE_MAX},
        {.letter = 'w',
         .name = "worker",
         .argument = "PATH",
         .help = worker_help,
         .to = &sup->worker_path},
        OPTION_METRICS(sup->metrics_at),
        OPTION_LOG_LEVEL,
    };
    int status;

    sup->uid_base = UID_BASE_DEFAULT;
    snprintf(worker_help, sizeof(worker_help), "program that serves one device\n(default %s)",
             sup->worker_path);
    options->program = sup->ops->wire->daemon;
    options->what = sup->purpose;
    options_add(options, rules, nr);
    options_add(options, shared, sizeof(shared) / sizeof(shared[0]));
    status = conf_start(&sup->conf, argc, argv);
    return status >= 0 ? status : supervisor_run(sup);
}
