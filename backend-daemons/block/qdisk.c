/*
 * Disks that nobody serves: see qdisk.h. A device is remembered only while it waits to be taken.
 */
#include "qdisk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image_wire.h"
#include "log.h"
#include "xenbus.h"

#define NS_PER_MS  UINT64_C(1000000)
#define MAX_STRING 1024

struct qdisk {
    struct qdisk_watch *watch;
    struct log_id id;
    struct loop_timer late;
    char back[128];
    XEN_LIST_ENTRY(struct qdisk) link;
};

/* Whether libxl has started a QEMU for the domain, or one runs. */
static bool has_qemu(struct store *st, int domid)
{
    char path[96];

    snprintf(path, sizeof(path), "/local/domain/%d/image/device-model-pid", domid);
    if (store_exists(st, STORE_NO_TX, path, NULL)) {
        return true;
    }
    snprintf(path, sizeof(path), "device-model/%d/state", domid); /* of this domain */
    return store_exists(st, STORE_NO_TX, path, NULL);
}

static void forget_qdisk(struct qdisk *d)
{
    loop_timer_cancel(d->watch->loop, &d->late);
    XEN_LIST_REMOVE(d, link);
    free(d);
}

/* Whether libxl gave it no image: a drive without a disk, `aio:` or nothing. */
static bool qdisk_is_empty(const char *params)
{
    const char *colon = strchr(params, ':');

    return params[0] == '\0' || (colon != NULL && colon[1] == '\0');
}

/* What is said of a disk that waits for a QEMU, of which there is none. */
static void qdisk_explain(const struct qdisk *d, const char *params, char *sentence,
                          unsigned long size)
{
    if (qdisk_is_empty(params)) {
        snprintf(sentence, size,
                 "an empty drive was given to QEMU by xl, and no QEMU serves domain %d: give it an "
                 "image (target=), or leave it out; detach it",
                 d->id.domid);
    } else if (image_is_served(params)) {
        snprintf(sentence, size,
                 "disk \"%s\" was given to QEMU by xl, and no QEMU serves domain %d: detach it, "
                 "and attach it as format=raw, script=block-duet, target=%s",
                 params, d->id.domid, params);
    } else {
        snprintf(sentence, size,
                 "disk \"%s\" was given to QEMU by xl, and no QEMU serves domain %d: only raw "
                 "images are served without (qemu-img convert -O raw makes one); detach it",
                 params, d->id.domid);
    }
}

/* Nobody has taken it in time. */
static void on_untaken(void *arg)
{
    struct qdisk *d = arg;
    struct store *st = d->watch->store;
    char sentence[2 * MAX_STRING + 512];
    char *params = NULL;

    store_read_str(st, STORE_NO_TX, d->back, "params", MAX_STRING, &params);
    if (has_qemu(st, d->id.domid)) {
        snprintf(sentence, sizeof(sentence),
                 "disk \"%s\" was given to QEMU by xl, and its QEMU does not take it: see "
                 "/var/log/xen/qemu-dm-*.log",
                 params != NULL ? params : "");
    } else {
        qdisk_explain(d, params != NULL ? params : "", sentence, sizeof(sentence));
        xenbus_write_error(st, d->back, ENOTSUP, sentence);
    }
    log_msg(LOG_ERR, &d->id, "%s", sentence);
    free(params);
    forget_qdisk(d);
}

static struct qdisk *find_qdisk(struct qdisk_watch *w, int domid, int device)
{
    struct qdisk *d = NULL;

    XEN_LIST_FOREACH (d, &w->waiting, link) {
        if (d->id.domid == domid && d->id.device == device) {
            return d;
        }
    }
    return NULL;
}

static void wait_for_qemu(struct qdisk_watch *w, const char *back, int domid, int device)
{
    struct qdisk *d = calloc(1, sizeof(*d));

    if (d == NULL) {
        return;
    }
    loop_timer_set(w->loop, &d->late, w->patience_ms * NS_PER_MS, on_untaken, d);
    d->watch = w;
    d->id = (struct log_id){.class = "qdisk", .domid = domid, .device = device};
    snprintf(d->back, sizeof(d->back), "%s", back);
    XEN_LIST_INSERT_HEAD(&w->waiting, d, link);
}

/* A disk is new, or its state has changed. dom0's own disks have a QEMU of their own kind. */
static void on_qdisk(void *arg, int domid, int device, const char *key)
{
    struct qdisk_watch *w = arg;
    struct qdisk *d = find_qdisk(w, domid, device);
    enum xenbus_state state = XenbusStateUnknown;
    char back[128];

    if (domid == 0 || (key[0] != '\0' && strcmp(key, "state") != 0)) {
        return;
    }
    snprintf(back, sizeof(back), "%s/%d/%d", w->class.root, domid, device);
    xenbus_read_state(w->store, STORE_NO_TX, back, &state);
    if (state == XenbusStateInitialising && d == NULL) {
        wait_for_qemu(w, back, domid, device);
    } else if (state != XenbusStateInitialising && d != NULL) {
        forget_qdisk(d);
    }
    if (state == XenbusStateClosing && !has_qemu(w->store, domid)) {
        xenbus_clear_error(w->store, back);
        xenbus_write_state(w->store, back, XenbusStateClosed);
    }
}

static void on_qdisk_look(void *arg, int domid)
{
    struct qdisk_watch *w = arg;
    struct qdisk *d = NULL, *next = NULL;

    XEN_LIST_FOREACH_SAFE(d, &w->waiting, link, next)
    {
        if (domid < 0 || d->id.domid == domid) {
            on_qdisk(w, d->id.domid, d->id.device, "");
        }
    }
}

int qdisk_watch_start(struct qdisk_watch *w, struct loop *loop, struct store *store)
{
    w->loop = loop;
    w->store = store;
    return backend_class_watch(&w->class, loop, store, "qdisk", on_qdisk, on_qdisk_look, w);
}

void qdisk_watch_stop(struct qdisk_watch *w)
{
    struct qdisk *d = NULL, *next = NULL;

    backend_class_unwatch(&w->class);
    XEN_LIST_FOREACH_SAFE(d, &w->waiting, link, next)
    {
        forget_qdisk(d);
    }
}
