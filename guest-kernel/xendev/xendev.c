/*
 * xendev.c - the nexus: the list of devices and what happens to each when the store changes.
 *
 * One watch on "device" tells of front ends coming and going; one watch per served device tells of
 * its back end's state. Both deliver in the watch thread, which alone adds, calls and frees devices
 * in normal operation; others only read them. An event is a hint: check_device() compares
 * what the store has now with what we hold and does what the difference asks for:
 *
 *   store has it, we do not      attach: make the record, find a driver, probe, watch the back end
 *   we have it, store does not   detach: remove, drop the watch, free
 *   its back end is another,     detach, then attach
 *   or it was made again
 *   it has a key `moved`         the same device, served by another domain: move, remove the key
 *
 * `moved` is written together with `backend` and `backend-id` by whoever in dom0 has a driver
 * domain take the place of one that died (docs/driver-domain.md). Only dom0 and we can write it. A
 * device that was removed and made again has none.
 *
 * Memory may be out, or the store may not answer: then what we hold stays as it is, and a timer has
 * the same looked at once more after LOOK_AGAIN, a device's own or that of the whole directory.
 *
 * Owns struct xendev. Locks, in order: list_lock over each dev->lock (see xendev.h).
 * Suspend: the watch thread is held by then, so nothing here changes. xendev_forget() drops the
 * back ends' watches, as their paths change with the domain; xendev_resume() reads the paths anew.
 */
#include "xendev/xendev.h"

#include "kern/log.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "psm/clock.h"
#include "xenbus/xs_parse.h"
#include "xendev/drivers.h"

#define DEVICE_DIR  "device"
#define LOOK_AGAIN  NSEC_PER_SEC
#define DOMID_LIMIT 0x7ff0u /* DOMID_FIRST_RESERVED: what is above names no domain */

static struct mutex list_lock;
static XEN_TAILQ_HEAD(device_list, struct xendev) devices = XEN_TAILQ_HEAD_INITIALIZER(devices);
static struct waitq settle_wq; /* woken by each change */
static unsigned changes;       /* counts them; atomic */
static bool scanned;           /* the first look at everything is over */
static struct timer scan_timer;

static void directory_event(struct xs_watch *w, const char *path);
static struct xs_watch directory_watch = {.path = DEVICE_DIR, .fn = directory_event};

static void scan_again(struct timer *t __unused)
{
    xs_watch_poke(&directory_watch);
}

/* Something of the directory could not be looked at, which may pass. */
static void scan_later(void)
{
    timer_arm(&scan_timer, clock_now() + LOOK_AGAIN);
}

/* Something changed that xendev_wait_settled() may wait for. */
static void note_change(void)
{
    __atomic_add_fetch(&changes, 1, __ATOMIC_SEQ_CST);
    waitq_wake_all(&settle_wq);
}

static const struct xendev_driver *driver_for(const char *class)
{
    for (size_t i = 0; xendev_drivers[i] != NULL; i++) {
        if (strcmp(xendev_drivers[i]->class, class) == 0) {
            return xendev_drivers[i];
        }
    }
    return NULL;
}

static struct xendev *xendev_find(const char *class, const char *id)
{
    struct xendev *dev;

    mutex_lock(&list_lock);
    XEN_TAILQ_FOREACH (dev, &devices, link) {
        if (strcmp(dev->class, class) == 0 && strcmp(dev->id, id) == 0) {
            break;
        }
    }
    mutex_unlock(&list_lock);
    return dev;
}

int xendev_set_state(struct xendev *dev, enum xenbus_state state)
{
    int rc = dev->removed ? -ENOENT : xenbus_write_state(dev->node, dev->state, state);

    dev->unsaid = xs_error_passes(rc);
    dev->to_say = state;
    if (rc == 0) {
        dev->state = state;
    } else if (dev->unsaid) {
        xendev_look_again(dev);
    } else if (rc != -ENOENT) {
        log_err("%s: state %s cannot be announced: %s", dev->node, xenbus_state_name(state),
                errno_name(rc));
    }
    note_change();
    return rc;
}

void xendev_fatal(struct xendev *dev, int err, const char *fmt, ...)
{
    char text[128];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    xenbus_dev_error(dev->node, err, "%s", text);
    (void)xendev_set_state(dev, XenbusStateClosing);
    dev->state = XenbusStateClosing; /* for us, whether the store took it or not */
    note_change();
}

/* Watch callback: the back end's state, or something else below its state node. */
static void otherend_event(struct xs_watch *w, const char *path __unused)
{
    struct xendev *dev = w->arg;

    mutex_lock(&dev->lock);
    int rc = xenbus_read_state(dev->otherend, &dev->otherend_state);
    if (dev->unsaid) {
        (void)xendev_set_state(dev, dev->to_say);
    }
    log_debug("%s: back end %s is %s: %s", dev->node, dev->otherend,
              xenbus_state_name(dev->otherend_state), errno_name(rc));
    if (rc == 0) {
        frontend_event(dev->fe, dev->otherend_state);
        WRITE_ONCE(dev->otherend_told, dev->otherend_state);
    } else if (rc == -EACCES) {
        dev->otherend_state = XenbusStateUnknown;
        frontend_hidden(dev->fe);
    } else {
        frontend_take_breach(dev->fe);
    }
    if (xs_error_passes(rc)) {
        xendev_look_again(dev);
    }
    mutex_unlock(&dev->lock);
    note_change();
}

/* What the front end's directory says of its other end. */
struct peer {
    char *path;
    uint32_t domid;
    bool moved;
};

static int read_peer(const char *node, struct peer *peer)
{
    const struct xs_field fields[] = {
        {"backend", XS_STRING, &peer->path, false},
        {"backend-id", XS_U32, &peer->domid, false},
        {"moved", XS_BOOL, &peer->moved, true},
    };
    const char *bad;

    int rc = xs_gather(XS_NO_TXN, node, fields, ARRAY_SIZE(fields), &bad);
    if (rc == 0 && peer->domid >= DOMID_LIMIT) {
        kfree(peer->path);
        bad = "backend-id";
        rc = -EINVAL;
    }
    if (rc != 0 && rc != -ENOENT) {
        log_warn("%s/%s: not usable: %s", node, bad, errno_name(rc));
    }
    return rc;
}

/* Starts to watch the back end's state. Takes effect with a first event. */
static int watch_otherend(struct xendev *dev)
{
    size_t size = strlen(dev->otherend) + sizeof("/state");

    dev->watch_path = kmalloc(size);
    if (dev->watch_path == NULL) {
        return -ENOMEM;
    }
    snprintf(dev->watch_path, size, "%s/state", dev->otherend);
    dev->watch = (struct xs_watch){.path = dev->watch_path, .fn = otherend_event, .arg = dev};
    int rc = xs_watch_add(&dev->watch);
    if (rc != 0) {
        kfree(dev->watch_path);
        dev->watch_path = NULL;
    }
    return rc;
}

static void unwatch_otherend(struct xendev *dev)
{
    if (dev->watch_path != NULL) {
        xs_watch_remove(&dev->watch);
        kfree(dev->watch_path);
        dev->watch_path = NULL;
    }
}

static void free_device(struct xendev *dev)
{
    kfree(dev->otherend);
    kfree(dev);
}

/* Has its back end watched if it is not, now or by a later look. */
static void watch_if_served(struct xendev *dev)
{
    int rc = dev->driver != NULL && dev->watch_path == NULL ? watch_otherend(dev) : 0;

    if (rc != 0) {
        log_err("%s: back end %s cannot be watched: %s", dev->node, dev->otherend, errno_name(rc));
    }
    if (xs_error_passes(rc)) {
        scan_later();
    }
}

/* Gives the device to its driver, if there is one and it wants it. What kept it from that. */
static int bind_driver(struct xendev *dev)
{
    const struct xendev_driver *driver = driver_for(dev->class);

    if (driver == NULL) {
        log_debug("%s: no driver for this class", dev->node);
        return 0;
    }
    mutex_lock(&dev->lock);
    dev->driver = driver;
    int rc = driver->probe(dev);
    if (rc != 0) {
        dev->driver = NULL;
    }
    mutex_unlock(&dev->lock);
    watch_if_served(dev);
    return rc;
}

/* A device's own timer: what stood in the way may have passed. */
static void otherend_again(struct timer *t)
{
    xendev_poke(CONTAINER_OF(t, struct xendev, again));
}

/* Who its other end is. Takes @peer's string over. */
static void set_peer(struct xendev *dev, const struct peer *peer)
{
    kfree(dev->otherend);
    dev->otherend = peer->path;
    dev->otherend_id = (uint16_t)peer->domid;
    dev->peer_unread = false;
}

/* The record of a device that appeared, on the list. Takes @peer's string over. NULL: no memory. */
static struct xendev *make_device(const char *class, const char *id, const struct peer *peer)
{
    struct xendev *dev = kzalloc(sizeof(*dev));

    if (dev == NULL) {
        log_err("device/%s/%s: no memory to attach it", class, id);
        kfree(peer->path);
        return NULL;
    }
    strlcpy(dev->class, class, sizeof(dev->class));
    strlcpy(dev->id, id, sizeof(dev->id));
    snprintf(dev->node, sizeof(dev->node), DEVICE_DIR "/%s/%s", class, id);
    set_peer(dev, peer);
    timer_init(&dev->again, otherend_again);
    mutex_init(&dev->lock, "xendev");
    if (xenbus_read_state(dev->node, &dev->state) != 0) {
        dev->state = XenbusStateUnknown; /* for `lsdev`: nothing hangs on it */
    }
    mutex_lock(&list_lock);
    XEN_TAILQ_INSERT_TAIL(&devices, dev, link);
    mutex_unlock(&list_lock);
    return dev;
}

static void detach(struct xendev *dev)
{
    log_debug("%s: gone", dev->node);
    unwatch_otherend(dev);
    mutex_lock(&dev->lock);
    dev->removed = true;
    if (dev->driver != NULL) {
        frontend_remove(dev->fe);
        dev->fe = NULL;
        dev->driver = NULL;
    }
    mutex_unlock(&dev->lock);
    (void)timer_cancel_wait(&dev->again);

    mutex_lock(&list_lock);
    XEN_TAILQ_REMOVE(&devices, dev, link);
    mutex_unlock(&list_lock);
    free_device(dev);
}

/* Takes @peer's string over. One that its driver cannot take now is attached by a later look. */
static void xendev_attach(const char *class, const char *id, const struct peer *peer)
{
    struct xendev *dev = make_device(class, id, peer);
    int rc = dev != NULL ? bind_driver(dev) : -ENOMEM;

    if (!xs_error_passes(rc)) {
        return;
    }
    if (dev != NULL) {
        detach(dev);
    }
    scan_later();
}

/*
 * Whether the device was removed and made again, in the same place, before we looked: our state is
 * the first one then, and not what we announced.
 */
static bool made_again(const struct xendev *dev)
{
    bool gone = dev->driver != NULL && dev->fe->phase == FRONTEND_GONE;
    enum xenbus_state state;

    if (dev->unsaid || (dev->state <= XenbusStateInitialising && !gone)) {
        return false;
    }
    int rc = xenbus_read_state(dev->node, &state);
    if (xs_error_passes(rc)) {
        scan_later();
    }
    return rc == 0 && state == XenbusStateInitialising;
}

/*
 * The device is the same, but @peer serves it now. Takes @peer's string over. Should the key stay,
 * all that follows is that the next look begins anew with the same back end.
 */
static void move_device(struct xendev *dev, const struct peer *peer)
{
    log_info("%s: moved from domain %u to domain %u", dev->node, dev->otherend_id, peer->domid);
    unwatch_otherend(dev);
    mutex_lock(&dev->lock);
    set_peer(dev, peer);
    dev->state = XenbusStateUnknown; /* whoever moved it has set the first one */
    dev->otherend_state = XenbusStateUnknown;
    WRITE_ONCE(dev->otherend_told, XenbusStateUnknown);
    frontend_move(dev->fe);
    mutex_unlock(&dev->lock);
    int rc = xs_rm(XS_NO_TXN, dev->node, "moved");
    if (rc != 0 && rc != -ENOENT) {
        log_warn("%s/moved: cannot be removed: %s", dev->node, errno_name(rc));
    }
    if (xs_error_passes(rc)) {
        scan_later();
    }
    watch_if_served(dev);
}

/* A device that we have and the store has, too: whether it is the same one. Takes @peer over. */
static bool still_the_same(struct xendev *dev, const struct peer *peer)
{
    if (peer->moved && dev->driver != NULL && dev->fe->phase != FRONTEND_GONE) {
        move_device(dev, peer);
        return true;
    }
    if (!dev->peer_unread && (strcmp(dev->otherend, peer->path) != 0 ||
                              dev->otherend_id != peer->domid || made_again(dev))) {
        return false;
    }
    mutex_lock(&dev->lock);
    set_peer(dev, peer);
    mutex_unlock(&dev->lock);
    watch_if_served(dev);
    return true;
}

/* Makes our view of one device that of the store. */
static void check_device(const char *class, const char *id)
{
    char node[sizeof(((struct xendev *)0)->node)];
    struct xendev *dev = xendev_find(class, id);
    struct peer peer = {0};

    snprintf(node, sizeof(node), DEVICE_DIR "/%s/%s", class, id);
    int rc = read_peer(node, &peer);
    if (xs_error_passes(rc)) {
        scan_later();
    }
    if (rc != 0 && rc != -ENOENT) {
        return;
    }
    if (dev == NULL || rc != 0 || !still_the_same(dev, &peer)) {
        if (dev != NULL) {
            detach(dev);
        }
        if (rc == 0) {
            xendev_attach(class, id, &peer);
        }
    }
    note_change();
}

static void check_class(const char *class)
{
    struct xs_list ids;

    int rc = xs_directory(XS_NO_TXN, DEVICE_DIR, class, &ids);

    if (xs_error_passes(rc)) {
        scan_later();
    }
    if (rc != 0) {
        return;
    }
    for (const char *id = NULL; (id = xs_list_each(&ids, id));) {
        struct xs_device_path path;
        char text[64];

        /* Through the parser, so that names that do not fit are left out. */
        snprintf(text, sizeof(text), DEVICE_DIR "/%s/%s", class, id);
        if (xs_parse_device_path(text, &path) == 0 && *path.rest == '\0') {
            check_device(path.class, path.id);
        }
    }
    xs_list_free(&ids);
}

/* Those that we have and the store no longer lists. */
static void check_known(void)
{
    struct xendev *dev = XEN_TAILQ_FIRST(&devices);

    while (dev != NULL) {
        struct xendev *next = XEN_TAILQ_NEXT(dev, link);
        char class[sizeof(dev->class)];
        char id[sizeof(dev->id)];

        memcpy(class, dev->class, sizeof(class));
        memcpy(id, dev->id, sizeof(id));
        check_device(class, id);
        dev = next;
    }
}

static void check_all(void)
{
    struct xs_list classes;
    int rc = xs_directory(XS_NO_TXN, DEVICE_DIR, NULL, &classes);

    if (rc == 0) {
        for (const char *class = NULL; (class = xs_list_each(&classes, class));) {
            check_class(class);
        }
        xs_list_free(&classes);
    } else if (rc != -ENOENT) {
        log_err("xendev: device/ cannot be listed: %s", errno_name(rc));
        scan_later();
    }
    check_known();
    WRITE_ONCE(scanned, true);
    note_change();
}

/* Watch callback: something below device/ changed; most often a key that is none of ours. */
static void directory_event(struct xs_watch *w __unused, const char *path)
{
    struct xs_device_path where;

    if (xs_parse_device_path(path, &where) != 0) {
        check_all();
    } else if (*where.rest == '\0' || strcmp(where.rest, "backend") == 0 ||
               strcmp(where.rest, "backend-id") == 0) {
        check_device(where.class, where.id);
    }
}

/* Network devices are connected when the back end says so, after us. */
static bool device_settled(const struct xendev *dev)
{
    return dev->driver == NULL || dev->state > XenbusStateConnected ||
           (dev->state == XenbusStateConnected &&
            READ_ONCE(dev->otherend_told) >= XenbusStateConnected);
}

static bool settled(void)
{
    struct xendev *dev;
    bool all = READ_ONCE(scanned);

    mutex_lock(&list_lock);
    XEN_TAILQ_FOREACH (dev, &devices, link) {
        all = all && device_settled(dev);
    }
    mutex_unlock(&list_lock);
    return all;
}

void xendev_wait_settled(nsec_t deadline)
{
    int rc = 0;

    while (rc == 0) {
        unsigned seen = READ_ONCE(changes);

        if (settled()) {
            return;
        }
        rc = wait_event_until(&settle_wq, READ_ONCE(changes) != seen, deadline);
    }
}

void xendev_poke(struct xendev *dev)
{
    xs_watch_poke(&dev->watch);
}

void xendev_look_again(struct xendev *dev)
{
    timer_arm(&dev->again, clock_now() + LOOK_AGAIN);
}

/* Calls @fn for every device of one rank. */
static void each_of_rank(int rank, void (*fn)(struct xendev *dev))
{
    struct xendev *dev;

    XEN_TAILQ_FOREACH (dev, &devices, link) {
        if (dev->driver != NULL && dev->driver->rank == rank) {
            fn(dev);
        }
    }
}

/* The next rank above (@dir 1) or below (-1) @rank, among the drivers; false if none. */
static bool next_rank(int *rank, int dir)
{
    bool found = false;
    int best = 0;

    for (size_t i = 0; xendev_drivers[i] != NULL; i++) {
        int r = xendev_drivers[i]->rank;

        if (r * dir > *rank * dir && (!found || r * dir < best * dir)) {
            best = r;
            found = true;
        }
    }
    if (found) {
        *rank = best;
    }
    return found;
}

static void suspend_one(struct xendev *dev)
{
    mutex_lock(&dev->lock);
    frontend_suspend(dev->fe);
    mutex_unlock(&dev->lock);
}

static void cancel_one(struct xendev *dev)
{
    mutex_lock(&dev->lock);
    frontend_cancel(dev->fe);
    mutex_unlock(&dev->lock);
}

/* The watch on the old back end is unknown to the new domain's store. */
static void forget_one(struct xendev *dev)
{
    if (dev->watch_path != NULL) {
        xs_watch_forget(&dev->watch);
        kfree(dev->watch_path);
        dev->watch_path = NULL;
    }
}

/*
 * A device that the store no longer has is resumed as well, and detached by the next event. Of one
 * whose other end cannot be read now, a later look at the directory learns it.
 */
static void resume_one(struct xendev *dev)
{
    struct peer peer;
    int rc = read_peer(dev->node, &peer);

    mutex_lock(&dev->lock);
    if (rc == 0) {
        set_peer(dev, &peer);
    }
    dev->peer_unread = rc != 0;
    if (dev->fe->phase != FRONTEND_GONE) {
        dev->state = XenbusStateUnknown; /* this directory is another */
    }
    dev->otherend_state = XenbusStateUnknown;
    frontend_resume(dev->fe);
    mutex_unlock(&dev->lock);
    if (rc == 0) {
        watch_if_served(dev);
        return;
    }
    log_err("%s: not resumed: its back end is unknown: %s", dev->node, errno_name(rc));
    scan_later();
}

/* Calls @fn for all devices that have a driver, by falling (@dir -1) or rising (1) rank. */
static void each_by_rank(int dir, void (*fn)(struct xendev *dev))
{
    mutex_lock(&list_lock);
    for (int rank = -dir * INT32_MAX; next_rank(&rank, dir);) {
        each_of_rank(rank, fn);
    }
    mutex_unlock(&list_lock);
}

void xendev_suspend(void)
{
    each_by_rank(-1, suspend_one);
}

void xendev_cancel(void)
{
    each_by_rank(1, cancel_one);
}

void xendev_forget(void)
{
    each_by_rank(1, forget_one);
}

void xendev_resume(void)
{
    each_by_rank(1, resume_one);
}

void xendev_foreach(void (*fn)(const struct xendev_info *info, void *arg), void *arg)
{
    struct xendev *dev;

    mutex_lock(&list_lock);
    XEN_TAILQ_FOREACH (dev, &devices, link) {
        struct xendev_info info = {.otherend_id = dev->otherend_id};

        mutex_lock(&dev->lock);
        memcpy(info.node, dev->node, sizeof(info.node));
        info.state = dev->state;
        info.otherend_state = dev->otherend_state;
        if (dev->driver != NULL) {
            info.driver = dev->driver->class;
            dev->driver->describe(dev, info.text, sizeof(info.text));
        }
        mutex_unlock(&dev->lock);
        fn(&info, arg);
    }
    mutex_unlock(&list_lock);
}

/* Whether @name is the node or what stands behind one of its slashes. */
static bool named(const struct xendev *dev, const char *name)
{
    size_t node = strlen(dev->node), len = strlen(name);

    return len <= node && strcmp(dev->node + node - len, name) == 0 &&
           (len == node || dev->node[node - len - 1] == '/');
}

int xendev_show_rings(const char *name, void (*say)(const char *fmt, ...))
{
    const struct xendev *dev;

    XEN_TAILQ_FOREACH (dev, &devices, link) {
        if (named(dev, name)) {
            if (dev->driver == NULL || dev->driver->show_rings == NULL) {
                return -EOPNOTSUPP;
            }
            if (dev->fe != NULL && dev->fe->open) {
                dev->driver->show_rings(dev, say);
            } else {
                say("no rings: the back end is not connected\n");
            }
            return 0;
        }
    }
    return -ENOENT;
}

void xendev_init(void)
{
    mutex_init(&list_lock, "xendev-list");
    waitq_init(&settle_wq, "xendev-settle");
    timer_init(&scan_timer, scan_again);
    if (!xs_available()) {
        scanned = true;
        return;
    }
    int rc = xs_watch_add(&directory_watch);
    if (rc != 0) {
        log_err("xendev: device/ cannot be watched, no device will be found: %s", errno_name(rc));
    }
}
