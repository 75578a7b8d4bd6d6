/*
 * The front end's side of a device, read in one transaction into what its worker is told first: see
 * supervised.h. The class says which keys; it is its read_front().
 */
#include <stdio.h>
#include <string.h>

#include "supervised.h"
#include "supervisor.h"

/* What a worker of any class is told first. */
static void supervised_fill_head(const struct supervised *dev, struct wire_head *head)
{
    *head = (struct wire_head){
        .magic = dev->sup->ops->wire->magic,
        .domid = (uint16_t)dev->id.domid,
        .device = dev->id.device,
        .uid = dev->sup->uid_base + (uid_t)dev->id.domid,
        .log_level = log_level(),
    };
    snprintf(head->class, sizeof(head->class), "%s", dev->id.class);
}

int supervised_front_keys(const struct supervised_front *front, const char *dir,
                          const struct key_rule *rules, unsigned int nr, void *out)
{
    return keys_read(front->st, front->t, dir, rules, nr, out, front->why, front->why_size);
}

bool supervised_front_has(const struct supervised_front *front, const char *key)
{
    return store_exists(front->st, front->t, front->dev->front, key);
}

/* A transaction may run again: every time it begins with zeros. */
static int supervised_front_tx(struct store *st, xs_transaction_t t, void *arg)
{
    struct supervised_front *front = arg;
    const struct supervisor_ops *ops = front->dev->sup->ops;
    char *config = (char *)front->dev + ops->config_at;

    memset(config, 0, ops->wire->config_bytes);
    supervised_fill_head(front->dev, (struct wire_head *)config);
    front->st = st;
    front->t = t;
    return ops->read_front(front);
}

int supervised_read_front(struct supervised *dev, char *why, unsigned long why_size)
{
    struct supervised_front front = {.dev = dev, .why = why, .why_size = why_size};

    snprintf(why, why_size, "the store is busy");
    return store_transaction(dev->sup->store, supervised_front_tx, &front);
}
