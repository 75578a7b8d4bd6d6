/*
 * eval.c - what the words of a command mean: addresses, numbers, symbols, registers, threads.
 *
 * No state, no locks (thread_list_lock is bypassed in a session).
 */
#include "kdi/kdi_impl.h"

#include "kern/sched.h"
#include "kern/string.h"
#include "os/ksyms.h"

#define TERM_MAX 64

static const struct {
    const char *name;
    size_t offset;
} registers[] = {
    {"rip", offsetof(struct trap_frame, rip)}, {"rsp", offsetof(struct trap_frame, rsp)},
    {"rbp", offsetof(struct trap_frame, rbp)}, {"rax", offsetof(struct trap_frame, rax)},
    {"rbx", offsetof(struct trap_frame, rbx)}, {"rcx", offsetof(struct trap_frame, rcx)},
    {"rdx", offsetof(struct trap_frame, rdx)}, {"rsi", offsetof(struct trap_frame, rsi)},
    {"rdi", offsetof(struct trap_frame, rdi)}, {"r8", offsetof(struct trap_frame, r8)},
    {"r9", offsetof(struct trap_frame, r9)},   {"r10", offsetof(struct trap_frame, r10)},
    {"r11", offsetof(struct trap_frame, r11)}, {"r12", offsetof(struct trap_frame, r12)},
    {"r13", offsetof(struct trap_frame, r13)}, {"r14", offsetof(struct trap_frame, r14)},
    {"r15", offsetof(struct trap_frame, r15)},
};

static bool register_value(const char *name, uint64_t *value)
{
    for (size_t i = 0; kdi.frame != NULL && i < ARRAY_SIZE(registers); i++) {
        if (strcmp(name, registers[i].name) == 0) {
            *value = *(const uint64_t *)((const char *)kdi.frame + registers[i].offset);
            return true;
        }
    }
    return false;
}

/* Hexadecimal digits without 0x, as this debugger prints addresses. */
static bool bare_hex(const char *text, uint64_t *value)
{
    char prefixed[TERM_MAX + 2] = "0x";

    strlcpy(prefixed + 2, text, sizeof(prefixed) - 2);
    return parse_u64(prefixed, value) == 0;
}

static int term_value(const char *term, uint64_t *value)
{
    if (term[0] == '$') {
        if (register_value(term + 1, value)) {
            return 0;
        }
    } else if (parse_u64(term, value) == 0 || (*value = ksym_address(term)) != 0 ||
               bare_hex(term, value)) {
        return 0;
    }
    kdi_printf("\"%s\" is no number, symbol or $register\n", term);
    return -EINVAL;
}

int kdi_eval(const char *text, uint64_t *value)
{
    uint64_t sum = 0;
    char sign = '+';

    for (;;) {
        char term[TERM_MAX];
        size_t n = 0;

        while (text[n] != '\0' && text[n] != '+' && text[n] != '-' && n < TERM_MAX - 1) {
            term[n] = text[n];
            n++;
        }
        term[n] = '\0';
        uint64_t v;
        if (term_value(term, &v) != 0) {
            return -EINVAL;
        }
        sum = sign == '+' ? sum + v : sum - v;
        if (text[n] == '\0') {
            *value = sum;
            return 0;
        }
        sign = text[n];
        text += n + 1;
    }
}

int kdi_count(int argc, char **argv, int at, uint64_t dflt, uint64_t *value)
{
    *value = dflt;
    return at < argc ? kdi_eval(argv[at], value) : 0;
}

const char *kdi_symbol(uint64_t address, char buf[KDI_SYMBOL_MAX])
{
    uint64_t offset;
    const char *name = ksym_find(address, &offset);

    if (name == NULL) {
        snprintf(buf, KDI_SYMBOL_MAX, "%016llx", (ull)address);
    } else if (offset == 0) {
        snprintf(buf, KDI_SYMBOL_MAX, "%s", name);
    } else {
        snprintf(buf, KDI_SYMBOL_MAX, "%s+%#llx", name, (ull)offset);
    }
    return buf;
}

/* ---- threads ---- */

struct search {
    const char *text;
    uint64_t id;
    bool by_id;
    const struct thread *found;
};

static void compare(const struct thread *t, void *arg)
{
    struct search *s = arg;

    if ((s->by_id ? t->id == s->id : strcmp(t->name, s->text) == 0) != 0) {
        s->found = t;
    }
}

const struct thread *kdi_thread_named(const char *text)
{
    struct search s = {.text = text};
    uint64_t id;

    if (strncmp(text, "cpu", 3) == 0 && parse_u64(text + 3, &id) == 0) {
        const struct cpu *cpu = id < CPU_MAX ? cpu_by_id((unsigned)id) : NULL;

        s.found = cpu != NULL ? cpu->current : NULL;
    } else {
        s.by_id = parse_u64(text, &s.id) == 0;
        sched_foreach(compare, &s);
    }
    if (s.found == NULL) {
        kdi_printf("there is no thread \"%s\" (see `threads`)\n", text);
    }
    return s.found;
}

/* What thread_switch() left on a sleeping thread's stack: see kern/switch.S. */
#define SAVED_RBP 5
#define SAVED_RIP 6

bool kdi_runs(const struct thread *t)
{
    const struct cpu *cpu = cpu_by_id(t->cpu);

    return cpu != NULL && READ_ONCE(cpu->current) == t;
}

bool kdi_place_of(const struct thread *t, struct kdi_place *place)
{
    const struct cpu *cpu = cpu_by_id(t->cpu);

    if (cpu == NULL || !kdi_runs(t)) {
        uint64_t sp = t->sp;

        place->frame = NULL;
        return kdi_peek(sp + SAVED_RIP * 8, &place->rip, 8) == 8 &&
               kdi_peek(sp + SAVED_RBP * 8, &place->rbp, 8) == 8;
    }
    const struct trap_frame *frame;
    if ((int)cpu->id == kdi_owner_cpu()) {
        frame = kdi.frame;
    } else {
        (void)kdi_stopped(cpu->id, &frame);
    }
    if (frame == NULL) {
        return false;
    }
    kdi_place_of_frame(frame, place);
    return true;
}

void kdi_place_of_frame(const struct trap_frame *frame, struct kdi_place *place)
{
    bool whole = frame != kdi.frame || kdi.whole;

    *place =
        (struct kdi_place){.rip = frame->rip, .rbp = frame->rbp, .frame = whole ? frame : NULL};
}

void kdi_backtrace(const struct kdi_place *place, void (*fn)(uint64_t address, void *arg),
                   void *arg)
{
    if (place->frame != NULL) {
        backtrace_frame(place->frame, fn, arg);
        return;
    }
    if (place->rip != 0) {
        fn(place->rip, arg);
    }
    backtrace(place->rbp, fn, arg);
}
