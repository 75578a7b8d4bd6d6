/*
 * Devices of guests, from a driver domain that died to the next one: see reattach.h.
 */
#include "reattach.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_rights.h"

#define NAMES       "/tool/duet-driverd"
#define RECORDS     "/libxl"
#define DOMAINS     "/local/domain"
#define NAME_MAX_   255U
#define VALUE_MAX   1024U
#define NODES_MAX   512U /* of one front end's directory; ours has three dozen with eight queues */
#define DEPTH_MAX   4U
#define AGAIN_NS    UINT64_C(1000000000)
#define NUDGE_NS    UINT64_C(250000000) /* to the first one; each takes twice as long */
#define NUDGES_MAX  10U                 /* four minutes */
#define REFUSED_MS  60000U
#define STATE_FIRST "1" /* XenbusStateInitialising */
#define STATE_WAITS "2" /* XenbusStateInitWait */

static const char *const classes[] = {"vbd", "vif"};

/* One device, and where its directories are. */
struct device {
    const char *class;
    unsigned int guest, number;
    unsigned int from, to; /* the domains that served it, and will */
    char record[96], front[96], back[96];
};

/* A device that `xl devd` has not dealt with yet. */
struct reattach_waiting {
    char back[96];
    struct log_id id;
    unsigned int domid, nudges;
    struct reattach *r;
    struct loop_timer timer;
    XEN_TAILQ_ENTRY(struct reattach_waiting) link;
};

/* A number as the toolstack writes it: digits alone, no zero before others. */
static bool number(const char *text, unsigned int limit, unsigned int *out)
{
    char again[16];
    unsigned long n = strtoul(text, NULL, 10);

    snprintf(again, sizeof(again), "%lu", n);
    *out = (unsigned int)n;
    return n < limit && strcmp(text, again) == 0;
}

static struct log_id id_of(const struct device *dev)
{
    return (struct log_id){
        .class = dev->class, .domid = (int)dev->guest, .device = (int)dev->number};
}

static void set_back(struct device *dev, unsigned int domid)
{
    snprintf(dev->back, sizeof(dev->back), DOMAINS "/%u/backend/%s/%u/%u", domid, dev->class,
             dev->guest, dev->number);
}

/*
 * Which domain serves the device, by the toolstack's record. It has to be spelled as the toolstack
 * does, letter for letter: everything else is left alone.
 */
static int server_of(struct store *st, xs_transaction_t t, const struct device *dev,
                     unsigned int *domid)
{
    struct device expected = *dev;
    char *path;
    int err = store_read_str(st, t, dev->record, "backend", sizeof(dev->back), &path);

    if (err != 0) {
        return err;
    }
    *domid = 0;
    if (strncmp(path, DOMAINS "/", sizeof(DOMAINS)) == 0) {
        *domid = (unsigned int)strtoul(path + sizeof(DOMAINS), NULL, 10);
        set_back(&expected, *domid);
    }
    err = *domid < REATTACH_DOMIDS && strcmp(path, expected.back) == 0 ? 0 : -EINVAL;
    free(path);
    return err;
}

/* ---- names of driver domains ---- */

static int read_name(struct store *st, unsigned int domid, char **name)
{
    char dir[48];

    snprintf(dir, sizeof(dir), DOMAINS "/%u", domid);
    return store_read_str(st, STORE_NO_TX, dir, "name", NAME_MAX_, name);
}

static int kept_name(struct store *st, unsigned int domid, char **name)
{
    char key[16];

    snprintf(key, sizeof(key), "%u", domid);
    return store_read_str(st, STORE_NO_TX, NAMES, key, NAME_MAX_, name);
}

/* A domain that lives: its name is kept for the time when it does not. */
static int keep_name(struct store *st, unsigned int domid)
{
    char *name = NULL, *kept = NULL;
    int err = read_name(st, domid, &name);

    if (err == 0 && (kept_name(st, domid, &kept) != 0 || strcmp(name, kept) != 0)) {
        char key[16];

        snprintf(key, sizeof(key), "%u", domid);
        err = store_write(st, STORE_NO_TX, NAMES, key, "%s", name);
    }
    free(name);
    free(kept);
    return err;
}

/* The toolstack gives a driver domain, and no other, a directory `libxl` of its own. */
static bool is_driver_domain(struct store *st, unsigned int domid)
{
    char dir[48];

    snprintf(dir, sizeof(dir), DOMAINS "/%u", domid);
    return store_domain_lives(st, domid) && store_exists(st, STORE_NO_TX, dir, "libxl");
}

/* The driver domain of that name, which lives; 0: there is none. */
static unsigned int find_driver(struct store *st, const char *name)
{
    unsigned int nr, found = 0;
    char **domids = store_list(st, STORE_NO_TX, DOMAINS, &nr);

    for (unsigned int i = 0; i < nr; i++) {
        unsigned int domid;
        char *its = NULL;

        if (number(domids[i], REATTACH_DOMIDS, &domid) && domid > found &&
            read_name(st, domid, &its) == 0 && strcmp(its, name) == 0 &&
            is_driver_domain(st, domid)) {
            found = domid;
        }
        free(its);
    }
    free(domids);
    return found;
}

/* Drops the names that no record needs any more. */
static void drop_names(struct reattach *r)
{
    unsigned int nr;
    char **domids = store_list(r->store, STORE_NO_TX, NAMES, &nr);

    for (unsigned int i = 0; i < nr; i++) {
        unsigned int domid;

        if (!number(domids[i], REATTACH_DOMIDS, &domid) || r->used[domid] == 0) {
            (void)store_rm(r->store, STORE_NO_TX, NAMES, domids[i]);
        }
    }
    free(domids);
}

/* ---- the directories of a device ---- */

/* What stands in the record is what stood in the back end's directory when it was made. */
static int copy_record(struct store *st, xs_transaction_t t, const struct device *dev)
{
    unsigned int nr;
    char **keys = store_list(st, t, dev->record, &nr);
    int err = keys == NULL ? -errno : 0;

    for (unsigned int i = 0; keys != NULL && i < nr && err == 0; i++) {
        char *value;

        if (strcmp(keys[i], "backend") == 0) {
            continue;
        }
        err = store_read_str(st, t, dev->record, keys[i], VALUE_MAX, &value);
        if (err == 0) {
            err = store_write(st, t, dev->back, keys[i], "%s", value);
        }
        free(value);
    }
    free(keys);
    return err;
}

static int write_back(struct store *st, xs_transaction_t t, const struct device *dev)
{
    int err = store_rm(st, t, dev->back, NULL);

    if (err == 0) {
        err = store_write(st, t, dev->back, NULL, "%s", "");
    }
    if (err == 0) {
        err = store_give(st, t, dev->back, dev->to, dev->guest); /* which what follows inherits */
    }
    if (err == 0) {
        err = copy_record(st, t, dev);
    }
    if (err == 0) {
        err = store_write(st, t, dev->back, "frontend", "%s", dev->front);
    }
    if (err == 0) {
        err = store_write(st, t, dev->back, "frontend-id", "%u", dev->guest);
    }
    if (err == 0) {
        err = store_write(st, t, dev->back, "online", "1");
    }
    return err != 0 ? err : store_write(st, t, dev->back, "state", STATE_FIRST);
}

/*
 * Lets the new domain read what the old one could. How much there is, is the guest's to say, so
 * that it has limits. Names are one component each: they lead nowhere else.
 */
static int give_tree(struct store *st, xs_transaction_t t, const struct device *dev,
                     const char *dir, unsigned int depth, unsigned int *left)
{
    char path[STORE_PATH_MAX];
    unsigned int nr;
    char **names;
    int err;

    if (depth > DEPTH_MAX || *left == 0) {
        return -E2BIG;
    }
    *left -= 1;
    err = store_give(st, t, dir, dev->guest, dev->to);
    if (err != 0) {
        return err;
    }
    names = store_list(st, t, dir, &nr);
    for (unsigned int i = 0; i < nr && err == 0; i++) {
        int len = snprintf(path, sizeof(path), "%s/%s", dir, names[i]);

        err = len < (int)sizeof(path) ? give_tree(st, t, dev, path, depth + 1, left) : -E2BIG;
    }
    free(names);
    return err;
}

static int write_front(struct store *st, xs_transaction_t t, const struct device *dev)
{
    unsigned int left = NODES_MAX;
    int err = store_write(st, t, dev->front, "backend", "%s", dev->back);

    if (err == 0) {
        err = store_write(st, t, dev->front, "backend-id", "%u", dev->to);
    }
    if (err == 0) {
        err = store_write(st, t, dev->front, "state", STATE_FIRST);
    }
    if (err == 0) {
        err = store_write(st, t, dev->front, "moved", "1");
    }
    return err != 0 ? err : give_tree(st, t, dev, dev->front, 0, &left);
}

/* -ESTALE: the toolstack was faster, or the guest has no such device any more. */
static int move(struct store *st, xs_transaction_t t, void *arg)
{
    const struct device *dev = arg;
    unsigned int domid;
    int err = server_of(st, t, dev, &domid);

    if (err != 0 || domid != dev->from) {
        return err != 0 ? err : -ESTALE;
    }
    err = store_has(st, t, dev->front, "backend");
    if (err <= 0) {
        return err != 0 ? err : -ESTALE;
    }
    err = write_back(st, t, dev);
    if (err == 0) {
        err = write_front(st, t, dev);
    }
    return err != 0 ? err : store_write(st, t, dev->record, "backend", "%s", dev->back);
}

/* ---- what `xl devd` did not see come ---- */

static void stop_waiting(struct reattach_waiting *w)
{
    loop_timer_cancel(w->r->loop, &w->timer);
    XEN_TAILQ_REMOVE(&w->r->waiting, w, link);
    free(w);
}

/* 1: it is dealt with, or gone; 0: not yet. */
static int nudge(struct store *st, xs_transaction_t t, void *arg)
{
    const struct reattach_waiting *w = arg;
    char *status = NULL, *state = NULL;
    int err = store_read_str(st, t, w->back, "hotplug-status", VALUE_MAX, &status);
    int done = err == 0 && *status != '\0';

    free(status);
    if (done == 0) {
        err = store_read_str(st, t, w->back, "state", VALUE_MAX, &state);
        done = err == -ENOENT;
    }
    /* Who changes it meanwhile makes this transaction fail, and the next look finds what it is. */
    if (state != NULL && strcmp(state, STATE_WAITS) == 0) {
        (void)store_write(st, t, w->back, "state", STATE_WAITS);
    }
    free(state);
    return done;
}

static void on_nudge(void *arg)
{
    struct reattach_waiting *w = arg;

    if (store_transaction(w->r->store, nudge, w) == 1) {
        stop_waiting(w);
    } else if (++w->nudges == NUDGES_MAX) {
        log_msg(LOG_WARNING, &w->id,
                "no hotplug script was run for it in domain %u: does 'xl devd' run there?",
                w->domid);
        stop_waiting(w);
    } else {
        loop_timer_set(w->r->loop, &w->timer, NUDGE_NS << w->nudges, on_nudge, w);
    }
}

static void wait_for_script(struct reattach *r, const struct device *dev)
{
    struct reattach_waiting *w = calloc(1, sizeof(*w));

    if (w == NULL) {
        return;
    }
    memcpy(w->back, dev->back, sizeof(w->back));
    w->r = r;
    w->id = id_of(dev);
    w->domid = dev->to;
    XEN_TAILQ_INSERT_TAIL(&r->waiting, w, link);
    loop_timer_set(r->loop, &w->timer, NUDGE_NS, on_nudge, w);
}

/* ---- looking at all there is ---- */

static void on_look_again(void *arg);

static void refused(struct reattach *r, const struct device *dev, int err)
{
    const struct log_id id = id_of(dev);

    log_limited(&r->refused, LOG_ERR, &id, "cannot be given to domain %u: %s", dev->to,
                err == -E2BIG ? "the guest has more in its directory than any device"
                              : strerror(-err));
    loop_timer_set(r->loop, &r->look_again, AGAIN_NS, on_look_again, r);
}

static void give_to(struct reattach *r, struct device *dev, const char *name)
{
    const struct log_id id = id_of(dev);
    int err;

    dev->to = find_driver(r->store, name);
    if (dev->to == 0) {
        return;
    }
    set_back(dev, dev->to);
    err = store_transaction(r->store, move, dev);
    if (err == 0) {
        r->used[dev->to] = 1;
        log_msg(LOG_NOTICE, &id, "given to domain %u, %s, after domain %u died", dev->to, name,
                dev->from);
        wait_for_script(r, dev);
    } else if (err != -ESTALE && err != -ENOENT) {
        refused(r, dev, err);
    }
}

static void look_at(struct reattach *r, struct device *dev)
{
    char *name = NULL;

    snprintf(dev->record, sizeof(dev->record), RECORDS "/%u/device/%s/%u", dev->guest, dev->class,
             dev->number);
    snprintf(dev->front, sizeof(dev->front), DOMAINS "/%u/device/%s/%u", dev->guest, dev->class,
             dev->number);
    if (server_of(r->store, STORE_NO_TX, dev, &dev->from) != 0 || dev->from == 0) {
        return;
    }
    r->used[dev->from] = 1;
    if (store_domain_lives(r->store, dev->from)) {
        (void)keep_name(r->store, dev->from);
    } else if (store_domain_lives(r->store, dev->guest) &&
               kept_name(r->store, dev->from, &name) == 0) {
        give_to(r, dev, name);
    }
    free(name);
}

static void look_at_class(struct reattach *r, unsigned int guest, const char *class)
{
    struct device dev = {.class = class, .guest = guest};
    char dir[96];
    unsigned int nr;
    char **numbers;

    snprintf(dir, sizeof(dir), RECORDS "/%u/device/%s", guest, class);
    numbers = store_list(r->store, STORE_NO_TX, dir, &nr);
    for (unsigned int i = 0; i < nr; i++) {
        if (number(numbers[i], INT32_MAX, &dev.number)) {
            look_at(r, &dev);
        }
    }
    free(numbers);
}

/* Everything is looked at: it is little, and what changed may concern every guest. */
static void on_look(void *arg)
{
    struct reattach *r = arg;
    unsigned int nr;
    char **guests = store_list(r->store, STORE_NO_TX, RECORDS, &nr);

    memset(r->used, 0, sizeof(r->used));
    for (unsigned int i = 0; i < nr; i++) {
        unsigned int guest;

        for (unsigned int k = 0; k < sizeof(classes) / sizeof(classes[0]); k++) {
            if (number(guests[i], REATTACH_DOMIDS, &guest)) {
                look_at_class(r, guest, classes[k]);
            }
        }
    }
    if (guests != NULL || errno == ENOENT) {
        drop_names(r);
    }
    free(guests);
}

static void on_look_again(void *arg)
{
    struct reattach *r = arg;

    loop_defer(r->loop, &r->look, on_look, r);
}

/* Many come at once: one look answers all that have arrived. */
static void on_change(void *arg, const char *path)
{
    (void)path;
    on_look_again(arg);
}

int reattach_start(struct reattach *r)
{
    int err;

    XEN_TAILQ_INIT(&r->waiting);
    r->refused = (struct log_limit){.burst = 10, .interval_ms = REFUSED_MS};
    err = store_watch_add(r->store, &r->introduced, "@introduceDomain", on_change, r);
    if (err == 0) {
        err = store_watch_add(r->store, &r->released, "@releaseDomain", on_change, r);
    }
    if (err == 0) {
        err = store_watch_add(r->store, &r->records, RECORDS, on_change, r);
    }
    if (err != 0) {
        log_msg(LOG_ERR, NULL, "cannot watch %s", store_error(r->store));
    }
    return err;
}

void reattach_stop(struct reattach *r)
{
    if (r->waiting.tqh_last == NULL) {
        return;
    }
    store_watch_del(r->store, &r->introduced);
    store_watch_del(r->store, &r->released);
    store_watch_del(r->store, &r->records);
    loop_defer_cancel(r->loop, &r->look);
    loop_timer_cancel(r->loop, &r->look_again);
    for (struct reattach_waiting *w = XEN_TAILQ_FIRST(&r->waiting), *next; w != NULL; w = next) {
        next = XEN_TAILQ_NEXT(w, link);
        stop_waiting(w);
    }
}
