/*
 * uhat.h - the page tables of one address space.
 *
 * On x86-64 a PV kernel and its user code both run in ring 3, and only page tables keep them apart:
 * an address space needs two level-4 tables. The kernel's has the user's slots and the kernel's
 * own; the user's has the user's slots alone. Both point to the same tables below, and stay pinned
 * as long as the space lives. Lower tables are made when something is mapped, and given back when
 * the last entry in them goes.
 *
 * This layer moves entries; what a page is for, who owns it and what a fault means is vm/'s
 * business. Locks: the caller serialises changes of one space (vm.c's mutex). Suspend: the
 * toolstack rewrites pinned tables. Whoever passes frames in, or keeps those that uhat_query()
 * returned, does so between frames_hold() and frames_release().
 */
#ifndef HAT_UHAT_H
#define HAT_UHAT_H

#include "hat/addr.h"
#include "hat/kvm.h"

struct uhat;
struct cpu;

/** uhat_create() - an empty address space; NULL when memory ran out. Thread context. */
struct uhat *uhat_create(void);

/** uhat_destroy() - free the tables. Nothing may be mapped and no CPU may be on it. */
void uhat_destroy(struct uhat *h);

/**
 * uhat_map() - map frames at user addresses, in batches
 * @va: page-aligned, with @n pages below USER_END
 * @prot: HAT_READ with HAT_WRITE and HAT_EXEC
 *
 * Entries that were present are replaced, and flushed. Return: 0, -EINVAL for a bad range,
 * -ENOMEM (then nothing of the failing batch is mapped), or Xen's refusal. Thread context.
 */
int uhat_map(struct uhat *h, uint64_t va, const mfn_t *mfns, size_t n,
             enum hat_prot prot) __must_check;

/** uhat_unmap() - remove entries, flush the CPUs that are on the space, free empty tables. */
void uhat_unmap(struct uhat *h, uint64_t va, size_t n);

/** uhat_protect() - change the protection of what is mapped in a range, keeping A and D bits. */
int uhat_protect(struct uhat *h, uint64_t va, size_t n, enum hat_prot prot) __must_check;

/* What is mapped at an address. */
struct uhat_entry {
    mfn_t mfn;
    enum hat_prot prot;
    bool accessed, dirty;
};

/** uhat_query() - look; false if nothing is mapped there. Any context. */
bool uhat_query(const struct uhat *h, uint64_t va, struct uhat_entry *entry);

/** uhat_next() - the first address from @va on that is mapped; @end if none below it is. */
uint64_t uhat_next(const struct uhat *h, uint64_t va, uint64_t end);

/** uhat_root() - the frame of its level-4 table that has the kernel's slots, too. Any context. */
mfn_t uhat_root(const struct uhat *h);

/** uhat_switch() - put this CPU on a space, NULL: the kernel's. Upcalls masked. */
void uhat_switch(struct cpu *cpu, struct uhat *h);

/** uhat_tables() - how many tables it has, the level-4 pair included. */
unsigned uhat_tables(const struct uhat *h);

#endif /* HAT_UHAT_H */
