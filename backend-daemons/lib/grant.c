/*
 * A worker's access to its guest's memory: see grant.h. All memory is allocated at the start,
 * because none is to be had in the sandbox.
 */
#include "grant.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <xen/grant_table.h>

void *grant_map_ring(xengnttab_handle *xgt, uint16_t domid, const uint32_t *refs, uint32_t nr)
{
    return xengnttab_map_domain_grant_refs(xgt, nr, domid, (uint32_t *)refs,
                                           PROT_READ | PROT_WRITE);
}

int grant_batch_init(struct grant_copy_batch *b, xengnttab_handle *xgt, uint16_t domid,
                     uint32_t max)
{
    *b = (struct grant_copy_batch){.xgt = xgt, .domid = domid, .max = max};
    b->segs = calloc(max, sizeof(*b->segs));
    b->tags = calloc(max, sizeof(*b->tags));
    if (b->segs == NULL || b->tags == NULL) {
        free(b->segs);
        free(b->tags);
        return -ENOMEM;
    }
    return 0;
}

void grant_batch_from_guest(struct grant_copy_batch *b, void *local, uint32_t ref, uint16_t offset,
                            uint16_t bytes, uint32_t tag)
{
    xengnttab_grant_copy_segment_t *s = &b->segs[b->nr];

    *s = (xengnttab_grant_copy_segment_t){.flags = GNTCOPY_source_gref, .len = bytes};
    s->source.foreign.ref = ref;
    s->source.foreign.offset = offset;
    s->source.foreign.domid = b->domid;
    s->dest.virt = local;
    b->tags[b->nr++] = tag;
}

void grant_batch_to_guest(struct grant_copy_batch *b, const void *local, uint32_t ref,
                          uint16_t offset, uint16_t bytes, uint32_t tag)
{
    xengnttab_grant_copy_segment_t *s = &b->segs[b->nr];

    *s = (xengnttab_grant_copy_segment_t){.flags = GNTCOPY_dest_gref, .len = bytes};
    s->source.virt = (void *)local;
    s->dest.foreign.ref = ref;
    s->dest.foreign.offset = offset;
    s->dest.foreign.domid = b->domid;
    b->tags[b->nr++] = tag;
}

int grant_batch_run(struct grant_copy_batch *b, grant_failed_fn *failed, void *arg)
{
    uint32_t nr = b->nr;

    b->nr = 0;
    if (nr == 0) {
        return 0;
    }
    if (xengnttab_grant_copy(b->xgt, nr, b->segs) != 0) {
        return -errno;
    }
    for (uint32_t i = 0; i < nr; i++) {
        if (b->segs[i].status != GNTST_okay) {
            failed(arg, b->tags[i], b->segs[i].status);
        }
    }
    return 0;
}
