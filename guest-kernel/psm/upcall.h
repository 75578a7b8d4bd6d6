/*
 * upcall.h - the functions that entry.S and trap.c call, and nobody else.
 */
#ifndef PSM_UPCALL_H
#define PSM_UPCALL_H

struct trap_frame;

/** trap_dispatch() - every entry into the kernel, upcalls masked. */
void trap_dispatch(struct trap_frame *frame);

/** evtchn_upcall() - Xen has events for this vCPU; upcalls are masked. */
void evtchn_upcall(struct trap_frame *frame);

#endif /* PSM_UPCALL_H */
