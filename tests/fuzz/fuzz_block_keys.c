/*
 * Fuzzes what a block device reads from its store nodes: whatever stands in a front end's
 * directory, the configuration is accepted exactly if a second reading here finds every value in
 * its range, and then says what that reading says; an image has an absolute path, or none yet; a
 * refusal is a sentence that hurts no terminal.
 *
 * Input: a byte of choices, then keys: which one, a length, the bytes of its value.
 */
#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>

#include "device_xs.h"
#include "parts/fake_loop.h"
#include "parts/fake_store.h"
#include "parts/input.h"

#define FRONT "/local/domain/5/device/vbd/51712"
#define BACK  "/local/domain/0/backend/vbd/5/51712"

static const struct supervisor_ops ops = {
    .wire = &blk_wire_format,
    .config_at = offsetof(struct blk_device, config),
    .read_front = blk_device_xs_read_front,
};

static struct blockd blockd = {.sup = {.ops = &ops},
                               .hotplug_script = "/usr/lib/duet/block-hotplug"};

/* In place of supervised.c. */
bool supervised_publish(struct supervised *dev, const struct key_value *values, unsigned int nr,
                        enum xenbus_state state)
{
    (void)state;
    require(keys_write(dev->sup->store, STORE_NO_TX, dev->back, values, nr) == 0);
    return true;
}

bool supervised_publish_again(struct supervised *dev, const struct key_value *values,
                              unsigned int nr)
{
    return supervised_publish(dev, values, nr, XenbusStateConnected);
}

void supervised_reconsider_soon(struct supervised *dev)
{
    (void)dev;
    require(false); /* the store answers always */
}

static bool number(const char *key, uint64_t max, uint64_t def, uint64_t *out)
{
    unsigned long long n = 0;
    int found = fuzz_store_number(FRONT, key, max, &n);

    *out = found > 0 ? n : def;
    return found >= 0;
}

static bool there(const char *key)
{
    char path[128];
    size_t len;

    snprintf(path, sizeof(path), "%s/%s", FRONT, key);
    return fuzz_store_get(path, &len) != NULL;
}

static bool refs_agree(const struct blk_wire_config *c)
{
    for (unsigned int i = 0; i < c->nr_pages; i++) {
        char key[24];
        uint64_t ref;

        snprintf(key, sizeof(key), "ring-ref%u", i);
        if (c->nr_pages == 1 && !there(key)) {
            snprintf(key, sizeof(key), "ring-ref");
        }
        if (!there(key) || !number(key, UINT32_MAX, 0, &ref) || ref != c->ring_refs[i]) {
            return false;
        }
    }
    return true;
}

static bool protocol_agrees(const struct blk_wire_config *c)
{
    size_t len = 0;
    const char *text = fuzz_store_get(FRONT "/protocol", &len);

    if (text == NULL || (len == 10 && memcmp(text, "x86_32-abi", 10) == 0)) {
        return c->protocol == BLK_WIRE_X86_32;
    }
    return len == 10 && memcmp(text, "x86_64-abi", 10) == 0 && c->protocol == BLK_WIRE_X86_64;
}

static bool agrees(const struct blk_wire_config *c)
{
    uint64_t order, queues, port;

    return number("ring-page-order", BLK_WIRE_MAX_PAGE_ORDER, 0, &order) &&
           c->nr_pages == 1U << order && number("multi-queue-num-queues", 1, 1, &queues) &&
           queues == 1 && there("event-channel") && number("event-channel", UINT32_MAX, 0, &port) &&
           port == c->event_channel && refs_agree(c) && protocol_agrees(c);
}

/* What the toolstack wrote. */
static void read_back(struct blk_device *dev)
{
    char why[SUPERVISED_SENTENCE_MAX] = "";
    const char *mode;
    char *path = NULL;
    size_t len;
    int err = blk_device_xs_read_back(dev, why, sizeof(why));

    require(err == 0 || fuzz_store_harmless(why));
    mode = fuzz_store_get(BACK "/mode", &len);
    require(err != 0 || dev->image.read_only == (mode == NULL || strchr(mode, 'w') == NULL));
    require(err != 0 || dev->image.forced == (mode != NULL && strchr(mode, '!') != NULL));
    why[0] = '\0';
    err = blk_device_xs_image_path(dev, &path, why, sizeof(why));
    if (err == 0 && path != NULL && dev->own_script) {
        require(path[0] == '/' || fuzz_store_get(BACK "/params", &len) != NULL);
    }
    free(path);
}

static const char *const keys[] = {
    FRONT "/ring-page-order",
    FRONT "/multi-queue-num-queues",
    FRONT "/event-channel",
    FRONT "/protocol",
    FRONT "/ring-ref",
    FRONT "/ring-ref0",
    FRONT "/ring-ref1",
    FRONT "/ring-ref2",
    FRONT "/ring-ref3",
    FRONT "/ring-ref4",
    BACK "/mode",
    BACK "/device-type",
    BACK "/script",
    BACK "/removable",
    BACK "/discard-enable",
    BACK "/params",
    BACK "/hotplug-status",
    BACK "/physical-device-path",
    "/local/domain/5/vm",
};

/* References of more pages than any ring may have. */
static void put_refs(void)
{
    for (unsigned int i = 0; i < 2 * BLK_WIRE_MAX_PAGES; i++) {
        char path[64];

        snprintf(path, sizeof(path), FRONT "/ring-ref%u", i);
        fuzz_store_put_text(path, "9");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    uint8_t choice = input_u8(&in);
    char front[] = FRONT, back[] = BACK, why[SUPERVISED_SENTENCE_MAX] = "";
    struct blk_device dev = {.base = {.sup = &blockd.sup,
                                      .front = front,
                                      .back = back,
                                      .opened = (choice & 1) != 0,
                                      .id = {.class = "vbd", .domid = 5, .device = 51712}}};
    int err;

    log_set_level(-1);
    fuzz_loop_reset();
    fuzz_store_reset();
    if ((choice & 4) != 0) {
        put_refs();
    }
    fuzz_store_keys(&in, keys, sizeof(keys) / sizeof(keys[0]));
    fuzz_store_conflicts = choice >> 6;
    blockd.sup.store = store_open(NULL, NULL, NULL);
    require(blockd.sup.store != NULL);
    read_back(&dev);
    dev.image.facts =
        (struct image_facts){.sectors = 2048, .discard_granularity = (choice & 2) != 0 ? 4096 : 0};
    err = supervised_read_front(&dev.base, why, sizeof(why));
    blk_device_xs_describe_image(&dev);
    require((err == 0) == agrees(&dev.config));
    require(err == 0 || fuzz_store_harmless(why));
    require(!dev.config.discard || !dev.config.read_only);
    blk_device_xs_publish_features(&dev);
    store_close(blockd.sup.store);
    return 0;
}
