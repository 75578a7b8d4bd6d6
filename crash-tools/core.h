/*
 * A paravirtualised domain to be read: vCPUs' registers, shared_info, and pages by pfn and by mfn.
 * It is a core file, as `xl dump-core` writes it (Xen's docs/misc/dump-core-format.txt), or a live
 * domain (live.h). Both are hostile input. Every count and offset of a file is checked once, when
 * it is opened; a live domain may change between any two reads.
 */
#ifndef DUET_CRASH_CORE_H
#define DUET_CRASH_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>

#define CORE_PAGE_SIZE  4096u
#define CORE_PAGE_SHIFT 12
#define CORE_VCPUS_MAX  8192

struct core;

/*
 * A page of the domain: both of its numbers, and its CORE_PAGE_SIZE bytes. These stay the core's,
 * are to be copied from, and are gone as soon as another page is asked for.
 */
struct core_page {
    uint64_t pfn, mfn;
    const uint8_t *bytes;
};

/*
 * Opens the file at @path. Returns 0 and a core for core_close(), or -errno with a sentence in
 * @why.
 */
int core_open(const char *path, struct core **out, char *why, unsigned long why_size);

/* The same of @size bytes in memory, which must stay until core_close(). */
int core_parse(const uint8_t *data, size_t size, struct core **out, char *why,
               unsigned long why_size);
void core_close(struct core *core);

/* "core" or "domain": what it is called in a sentence. */
const char *core_noun(const struct core *core);

/* Whether it is a live domain, be it paused. */
bool core_is_live(const struct core *core);

/* Whether the domain runs while it is read, so that two reads may not agree. */
bool core_moves(const struct core *core);

/*
 * Reads the registers and shared_info of a domain that runs anew. Returns 0, or -errno if it is
 * gone; what is there before stays valid.
 */
int core_refresh(struct core *core);

unsigned int core_vcpu_count(const struct core *core);
uint64_t core_page_count(const struct core *core);

/* A vCPU's registers; NULL if there is no such vCPU. */
const struct vcpu_guest_context *core_vcpu(const struct core *core, unsigned int id);

/* NULL if it has none. */
const struct shared_info *core_shared_info(const struct core *core);

/* Xen's version as major << 16 | minor; 0 if that is not known. */
uint32_t core_xen_version(const struct core *core);

/* Each returns 0, or -ENOENT if the core has no such page. */
int core_page_by_pfn(const struct core *core, uint64_t pfn, struct core_page *page);
int core_page_by_mfn(const struct core *core, uint64_t mfn, struct core_page *page);

#endif
