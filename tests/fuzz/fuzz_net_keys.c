/*
 * Fuzzes what a network device reads from its store nodes: whatever stands in a front end's
 * directory, the configuration is accepted exactly if a second reading here finds every value in
 * its range, and then says what that reading says; a refusal is a sentence that hurts no terminal.
 *
 * Input: a byte of choices, then keys: which one, a length, the bytes of its value.
 */
#include <linux/if_tun.h>
#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>

#include "device_xs.h"
#include "parts/fake_loop.h"
#include "parts/fake_store.h"
#include "parts/input.h"

#define FRONT "/local/domain/7/device/vif/0"
#define BACK  "/local/domain/0/backend/vif/7/0"

static const struct supervisor_ops ops = {
    .wire = &net_wire_format,
    .config_at = offsetof(struct net_device, config),
    .read_front = net_device_xs_read_front,
};

static struct netd netd = {.sup = {.ops = &ops},
                           .tap_prefix = "vif",
                           .max_queues = 4,
                           .own_vcpus = 1,
                           .stall_seconds = 10};

/* In place of supervised.c. */
bool supervised_publish(struct supervised *dev, const struct key_value *values, unsigned int nr,
                        enum xenbus_state state)
{
    (void)dev;
    (void)values;
    (void)nr;
    (void)state;
    return true;
}

uint64_t supervised_conf(const struct supervised *dev, const char *key, uint64_t general)
{
    (void)dev;
    (void)key;
    return general;
}

void supervised_reconsider_soon(struct supervised *dev)
{
    (void)dev;
    require(false); /* the store answers always */
}

/* A number that the front end may leave out. Returns false for one that is out of its range. */
static bool may(const char *dir, const char *key, uint64_t min, uint64_t max, uint64_t def,
                uint64_t *out)
{
    unsigned long long n = 0;
    int found = fuzz_store_number(dir, key, max, &n);

    *out = found > 0 ? n : def;
    return found == 0 || (found > 0 && n >= min);
}

static bool must(const char *dir, const char *key, uint32_t value)
{
    unsigned long long n = 0;

    return fuzz_store_number(dir, key, UINT32_MAX, &n) > 0 && n == value;
}

static bool there(const char *dir, const char *key)
{
    char path[128];
    size_t len;

    snprintf(path, sizeof(path), "%s/%s", dir, key);
    return fuzz_store_get(path, &len) != NULL;
}

/* Whether a queue's keys are there, and are what the worker is told. */
static bool queue_agrees(const char *dir, const struct net_wire_queue *q)
{
    if (!must(dir, "tx-ring-ref", q->tx_ref) || !must(dir, "rx-ring-ref", q->rx_ref)) {
        return false;
    }
    if (there(dir, "event-channel-tx")) {
        return must(dir, "event-channel-tx", q->tx_port) &&
               must(dir, "event-channel-rx", q->rx_port);
    }
    return must(dir, "event-channel", q->tx_port) && q->rx_port == q->tx_port;
}

static bool queues_agree(const struct net_device *dev)
{
    const struct net_wire_config *c = &dev->config;
    uint64_t nr;

    if (!may(FRONT, "multi-queue-num-queues", 1, dev->max_queues, 1, &nr) || nr != c->nr_queues) {
        return false;
    }
    for (unsigned int i = 0; i < nr; i++) {
        char dir[64];

        snprintf(dir, sizeof(dir), FRONT "/queue-%u", i);
        if (!queue_agrees(nr == 1 && !there(FRONT, "queue-0/tx-ring-ref") ? FRONT : dir,
                          &c->queues[i])) {
            return false;
        }
    }
    return true;
}

/* Whether the guest's switches are switches, and are what was made of them. */
static bool features_agree(const struct net_device *dev)
{
    static const char *const keys[] = {"request-rx-copy",   "feature-rx-notify",
                                       "feature-sg",        "feature-no-csum-offload",
                                       "feature-gso-tcpv4", "feature-ipv6-csum-offload",
                                       "feature-gso-tcpv6"};
    const struct net_wire_config *c = &dev->config;
    uint64_t on[7];

    for (unsigned int i = 0; i < 7; i++) {
        if (!may(FRONT, keys[i], 0, 1, 0, &on[i])) {
            return false;
        }
    }
    require(!c->gso_v4 || (c->can_sg && c->csum_v4));
    require(!c->gso_v6 || (c->can_sg && c->csum_v6));
    require((dev->offload & (TUN_F_TSO4 | TUN_F_TSO6)) == 0 || (dev->offload & TUN_F_CSUM) != 0);
    return on[0] == 1 && c->rx_notify == (on[1] != 0) && c->can_sg == (on[2] != 0) &&
           c->csum_v4 == (on[3] == 0) && c->csum_v6 == (on[5] != 0) &&
           c->gso_v4 == (on[4] != 0 && on[2] != 0 && on[3] == 0) &&
           c->gso_v6 == (on[6] != 0 && on[2] != 0 && on[5] != 0);
}

static bool agrees(const struct net_device *dev)
{
    const struct net_wire_config *c = &dev->config;

    return features_agree(dev) && queues_agree(dev) &&
           (!there(FRONT, "ctrl-ring-ref") ||
            (c->has_ctrl && must(FRONT, "ctrl-ring-ref", c->ctrl_ref) &&
             must(FRONT, "event-channel-ctrl", c->ctrl_port)));
}

/* A value that may be left out, and is when it makes no sense. */
static void check_settings(const struct net_wire_settings *s)
{
    uint64_t n;

    n = may(FRONT, "xdp-headroom", 0, 2048, 0, &n) ? n : 0;
    require(s->headroom == n);
    n = may(FRONT, "request-multicast-control", 0, 1, 0, &n) ? n : 0;
    require(s->multicast_control == (n != 0));
    require(s->rate_bytes < UINT32_MAX && s->rate_us <= UINT32_MAX);
}

static const char *const keys[] = {FRONT "/request-rx-copy",
                                   FRONT "/feature-rx-notify",
                                   FRONT "/feature-sg",
                                   FRONT "/feature-gso-tcpv4",
                                   FRONT "/feature-gso-tcpv6",
                                   FRONT "/feature-no-csum-offload",
                                   FRONT "/feature-ipv6-csum-offload",
                                   FRONT "/multi-queue-num-queues",
                                   FRONT "/tx-ring-ref",
                                   FRONT "/rx-ring-ref",
                                   FRONT "/event-channel",
                                   FRONT "/event-channel-tx",
                                   FRONT "/event-channel-rx",
                                   FRONT "/ctrl-ring-ref",
                                   FRONT "/event-channel-ctrl",
                                   FRONT "/xdp-headroom",
                                   FRONT "/request-multicast-control",
                                   FRONT "/queue-0/tx-ring-ref",
                                   FRONT "/queue-0/rx-ring-ref",
                                   FRONT "/queue-0/event-channel",
                                   FRONT "/queue-0/event-channel-tx",
                                   FRONT "/queue-0/event-channel-rx",
                                   FRONT "/queue-1/tx-ring-ref",
                                   FRONT "/queue-1/rx-ring-ref",
                                   FRONT "/queue-1/event-channel",
                                   BACK "/rate",
                                   BACK "/vifname",
                                   BACK "/hotplug-status",
                                   BACK "/script"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    uint8_t choice = input_u8(&in);
    char front[] = FRONT, back[] = BACK, own[16], other[16], why[SUPERVISED_SENTENCE_MAX] = "";
    char ignored[SUPERVISED_SENTENCE_MAX];
    struct net_device dev = {.base = {.sup = &netd.sup,
                                      .front = front,
                                      .back = back,
                                      .id = {.class = "vif", .domid = 7, .device = 0}}};
    int err;

    log_set_level(-1);
    fuzz_loop_reset();
    fuzz_store_reset();
    fuzz_store_keys(&in, keys, sizeof(keys) / sizeof(keys[0]));
    fuzz_store_conflicts = choice >> 6;
    netd.sup.store = store_open(NULL, NULL, NULL);
    require(netd.sup.store != NULL);
    require(net_device_xs_read_back(&dev, why, sizeof(why)) == 0);
    dev.max_queues = 1 + (choice & 3);
    err = supervised_read_front(&dev.base, why, sizeof(why));
    require(net_device_xs_read_settings(&dev, &dev.config.settings, ignored, sizeof(ignored)) == 0);
    require((err == 0) == agrees(&dev));
    require(err == 0 || fuzz_store_harmless(why));
    check_settings(&dev.config.settings);
    require(net_device_xs_tap_names(&dev, own, other, sizeof(own), ignored, sizeof(ignored)) == 0);
    require(strcmp(own, "vif7.0") == 0 && strlen(other) < sizeof(other));
    (void)net_device_xs_hotplug_done(&dev);
    store_close(netd.sup.store);
    return 0;
}
