/*
 * xnf_packets.c - see xnf_packets.h.
 */
#include "hostile/xnf_packets.h"

#include "kern/string.h"

#define SLOT_BYTES  64 /* of a fragment, where its size does not matter */
#define FRAME_BYTES 60
#define ETHERTYPE   0x88b5 /* IEEE 802: for local experiments */
#define TCP_AT      2048   /* where in the page the TCP segment is; the other frame is at 0 */
#define MAC_BYTES   6
#define NEVER       0x00ffffffu /* a reference that nobody granted */

void xnf_packet_frames(uint8_t *page, const uint8_t *from, const uint8_t *to)
{
    static const uint8_t headers[] = {
        /* IPv4: 1986 bytes, TCP; the sums are of no matter to a switch */
        0x45, 0, 0x07, 0xc2, 0, 0, 0x40, 0, 1, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
        /* TCP: ports, sequence, 20 bytes of header, ACK */
        0x13, 0x89, 0x13, 0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0x10, 0, 0, 0, 0, 0};

    memcpy(page, to, MAC_BYTES);
    memcpy(page + MAC_BYTES, from, MAC_BYTES);
    memcpy(page + TCP_AT, page, 2 * MAC_BYTES);
    page[12] = ETHERTYPE >> 8;
    page[13] = ETHERTYPE & 0xff;
    page[TCP_AT + 12] = 0x08;
    memcpy(page + TCP_AT + 2 * MAC_BYTES + 2, headers, sizeof(headers));
}

static void xnf_packets_add(struct xnf_packet *p, uint32_t offset, uint32_t size, uint16_t flags)
{
    p->slots[p->n] = (union xnf_raw){.req = {.gref = p->gref,
                                             .offset = (uint16_t)offset,
                                             .flags = flags,
                                             .id = (uint16_t)p->n,
                                             .size = (uint16_t)size}};
    p->n++;
}

static void add_extra(struct xnf_packet *p, uint8_t type, uint8_t flags, uint8_t gso, uint16_t size)
{
    p->slots[p->n++] = (union xnf_raw){
        .extra = {.type = type, .flags = flags, .u.gso = {.size = size, .type = gso}}};
}

/* @n slots of @bytes each; the first says @total. */
static void add_many(struct xnf_packet *p, unsigned n, uint32_t bytes, uint32_t total, bool end)
{
    for (unsigned i = 0; i < n; i++) {
        xnf_packets_add(p, 0, i != 0 ? bytes : total, i + 1 < n || !end ? NETTXF_more_data : 0);
    }
}

void xnf_packet_fragments(struct xnf_packet *p, unsigned n)
{
    add_many(p, n, SLOT_BYTES, n * SLOT_BYTES, true);
}

static void pages(struct xnf_packet *p, unsigned n)
{
    add_many(p, n, 4095, n * 4095, true);
}

static void endless(struct xnf_packet *p, unsigned n)
{
    add_many(p, n, SLOT_BYTES, n * SLOT_BYTES, false);
}

static void one(struct xnf_packet *p, unsigned size)
{
    xnf_packets_add(p, 0, size, 0);
}

static void first_too_small(struct xnf_packet *p, unsigned size)
{
    add_many(p, 3, SLOT_BYTES, size, true);
}

static void first_empty(struct xnf_packet *p, unsigned n)
{
    add_many(p, n, SLOT_BYTES, (n - 1) * SLOT_BYTES, true);
}

static void offset(struct xnf_packet *p, unsigned from)
{
    xnf_packets_add(p, from, FRAME_BYTES, 0);
}

static void later_offset(struct xnf_packet *p, unsigned from)
{
    xnf_packets_add(p, 0, FRAME_BYTES + SLOT_BYTES, NETTXF_more_data);
    xnf_packets_add(p, from, SLOT_BYTES, 0);
}

static void later_size(struct xnf_packet *p, unsigned size)
{
    xnf_packets_add(p, 0, size + FRAME_BYTES, NETTXF_more_data);
    xnf_packets_add(p, 0, size, 0);
}

static void foreign_page(struct xnf_packet *p, unsigned gref)
{
    xnf_packets_add(p, 0, FRAME_BYTES, 0);
    p->slots[0].req.gref = gref;
}

static void flags(struct xnf_packet *p, unsigned bits)
{
    xnf_packets_add(p, 0, FRAME_BYTES, (uint16_t)bits);
}

static void extras(struct xnf_packet *p, unsigned n)
{
    xnf_packets_add(p, 0, FRAME_BYTES, NETTXF_extra_info);
    for (unsigned i = 0; i < n; i++) {
        add_extra(p, XEN_NETIF_EXTRA_TYPE_GSO, XEN_NETIF_EXTRA_FLAG_MORE, XEN_NETIF_GSO_TYPE_TCPV4,
                  1448);
    }
}

static void extra_type(struct xnf_packet *p, unsigned type)
{
    xnf_packets_add(p, 0, FRAME_BYTES, NETTXF_extra_info);
    add_extra(p, (uint8_t)type, 0, 0, 0);
}

static void gso_of(struct xnf_packet *p, uint32_t at, uint8_t type, uint16_t size)
{
    xnf_packets_add(p, at, 2000, NETTXF_extra_info | NETTXF_csum_blank | NETTXF_data_validated);
    add_extra(p, XEN_NETIF_EXTRA_TYPE_GSO, 0, type, size);
}

static void gso_size(struct xnf_packet *p, unsigned size)
{
    gso_of(p, TCP_AT, XEN_NETIF_GSO_TYPE_TCPV4, (uint16_t)size);
}

static void gso_type(struct xnf_packet *p, unsigned type)
{
    gso_of(p, TCP_AT, (uint8_t)type, 1448);
}

static void gso_no_tcp(struct xnf_packet *p, unsigned size)
{
    gso_of(p, 0, XEN_NETIF_GSO_TYPE_TCPV4, (uint16_t)size);
}

#define BAD (XNF_REFUSED | XNF_CLOSED)
#define ANY (XNF_TAKEN | XNF_REFUSED | XNF_CLOSED)

const struct xnf_packet_case xnf_packet_cases[] = {
    {"16 slots of 4095 bytes", pages, 16, XNF_TAKEN, "XSA-432"},
    {"a size of 0", one, 0, BAD, NULL},
    {"a size of 13", one, 13, BAD, NULL},
    {"a size of 14", one, 14, ANY, NULL},
    {"a first size of 127, and 2 slots of 64", first_too_small, 127, BAD, "XSA-155"},
    {"a first size of 65535, and 2 slots of 64", first_too_small, 65535, BAD, NULL},
    {"an empty first slot of 4", first_empty, 4, ANY, "XSA-448"},
    {"an offset of 4036, a size of 60", offset, 4036, XNF_TAKEN, NULL},
    {"an offset of 4037, a size of 60", offset, 4037, BAD, NULL},
    {"an offset of 4096", offset, 4096, BAD, NULL},
    {"an offset of 65535", offset, 65535, BAD, NULL},
    {"a later slot's offset of 4033, a size of 64", later_offset, 4033, BAD, NULL},
    {"a later slot's size of 4097", later_size, 4097, BAD, NULL},
    {"a later slot's size of 0", later_size, 0, ANY, "XSA-448"},
    {"a page that was not granted", foreign_page, NEVER, BAD, NULL},
    {"a blank checksum in what is not IP", flags, NETTXF_csum_blank | NETTXF_data_validated, BAD,
     NULL},
    {"flags that nobody defined", flags, 0xfff0, ANY, NULL},
    {"segments of 1448 bytes", gso_size, 1448, XNF_TAKEN, NULL},
    {"segments of 0 bytes", gso_size, 0, BAD, NULL},
    {"segments of 65535 bytes", gso_size, 65535, ANY, NULL},
    {"segments of unknown kind", gso_type, 77, BAD, NULL},
    {"segments of TCP over IPv6 in IPv4", gso_type, XEN_NETIF_GSO_TYPE_TCPV6, BAD, NULL},
    {"segments of what is not TCP", gso_no_tcp, 1448, BAD, NULL},
    {"extra info of type 0", extra_type, 0, BAD, NULL},
    {"extra info of type 200", extra_type, 200, BAD, NULL},
    {"extra info without end, 16 slots", extras, 16, BAD, "XSA-423"},
    {"a whole ring of extra info", extras, XNF_PACKET_SLOTS - 1, BAD, "XSA-423"},
    {"a whole ring of slots without end", endless, XNF_PACKET_SLOTS, BAD, "XSA-39"},
    {"an index 257 ahead", NULL, XNF_PACKET_SLOTS + 1, XNF_CLOSED, "XSA-39"},
    {"an index that goes back", NULL, UINT32_MAX, XNF_CLOSED, "XSA-39"},
    {0},
};
