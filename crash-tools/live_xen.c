/*
 * A live domain by Xen's hypercalls: see live_xen.h.
 */
#define __XEN_TOOLS__ 1
#include "live_xen.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <xen/domctl.h>
#include <xen/memory.h>
#include <xen/version.h>
#include <xencall.h>
#include <xenforeignmemory.h>
#include <xenstore.h>
#include <xentoollog.h>

#define EXTENT_SHIFT (21 - 3) /* Xen's table of pfns comes in parts of 2 MiB */
#define EXTENTS_MAX  65536    /* of them, for 64 TiB of memory */
#define DOMAINS_MAX  32768

struct xen {
    xencall_handle *call;
    xenforeignmemory_handle *memory;
    unsigned int domid;
    uint64_t shared_frame;
    xen_pfn_t *extents;
    unsigned int nextents;
    uint64_t table_mfn; /* the page of the table that is mapped */
    const uint8_t *table;
};

/* The libraries say on standard error what they are not told to keep: errors are told here. */
static void no_message(struct xentoollog_logger *logger, xentoollog_level level, int err,
                       const char *context, const char *format, va_list ap)
{
    (void)logger;
    (void)level;
    (void)err;
    (void)context;
    (void)format;
    (void)ap;
}

static void no_progress(struct xentoollog_logger *logger, const char *context, const char *what,
                        int percent, unsigned long done, unsigned long total)
{
    (void)logger;
    (void)context;
    (void)what;
    (void)percent;
    (void)done;
    (void)total;
}

static void no_destroy(struct xentoollog_logger *logger)
{
    (void)logger;
}

static struct xentoollog_logger silent = {no_message, no_progress, no_destroy};

/* ---- hypercalls ---- */

/* Carries out @op, which is the answer then. Returns 0 or -errno. */
static int domctl(xencall_handle *call, struct xen_domctl *op)
{
    struct xen_domctl *buffer = xencall_alloc_buffer(call, sizeof(*buffer));

    if (buffer == NULL) {
        return -ENOMEM;
    }
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    memcpy(buffer, op, sizeof(*op));
    int err = xencall1(call, __HYPERVISOR_domctl, (uintptr_t)buffer) < 0 ? -errno : 0;
    memcpy(op, buffer, sizeof(*op));
    xencall_free_buffer(call, buffer);
    return err;
}

/* -ESRCH if there is no such domain: Xen answers with the next one. */
static int get_info(xencall_handle *call, unsigned int domid, struct xen_domctl_getdomaininfo *info)
{
    struct xen_domctl op = {.cmd = XEN_DOMCTL_getdomaininfo, .domain = (domid_t)domid};
    int err = domctl(call, &op);

    *info = op.u.getdomaininfo;
    return err == 0 && op.domain != domid ? -ESRCH : err;
}

static int xen_info(void *arg, struct live_info *info)
{
    struct xen *x = arg;
    struct xen_domctl_getdomaininfo got;
    int err = get_info(x->call, x->domid, &got);
    int version = xencall2(x->call, __HYPERVISOR_xen_version, XENVER_version, 0);

    if (err == 0) {
        x->shared_frame = got.shared_info_frame;
        *info = (struct live_info){
            .pages = got.tot_pages,
            .vcpus = got.max_vcpu_id != XEN_INVALID_MAX_VCPU_ID ? got.max_vcpu_id + 1 : 0,
            .xen_version = version > 0 ? (uint32_t)version : 0,
            .still =
                (got.flags & (XEN_DOMINF_paused | XEN_DOMINF_shutdown | XEN_DOMINF_dying)) != 0,
        };
    }
    return err;
}

static int xen_vcpu(void *arg, unsigned int id, struct vcpu_guest_context *to)
{
    const struct xen *x = arg;
    struct vcpu_guest_context *buffer = xencall_alloc_buffer(x->call, sizeof(*buffer));
    struct xen_domctl op = {.cmd = XEN_DOMCTL_getvcpucontext,
                            .domain = (domid_t)x->domid,
                            .u.vcpucontext = {.vcpu = id}};

    if (buffer == NULL) {
        return -ENOMEM;
    }
    set_xen_guest_handle(op.u.vcpucontext.ctxt, buffer);
    int err = domctl(x->call, &op);
    if (err == 0) {
        memcpy(to, buffer, sizeof(*to));
    }
    xencall_free_buffer(x->call, buffer);
    return err;
}

/* ---- memory ---- */

static const uint8_t *map_of(const struct xen *x, unsigned int domid, uint64_t mfn)
{
    xen_pfn_t frame = mfn;

    return xenforeignmemory_map(x->memory, domid, PROT_READ, 1, &frame, NULL);
}

static const uint8_t *xen_map(void *arg, uint64_t mfn)
{
    const struct xen *x = arg;

    return map_of(x, x->domid, mfn);
}

static void xen_unmap(void *arg, const uint8_t *page)
{
    const struct xen *x = arg;

    xenforeignmemory_unmap(x->memory, (void *)(uintptr_t)page, 1);
}

static int xen_shared_info(void *arg, struct shared_info *to)
{
    const uint8_t *page = xen_map(arg, ((struct xen *)arg)->shared_frame);

    if (page == NULL) {
        return -ESRCH;
    }
    memcpy(to, page, sizeof(*to));
    xen_unmap(arg, page);
    return 0;
}

/* Where Xen has the parts of its table. Returns 0 or -errno. */
static int find_table(struct xen *x)
{
    struct xen_machphys_mfn_list *list = xencall_alloc_buffer(x->call, sizeof(*list));
    xen_pfn_t *extents = xencall_alloc_buffer(x->call, EXTENTS_MAX * sizeof(*extents));
    int err = list != NULL && extents != NULL ? 0 : -ENOMEM;

    if (err == 0) {
        *list = (struct xen_machphys_mfn_list){.max_extents = EXTENTS_MAX};
        set_xen_guest_handle(list->extent_start, extents);
        err =
            xencall2(x->call, __HYPERVISOR_memory_op, XENMEM_machphys_mfn_list, (uintptr_t)list) < 0
                ? -errno
                : 0;
    }
    if (err == 0 && list->nr_extents > 0 && list->nr_extents <= EXTENTS_MAX) {
        x->extents = calloc(list->nr_extents, sizeof(*extents));
        if (x->extents != NULL) {
            x->nextents = list->nr_extents;
            memcpy(x->extents, extents, list->nr_extents * sizeof(*extents));
        }
    }
    if (list != NULL) {
        xencall_free_buffer(x->call, list);
    }
    if (extents != NULL) {
        xencall_free_buffer(x->call, extents);
    }
    return err == 0 && x->extents == NULL ? -ENOMEM : err;
}

static int xen_pfn_of(void *arg, uint64_t mfn, uint64_t *pfn)
{
    struct xen *x = arg;
    uint64_t part = mfn >> EXTENT_SHIFT, at = mfn % (1u << EXTENT_SHIFT) * sizeof(*pfn);

    if (part >= x->nextents || x->extents[part] == 0) {
        return -ENOENT;
    }
    uint64_t page = x->extents[part] + at / CORE_PAGE_SIZE;
    if (x->table == NULL || page != x->table_mfn) {
        if (x->table != NULL) {
            xen_unmap(x, x->table);
        }
        x->table_mfn = page;
        x->table = map_of(x, DOMID_XEN, page);
    }
    if (x->table == NULL) {
        return -ENOENT;
    }
    memcpy(pfn, x->table + at % CORE_PAGE_SIZE, sizeof(*pfn));
    return 0;
}

/* ---- beginning and end ---- */

static void xen_close(void *arg)
{
    struct xen *x = arg;

    if (x->table != NULL) {
        xen_unmap(x, x->table);
    }
    if (x->memory != NULL) {
        xenforeignmemory_close(x->memory);
    }
    if (x->call != NULL) {
        xencall_close(x->call);
    }
    free(x->extents);
    free(x);
}

static const struct live_hyper xen_hyper = {
    .info = xen_info,
    .vcpu = xen_vcpu,
    .shared_info = xen_shared_info,
    .map = xen_map,
    .unmap = xen_unmap,
    .pfn_of = xen_pfn_of,
    .close = xen_close,
};

static int explain(int err, char *why, unsigned long why_size)
{
    switch (err) {
    case -ENOENT:
    case -ENODEV:
    case -ENXIO:
        snprintf(why, why_size, "this machine is no domain of Xen's with /dev/xen/privcmd");
        break;
    case -EPERM:
        snprintf(why, why_size,
                 "only root, and only in the control domain, may read a live domain");
        break;
    case -EACCES:
        snprintf(why, why_size,
                 "this Xen's control interface is not version %#x, for which duet-crash was built",
                 XEN_DOMCTL_INTERFACE_VERSION);
        break;
    case -ESRCH:
        snprintf(why, why_size, "there is no such domain");
        break;
    default:
        snprintf(why, why_size, "%s", strerror(-err));
    }
    return err;
}

/* Whether it is a PV domain of 64 bits. */
static int check_kind(const struct xen *x, char *why, unsigned long why_size)
{
    struct xen_domctl op = {.cmd = XEN_DOMCTL_get_address_size, .domain = (domid_t)x->domid};
    struct xen_domctl_getdomaininfo info;
    int err = get_info(x->call, x->domid, &info);

    if (err != 0) {
        return explain(err, why, why_size);
    }
    if ((info.flags & XEN_DOMINF_hvm_guest) != 0) {
        snprintf(why, why_size, "it is an HVM or PVH domain; only PV domains are read");
        return -EINVAL;
    }
    err = domctl(x->call, &op);
    if (err != 0) {
        return explain(err, why, why_size);
    }
    if (op.u.address_size.size != 64) {
        snprintf(why, why_size, "its kernel has %u bits; only 64 are read", op.u.address_size.size);
        return -EINVAL;
    }
    return 0;
}

/* The device's errors: not to be allowed to open it is no wrong version. */
static int open_error(void)
{
    return errno == EACCES ? -EPERM : errno != 0 ? -errno : -ENODEV;
}

/* Returns NULL with a sentence in @why and -errno in *@err. */
static struct xen *connect_xen(unsigned int domid, int *err, char *why, unsigned long why_size)
{
    struct xen *x = calloc(1, sizeof(*x));

    if (x == NULL) {
        *err = explain(-ENOMEM, why, why_size);
        return NULL;
    }
    x->domid = domid;
    errno = 0;
    x->call = xencall_open(&silent, 0);
    x->memory = x->call != NULL ? xenforeignmemory_open(&silent, 0) : NULL;
    if (x->memory == NULL) {
        *err = explain(open_error(), why, why_size);
        xen_close(x);
        return NULL;
    }
    return x;
}

int live_xen_check(unsigned int domid, char *why, unsigned long why_size)
{
    int err = 0;
    struct xen *x = connect_xen(domid, &err, why, why_size);

    if (x != NULL) {
        err = check_kind(x, why, why_size);
        xen_close(x);
    }
    return err;
}

int live_xen_open(unsigned int domid, struct core **out, char *why, unsigned long why_size)
{
    int err = 0;
    struct xen *x = connect_xen(domid, &err, why, why_size);

    if (x == NULL) {
        return err;
    }
    err = find_table(x);
    if (err != 0) {
        xen_close(x);
        return explain(err, why, why_size);
    }
    return live_open(&xen_hyper, x, out, why, why_size);
}

int live_xen_pause(unsigned int domid, bool pause)
{
    struct xen_domctl op = {.cmd = pause ? XEN_DOMCTL_pausedomain : XEN_DOMCTL_unpausedomain,
                            .domain = (domid_t)domid};
    xencall_handle *call = xencall_open(&silent, 0);

    if (call == NULL) {
        return open_error();
    }
    int err = domctl(call, &op);
    xencall_close(call);
    return err;
}

/* ---- names ---- */

/* The domain in the store's @entry, if it is called @name. */
static bool is_called(struct xs_handle *xs, const char *entry, const char *name)
{
    char path[64];
    unsigned int length = 0;

    snprintf(path, sizeof(path), "/local/domain/%.16s/name", entry);
    char *its = xs_read(xs, XBT_NULL, path, &length);
    bool same = its != NULL && length == strlen(name) && memcmp(its, name, length) == 0;
    free(its);
    return same;
}

static int find_name(struct xs_handle *xs, const char *name, unsigned int *domid)
{
    unsigned int count = 0, found = 0;
    char **entries = xs_directory(xs, XBT_NULL, "/local/domain", &count);

    for (unsigned int i = 0; entries != NULL && i < count && i < DOMAINS_MAX; i++) {
        if (is_called(xs, entries[i], name)) {
            *domid = (unsigned int)strtoul(entries[i], NULL, 10);
            found++;
        }
    }
    free(entries);
    return found == 1 ? 0 : found == 0 ? -ESRCH : -EEXIST;
}

int live_xen_find(const char *text, unsigned int *domid, char *why, unsigned long why_size)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);

    if (text[0] >= '0' && text[0] <= '9' && *end == '\0') {
        *domid = number < DOMID_FIRST_RESERVED ? (unsigned int)number : DOMID_FIRST_RESERVED;
        return *domid == number ? 0 : explain(-ESRCH, why, why_size);
    }
    struct xs_handle *xs = xs_open(0);
    if (xs == NULL) {
        snprintf(why, why_size, "xenstore, which knows domains' names, cannot be reached: %s",
                 strerror(errno));
        return -ENOTCONN;
    }
    int err = find_name(xs, text, domid);
    xs_close(xs);
    if (err == -EEXIST) {
        snprintf(why, why_size, "several domains are called so; give the number");
        return err;
    }
    return err != 0 ? explain(err, why, why_size) : 0;
}
