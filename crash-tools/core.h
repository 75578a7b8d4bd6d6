/*
 * The core file of a paravirtualised domain, as `xl dump-core` writes it (Xen's
 * docs/misc/dump-core-format.txt): vCPUs' registers, shared_info, and pages by pfn and by mfn. The
 * file is hostile input: every count and offset in it is checked once, when it is opened.
 */
#ifndef DUET_CRASH_CORE_H
#define DUET_CRASH_CORE_H

#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>

#define CORE_PAGE_SIZE  4096u
#define CORE_PAGE_SHIFT 12
#define CORE_VCPUS_MAX  8192

struct core;

/* A page of the domain: both of its numbers, and its CORE_PAGE_SIZE bytes, which stay the core's.
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

unsigned int core_vcpu_count(const struct core *core);
uint64_t core_page_count(const struct core *core);

/* A vCPU's registers; NULL if there is no such vCPU. */
const struct vcpu_guest_context *core_vcpu(const struct core *core, unsigned int id);

/* NULL if the file has none. */
const struct shared_info *core_shared_info(const struct core *core);

/* Xen's version as major << 16 | minor; 0 if the file does not tell. */
uint32_t core_xen_version(const struct core *core);

/* Each returns 0, or -ENOENT if the core has no such page. */
int core_page_by_pfn(const struct core *core, uint64_t pfn, struct core_page *page);
int core_page_by_mfn(const struct core *core, uint64_t mfn, struct core_page *page);

#endif
