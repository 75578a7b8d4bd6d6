/*
 * ksyms.c - look-up in the symbol table, and the walk up a stack.
 *
 * The table's layout is told in boot/mksymtab.py. The first link has no table, hence the weak
 * reference. No locks.
 */
#include "os/ksyms.h"

#include "hat/layout.h"
#include "kern/string.h"
#include "psm/trap.h"

#define MAX_DEPTH 48

extern const uint32_t ksyms_table[] __attribute__((weak));
extern const char _image_start[], _image_end[];

static const uint32_t *offsets(void)
{
    return ksyms_table + 1;
}

static const char *name_of(uint32_t index)
{
    uint32_t count = ksyms_table[0];
    const uint32_t *names = offsets() + count;

    return (const char *)(names + count) + names[index];
}

const char *ksym_find(uint64_t address, uint64_t *offset)
{
    if (ksyms_table == NULL || address < (uint64_t)_image_start ||
        address >= (uint64_t)_image_end) {
        return NULL;
    }
    uint32_t wanted = (uint32_t)(address - KERNEL_BASE);
    uint32_t low = 0, high = ksyms_table[0];

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (offsets()[middle] <= wanted) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *offset = wanted - offsets()[low];
    return name_of(low);
}

uint64_t ksym_address(const char *name)
{
    for (uint32_t i = 0; ksyms_table != NULL && i < ksyms_table[0]; i++) {
        if (strcmp(name_of(i), name) == 0) {
            return KERNEL_BASE + offsets()[i];
        }
    }
    return 0;
}

void backtrace(uint64_t rbp, void (*fn)(uint64_t address, void *arg), void *arg)
{
    for (unsigned depth = 0; depth < MAX_DEPTH && rbp != 0 && rbp % 8 == 0; depth++) {
        uint64_t caller, address;

        if (safe_read64((const uint64_t *)rbp, &caller) != 0 ||
            safe_read64((const uint64_t *)rbp + 1, &address) != 0) {
            return;
        }
        fn(address, arg);
        if (caller <= rbp) {
            return;
        }
        rbp = caller;
    }
}

/* A function begins with call __fentry__; push %rbp; mov %rsp, %rbp. */
#define PUSHES_AT 5
#define MOVES_AT  6

void backtrace_frame(const struct trap_frame *frame, void (*fn)(uint64_t address, void *arg),
                     void *arg)
{
    const uint64_t *sp = (const uint64_t *)frame->rsp;
    uint64_t offset, caller;
    const char *name = ksym_find(frame->rip, &offset);

    fn(frame->rip, arg);
    if ((name == NULL || offset == 0 || offset == PUSHES_AT || offset == MOVES_AT) &&
        safe_read64(sp + (name != NULL && offset == MOVES_AT), &caller) == 0) {
        fn(caller, arg);
    }
    backtrace(frame->rbp, fn, arg);
}
