/*
 * Page walks in a domain: what a virtual address is in the page tables that a vCPU had loaded, and
 * reads of virtual memory.
 */
#ifndef DUET_CRASH_WALK_H
#define DUET_CRASH_WALK_H

#include "core.h"

#define WALK_LEVELS 4

#define PTE_PRESENT  (1ull << 0)
#define PTE_WRITE    (1ull << 1)
#define PTE_USER     (1ull << 2)
#define PTE_ACCESSED (1ull << 5)
#define PTE_DIRTY    (1ull << 6)
#define PTE_LARGE    (1ull << 7)
#define PTE_NX       (1ull << 63)

/* Virtual addresses as one set of page tables has them. */
struct space {
    const struct core *core;
    uint64_t root; /* mfn of the level-4 table */
};

enum walk_end {
    WALK_MAPPED,        /* to a page of the domain */
    WALK_FOREIGN,       /* to a page that is Xen's, or another domain's */
    WALK_NOT_PRESENT,   /* the last entry says so */
    WALK_NO_TABLE,      /* the next table's page is not the domain's */
    WALK_NOT_CANONICAL, /* no address at all */
};

/* A walk: the entries that were read, from level 4 down, and how it ended. */
struct walk {
    struct {
        uint64_t table; /* mfn */
        unsigned int index;
        uint64_t entry;
    } steps[WALK_LEVELS];
    unsigned int nsteps;
    enum walk_end end;
    uint64_t mfn;          /* of the page of 4 KiB, if mapped or foreign */
    struct core_page page; /* if mapped */
};

/* The mfn of the level-4 table that a value of CR3 names. */
uint64_t space_root(uint64_t cr3);

/* The space of a vCPU. Returns 0, or -ENOENT if its level-4 table is not there. */
int space_of_vcpu(const struct core *core, unsigned int vcpu, struct space *space);

/*
 * The kernel's: the tables by which it shows its p2m, which stay when those of a program go. If it
 * names none, the first vCPU's that has one: the kernel's addresses are the same in all.
 */
int space_of_kernel(const struct core *core, struct space *space);

void walk_address(const struct space *space, uint64_t va, struct walk *walk);

/* Reads @n bytes at @va. Returns 0, or -EFAULT if any of them is not there. */
int space_read(const struct space *space, uint64_t va, void *to, size_t n);

/* Reads the string at @va, cut to @size - 1 bytes, always ended by NUL. 0 or -EFAULT. */
int space_read_string(const struct space *space, uint64_t va, char *to, size_t size);

#endif
