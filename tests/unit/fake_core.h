/*
 * Core files of a PV domain, made in memory: a good one, of which tests spoil what they like.
 */
#ifndef DUET_TEST_FAKE_CORE_H
#define DUET_TEST_FAKE_CORE_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>

/* Its sections, in the table's order. */
enum fake_section {
    FAKE_NULL,
    FAKE_NAMES,
    FAKE_NOTE,
    FAKE_PRSTATUS,
    FAKE_SHARED,
    FAKE_PAGES,
    FAKE_P2M,
    FAKE_COUNT
};

struct fake_core {
    uint8_t *data;
    size_t size;
    unsigned int npages;
    Elf64_Ehdr *header;
    Elf64_Shdr *sections;
    uint64_t *note; /* the header's: magic, vCPUs, pages, page size */
    uint64_t *version;
    uint64_t *p2m;  /* pairs of pfn and mfn */
    uint8_t *pages; /* of 4096 bytes */
    struct vcpu_guest_context *vcpus;
};

/*
 * A core of @npages pages, zeroed: the i-th has pfn i and the mfn of fake_core_mfn(). Page 0 is the
 * level-4 table of every vCPU. fake_core_free() when done.
 */
void fake_core_make(struct fake_core *c, unsigned int vcpus, unsigned int npages);
void fake_core_free(struct fake_core *c);

uint64_t fake_core_mfn(const struct fake_core *c, unsigned int page);

/* The bytes of a page. */
uint8_t *fake_core_page(const struct fake_core *c, unsigned int page);

/* Maps @va to frame @mfn, by way of the tables in pages 0 to 3. @flags go into the last entry. */
void fake_core_map(const struct fake_core *c, uint64_t va, uint64_t mfn, uint64_t flags);

#endif
