/*
 * xnf_flow.c - see xnf_flow.h. RFC 791, 8200; IEEE 802.1Q.
 */
#include "io/xennetf/xnf_flow.h"

#include "io/net.h"

#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define VLAN_LEN       4
#define PROTO_TCP      6
#define PROTO_UDP      17

#define FNV_START 2166136261u
#define FNV_PRIME 16777619u

static uint32_t mix(uint32_t hash, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ data[i]) * FNV_PRIME;
    }
    return hash;
}

static unsigned be16(const uint8_t *p)
{
    return ((unsigned)p[0] << 8) | p[1];
}

/* The ports at the transport header @ports, if @proto has any and they are there. */
static uint32_t mix_ports(uint32_t hash, uint8_t proto, const uint8_t *data, size_t len,
                          size_t ports)
{
    if ((proto == PROTO_TCP || proto == PROTO_UDP) && ports + 4 <= len) {
        return mix(hash, data + ports, 4);
    }
    return hash;
}

static uint32_t hash_ipv4(const uint8_t *data, size_t len, size_t ip)
{
    uint32_t hash = mix(FNV_START, data + ip + 12, 8);
    bool fragment = be16(data + ip + 6) & 0x3fff; /* more to come, or an offset */
    size_t header = (data[ip] & 0xfu) * 4u;

    return fragment ? hash : mix_ports(hash, data[ip + 9], data, len, ip + header);
}

uint32_t xnf_flow_hash(const uint8_t *data, size_t len)
{
    size_t ip = NET_HEADER_LEN;
    uint32_t hash = FNV_START;

    if (len < ip) {
        return 0;
    }
    unsigned type = be16(data + ip - 2);
    if (type == ETHERTYPE_VLAN && len >= ip + VLAN_LEN) {
        ip += VLAN_LEN;
        type = be16(data + ip - 2);
    }
    if (type == ETHERTYPE_IPV4 && len >= ip + 20) {
        hash = hash_ipv4(data, len, ip);
    } else if (type == ETHERTYPE_IPV6 && len >= ip + 40) {
        hash = mix_ports(mix(hash, data + ip + 8, 32), data[ip + 6], data, len, ip + 40);
    } else {
        hash = mix(hash, data, 2 * NET_MAC_LEN);
    }
    return hash ^ (hash >> 16);
}
