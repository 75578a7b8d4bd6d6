/*
 * The gate between a guest and us: bytes out of and into the shared page of its console (struct
 * xencons_interface of xen/io/console.h).
 *
 * The guest can write to all of the page at any time. Each call reads the two indices that it needs
 * once, checks them once, and touches only bytes of the arrays, by masked index. Nothing is
 * remembered between calls: a guest that resets its indices (kexec, another kernel), or a daemon
 * that starts again, goes on from what the page says.
 *
 * Types: struct cons_batch. At suspend the page goes away with its mapping (console.c).
 */
#ifndef DUET_CONSOLE_CONS_RING_H
#define DUET_CONSOLE_CONS_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/io/console.h>

#define CONS_IN_SIZE  sizeof(((struct xencons_interface *)0)->in)
#define CONS_OUT_SIZE sizeof(((struct xencons_interface *)0)->out)

/* Output that was copied but not yet given back to the guest. */
struct cons_batch {
    char data[CONS_OUT_SIZE];
    size_t len;
    /* Value of out_cons that gives exactly these bytes back. */
    XENCONS_RING_IDX next;
};

/*
 * Copies at most @max bytes of the guest's output into @batch, without giving them back: the guest
 * cannot overwrite what has not been consumed, and a crash before cons_consume() loses nothing.
 * Returns 0 (batch->len may be 0), or -EPROTO when the indices are impossible.
 */
int cons_peek(const struct xencons_interface *intf, size_t max, struct cons_batch *batch);

/* Gives the bytes of @batch back to the guest. The caller notifies it. */
void cons_consume(struct xencons_interface *intf, const struct cons_batch *batch);

/* How many bytes of input fit; 0 too when the indices are impossible. */
size_t cons_input_room(const struct xencons_interface *intf);

/*
 * Puts at most @len bytes into the guest's input. Returns how many fitted. The caller notifies it.
 */
size_t cons_input(struct xencons_interface *intf, const char *data, size_t len);

#endif
