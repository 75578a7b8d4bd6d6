/*
 * Fuzzes a network device's control ring, and the list of multicast groups: whatever a guest asks
 * for, each request is answered once, in its place, with its id and type; one that is refused
 * changes nothing; what is accepted is what the interface allows and what the guest asked for, as a
 * second reading of the interface here tells; and whatever a frame holds, its hash leads to a queue
 * that there is. The list has an end, and knows its groups.
 *
 * Input: where the indices begin, then steps, each a byte and what it needs.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/io/netif.h>

#include "ctrl.h"
#include "mcast.h"
#include "parts/guest.h"
#include "parts/input.h"

enum { QUEUES = 3, STEPS = 300, ENTRIES = 128, MACS = 256 };

enum step { PUT, MOVE_INDEX, SCRIBBLE, FILL_PAGE, TAKE, FAIL_COPIES, FRAME, GROUP, NR_STEPS };

static struct net_hash hash, before;
static struct net_ctrl ctrl;
static struct net_mcast mcast;
static uint8_t *page;
static uint32_t seen;
static bool over;

static struct xen_netif_ctrl_request *entry_at(uint32_t index)
{
    return (struct xen_netif_ctrl_request *)(page + RING_HEADER_BYTES) + index % ENTRIES;
}

static struct ring_shared *shared(void)
{
    return (struct ring_shared *)page;
}

/* Whether the guest's page of a request can be copied. */
static bool copied(uint32_t ref, uint32_t bytes)
{
    return bytes == 0 || (ref < GUEST_PAGES && !guest_calls_fail);
}

/* Whether a key or a table of so many bytes may be set, and what it then is. */
static bool set_key(struct net_hash *h, const uint32_t *data)
{
    if (data[1] > NET_HASH_KEY_BYTES || !copied(data[0], data[1])) {
        return false;
    }
    memset(h->key, 0, sizeof(h->key));
    memcpy(h->key, guest_pages[data[0] % GUEST_PAGES], data[1]);
    return true;
}

static bool set_mapping(struct net_hash *h, const uint32_t *data)
{
    const uint32_t *part = (const uint32_t *)guest_pages[data[0] % GUEST_PAGES];
    uint64_t end = (uint64_t)data[1] + data[2];

    if (end > h->mapping_size || !copied(data[0], data[1] * 4)) {
        return false;
    }
    for (uint32_t i = 0; i < data[1]; i++) {
        if (part[i] >= QUEUES) {
            return false;
        }
    }
    memcpy(&h->mapping[data[2]], part, data[1] * sizeof(part[0]));
    return true;
}

/* What the interface says about one request: whether it is carried out; changes `h` if so. */
static bool allowed(struct net_hash *h, const struct xen_netif_ctrl_request *req, uint32_t *data)
{
    const uint32_t all = 0xf;

    switch (req->type) {
    case XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM:
        h->algorithm = req->data[0] <= 1 ? req->data[0] : h->algorithm;
        return req->data[0] <= 1;
    case XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS:
        *data = h->algorithm != 0 ? all : 0;
        return h->algorithm != 0;
    case XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS:
        if ((req->data[0] & ~all) != 0 || h->algorithm == 0) {
            return false;
        }
        h->flags = req->data[0];
        return true;
    case XEN_NETIF_CTRL_TYPE_SET_HASH_KEY:
        return set_key(h, req->data);
    case XEN_NETIF_CTRL_TYPE_GET_HASH_MAPPING_SIZE:
        *data = NET_HASH_MAPPING;
        return true;
    case XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE:
        if (req->data[0] > NET_HASH_MAPPING) {
            return false;
        }
        h->mapping_size = req->data[0];
        memset(h->mapping, 0, sizeof(h->mapping));
        return true;
    case XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING:
        return set_mapping(h, req->data);
    default:
        return false;
    }
}

static void take(void)
{
    static struct xen_netif_ctrl_request asked[ENTRIES];
    uint32_t first = ctrl.ring.req_cons, pending = shared()->req_prod - first;
    bool notify = false;
    int err;

    for (uint32_t i = 0; i < ENTRIES; i++) {
        asked[i] = *entry_at(first + i);
    }
    before = hash;
    err = net_ctrl_take(&ctrl, &notify);
    require(err == (pending > ENTRIES ? -EPROTO : 0));
    over = err != 0;
    require(ctrl.ring.rsp_prod == ctrl.ring.req_cons && ctrl.ring.published == ctrl.ring.rsp_prod);
    require(over || ctrl.ring.req_cons - first == pending);
    for (; seen != ctrl.ring.published; seen++) {
        const struct xen_netif_ctrl_request *req = &asked[seen - first];
        struct xen_netif_ctrl_response r;
        uint32_t data = 0;
        bool yes = allowed(&before, req, &data);

        memcpy(&r, entry_at(seen), sizeof(r));
        require(r.id == req->id && r.type == req->type);
        require(r.status <= XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW);
        require((r.status == XEN_NETIF_CTRL_STATUS_SUCCESS) == yes);
        require(r.data == (yes ? data : 0));
    }
    require(memcmp(&before, &hash, sizeof(hash)) == 0);
}

/* A request with small numbers, or with any. */
static void put(struct input *in)
{
    struct xen_netif_ctrl_request *r = entry_at(shared()->req_prod++);
    uint8_t type = input_u8(in);

    memset(r, 0, sizeof(*r));
    r->id = (uint16_t)(shared()->req_prod * 7);
    r->type = type % 10;
    for (unsigned int i = 0; i < 3; i++) {
        r->data[i] = (type & 0x80) != 0 ? input_u32(in) : input_u8(in);
    }
}

static void hash_frame(struct input *in)
{
    uint32_t bytes = input_u8(in);
    uint8_t *data = malloc(bytes + 1); /* of its exact size, so that a step too far is seen */
    struct net_hash_result r;
    struct net_frame f;

    require(data != NULL);
    input_bytes(in, data, bytes);
    net_frame_parse(data, bytes, &f);
    r = net_hash_packet(&hash, data, &f);
    require(!r.valid || (net_hash_enabled(&hash) && (hash.flags >> r.type & 1) != 0));
    require(net_hash_queue(&hash, &r) < QUEUES);
    free(data);
}

/* A group is added, removed, or looked for; the list is compared with a plain table. */
static void change_group(struct input *in, bool listed[MACS])
{
    uint8_t op = input_u8(in), which = input_u8(in);
    const uint8_t mac[NET_MAC_BYTES] = {1, 0, 0x5e, 0, 0, which};
    unsigned int nr = 0;
    int err;

    for (unsigned int i = 0; i < MACS; i++) {
        nr += listed[i] ? 1 : 0;
    }
    mcast.enabled = true;
    mcast.unknown = false;
    require(net_mcast_wanted(&mcast, mac) == listed[which]);
    err = net_mcast_change(&mcast, (op & 1) != 0 ? NET_MCAST_ADD : NET_MCAST_DEL, mac);
    require(err == ((op & 1) != 0 && nr == NET_MCAST_MAX && !listed[which] ? -ENOSPC : 0));
    listed[which] = err == 0 ? (op & 1) != 0 : listed[which];
    require(mcast.nr <= NET_MCAST_MAX && net_mcast_wanted(&mcast, mac) == listed[which]);
}

static void do_step(struct input *in, enum step step, bool listed[MACS])
{
    uint16_t where;

    switch (step) {
    case PUT:
        put(in);
        break;
    case MOVE_INDEX:
        shared()->req_prod += (uint32_t)(int8_t)input_u8(in);
        break;
    case SCRIBBLE:
        where = input_u16(in);
        input_bytes(in, page + where % (GUEST_BYTES - 16), 16);
        break;
    case FILL_PAGE:
        where = input_u8(in);
        for (unsigned int i = 0; i < NET_HASH_MAPPING; i++) {
            guest_pages[where % GUEST_PAGES][i * 4] = (uint8_t)(i % (1U + where / GUEST_PAGES));
        }
        break;
    case TAKE:
        take();
        break;
    case FAIL_COPIES:
        guest_calls_fail = !guest_calls_fail;
        break;
    case FRAME:
        hash_frame(in);
        break;
    default:
        change_group(in, listed);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    uint32_t first = (uint32_t)(int8_t)input_u8(&in);
    bool listed[MACS] = {false};

    memset(&hash, 0, sizeof(hash));
    memset(&ctrl, 0, sizeof(ctrl));
    memset(&mcast, 0, sizeof(mcast));
    memset(guest_pages, 0, sizeof(guest_pages));
    over = guest_calls_fail = false;
    hash.nr_queues = QUEUES;
    page = calloc(1, GUEST_BYTES);
    require(page != NULL);
    shared()->req_prod = shared()->rsp_prod = seen = first;
    ring_attach(&ctrl.ring, page, GUEST_BYTES, NET_CTRL_ENTRY_BYTES);
    require(ctrl.ring.nr_entries == ENTRIES && net_ctrl_init(&ctrl, &hash, NULL, 1) == 0);
    for (unsigned int i = 0; i < STEPS && in.left != 0 && !over; i++) {
        do_step(&in, input_u8(&in) % NR_STEPS, listed);
    }
    free(ctrl.copies.segs);
    free(ctrl.copies.tags);
    free(page);
    return 0;
}
