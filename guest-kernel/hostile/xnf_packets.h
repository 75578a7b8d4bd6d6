/*
 * xnf_packets.h - packets to try a back end with, most of them broken, as slots of a transmit ring.
 *
 * Each case says which ends are right by xen/io/netif.h; a back end may choose among them. All
 * slots name one page, which xnf_packet_frames() fills. For `netabuse` and for tests/unit, which
 * show the same packets to the gate of duet-netd. Pure: no state, no locks, nothing to suspend.
 */
#ifndef HOSTILE_XNF_PACKETS_H
#define HOSTILE_XNF_PACKETS_H

#include <stdint.h>
#include <xen/xen.h>
#include <xen/io/netif.h>

#define XNF_PACKET_SLOTS 256 /* the whole ring */

/* A slot of the transmit ring, whatever is in it. */
union xnf_raw {
    struct netif_tx_request req;
    struct netif_extra_info extra;
};

struct xnf_packet {
    union xnf_raw slots[XNF_PACKET_SLOTS];
    unsigned n;
    uint32_t gref; /* of the page */
};

/* What may become of a packet, as bits: answered, with an error, or the interface is closed. */
enum { XNF_TAKEN = 1, XNF_REFUSED = 2, XNF_CLOSED = 4 };

/**
 * struct xnf_packet_case - one packet
 * @build: make it, in a packet that has no slots; NULL: the producer's index moves by @arg instead
 * @right: which ends are
 * @origin: the advisory that it is from; NULL: only the header
 */
struct xnf_packet_case {
    const char *name;
    void (*build)(struct xnf_packet *p, unsigned arg);
    unsigned arg, right;
    const char *origin;
};

/* All of them, ending with one without a name. */
extern const struct xnf_packet_case xnf_packet_cases[];

/** xnf_packet_fragments() - a packet of @n slots that is fine but for their number. */
void xnf_packet_fragments(struct xnf_packet *p, unsigned n);

/** xnf_packet_frames() - fill the zeroed page: a frame of nothing and a segment of TCP over IPv4.
 */
void xnf_packet_frames(uint8_t *page, const uint8_t *from, const uint8_t *to);

#endif /* HOSTILE_XNF_PACKETS_H */
