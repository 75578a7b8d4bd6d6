/*
 * vm.h - address spaces: regions of anonymous memory, filled on demand, shared until written.
 *
 * A space is a list of regions and the page tables of hat/uhat.h. A page appears at its first use,
 * zeroed; a clone of a space shares all pages read-only, and whoever writes first gets a copy. A
 * thread that has entered a space may use its addresses like any others; faults are resolved in
 * its context.
 * Locks: a space's mutex, over page_lock. Suspend: waits until no space is being changed.
 */
#ifndef VM_VM_H
#define VM_VM_H

#include "hat/kvm.h"
#include "kern/types.h"

struct vm_space;

/** vm_boot() - from here on faults at user addresses are resolved. Once. */
void vm_boot(void);

/** vm_create() - an empty space; NULL when memory ran out. Thread context. */
struct vm_space *vm_create(void);

/** vm_destroy() - unmap all and free it. No thread may be in it. Thread context. */
void vm_destroy(struct vm_space *s);

/**
 * vm_map() - make a region of anonymous memory
 * @va, @len: page-aligned, below USER_END
 * @prot: HAT_READ with HAT_WRITE and HAT_EXEC
 *
 * Return: 0, -EINVAL for a bad range, -EEXIST if it overlaps a region, -ENOMEM. Thread context.
 */
int vm_map(struct vm_space *s, uint64_t va, uint64_t len, enum hat_prot prot) __must_check;

/** vm_unmap() - remove the region that begins at @va, with its pages. -ENOENT if none does. */
int vm_unmap(struct vm_space *s, uint64_t va);

/** vm_clone() - a copy of a space, sharing its pages until one side writes; NULL: no memory. */
struct vm_space *vm_clone(struct vm_space *s);

/** vm_enter() - let the calling thread use @s's addresses; NULL: no more. Thread context. */
void vm_enter(struct vm_space *s);

/** vm_resident() - pages that a space has now, shared ones included. Thread context. */
uint64_t vm_resident(struct vm_space *s);

#endif /* VM_VM_H */
