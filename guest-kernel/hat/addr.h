/*
 * addr.h - the kinds of address a PV kernel must not mix up.
 *
 *   pfn    page number as the guest counts its own memory, 0 ... nr_pages-1 (PV headers: "gpfn")
 *   mfn    machine frame number: what page tables, grants of ours and hypercalls want
 *   paddr  byte address in pfn space
 *   maddr  byte address in mfn space (what a page-table entry holds)
 *   va     a virtual address; plain pointers and uintptr_t
 *
 * Each is a structure of its own, so that handing one where another is wanted does not compile.
 * The conversions that are mere arithmetic are here; those that look into the p2m are in p2m.h.
 * No state; suspend changes every mfn, so none may be kept across it.
 */
#ifndef HAT_ADDR_H
#define HAT_ADDR_H

#include "kern/types.h"

typedef struct {
    uint64_t n;
} pfn_t;
typedef struct {
    uint64_t n;
} mfn_t;
typedef struct {
    uint64_t a;
} paddr_t;
typedef struct {
    uint64_t a;
} maddr_t;

#define PFN(x)      ((pfn_t){(x)})
#define MFN(x)      ((mfn_t){(x)})
#define MFN_INVALID MFN(UINT64_MAX)

static inline bool mfn_is_valid(mfn_t mfn)
{
    return mfn.n != UINT64_MAX;
}

static inline maddr_t mfn_to_maddr(mfn_t mfn)
{
    return (maddr_t){mfn.n << PAGE_SHIFT};
}

static inline mfn_t maddr_to_mfn(maddr_t m)
{
    return MFN(m.a >> PAGE_SHIFT);
}

static inline paddr_t pfn_to_paddr(pfn_t pfn)
{
    return (paddr_t){pfn.n << PAGE_SHIFT};
}

#endif /* HAT_ADDR_H */
