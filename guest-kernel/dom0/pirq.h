/*
 * pirq.h - physical interrupts of the machine.
 *
 * A line of the I/O APICs, named by its global number (GSI), becomes a physical IRQ of Xen's and
 * that an event channel of vCPU 0. Xen keeps a level-triggered line masked until it is told that
 * the interrupt has been served (PHYSDEVOP_eoi), which is done here after the handler. Locks: see
 * pirq.c. Suspend: a dom0 is not saved.
 */
#ifndef DOM0_PIRQ_H
#define DOM0_PIRQ_H

#include <xen_list.h>

#include "dom0/acpi.h"
#include "os/evtchn.h"

/* A bound interrupt; the owner fills in the first part, which must stay until pirq_unbind(). */
struct pirq {
    struct acpi_line line;
    const char *name;
    enum ipl ipl;
    void (*handler)(void *arg); /* event handler: does not sleep */
    void *arg;

    unsigned number; /* Xen's; from here on pirq.c's */
    evtchn_port_t port;
    bool needs_eoi;
    uint64_t count;
    XEN_TAILQ_ENTRY(struct pirq) link;
};

/** pirq_init() - nothing is bound yet. Once. */
void pirq_init(void);

/** pirq_bind() - let interrupts come. Return: 0 or -errno as Xen said. Thread context. */
int pirq_bind(struct pirq *p) __must_check;

/** pirq_unbind() - no handler runs any more when this returns. Thread context. */
void pirq_unbind(struct pirq *p);

/** pirq_mask() - let no more come, from the handler, for a line that cannot be calmed. */
void pirq_mask(struct pirq *p);

/** pirq_foreach() - visit those that are bound; @fn must not sleep longer than a terminal takes. */
void pirq_foreach(void (*fn)(const struct pirq *p, void *arg), void *arg);

#endif /* DOM0_PIRQ_H */
