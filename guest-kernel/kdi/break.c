/*
 * break.c - breakpoints and single steps.
 *
 * A breakpoint is an int3 in the kernel's text. While the debugger runs none is in the text, so
 * that it may call what it likes; they are put in at the very end of a session. Going on from an
 * address that has one is a single step without it, then a session's end.
 *
 * A single step is the trap flag in the frame's rflags, with upcalls masked so that the step ends
 * here and not in an interrupt. The mask is memory (vcpu_info, at %gs:1), and the kernel's own
 * loads and stores of it must not see ours: those instructions are executed by emulation.
 *
 * Owns breaks[] and the state of a step. Locks: none, one CPU runs. Suspend: int3 bytes are saved
 * and restored with the text.
 */
#include "kdi/kdi_impl.h"

#include "kern/string.h"
#include "os/ksyms.h"

#define BREAKS_MAX 16
#define INT3       0xcc

struct breakpoint {
    uint64_t address; /* 0: unused */
    uint64_t hits;
    uint8_t original;
    bool inserted;
};

extern const char _rodata_start[];

static struct breakpoint breaks[BREAKS_MAX];
static bool step_unmasked; /* upcalls were open before the step */

/* What runs between the last int3's return and the first's removal, and so must not have any. */
static const char *const forbidden[] = {
    "kdi_",         "debugger",      "trap_", "enter_c",   "__fentry__", "p2m_get",   "virt_to_pfn",
    "evtchn_entry", "thread_switch", "safe_", "cpu_by_id", "hypercall",  "locks_set", "_start"};

static bool is_forbidden(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++) {
        if (strncmp(name, forbidden[i], strlen(forbidden[i])) == 0) {
            return true;
        }
    }
    return false;
}

static struct breakpoint *kdi_break_find(uint64_t address)
{
    for (unsigned i = 0; i < BREAKS_MAX; i++) {
        if (breaks[i].address == address) {
            return &breaks[i];
        }
    }
    return NULL;
}

void kdi_breaks_remove(void)
{
    for (unsigned i = 0; i < BREAKS_MAX; i++) {
        if (breaks[i].inserted && kdi_poke_text(breaks[i].address, breaks[i].original) == 0) {
            breaks[i].inserted = false;
        }
    }
}

void kdi_breaks_insert(void)
{
    for (unsigned i = 0; i < BREAKS_MAX; i++) {
        if (breaks[i].address != 0) {
            breaks[i].original = *(const volatile uint8_t *)breaks[i].address;
            breaks[i].inserted = kdi_poke_text(breaks[i].address, INT3) == 0;
        }
    }
}

bool kdi_break_is_set(uint64_t address)
{
    return kdi_break_find(address) != NULL;
}

int kdi_break_hit(uint64_t address)
{
    struct breakpoint *b = kdi_break_find(address);

    if (b == NULL) {
        return -1;
    }
    b->hits++;
    return (int)(b - breaks);
}

/* ---- single steps ---- */

/* The bytes of movb $imm, %gs:1 and movb %gs:1, %reg behind their prefixes: modrm's SIB, disp32. */
static bool is_mask_operand(const uint8_t *modrm)
{
    static const uint8_t address[] = {0x25, 1, 0, 0, 0};

    return (modrm[0] & 0xc7) == 0x04 && memcmp(modrm + 1, address, sizeof(address)) == 0;
}

/* Low byte of the register that a modrm byte's middle field names, without a REX prefix' bits. */
static uint8_t *byte_register(struct trap_frame *f, unsigned reg)
{
    uint64_t *const whole[] = {&f->rax, &f->rcx, &f->rdx, &f->rbx, NULL, NULL, &f->rsi, &f->rdi};

    return (uint8_t *)whole[reg];
}

/* If the next instruction loads or stores the upcall mask, do what it would do. */
static bool emulate_mask_access(struct trap_frame *frame)
{
    uint8_t code[12];
    size_t at = 1;

    if (kdi_peek(frame->rip, code, sizeof(code)) != sizeof(code) || code[0] != 0x65) {
        return false;
    }
    at += code[1] == 0x40;
    if (!is_mask_operand(&code[at + 1])) {
        return false;
    }
    if (code[at] == 0xc6) { /* movb $imm8 */
        frame->rflags &= ~KDI_RFLAGS_IF;
        frame->rflags |= code[at + 7] == 0 ? KDI_RFLAGS_IF : 0;
        frame->rip += at + 8;
        return true;
    }
    uint8_t *target = byte_register(frame, code[at + 1] >> 3 & 7);
    if (code[at] != 0x8a || target == NULL) {
        return false;
    }
    *target = (frame->rflags & KDI_RFLAGS_IF) == 0;
    frame->rip += at + 7;
    return true;
}

bool kdi_step_begin(struct trap_frame *frame)
{
    if (emulate_mask_access(frame)) {
        return false;
    }
    step_unmasked = (frame->rflags & KDI_RFLAGS_IF) != 0;
    frame->rflags &= ~KDI_RFLAGS_IF;
    frame->rflags |= KDI_RFLAGS_TF;
    return true;
}

void kdi_step_end(struct trap_frame *frame)
{
    frame->rflags &= ~KDI_RFLAGS_TF;
    if (step_unmasked) {
        frame->rflags |= KDI_RFLAGS_IF;
    }
}

/* ---- commands ---- */

static int cmd_break(int argc, char **argv)
{
    char text[KDI_SYMBOL_MAX];
    uint64_t address, offset;

    if (argc != 2) {
        return -EINVAL;
    }
    if (kdi_eval(argv[1], &address) != 0) {
        return 0;
    }
    const char *name = ksym_find(address, &offset);
    struct breakpoint *b = kdi_break_find(0);
    if (name == NULL || address >= (uint64_t)_rodata_start) {
        kdi_printf("%#llx is not in the kernel's text\n", (ull)address);
    } else if (is_forbidden(name)) {
        kdi_printf("%s is needed to handle breakpoints: it can have none\n", name);
    } else if (kdi_break_is_set(address)) {
        kdi_printf("there is one already\n");
    } else if (b == NULL) {
        kdi_printf("all %u breakpoints are in use: see `bl`, `bc`\n", BREAKS_MAX);
    } else {
        *b = (struct breakpoint){.address = address};
        kdi_printf("breakpoint %u at %s\n", (unsigned)(b - breaks), kdi_symbol(address, text));
    }
    return 0;
}

static int cmd_list(int argc, char **argv __unused)
{
    char text[KDI_SYMBOL_MAX];

    if (argc != 1) {
        return -EINVAL;
    }
    for (unsigned i = 0; i < BREAKS_MAX; i++) {
        if (breaks[i].address != 0) {
            kdi_printf("%2u  %016llx  %s, hit %llu times\n", i, (ull)breaks[i].address,
                       kdi_symbol(breaks[i].address, text), (ull)breaks[i].hits);
        }
    }
    return 0;
}

static int cmd_clear(int argc, char **argv)
{
    uint64_t value;

    if (argc != 2) {
        return -EINVAL;
    }
    if (strcmp(argv[1], "all") == 0) {
        memset(breaks, 0, sizeof(breaks));
        return 0;
    }
    if (kdi_eval(argv[1], &value) != 0) {
        return 0;
    }
    struct breakpoint *b = value < BREAKS_MAX ? &breaks[value] : kdi_break_find(value);
    if (b == NULL || b->address == 0) {
        kdi_printf("there is no such breakpoint\n");
    } else {
        *b = (struct breakpoint){0};
    }
    return 0;
}

static int cmd_step(int argc, char **argv)
{
    if (argc > 2) {
        return -EINVAL;
    }
    if (kdi_count(argc, argv, 1, 1, &kdi.steps) != 0 || kdi.steps == 0) {
        return 0;
    }
    if (kdi.fatal) {
        kdi_printf("after a panic nothing goes on: use `crash` or `reboot`\n");
    } else {
        kdi.verdict = KDI_STEP;
    }
    return 0;
}

static int cmd_continue(int argc, char **argv __unused)
{
    if (argc != 1) {
        return -EINVAL;
    }
    if (kdi.fatal) {
        kdi_printf("after a panic nothing goes on: use `crash` or `reboot`\n");
    } else {
        kdi.verdict = KDI_CONTINUE;
    }
    return 0;
}

const struct kdi_command kdi_run_commands[] = {
    {"b", "b ADDR", "set a breakpoint in the kernel's text", cmd_break, true},
    {"bl", "bl", "list breakpoints", cmd_list, false},
    {"bc", "bc NUMBER|ADDR|all", "clear breakpoints", cmd_clear, true},
    {"s", "s [COUNT]", "execute one instruction, or several", cmd_step, true},
    {"c", "c", "continue", cmd_continue, true},
    {0},
};
