/*
 * panic.c - the last words.
 *
 * Text goes straight to the panic console, which polls, and into no ring and through no lock: those
 * may be what broke. A panic of the CPU that panics already ends at once. If there is no console
 * yet, the text goes to Xen's own (which a domU may not write on a non-debug Xen; then only Xen's
 * report of the crash remains).
 * Locks: none. Suspend: never returns.
 */
#include "os/panic.h"

#include "kern/string.h"
#include "kern/thread.h"
#include "os/hypercall.h"
#include "os/ksyms.h"
#include "psm/cpu.h"
#include "psm/debugger.h"
#include "psm/trap.h"

static const struct panic_console *console;
static int panicking = -1; /* the CPU that does */

void panic_set_console(const struct panic_console *new_console)
{
    console = new_console;
}

void panic_console_write(const char *text, size_t len)
{
    if (console != NULL) {
        console->write(text, len);
    } else {
        (void)HYPERVISOR_console_io(CONSOLEIO_write, (unsigned)len, text);
    }
}

size_t panic_console_read(char *buf, size_t size)
{
    return console != NULL ? console->read(buf, size) : 0;
}

static void panic_say(const char *fmt, ...) __printf_like(1, 2);
static void vsay(const char *fmt, va_list ap) __printf_like(1, 0);

static void vsay(const char *fmt, va_list ap)
{
    char line[512];
    int len = vsnprintf(line, sizeof(line), fmt, ap);

    panic_console_write(line, MIN((size_t)len, sizeof(line) - 1));
}

static void panic_say(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsay(fmt, ap);
    va_end(ap);
}

/* One line of a backtrace. Of a run of equal lines (a recursion) the first is shown. */
static void panic_say_address(uint64_t address, void *arg)
{
    uint64_t *previous = arg;
    uint64_t offset;
    const char *name = ksym_find(address, &offset);

    if (address == *previous) {
        return;
    }
    *previous = address;
    if (name != NULL) {
        panic_say("  %016llx %s+%#llx\n", (unsigned long long)address, name,
                  (unsigned long long)offset);
    } else {
        panic_say("  %016llx\n", (unsigned long long)address);
    }
}

static void say_registers(const struct trap_frame *f)
{
    const struct {
        const char *name;
        uint64_t value;
    } registers[] = {
        {"rip", f->rip}, {"rsp", f->rsp}, {"rfl", f->rflags}, {"rax", f->rax}, {"rbx", f->rbx},
        {"rcx", f->rcx}, {"rdx", f->rdx}, {"rsi", f->rsi},    {"rdi", f->rdi}, {"rbp", f->rbp},
        {"r8 ", f->r8},  {"r9 ", f->r9},  {"r10", f->r10},    {"r11", f->r11}, {"r12", f->r12},
        {"r13", f->r13}, {"r14", f->r14}, {"r15", f->r15},
    };

    for (size_t i = 0; i < ARRAY_SIZE(registers); i++) {
        panic_say("%s %016llx%s", registers[i].name, (unsigned long long)registers[i].value,
                  i % 3 == 2 ? "\n" : "  ");
    }
}

void panic_shutdown(unsigned reason)
{
    struct sched_shutdown op = {.reason = reason};

    for (;;) {
        (void)HYPERVISOR_sched_op(SCHEDOP_shutdown, &op);
    }
}

/* The other vCPUs stand still where they are, so that they neither print nor change anything. */
static void stop_others(const struct trap_frame *frame)
{
    if (debugger()->on_panic()) {
        debugger()->panic_begin(frame);
        return;
    }
    for (unsigned id = 0; id < CPU_MAX; id++) {
        const struct cpu *cpu = cpu_by_id(id);

        if (cpu != NULL && cpu != this_cpu() && cpu->online) {
            (void)HYPERVISOR_vcpu_op(VCPUOP_down, id, NULL);
        }
    }
}

static void say_who(void)
{
    const struct cpu *cpu = this_cpu();

    panic_say("vCPU %u, thread \"%s\", interrupt level %d\n", cpu->id,
              cpu->current != NULL ? thread_name(cpu->current) : "(none yet)", cpu->ipl);
}

static void say_backtrace(const struct trap_frame *frame, uint64_t rip, uint64_t rbp)
{
    uint64_t previous = 0;

    panic_say("backtrace:\n");
    if (frame != NULL) {
        backtrace_frame(frame, panic_say_address, &previous);
        return;
    }
    if (rip != 0) {
        panic_say_address(rip, &previous);
    }
    backtrace(rbp, panic_say_address, &previous);
}

/* A panic of the panic ends here; another CPU's waits until the first has stopped it. */
static void panic_once(void)
{
    int self = (int)this_cpu()->id;
    int nobody = -1;

    if (__atomic_compare_exchange_n(&panicking, &nobody, self, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST)) {
        return;
    }
    if (nobody == self) {
        panic_shutdown(SHUTDOWN_crash);
    }
    for (;;) {
        (void)HYPERVISOR_sched_op(SCHEDOP_yield, NULL);
    }
}

static __noreturn void vpanic(const struct trap_frame *frame, uint64_t rip, uint64_t rbp,
                              const char *fmt, va_list ap)
{
    (void)upcalls_save();
    if (debugger()->active_here()) {
        debugger()->abandon(rip != 0 ? rip : (uint64_t)__builtin_return_address(0), fmt, ap);
    }
    panic_once();
    stop_others(frame);
    panic_say("\npanic: ");
    vsay(fmt, ap);
    panic_say("\n");
    say_who();
    if (frame != NULL) {
        say_registers(frame);
    }
    say_backtrace(frame, rip, rbp);
    if (debugger()->on_panic()) {
        debugger()->panic(frame, rip, rbp);
    }
    panic_shutdown(SHUTDOWN_crash);
}

void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vpanic(NULL, 0, (uint64_t)__builtin_frame_address(0), fmt, ap);
}

void panic_at(uint64_t rip, uint64_t rbp, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vpanic(NULL, rip, rbp, fmt, ap);
}

void panic_frame(const struct trap_frame *frame, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vpanic(frame, frame->rip, frame->rbp, fmt, ap);
}
