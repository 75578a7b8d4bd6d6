/*
 * hat.h - hardware address translation: the kernel's page tables.
 *
 * The domain builder made the root and the tables of the kernel's image. We build the direct map at
 * boot, and kvm.c adds tables on demand. All of them are read-only in the direct map: we read them
 * there, and ask Xen to write them (mmuq.h).
 * Locks: hat_lock over the kernel's tables above the last level.
 * Suspend: the toolstack rewrites every table; nothing is kept in machine addresses.
 */
#ifndef HAT_HAT_H
#define HAT_HAT_H

#include "hat/addr.h"
#include "hat/pte.h"

/**
 * hat_boot() - build the direct map and protect the image
 *
 * Return: the first pfn that nobody uses. Boot CPU, before the page allocator.
 */
pfn_t hat_boot(void);

/** hat_boot_finish() - unmap what the builder mapped behind the image; memory works by now. */
void hat_boot_finish(void);

/** hat_kernel_root() - the frame of the kernel's level-4 table. Any context. */
mfn_t hat_kernel_root(void);

/**
 * hat_table_entry() - find the entry of @level that translates @va in the kernel's tables
 *
 * Return: a read-only pointer into the direct map, NULL if a table on the way is missing. Any
 * context; stable as long as the mapping's owner keeps it.
 */
const pte_t *hat_table_entry(uint64_t va, unsigned level);

/** hat_is_table() - whether a page is one of the kernel's page tables. Any context. */
bool hat_is_table(pfn_t pfn);

/** hat_table_entry_of() - the same in the tables below any level-4 table of ours. */
const pte_t *hat_table_entry_of(mfn_t root, uint64_t va, unsigned level);

/** hat_entry_maddr() - the machine address of such an entry, to write it with. */
maddr_t hat_entry_maddr(const pte_t *entry);

/**
 * hat_populate() - make the tables down to the last level for a range of kernel addresses
 *
 * Return: 0 or -ENOMEM; tables made so far stay. Thread context.
 */
int hat_populate(uint64_t va, size_t npages);

/**
 * hat_table_alloc() - a page to be used as a page table: empty, read-only in the direct map
 *
 * Return: the page, owned by the caller until hat_table_free(), or NULL. Any context.
 */
void *hat_table_alloc(void);

/** hat_table_free() - give it back; Xen must have no reference to it as a table any more. */
void hat_table_free(void *table);

/**
 * hat_kpm_unmap() - make pages holes, without a mapping in the direct map and an entry in the p2m
 *
 * @mfns gets the @n frames (1 to a few hundred: upcalls are masked) that were behind them, now the
 * caller's to give away. All vCPUs' TLBs are flushed once, whatever @n: on busy processors that
 * costs more than the rest. Thread context, between frames_hold() and frames_release().
 */
void hat_kpm_unmap(const pfn_t *pfns, mfn_t *mfns, size_t n);

/**
 * hat_kpm_map() - put a frame behind a hole: into the p2m and the direct map
 *
 * Return: 0, or -ENOMEM when a page table lacks; it is still a hole then. Thread context.
 */
int hat_kpm_map(pfn_t pfn, mfn_t mfn) __must_check;

/** p2m_boot_early(), p2m_boot(), p2m_publish() - see p2m.c; called by dboot in this order. */
void p2m_boot_early(void);
void p2m_boot(void);
void p2m_publish(void);

/** mmuq_boot_queue() - the boot CPU's queue. */
struct mmuq *mmuq_boot_queue(void);

/** mmuq_create() - a queue for another CPU, or NULL. */
struct mmuq *mmuq_create(void);

/** mmuq_destroy() - free the queue of a CPU that never ran. */
void mmuq_destroy(struct mmuq *q);

#endif /* HAT_HAT_H */
