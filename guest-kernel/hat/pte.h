/*
 * pte.h - what is in a page-table entry.
 *
 *    63   62..52  51 ................ 12  11..9  8   7   6   5   4    3    2     1     0
 *   +----+-------+----------------------+------+---+----+---+---+----+----+-----+-----+---------+
 *   | NX |   0   |  machine frame (mfn) | soft | G | PS | D | A | CD | WT | U/S | R/W | present |
 *   +----+-------+----------------------+------+---+----+---+---+----+----+-----+-----+---------+
 *
 * Xen sets U/S and G as it needs them for a PV guest. A virtual address is 16 sign bits, four
 * indices of 9 bits (level 4 to 1), and 12 bits of offset.
 */
#ifndef HAT_PTE_H
#define HAT_PTE_H

#include "hat/addr.h"

typedef struct {
    uint64_t v;
} pte_t;

#define PTE_PRESENT    (1ull << 0)
#define PTE_WRITE      (1ull << 1)
#define PTE_USER       (1ull << 2)
#define PTE_ACCESSED   (1ull << 5)
#define PTE_DIRTY      (1ull << 6)
#define PTE_NX         (1ull << 63)
#define PTE_FRAME_MASK 0x000ffffffffff000ull

#define PTES_PER_TABLE     512
#define LEVEL_SHIFT(level) (12 + 9 * ((level)-1))
#define LEVEL_SPAN(level)  (1ull << LEVEL_SHIFT(level))

/* An entry that points to a table of the next lower level. */
#define PTE_TABLE_FLAGS (PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED | PTE_DIRTY)
/* Leaf entries of the kernel. */
#define PTE_KERNEL_RO (PTE_PRESENT | PTE_ACCESSED | PTE_NX)
#define PTE_KERNEL_RW (PTE_PRESENT | PTE_WRITE | PTE_ACCESSED | PTE_DIRTY | PTE_NX)
#define PTE_KERNEL_RX (PTE_PRESENT | PTE_ACCESSED)

#define PTE_NONE ((pte_t){0})

static inline pte_t pte_make(mfn_t mfn, uint64_t flags)
{
    return (pte_t){mfn.n << PAGE_SHIFT | flags};
}

static inline mfn_t pte_mfn(pte_t pte)
{
    return MFN((pte.v & PTE_FRAME_MASK) >> PAGE_SHIFT);
}

static inline bool pte_present(pte_t pte)
{
    return pte.v & PTE_PRESENT;
}

static inline unsigned pte_index(uint64_t va, unsigned level)
{
    return (unsigned)(va >> LEVEL_SHIFT(level)) % PTES_PER_TABLE;
}

#endif /* HAT_PTE_H */
