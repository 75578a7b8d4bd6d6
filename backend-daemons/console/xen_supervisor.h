/*
 * What the supervisor does with Xen's devices for the worker: it binds event channels and names
 * grants. Both belong to descriptors that the worker shares. So what is bound or named here is the
 * worker's to use, and the worker needs no right to bind or to name anything.
 *
 * Types: struct cons_doors, one per daemon. A guest that was suspended comes back with another
 * channel and another page: both are bound and named anew.
 */
#ifndef DUET_CONSOLE_XEN_SUPERVISOR_H
#define DUET_CONSOLE_XEN_SUPERVISOR_H

#include <stdint.h>

struct cons_doors {
    int events; /* /dev/xen/evtchn */
    int grants; /* /dev/xen/gntdev */
};

/*
 * Opens the devices. Returns 0 or -errno, with *@what naming the one that failed; what was opened
 * stays open until cons_doors_close().
 */
int cons_doors_open(struct cons_doors *doors, const char **what);

/* Closes them; harmless when they are not open (-1). */
void cons_doors_close(struct cons_doors *doors);

/* Binds channel @remote of @domid. Returns our end, or -errno. */
int cons_bind(const struct cons_doors *doors, unsigned int domid, uint32_t remote);

/* Closes our end; the guest's becomes unbound. */
void cons_unbind(const struct cons_doors *doors, int local);

/*
 * Names the grant of the console page of @domid, GNTTAB_RESERVED_CONSOLE, which the toolstack made.
 * Nothing is mapped yet, nor is it known whether it can be. Returns 0 with *@index set to the
 * offset at which the device maps it, or -errno.
 */
int cons_name_grant(const struct cons_doors *doors, unsigned int domid, uint64_t *index);

#endif
