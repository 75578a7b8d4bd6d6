/*
 * The gate: the one place where slots of the transmit ring become a packet that we act on.
 *
 * net_gate_packet() takes private copies of the slots that wait, which ring_peek() made once, and
 * checks every field and how the slots hang together. What it returns is within all limits, and the
 * code behind it checks nothing again and looks at no shared memory. Follows xen/io/netif.h, "Guest
 * transmit": the first slot carries the size of the whole packet, extra-info slots follow it, then
 * one slot for each further fragment.
 *
 * Types: union net_slot, struct net_fragment, net_packet. Pure functions.
 */
#ifndef DUET_NET_GATE_H
#define DUET_NET_GATE_H

#include <stdbool.h>
#include <stdint.h>

#define NET_PAGE_BYTES    4096U
#define NET_MIN_PACKET    14U /* an Ethernet header */
#define NET_MAX_PACKET    65535U
#define NET_MAX_FRAGMENTS 20U /* the interface wants at least XEN_NETIF_NR_SLOTS_MIN, 18 */
#define NET_MAX_EXTRAS    4U  /* one of each kind */
#define NET_MAX_SLOTS     (NET_MAX_FRAGMENTS + NET_MAX_EXTRAS)
#define NET_MAC_BYTES     6U

/* A slot of the transmit ring, as the guest wrote it. */
union net_slot {
    uint32_t words[3];
    uint8_t bytes[12];
};

/* A part of one guest page, within it for sure. */
struct net_fragment {
    uint32_t ref;
    uint16_t offset;
    uint16_t bytes;
};

enum net_gso {
    NET_GSO_NONE,
    NET_GSO_TCPV4,
    NET_GSO_TCPV6,
};

enum net_mcast_op {
    NET_MCAST_NONE,
    NET_MCAST_ADD,
    NET_MCAST_DEL,
};

/* A packet that has passed the gate. */
struct net_packet {
    uint16_t nr_slots;  /* of the ring, extras included */
    uint16_t nr_extras; /* they follow the first slot */
    uint16_t nr_fragments;
    uint16_t bytes;          /* of the whole packet */
    bool csum_blank;         /* the checksum field holds the pseudo-header's sum only */
    bool data_validated;     /* the guest vouches for the checksum */
    enum net_gso gso;        /* cut it into segments of `gso_bytes` payload each */
    enum net_mcast_op mcast; /* no packet: a change of the multicast filter */
    uint16_t gso_bytes;
    uint8_t mcast_mac[NET_MAC_BYTES];
    uint16_t ids[NET_MAX_SLOTS]; /* for the responses, by slot; extras have none */
    struct net_fragment fragments[NET_MAX_FRAGMENTS];
};

/*
 * Checks the packet that begins at slots[0]; `nr` slots wait. Returns 0, or:
 *   -EAGAIN  the rest of the packet has not been published yet
 *   -EPROTO  no end of the packet can be told: the ring is broken for good
 *   -EDOM    a fragment that leaves its page
 *   -EMSGSIZE  fragments that do not add up to the packet's size, or one too short for Ethernet
 *   -EINVAL  segmentation that makes no sense
 * With all but the first two, nr_slots, nr_extras and ids are set for the response.
 */
int net_gate_packet(const union net_slot *slots, unsigned int nr, struct net_packet *out);

/* A sentence fragment for an error of the gate, for the log. */
const char *net_gate_strerror(int err);

#endif
