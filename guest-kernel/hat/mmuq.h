/*
 * mmuq.h - the queue of MMU requests to Xen.
 *
 * Page tables are Xen's to write. Requests are gathered per CPU and sent as one multicall: runs
 * of entry updates become one mmu_update, cache and TLB operations one mmuext_op, in the order in
 * which they were asked for. Between mmuq_begin() and mmuq_end() upcalls are masked, so that nobody
 * else finds the queue half full.
 *
 * Flush points: mmuq_end() always; a full queue; and whoever depends on the result (reads through
 * a new mapping, reuses a page that was a table) ends its queue first.
 * Locks: none of its own; callers hold what protects their tables. Suspend: empty by then.
 */
#ifndef HAT_MMUQ_H
#define HAT_MMUQ_H

#include "hat/addr.h"
#include "hat/pte.h"
#include "kern/lock.h"

#include <xen/xen.h>

struct mmuq;

/** mmuq_begin() - this CPU's queue, upcalls masked until mmuq_end(). Does not nest. */
struct mmuq *mmuq_begin(void);

/** mmuq_set_pte() - write a page-table entry of any level (MMU_NORMAL_PT_UPDATE). */
void mmuq_set_pte(struct mmuq *q, maddr_t entry, pte_t value);

/** mmuq_set_pte_keep_ad() - the same, keeping the accessed and dirty bits that the CPU set. */
void mmuq_set_pte_keep_ad(struct mmuq *q, maddr_t entry, pte_t value);

/** mmuq_set_va() - write the last-level entry that maps @va now (update_va_mapping). */
void mmuq_set_va(struct mmuq *q, const void *va, pte_t value, unsigned long uvmf_flags);

/** mmuq_ext() - an extended operation (MMUEXT_*): pin, unpin, flush, new base. */
void mmuq_ext(struct mmuq *q, const struct mmuext_op *op);

/** mmuq_flush_all() - every vCPU forgets translations: the page at @va if @n is 1, else all. */
void mmuq_flush_all(struct mmuq *q, const void *va, size_t n);

/** mmuq_send() - send what is queued; the queue stays open, and errors are mmuq_end()'s to tell. */
void mmuq_send(struct mmuq *q);

/**
 * mmuq_end() - send what is queued and unmask upcalls
 *
 * Return: 0, or the first error that Xen gave for anything since mmuq_begin().
 */
int mmuq_end(struct mmuq *q) __must_check;

/** mmuq_hypercalls() - how many this CPU's queue has made, for measurements. */
uint64_t mmuq_hypercalls(void);

#endif /* HAT_MMUQ_H */
