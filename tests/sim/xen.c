/*
 * Xen: see xen.h.
 */
#include "xen.h"

#include "host.h"

#include <errno.h>
#include <string.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xen/xen.h>
#include <xen/grant_table.h>

#define MAPPINGS   16U
#define LOCAL_BASE 1000U /* a process's number of a port: above any domain's */

_Alignas(4096) uint8_t xen_pages[XEN_PAGES][XEN_PAGE];
static struct {
    bool used;
    unsigned int maps;
} pages[XEN_PAGES];

static struct xen_domain domains[XEN_DOMAINS];
struct xen_domain *xen_guest;
uint32_t xen_copy_fails;

static struct {
    struct process *process; /* NULL: none */
    struct xen_domain *domain;
    uint32_t ref;
    unsigned int page;
} mappings[MAPPINGS];

/* ---- memory of the guest ---- */

static bool are_free(unsigned int first, unsigned int nr)
{
    for (unsigned int i = first; i < first + nr; i++) {
        if (pages[i].used || pages[i].maps != 0) {
            return false;
        }
    }
    return true;
}

void *xen_page_alloc(unsigned int nr)
{
    for (unsigned int i = 0; i + nr <= XEN_PAGES; i++) {
        if (are_free(i, nr)) {
            for (unsigned int j = i; j < i + nr; j++) {
                pages[j].used = true;
            }
            memset(xen_pages[i], 0, (size_t)nr * XEN_PAGE);
            return xen_pages[i];
        }
    }
    return NULL;
}

static unsigned int page_number(const void *at)
{
    sim_require(xen_is_page(at));
    return (unsigned int)(((const uint8_t *)at - xen_pages[0]) / XEN_PAGE);
}

bool xen_is_page(const void *at)
{
    return (const uint8_t *)at >= xen_pages[0] &&
           (const uint8_t *)at < xen_pages[0] + sizeof(xen_pages);
}

void xen_page_free(void *page, unsigned int nr)
{
    unsigned int first = page_number(page);

    for (unsigned int i = first; i < first + nr; i++) {
        sim_require(pages[i].used);
        pages[i].used = false;
    }
}

unsigned int xen_pages_used(void)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < XEN_PAGES; i++) {
        n += pages[i].used ? 1 : 0;
    }
    return n;
}

/* ---- domains ---- */

void xen_create(uint16_t domid)
{
    struct xen_domain *d = domains;

    while (d->used) {
        d++;
        sim_require(d < domains + XEN_DOMAINS);
    }
    memset(d, 0, sizeof(*d));
    d->used = true;
    d->domid = domid;
    xen_guest = d;
}

/* Its ports are gone at once; what is mapped stays so. */
void xen_destroy(void)
{
    for (unsigned int i = 0; i < XEN_PORTS; i++) {
        xen_guest->ports[i].open = false;
    }
    for (unsigned int i = 0; i < XEN_REFS; i++) {
        xen_guest->refs[i].page = NULL;
    }
    xen_guest->domid = DOMID_INVALID;
    xen_guest = NULL;
}

/* ---- event channels ---- */

int xen_port_open(void)
{
    for (unsigned int i = 1; i < XEN_PORTS; i++) {
        if (!xen_guest->ports[i].open && xen_guest->ports[i].remote == NULL) {
            memset(&xen_guest->ports[i], 0, sizeof(xen_guest->ports[i]));
            xen_guest->ports[i].open = true;
            return (int)i;
        }
    }
    return -ENOSPC;
}

void xen_port_close(unsigned int port)
{
    sim_require(xen_guest->ports[port].open);
    xen_guest->ports[port].open = false;
    xen_guest->ports[port].pending = false;
}

void xen_port_notify(unsigned int port)
{
    if (xen_guest->ports[port].remote != NULL) {
        xen_guest->ports[port].remote_pending = true;
    }
}

unsigned int xen_port_take(void)
{
    for (unsigned int i = 1; xen_guest != NULL && i < XEN_PORTS; i++) {
        if (xen_guest->ports[i].open && xen_guest->ports[i].pending) {
            xen_guest->ports[i].pending = false;
            return i;
        }
    }
    return 0;
}

bool xen_ports_pending(void)
{
    for (unsigned int i = 1; xen_guest != NULL && i < XEN_PORTS; i++) {
        if (xen_guest->ports[i].open && xen_guest->ports[i].pending) {
            return true;
        }
    }
    return false;
}

void xen_port_disturb(void)
{
    for (unsigned int i = 1; xen_guest != NULL && i < XEN_PORTS; i++) {
        if (xen_guest->ports[i].open && xen_guest->ports[i].remote != NULL) {
            if (sim_chance(500)) {
                xen_guest->ports[i].pending = true;
            } else {
                xen_guest->ports[i].remote_pending = true;
            }
        }
    }
}

/* A local number says which domain's port it is bound to. */
static unsigned int local_of(const struct xen_domain *d, unsigned int port)
{
    return LOCAL_BASE + (unsigned int)(d - domains) * XEN_PORTS + port;
}

static struct xen_domain *domain_of(unsigned int local, unsigned int *port)
{
    sim_require(local >= LOCAL_BASE && local < LOCAL_BASE + XEN_DOMAINS * XEN_PORTS);
    *port = (local - LOCAL_BASE) % XEN_PORTS;
    return &domains[(local - LOCAL_BASE) / XEN_PORTS];
}

static struct xen_domain *domain_by_id(uint32_t domid)
{
    for (unsigned int i = 0; i < XEN_DOMAINS; i++) {
        if (domains[i].used && domains[i].domid == domid) {
            return &domains[i];
        }
    }
    return NULL;
}

unsigned int xen_read_ports(struct process *p, uint32_t *out, unsigned int max)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < XEN_DOMAINS; i++) {
        for (unsigned int j = 0; j < XEN_PORTS && domains[i].used && n < max; j++) {
            if (domains[i].ports[j].remote == p && domains[i].ports[j].remote_pending &&
                !domains[i].ports[j].remote_masked) {
                domains[i].ports[j].remote_pending = false;
                domains[i].ports[j].remote_masked = true;
                out[n++] = local_of(&domains[i], j);
            }
        }
    }
    return n;
}

void xen_unmask(struct process *p, const uint32_t *ports, unsigned int nr)
{
    for (unsigned int i = 0; i < nr; i++) {
        unsigned int port;
        struct xen_domain *d = domain_of(ports[i], &port);

        sim_require(d->ports[port].remote == p);
        d->ports[port].remote_masked = false;
    }
}

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned int flags)
{
    (void)logger;
    (void)flags;
    return (xenevtchn_handle *)process_current();
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
    (void)xce;
    return 98;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid,
                                                     evtchn_port_t remote)
{
    struct process *p = process_current();
    struct xen_domain *d = domain_by_id(domid);

    (void)xce;
    if (d == NULL || remote >= XEN_PORTS || !d->ports[remote].open ||
        d->ports[remote].remote != NULL) {
        errno = EINVAL;
        return -1;
    }
    d->ports[remote].remote = p;
    d->ports[remote].remote_pending = true; /* as Xen does when a channel is made */
    d->ports[remote].remote_masked = false;
    sim_trace("worker %u binds port %u", p->number, remote);
    return (int)local_of(d, remote);
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t local)
{
    unsigned int port;
    struct xen_domain *d = domain_of(local, &port);

    (void)xce;
    d->ports[port].remote = NULL;
    return 0;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t local)
{
    unsigned int port;
    struct xen_domain *d = domain_of(local, &port);

    (void)xce;
    if (d->ports[port].open) {
        d->ports[port].pending = true;
    }
    task_give_way(100);
    return 0;
}

/* ---- grants ---- */

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned int flags)
{
    (void)logger;
    (void)flags;
    return (xengnttab_handle *)process_current();
}

int xengnttab_fd(xengnttab_handle *xgt)
{
    (void)xgt;
    return 99;
}

void *xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t count, uint32_t domid,
                                      uint32_t *refs, int prot)
{
    struct xen_domain *d = domain_by_id(domid);
    unsigned int i = 0;

    (void)xgt;
    (void)prot;
    if (count != 1 || d == NULL || refs[0] >= XEN_REFS || d->refs[refs[0]].page == NULL ||
        d->refs[refs[0]].read_only) {
        errno = EINVAL;
        return NULL;
    }
    while (mappings[i].process != NULL) {
        i++;
        sim_require(i < MAPPINGS);
    }
    mappings[i].process = process_current();
    mappings[i].domain = d;
    mappings[i].ref = refs[0];
    mappings[i].page = page_number(d->refs[refs[0]].page);
    d->refs[refs[0]].maps++;
    pages[mappings[i].page].maps++;
    return d->refs[refs[0]].page;
}

static void unmap(unsigned int i)
{
    mappings[i].process = NULL;
    mappings[i].domain->refs[mappings[i].ref].maps--;
    pages[mappings[i].page].maps--;
}

static int16_t copy(const xengnttab_grant_copy_segment_t *s)
{
    bool from = (s->flags & GNTCOPY_source_gref) != 0;
    uint32_t ref = from ? s->source.foreign.ref : s->dest.foreign.ref;
    uint16_t offset = from ? s->source.foreign.offset : s->dest.foreign.offset;
    struct xen_domain *d = domain_by_id(from ? s->source.foreign.domid : s->dest.foreign.domid);

    sim_require((unsigned int)offset + s->len <= XEN_PAGE);
    if (d == NULL) {
        return GNTST_bad_domain;
    }
    if (ref >= XEN_REFS || d->refs[ref].page == NULL) {
        return GNTST_bad_gntref;
    }
    if (from) {
        memcpy(s->dest.virt, (uint8_t *)d->refs[ref].page + offset, s->len);
    } else if (d->refs[ref].read_only) {
        return GNTST_permission_denied;
    } else {
        memcpy((uint8_t *)d->refs[ref].page + offset, s->source.virt, s->len);
    }
    return GNTST_okay;
}

int xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count, xengnttab_grant_copy_segment_t *s)
{
    (void)xgt;
    task_give_way(100);
    if (sim_chance(xen_copy_fails)) {
        errno = ENOMEM;
        return -1;
    }
    for (; count-- > 0; s++) {
        s->status = copy(s);
    }
    return 0;
}

bool xen_release(struct process *p)
{
    for (unsigned int i = 0; i < XEN_DOMAINS; i++) {
        for (unsigned int j = 0; j < XEN_PORTS; j++) {
            if (domains[i].ports[j].remote == p) {
                domains[i].ports[j].remote = NULL;
                return true;
            }
        }
    }
    for (unsigned int i = 0; i < MAPPINGS; i++) {
        if (mappings[i].process == p) {
            unmap(i);
            return true;
        }
    }
    return false;
}

unsigned int xen_held(void)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < XEN_DOMAINS; i++) {
        for (unsigned int j = 0; j < XEN_PORTS; j++) {
            n += domains[i].ports[j].remote != NULL ? 1 : 0;
        }
    }
    for (unsigned int i = 0; i < MAPPINGS; i++) {
        n += mappings[i].process != NULL ? 1 : 0;
    }
    return n;
}

void xen_reset(void)
{
    for (unsigned int i = 0; i < XEN_DOMAINS; i++) {
        if (domains[i].used) {
            memset(&domains[i], 0, sizeof(domains[i]));
        }
    }
    memset(pages, 0, sizeof(pages));
    memset(mappings, 0, sizeof(mappings));
    xen_guest = NULL;
    xen_copy_fails = 0;
}
