/*
 * Taking frames apart and summing them: see frame.h.
 */
#include "frame.h"

#include <errno.h>
#include <string.h>

#define ETHERTYPE_OFFSET 12U
#define ETHERTYPE_IPV4   0x0800U
#define ETHERTYPE_IPV6   0x86ddU
#define ETHERTYPE_VLAN   0x8100U
#define ETHERTYPE_QINQ   0x88a8U
#define VLAN_BYTES       4U
#define MAX_VLAN_TAGS    2
#define IPV4_MIN_HEADER  20U
#define IPV6_HEADER      40U
#define MAX_IPV6_HEADERS 8
#define IPV4_FRAGMENTED  0x3fffU /* more-fragments bit and offset */
#define IPV6_FRAGMENTED  0xfff9U /* the same in IPv6's fragment header */
#define TCP_MIN_HEADER   20U
#define UDP_HEADER       8U
#define TCP_CHECKSUM     16
#define UDP_CHECKSUM     6

/* IPv6 extension headers (RFC 8200). */
enum { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, DESTINATION = 60 };

static uint16_t net_frame_get16be(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static bool net_frame_fits(uint32_t bytes, uint32_t offset, uint32_t want)
{
    return offset <= bytes && want <= bytes - offset;
}

/* Finds what the Ethernet header carries. Returns the EtherType, 0: too short. */
static uint16_t net_frame_parse_ethernet(const uint8_t *data, uint32_t bytes, uint32_t *offset)
{
    uint32_t at = ETHERTYPE_OFFSET;

    for (int tags = 0; net_frame_fits(bytes, at, 2); tags++) {
        uint16_t type = net_frame_get16be(data + at);

        if (tags == MAX_VLAN_TAGS || (type != ETHERTYPE_VLAN && type != ETHERTYPE_QINQ)) {
            *offset = at + 2;
            return type;
        }
        at += VLAN_BYTES;
    }
    return 0;
}

static void net_frame_parse_ipv4(const uint8_t *data, uint32_t bytes, struct net_frame *f)
{
    const uint8_t *ip = data + f->ip_offset;
    uint32_t header;

    if (!net_frame_fits(bytes, f->ip_offset, IPV4_MIN_HEADER) || ip[0] >> 4 != 4) {
        return;
    }
    header = (ip[0] & 0xfU) * 4;
    if (header < IPV4_MIN_HEADER || !net_frame_fits(bytes, f->ip_offset, header)) {
        return;
    }
    f->ip = NET_FRAME_IPV4;
    f->fragment = (net_frame_get16be(ip + 6) & IPV4_FRAGMENTED) != 0;
    f->protocol = ip[9];
    f->transport = (uint16_t)(f->ip_offset + header);
}

static void net_frame_parse_ipv6(const uint8_t *data, uint32_t bytes, struct net_frame *f)
{
    uint32_t at = f->ip_offset + IPV6_HEADER;
    uint8_t next;

    if (!net_frame_fits(bytes, f->ip_offset, IPV6_HEADER) || data[f->ip_offset] >> 4 != 6) {
        return;
    }
    f->ip = NET_FRAME_IPV6;
    next = data[f->ip_offset + 6];
    for (int i = 0; i < MAX_IPV6_HEADERS; i++) {
        uint32_t header_bytes;

        if (next != HOP_BY_HOP && next != ROUTING && next != DESTINATION && next != FRAGMENT) {
            f->protocol = next;
            f->transport = (uint16_t)at;
            return;
        }
        if (!net_frame_fits(bytes, at, 8)) {
            return;
        }
        if (next == FRAGMENT) {
            f->fragment = f->fragment || (net_frame_get16be(data + at + 2) & IPV6_FRAGMENTED) != 0;
        }
        header_bytes = next == FRAGMENT ? 8U : 8U + data[at + 1] * 8U;
        next = data[at];
        at += header_bytes;
    }
}

static void net_frame_parse_transport(const uint8_t *data, uint32_t bytes, struct net_frame *f)
{
    if (f->transport == 0 || f->fragment) {
        return;
    }
    if (f->protocol == NET_FRAME_TCP && net_frame_fits(bytes, f->transport, TCP_MIN_HEADER)) {
        uint32_t header = (uint32_t)(data[f->transport + 12] >> 4) * 4;

        if (header >= TCP_MIN_HEADER && net_frame_fits(bytes, f->transport, header)) {
            f->payload = (uint16_t)(f->transport + header);
        }
    } else if (f->protocol == NET_FRAME_UDP && net_frame_fits(bytes, f->transport, UDP_HEADER)) {
        f->payload = (uint16_t)(f->transport + UDP_HEADER);
    }
}

void net_frame_parse(const uint8_t *data, uint32_t bytes, struct net_frame *out)
{
    uint32_t offset = 0;
    uint16_t type = net_frame_parse_ethernet(data, bytes, &offset);

    memset(out, 0, sizeof(*out));
    out->ip_offset = (uint16_t)offset;
    if (type == ETHERTYPE_IPV4) {
        net_frame_parse_ipv4(data, bytes, out);
    } else if (type == ETHERTYPE_IPV6) {
        net_frame_parse_ipv6(data, bytes, out);
    }
    if (out->transport > bytes) {
        out->transport = 0;
    }
    net_frame_parse_transport(data, bytes, out);
}

int net_frame_checksum_field(const struct net_frame *f)
{
    switch (f->protocol) {
    case NET_FRAME_TCP:
        return TCP_CHECKSUM;
    case NET_FRAME_UDP:
        return UDP_CHECKSUM;
    default:
        return -1;
    }
}

/* Adds bytes as big-endian 16-bit words to an Internet checksum. */
static uint64_t net_frame_add_words(uint64_t sum, const uint8_t *p, uint32_t bytes)
{
    for (; bytes >= 2; bytes -= 2, p += 2) {
        sum += net_frame_get16be(p);
    }
    return bytes != 0 ? sum + ((uint32_t)p[0] << 8) : sum;
}

static uint16_t net_frame_fold(uint64_t sum)
{
    while (sum >> 16 != 0) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

static void net_frame_put16be(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

void net_frame_put_pseudo_sum(uint8_t *data, uint32_t bytes, const struct net_frame *f)
{
    const uint8_t *ip = data + f->ip_offset;
    uint64_t sum = (uint64_t)f->protocol + (bytes - f->transport);

    /* source and destination address, in a row in both */
    sum = f->ip == NET_FRAME_IPV4 ? net_frame_add_words(sum, ip + 12, 8)
                                  : net_frame_add_words(sum, ip + 8, 32);
    net_frame_put16be(data + f->transport + net_frame_checksum_field(f), net_frame_fold(sum));
}

int net_frame_complete_checksum(uint8_t *data, uint32_t bytes, uint32_t start, uint32_t field)
{
    uint16_t sum;

    if (!net_frame_fits(bytes, start, field) || !net_frame_fits(bytes, start + field, 2)) {
        return -EINVAL;
    }
    sum = (uint16_t)~net_frame_fold(net_frame_add_words(0, data + start, bytes - start));
    net_frame_put16be(data + start + field, sum != 0 ? sum : 0xffff);
    return 0;
}
