/*
 * peek.c - memory that may not be mapped, and memory that the kernel maps read-only.
 *
 * Reads go through safe_read64(), in aligned words, which never cross into another page. Writes
 * try the address itself; where that is read-only (text, constants) the frame is mapped writable
 * at `alias` for the moment. Xen refuses that for page tables, and its refusal is the answer.
 * Owns alias. Locks: none, one CPU runs. Suspend: alias maps nothing between two writes.
 */
#include "kdi/kdi_impl.h"

#include "hat/hat.h"
#include "hat/kvm.h"
#include "hat/p2m.h"
#include "hat/uhat.h"
#include "os/hypercall.h"
#include "psm/cpu.h"

#define TOP_LEVEL 4
#define PTE_LARGE (1ull << 7)

static char *alias; /* a page of kvm */

void kdi_peek_boot(void)
{
    alias = kvm_reserve(1);
}

size_t kdi_peek(uint64_t address, void *buf, size_t n)
{
    uint8_t *out = buf;
    size_t done = 0;

    while (done < n) {
        uint64_t at = address + done;
        uint64_t word;

        if (safe_read64((const uint64_t *)(at & ~7ull), &word) != 0) {
            break;
        }
        for (size_t i = at % 8; i < 8 && done < n; i++) {
            out[done++] = (uint8_t)(word >> (8 * i));
        }
    }
    return done;
}

unsigned kdi_walk(uint64_t va, struct kdi_walk steps[4])
{
    const struct uhat *space = this_cpu()->uhat;
    mfn_t table = space != NULL ? uhat_root(space) : hat_kernel_root();
    unsigned n = 0;

    for (unsigned level = TOP_LEVEL; level > 0; level--) {
        struct kdi_walk *step = &steps[n];
        pfn_t pfn;

        if (!m2p_get(table, &pfn)) {
            break; /* Xen's own */
        }
        step->level = level;
        step->entry_va = (uint64_t)pfn_to_virt(pfn) + pte_index(va, level) * sizeof(pte_t);
        if (safe_read64((const uint64_t *)step->entry_va, &step->pte.v) != 0) {
            break;
        }
        n++;
        if (!pte_present(step->pte) || (level > 1 && (step->pte.v & PTE_LARGE) != 0)) {
            break;
        }
        table = pte_mfn(step->pte);
    }
    return n;
}

/* Write within one page through a writable mapping of its frame; calls nothing of others. */
static int poke_frame(mfn_t mfn, uint64_t offset, const uint8_t *data, size_t n)
{
    pte_t pte = pte_make(mfn, PTE_KERNEL_RW);

    if (alias == NULL) {
        return -ENOMEM;
    }
    volatile char *to = alias + offset;
    long rc = HYPERVISOR_update_va_mapping((unsigned long)alias, pte.v, UVMF_INVLPG);
    if (rc != 0) {
        return (int)rc;
    }
    for (size_t i = 0; i < n; i++) {
        to[i] = (char)data[i];
    }
    return (int)HYPERVISOR_update_va_mapping((unsigned long)alias, 0, UVMF_INVLPG);
}

int kdi_poke_text(uint64_t address, uint8_t byte)
{
    return poke_frame(virt_to_mfn((const void *)address), address % PAGE_SIZE, &byte, 1);
}

/* Write bytes of one aligned word. */
static int poke_word(uint64_t at, const uint8_t *data, size_t n)
{
    uint64_t *word = (uint64_t *)(at & ~7ull);
    uint64_t value;

    if (safe_read64(word, &value) != 0) {
        return -EFAULT;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned shift = (unsigned)(8 * (at % 8 + i));

        value = (value & ~(0xffull << shift)) | (uint64_t)data[i] << shift;
    }
    if (safe_write64(word, value) == 0) {
        return 0;
    }
    struct kdi_walk steps[4];
    unsigned depth = kdi_walk(at, steps);
    if (depth < 4 || !pte_present(steps[3].pte)) {
        return -EFAULT;
    }
    return poke_frame(pte_mfn(steps[3].pte), at % PAGE_SIZE, data, n);
}

int kdi_poke(uint64_t address, const void *data, size_t n)
{
    int rc = 0;

    for (size_t done = 0; done < n && rc == 0;) {
        uint64_t at = address + done;
        size_t part = MIN(n - done, 8 - at % 8);

        rc = poke_word(at, (const uint8_t *)data + done, part);
        done += part;
    }
    return rc;
}
