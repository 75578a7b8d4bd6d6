/*
 * The control ring: see ctrl.h.
 */
#include "ctrl.h"

#include <errno.h>
#include <xen/xen.h>
#include <xen/io/netif.h>

_Static_assert(sizeof(struct xen_netif_ctrl_request) == NET_CTRL_ENTRY_BYTES, "control entry");
_Static_assert(sizeof(struct xen_netif_ctrl_response) <= NET_CTRL_ENTRY_BYTES, "control entry");

int net_ctrl_init(struct net_ctrl *c, struct net_hash *hash, xengnttab_handle *xgt, uint16_t domid)
{
    c->hash = hash;
    return grant_batch_init(&c->copies, xgt, domid, 1);
}

static void net_ctrl_copy_failed(void *arg, uint32_t tag, int status)
{
    struct net_ctrl *c = arg;

    (void)tag;
    (void)status;
    c->copy_failed = true;
}

static int net_ctrl_fetch(void *arg, uint32_t ref, void *to, uint32_t bytes)
{
    struct net_ctrl *c = arg;
    int err;

    c->copy_failed = false;
    grant_batch_from_guest(&c->copies, to, ref, 0, (uint16_t)bytes, 0);
    err = grant_batch_run(&c->copies, net_ctrl_copy_failed, c);
    return err == 0 && c->copy_failed ? -EFAULT : err;
}

int net_ctrl_take(struct net_ctrl *c, bool *notify)
{
    int pending = ring_pending(&c->ring);

    if (pending <= 0) {
        return pending;
    }
    for (; pending > 0; pending--) {
        struct xen_netif_ctrl_request req;
        struct xen_netif_ctrl_response rsp;

        ring_copy(&c->ring, &req);
        net_hash_request(c->hash, &req, &rsp, net_ctrl_fetch, c);
        ring_respond(&c->ring, &rsp, sizeof(rsp));
    }
    *notify = ring_publish(&c->ring) || *notify;
    return 0;
}
