/*
 * A front end's side without the device: see fake_front.h.
 */
#include "fake_front.h"

#include <string.h>

struct reading {
    struct supervised_front front;
    int (*read)(const struct supervised_front *front);
    void *config;
    unsigned long config_bytes;
};

int supervised_front_keys(const struct supervised_front *front, const char *dir,
                          const struct key_rule *rules, unsigned int nr, void *out)
{
    return keys_read(front->st, front->t, dir, rules, nr, out, front->why, front->why_size);
}

bool supervised_front_has(const struct supervised_front *front, const char *key)
{
    return store_exists(front->st, front->t, front->dev->front, key);
}

static int read_in_transaction(struct store *st, xs_transaction_t t, void *arg)
{
    struct reading *r = arg;

    memset(r->config, 0, r->config_bytes);
    r->front.st = st;
    r->front.t = t;
    return r->read(&r->front);
}

int fuzz_read_front(struct supervised *dev, int (*read)(const struct supervised_front *front),
                    void *config, unsigned long config_bytes, char *why, unsigned long why_size)
{
    struct reading r = {.front = {.dev = dev, .why = why, .why_size = why_size},
                        .read = read,
                        .config = config,
                        .config_bytes = config_bytes};

    return store_transaction(dev->sup->store, read_in_transaction, &r);
}
