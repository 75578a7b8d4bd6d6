/*
 * A guest's memory: see guest.h.
 */
#include "guest.h"

#include <errno.h>
#include <string.h>
#include <xengnttab.h>
#include <xen/xen.h>
#include <xen/grant_table.h>

#include "input.h"

uint8_t guest_pages[GUEST_PAGES][GUEST_BYTES];
bool guest_calls_fail;
void (*guest_on_copy)(const struct guest_copy *copy);
void (*guest_on_call)(void);

static struct guest_copy guest_copy_of(const xengnttab_grant_copy_segment_t *s)
{
    bool from = (s->flags & GNTCOPY_source_gref) != 0;

    require(from != ((s->flags & GNTCOPY_dest_gref) != 0));
    return (struct guest_copy){
        .from_guest = from,
        .local = from ? s->dest.virt : s->source.virt,
        .ref = from ? s->source.foreign.ref : s->dest.foreign.ref,
        .offset = from ? s->source.foreign.offset : s->dest.foreign.offset,
        .bytes = s->len,
    };
}

int xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count, xengnttab_grant_copy_segment_t *s)
{
    (void)xgt;
    if (guest_on_call != NULL) {
        guest_on_call();
    }
    if (guest_calls_fail) {
        errno = EFAULT;
        return -1;
    }
    for (; count-- > 0; s++) {
        struct guest_copy c = guest_copy_of(s);

        require(c.offset + c.bytes <= (int)GUEST_BYTES);
        s->status = c.ref < GUEST_PAGES ? GNTST_okay : GNTST_bad_gntref;
        if (c.ref >= GUEST_PAGES) {
            continue;
        }
        if (c.from_guest) {
            memcpy(c.local, &guest_pages[c.ref][c.offset], c.bytes);
        } else {
            memcpy(&guest_pages[c.ref][c.offset], c.local, c.bytes);
        }
        if (guest_on_copy != NULL) {
            guest_on_copy(&c);
        }
    }
    return 0;
}

void *xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t count, uint32_t domid,
                                      uint32_t *refs, int prot)
{
    (void)xgt;
    (void)count;
    (void)domid;
    (void)refs;
    (void)prot;
    errno = ENOSYS;
    return NULL;
}
