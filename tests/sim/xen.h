/*
 * Xen: domains, their grant tables and event channels, to both ends.
 *
 * A page that a back end has mapped stays where it is, and is given to nobody else, whatever
 * becomes of the grant and of its domain.
 *
 * Types: struct xen_domain.
 */
#ifndef DUET_SIM_XEN_H
#define DUET_SIM_XEN_H

#include <stdbool.h>
#include <stdint.h>

#include "sim.h"

#define XEN_PAGE    4096U
#define XEN_PAGES   512U
#define XEN_REFS    512U
#define XEN_PORTS   64U
#define XEN_DOMAINS 6U

/* ---- memory of the guest ---- */

extern _Alignas(4096) uint8_t xen_pages[XEN_PAGES][XEN_PAGE];

/* `nr` pages in a row, zeroed; NULL: there are none. */
void *xen_page_alloc(unsigned int nr);
void xen_page_free(void *page, unsigned int nr);
unsigned int xen_pages_used(void);
bool xen_is_page(const void *at);

/* ---- domains ---- */

struct process;

struct xen_domain {
    bool used;
    uint16_t domid;
    struct {
        void *page; /* NULL: grants nothing */
        bool read_only;
        unsigned int maps;
    } refs[XEN_REFS];
    struct {
        bool open;
        bool pending;           /* for the guest */
        struct process *remote; /* who bound it */
        bool remote_pending, remote_masked;
    } ports[XEN_PORTS];
};

/* The domain that runs; there is one guest, in one domain after the other. */
extern struct xen_domain *xen_guest;

void xen_create(uint16_t domid);
void xen_destroy(void);

/* ---- the guest's side ---- */

int xen_port_open(void);
void xen_port_close(unsigned int port);
void xen_port_notify(unsigned int port);

/* A port of the guest that is pending, which it is no more; 0: none. */
unsigned int xen_port_take(void);
bool xen_ports_pending(void);

/* Events that mean nothing, to either side. */
void xen_port_disturb(void);

/* ---- the worker's side ---- */

unsigned int xen_read_ports(struct process *p, uint32_t *out, unsigned int max);
void xen_unmask(struct process *p, const uint32_t *ports, unsigned int nr);

/* What a dead process held: lets go of one thing. Returns false when there is nothing. */
bool xen_release(struct process *p);

/* Mappings and bindings of any process. */
unsigned int xen_held(void);

extern uint32_t xen_copy_fails; /* a call for copies that fails as a whole; chance in thousands */

void xen_reset(void);

#endif
