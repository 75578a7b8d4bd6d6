/*
 * cons_ops.h - what a console device must do for xencons.c.
 *
 * One table for the ring of a domU, one for Xen's own console in a dom0. All but @open and @again
 * are called with cons_lock held, or by a panic, and neither sleep nor log.
 */
#ifndef IO_XENCONS_CONS_OPS_H
#define IO_XENCONS_CONS_OPS_H

#include "kern/types.h"

/**
 * struct cons_ops - a console device
 * @cooked: it makes CR LF of a newline by itself
 * @open: find it, also after a restore; @event is called (as an event handler) when there may be
 * room or input. Threads need not exist. Return 0 or -errno
 * @write: take as many bytes as there is room for now; return how many
 * @read: give what was typed, as much as fits; return how many
 * @again: have @event called once more, in its time: there is more than was taken
 * @notify: tell the other end what was written or read
 * @drained: whether the other end has taken everything
 */
struct cons_ops {
    const char *name;
    bool cooked;
    int (*open)(void (*event)(void));
    size_t (*write)(const char *text, size_t len);
    size_t (*read)(char *buf, size_t size);
    void (*again)(void);
    void (*notify)(void);
    bool (*drained)(void);
};

extern const struct cons_ops cons_ring_ops;
extern const struct cons_ops cons_dom0_ops;

#endif /* IO_XENCONS_CONS_OPS_H */
