/*
 * What an Ethernet frame in our own memory is: where its IP header and its transport header begin,
 * and the checksums over them. Every access is bounded by the frame's length; a frame is never
 * trusted to be what it says.
 *
 * Types: struct net_frame (offsets into a frame, valid as long as its bytes). Pure functions.
 * Follows RFC 791, 793, 768, 8200 and IEEE 802.1Q.
 */
#ifndef DUET_NET_FRAME_H
#define DUET_NET_FRAME_H

#include <stdbool.h>
#include <stdint.h>

enum net_frame_ip {
    NET_FRAME_NOT_IP,
    NET_FRAME_IPV4,
    NET_FRAME_IPV6,
};

enum { NET_FRAME_TCP = 6, NET_FRAME_UDP = 17 };

struct net_frame {
    enum net_frame_ip ip;
    bool fragment;    /* one of several IP fragments: the transport header may be elsewhere */
    uint8_t protocol; /* of the transport header: NET_FRAME_TCP, ... */
    uint16_t ip_offset;
    uint16_t transport; /* offset of the transport header; 0: none was found */
    uint16_t payload;   /* offset behind the transport header, TCP and UDP only; 0: none */
};

/* Takes `bytes` bytes apart. Whatever they are, the result's offsets lie within them. */
void net_frame_parse(const uint8_t *data, uint32_t bytes, struct net_frame *out);

/* Offset of the checksum field within a transport header, or -1: neither TCP nor UDP. */
int net_frame_checksum_field(const struct net_frame *f);

/*
 * Writes the sum of the pseudo-header into the transport header's checksum field, as hardware
 * that completes the checksum wants it. The frame must be TCP or UDP with its `payload` found.
 */
void net_frame_put_pseudo_sum(uint8_t *data, uint32_t bytes, const struct net_frame *f);

/*
 * Completes a checksum: sums from `start` to the end and stores the result at `start` + `field`.
 * Returns 0, or -EINVAL when that does not lie within the frame.
 */
int net_frame_complete_checksum(uint8_t *data, uint32_t bytes, uint32_t start, uint32_t field);

#endif
