/*
 * Checks of what the two ends have published: keys that disagree, ask for more than is offered, or
 * are missing. XB5xx.
 */
#include <stdlib.h>
#include <string.h>
#include <xen/io/xenbus.h>

#include "doctor.h"
#include "xenbus.h"

/* The number at @key; -1 when it is missing, -2 when it is none. */
static long key_number(const struct node *dir, const char *key)
{
    const char *text = node_key(dir, key);
    long number;

    if (text == NULL) {
        return -1;
    }
    return parse_count(text, 0, &number) ? number : -2;
}

/* Whether the guest has published what it wants. */
static bool guest_is_ready(const struct device *device)
{
    return has_states(device) && device->front.state >= XenbusStateInitialised &&
           device->front.state <= XenbusStateConnected;
}

static void check_more_than_offered(struct diagnosis *diagnosis, const struct device *device)
{
    static const struct {
        const char *wants;
        const char *offers;
        long without; /* what a back end that says nothing offers */
    } keys[] = {{"ring-page-order", "max-ring-page-order", 0},
                {"multi-queue-num-queues", "multi-queue-max-queues", 1}};
    const struct node *front = front_of(diagnosis, device), *back = back_of(diagnosis, device);

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && guest_is_ready(device); i++) {
        long wants = key_number(front, keys[i].wants), offers = key_number(back, keys[i].offers);
        char *path;

        offers = offers < 0 ? keys[i].without : offers;
        if (wants == -1 || (wants >= 0 && wants <= offers)) {
            continue;
        }
        path = store_join(device->front_path, keys[i].wants);
        advise_detach(diagnosis,
                      found(diagnosis, path,
                            "the guest asks for %.20s, the back end offers %ld (%s)",
                            node_key(front, keys[i].wants), offers, keys[i].offers),
                      device);
        free(path);
    }
}

/* Whether one of two spellings of a key is there; in queue-0 with several queues. */
static bool published(const struct node *front, const char *key, const char *other)
{
    const struct node *queue = node_child(front, "queue-0");

    return node_child(front, key) != NULL || node_child(front, other) != NULL ||
           node_child(queue, key) != NULL || node_child(queue, other) != NULL;
}

static void check_missing_keys(struct diagnosis *diagnosis, const struct device *device)
{
    static const struct {
        const char *class;
        const char *key;
        const char *other;
    } keys[] = {
        {"vbd", "ring-ref", "ring-ref0"},
        {"vbd", "event-channel", "event-channel"},
        {"vif", "tx-ring-ref", "tx-ring-ref"},
        {"vif", "rx-ring-ref", "rx-ring-ref"},
        {"vif", "event-channel", "event-channel-tx"},
        {"vif", "request-rx-copy", "request-rx-copy"},
    };
    const struct node *front = front_of(diagnosis, device);

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && guest_is_ready(device); i++) {
        if (front != NULL && strcmp(keys[i].class, device->class) == 0 &&
            !published(front, keys[i].key, keys[i].other)) {
            advise_detach(diagnosis,
                          found(diagnosis, device->front_path,
                                "the guest is in state %d and has not published '%s'",
                                device->front.state, keys[i].key),
                          device);
        }
    }
}

/* What the toolstack writes to both ends must be the same in both. */
static void check_disagreement(struct diagnosis *diagnosis, const struct device *device)
{
    static const char *const keys[] = {"mac", "handle"};
    const struct node *front = front_of(diagnosis, device), *back = back_of(diagnosis, device);

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && has_states(device); i++) {
        const char *ours = node_key(back, keys[i]), *theirs = node_key(front, keys[i]);
        char *path;

        if (ours == NULL || theirs == NULL || strcmp(ours, theirs) == 0) {
            continue;
        }
        path = store_join(device->front_path, keys[i]);
        advise(
            found(diagnosis, path, "it is '%.40s' here and '%.40s' at the back end", theirs, ours),
            "xenbus", "write", path, ours);
        free(path);
    }
}

static void check_disk_geometry(struct diagnosis *diagnosis, const struct device *device)
{
    const struct node *back = back_of(diagnosis, device);
    long size = key_number(back, "sector-size");

    if (!has_states(device) || strcmp(device->class, "vbd") != 0 ||
        device->back.state != XenbusStateConnected ||
        (key_number(back, "sectors") > 0 && size >= 512 && size % 512 == 0)) {
        return;
    }
    advise_restart(diagnosis,
                   found(diagnosis, device->back_path,
                         "it is connected, and 'sectors' and 'sector-size' do not tell its size"),
                   device);
}

const struct check key_checks[] = {
    {"XB501", SEVERITY_ERROR, true, false, "a guest asks for more than its back end offers",
     .device = check_more_than_offered},
    {"XB502", SEVERITY_ERROR, true, false, "a guest has not published what it must",
     .device = check_missing_keys},
    {"XB503", SEVERITY_WARNING, true, false, "the two ends disagree about a key",
     .device = check_disagreement},
    {"XB504", SEVERITY_WARNING, true, false, "a connected disk without a size",
     .device = check_disk_geometry},
    {.code = ""},
};
