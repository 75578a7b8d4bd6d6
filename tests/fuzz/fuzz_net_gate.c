/*
 * Fuzzes the network back end's gate and what takes frames apart. Whatever the slots of a packet
 * hold, a packet that passes has fragments that lie within their pages and add up to its size. And
 * whatever a frame holds, the offsets found in it lie within it. Input: a number of slots, slots, a
 * frame.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "gate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition) {
        abort();
    }
}

static void check_packet(const union net_slot *slots, unsigned int nr)
{
    struct net_packet p;
    int err = net_gate_packet(slots, nr, &p);
    uint32_t sum = 0;

    if (err == -EAGAIN || err == -EPROTO) {
        return;
    }
    require(p.nr_slots >= 1 && p.nr_slots <= nr && p.nr_slots <= NET_MAX_SLOTS);
    require(p.nr_extras < p.nr_slots && p.nr_extras <= NET_MAX_EXTRAS);
    if (err != 0 || p.mcast != NET_MCAST_NONE) {
        return;
    }
    require(p.nr_fragments >= 1 && p.nr_fragments <= NET_MAX_FRAGMENTS);
    for (unsigned int i = 0; i < p.nr_fragments; i++) {
        require(p.fragments[i].bytes > 0);
        require(p.fragments[i].offset + p.fragments[i].bytes <= NET_PAGE_BYTES);
        sum += p.fragments[i].bytes;
    }
    require(sum == p.bytes && sum >= NET_MIN_PACKET);
    require(p.gso == NET_GSO_NONE || p.gso_bytes != 0);
}

static void check_frame(uint8_t *data, uint32_t bytes)
{
    struct net_frame f;

    net_frame_parse(data, bytes, &f);
    require(f.ip == NET_FRAME_NOT_IP || f.ip_offset + 20U <= bytes);
    require(f.transport <= bytes && f.payload <= bytes);
    if (f.payload != 0) {
        require(f.transport != 0 && f.transport < f.payload);
        require(f.transport + net_frame_checksum_field(&f) + 2 <= f.payload);
        net_frame_put_pseudo_sum(data, bytes, &f);
        require(net_frame_complete_checksum(data, bytes, f.transport,
                                            (uint32_t)net_frame_checksum_field(&f)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    union net_slot slots[NET_MAX_SLOTS];
    unsigned int nr;
    uint8_t *frame;

    if (size < 1) {
        return 0;
    }
    nr = data[0] % (NET_MAX_SLOTS + 1);
    data++;
    size--;
    if (size >= nr * sizeof(slots[0])) {
        memcpy(slots, data, nr * sizeof(slots[0]));
        check_packet(slots, nr);
    }
    frame = malloc(size + 1); /* of its exact size, so that a step too far is seen */
    require(frame != NULL);
    memcpy(frame, data, size);
    check_frame(frame, (uint32_t)size);
    free(frame);
    return 0;
}
