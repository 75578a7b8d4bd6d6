/*
 * What a network device's worker leaves to the next one: see estate.h.
 */
#include "estate.h"

#include <errno.h>
#include <string.h>

int net_estate_create(void)
{
    return kept_create("duet-net-estate", sizeof(struct net_estate));
}

int net_estate_open(int fd, void (*waits)(void), struct net_estate **out)
{
    void *mem = NULL;
    int own = kept_open(fd, sizeof(struct net_estate), waits, &mem);

    *out = mem;
    return own < 0 ? own : 0;
}

static void net_estate_identify(const struct net_wire_config *config, struct net_estate_rings *out)
{
    memset(out, 0, sizeof(*out));
    out->nr_queues = config->nr_queues;
    memcpy(out->queues, config->queues, config->nr_queues * sizeof(out->queues[0]));
    if (config->has_ctrl) {
        out->has_ctrl = 1;
        out->ctrl_ref = config->ctrl_ref;
        out->ctrl_port = config->ctrl_port;
    }
}

/* Whether every index in it is one. */
static bool net_estate_is_sound(const struct net_estate *e, uint32_t nr_queues)
{
    if (e->mcast.nr > NET_MCAST_MAX || e->hash.mapping_size > NET_HASH_MAPPING) {
        return false;
    }
    for (unsigned int i = 0; i < NET_HASH_MAPPING; i++) {
        if (e->hash.mapping[i] >= nr_queues) {
            return false;
        }
    }
    return true;
}

int net_estate_begin(struct net_estate *e, const struct net_wire_config *config, const char **why)
{
    struct net_estate_rings rings;

    net_estate_identify(config, &rings);
    if (e->head.state == KEPT_FRESH) {
        e->head.magic = NET_ESTATE_MAGIC;
        e->head.version = NET_ESTATE_VERSION;
        e->rings = rings;
    }
    if (e->head.state > KEPT_CLEAN || e->head.magic != NET_ESTATE_MAGIC ||
        e->head.version != NET_ESTATE_VERSION) {
        *why = "what an earlier worker left is of another version";
        return -EPROTO;
    }
    if (memcmp(&e->rings, &rings, sizeof(rings)) != 0) {
        *why = "what an earlier worker left is of other rings";
        return -ESTALE;
    }
    if (!net_estate_is_sound(e, config->nr_queues)) {
        *why = "what an earlier worker left contradicts itself";
        return -EBADMSG;
    }
    e->hash.nr_queues = config->nr_queues;
    return 0;
}

void net_estate_end(struct net_estate *e)
{
    kept_put(&e->head.state, KEPT_CLEAN);
}
