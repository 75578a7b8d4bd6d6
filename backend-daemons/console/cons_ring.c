/*
 * The console ring: see cons_ring.h. Protocol: xen/io/console.h. A producer writes bytes, then its
 * index. A consumer reads the index, then the bytes, then publishes its own index.
 */
#include "cons_ring.h"

#include <errno.h>

/* One read of an index that the other side may be writing. */
static XENCONS_RING_IDX load(const XENCONS_RING_IDX *index)
{
    return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

static void publish(XENCONS_RING_IDX *index, XENCONS_RING_IDX value)
{
    /* Sequentially consistent, so that what the caller reads next (a new producer index, say)
     * cannot be older than this. */
    __atomic_store_n(index, value, __ATOMIC_SEQ_CST);
}

int cons_peek(const struct xencons_interface *intf, size_t max, struct cons_batch *batch)
{
    XENCONS_RING_IDX cons = load(&intf->out_cons);
    XENCONS_RING_IDX prod = load(&intf->out_prod);
    XENCONS_RING_IDX filled = prod - cons;

    batch->len = 0;
    batch->next = cons;
    if (filled > CONS_OUT_SIZE) {
        return -EPROTO;
    }
    if (filled > max) {
        filled = (XENCONS_RING_IDX)max;
    }
    for (; batch->len < filled; batch->len++) {
        batch->data[batch->len] = intf->out[MASK_XENCONS_IDX(batch->next++, intf->out)];
    }
    return 0;
}

void cons_consume(struct xencons_interface *intf, const struct cons_batch *batch)
{
    publish(&intf->out_cons, batch->next);
}

/* Free bytes behind @prod, our index as the page has it; 0 when the two cannot be. */
static size_t room(const struct xencons_interface *intf, XENCONS_RING_IDX prod)
{
    XENCONS_RING_IDX filled = prod - load(&intf->in_cons);

    return filled > CONS_IN_SIZE ? 0 : CONS_IN_SIZE - filled;
}

size_t cons_input_room(const struct xencons_interface *intf)
{
    return room(intf, load(&intf->in_prod));
}

size_t cons_input(struct xencons_interface *intf, const char *data, size_t len)
{
    XENCONS_RING_IDX prod = load(&intf->in_prod);
    size_t fits = room(intf, prod);

    if (len > fits) {
        len = fits;
    }
    for (size_t i = 0; i < len; i++) {
        intf->in[MASK_XENCONS_IDX(prod++, intf->in)] = data[i];
    }
    if (len > 0) {
        publish(&intf->in_prod, prod);
    }
    return len;
}
