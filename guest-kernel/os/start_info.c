/*
 * start_info.c - the builder's page, the shared page, and Xen's features.
 *
 * shared_info is mapped over a page of the image's bss, so that it has an address before any
 * memory is managed. Suspend: mapped again at resume, at the same address.
 */
#include "os/start_info.h"

#include "hat/p2m.h"
#include "hat/pte.h"
#include "os/hypercall.h"
#include "os/panic.h"

struct start_info *start_info;
static char shared_page[PAGE_SIZE] __aligned(PAGE_SIZE);
struct shared_info *shared_info = (struct shared_info *)shared_page;

void shared_info_map(void)
{
    pte_t pte = {start_info->shared_info | PTE_KERNEL_RW};
    long rc = HYPERVISOR_update_va_mapping((unsigned long)shared_page, pte.v, UVMF_INVLPG);

    if (rc != 0) {
        panic("cannot map shared_info at frame %#lx: %ld", start_info->shared_info >> PAGE_SHIFT,
              rc);
    }
}

void shared_info_unmap(void)
{
    pte_t pte = pte_make(virt_to_mfn(shared_page), PTE_KERNEL_RW);
    long rc = HYPERVISOR_update_va_mapping((unsigned long)shared_page, pte.v, UVMF_INVLPG);

    if (rc != 0) {
        panic("cannot unmap shared_info: %ld", rc);
    }
}

int start_info_to_pfns(void)
{
    pfn_t store, console;

    if (!m2p_get(MFN(start_info->store_mfn), &store) ||
        !m2p_get(MFN(start_info->console.domU.mfn), &console)) {
        return -ENXIO;
    }
    start_info->store_mfn = store.n;
    start_info->console.domU.mfn = console.n;
    return 0;
}

void start_info_to_mfns(void)
{
    start_info->store_mfn = p2m_get(PFN(start_info->store_mfn)).n;
    start_info->console.domU.mfn = p2m_get(PFN(start_info->console.domU.mfn)).n;
}

bool xen_has_feature(unsigned feature)
{
    struct xen_feature_info info = {.submap_idx = feature / 32};

    return HYPERVISOR_xen_version(XENVER_get_features, &info) == 0 &&
           (info.submap >> (feature % 32) & 1) != 0;
}
