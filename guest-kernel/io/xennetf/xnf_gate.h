/*
 * xnf_gate.h - the one place where a back end's answers on the receive ring become a frame.
 *
 * Works on copies, made once: the code behind the gate checks nothing again and looks at no slot.
 * Pure; compiles on the host for tests/unit and tests/fuzz. See xen/io/netif.h, "Guest receive": a
 * slot with data, then slots with extra info, then one slot for each further piece. Every answer
 * stands where its request stood, whose id was its place in the ring.
 */
#ifndef IO_XENNETF_XNF_GATE_H
#define IO_XENNETF_XNF_GATE_H

#include <stdint.h>
#include <xen/xen.h>
#include <xen/io/netif.h>

#include "io/net.h"

#define XNF_EXTRAS_MAX (XEN_NETIF_EXTRA_TYPE_MAX - 1)
#define XNF_SLOTS_MAX  (NET_PIECES_MAX + XNF_EXTRAS_MAX) /* of one frame */

/* A slot of the receive ring, as the back end wrote it. */
union xnf_slot {
    struct netif_rx_response rsp;
    struct netif_extra_info extra;
};

/* A part of the page that was in place @slot, counted from the frame's first slot. */
struct xnf_part {
    uint16_t slot, offset, len;
};

/**
 * struct xnf_frame - what the gate made of the slots
 * @slots: how many it took: they are over, whatever the result
 * @open: the last of them promises another, which belongs to the same frame
 * @why: -EBADMSG: what was wrong, for the log
 */
struct xnf_frame {
    struct net_frame net;
    unsigned slots;
    unsigned nparts;
    bool open;
    const char *why;
    struct xnf_part parts[NET_PIECES_MAX];
};

/**
 * xnf_gate() - take the next frame
 * @slots: @n answers, in the ring's order; 1 to XNF_SLOTS_MAX of them
 * @first: the place of slots[0] in the ring of @size
 * @out: always filled in, but for -EAGAIN and -EBADMSG
 *
 * Return: 0; -EAGAIN if the rest of the frame is not there yet; -EBADMSG if the back end broke the
 * protocol: a wrong id, bytes outside the page, too much extra info. With the rest the frame is to
 * be dropped and the ring is fine: -EIO if the back end says so; -EINVAL for extra info that nobody
 * asked for; -EMSGSIZE for a frame too short, too long or of too many pieces.
 */
int xnf_gate(const union xnf_slot *slots, unsigned n, unsigned first, unsigned size,
             struct xnf_frame *out) __must_check;

/**
 * xnf_gate_drain() - take slots of a frame that was given up, up to its end or @n
 *
 * Return: 0 with @out->slots and @out->open, or -EBADMSG.
 */
int xnf_gate_drain(const union xnf_slot *slots, unsigned n, unsigned first, unsigned size,
                   struct xnf_frame *out) __must_check;

#endif /* IO_XENNETF_XNF_GATE_H */
