/*
 * cmd_cpu.c - regs, bt, cpus, sym: what the CPUs were doing.
 */
#include "kdi/kdi_impl.h"

#include "kern/sched.h"
#include "kern/string.h"
#include "os/ksyms.h"

/* The registers of a CPU, as far as they are known. NULL: not known, and it was said why. */
static const struct trap_frame *frame_of(uint64_t id)
{
    const struct cpu *cpu = id < CPU_MAX ? cpu_by_id((unsigned)id) : NULL;
    const struct trap_frame *frame = NULL;

    if (cpu == NULL) {
        kdi_printf("there is no vCPU %llu\n", (ull)id);
        return NULL;
    }
    if ((int)id == kdi_owner_cpu()) {
        return kdi.frame;
    }
    enum kdi_stop how = kdi_stopped((unsigned)id, &frame);
    if (frame == NULL) {
        kdi_printf("vCPU %llu: registers not known: %s\n", (ull)id,
                   how == KDI_DOWN ? "it answered neither event nor NMI" : "it is not running");
    }
    return frame;
}

static int cmd_regs(int argc, char **argv)
{
    uint64_t id;
    char text[KDI_SYMBOL_MAX];

    if (argc > 2) {
        return -EINVAL;
    }
    if (kdi_count(argc, argv, 1, (uint64_t)kdi_owner_cpu(), &id) != 0) {
        return 0;
    }
    const struct trap_frame *f = frame_of(id);
    if (f == NULL) {
        return 0;
    }
    kdi_printf("rip %016llx  %s\n", (ull)f->rip, kdi_symbol(f->rip, text));
    if (f == kdi.frame && !kdi.whole) {
        kdi_printf("rbp %016llx  (a panic without an exception: no other registers)\n",
                   (ull)f->rbp);
        return 0;
    }
    kdi_printf("rsp %016llx  rbp %016llx  rfl %016llx\n", (ull)f->rsp, (ull)f->rbp, (ull)f->rflags);
    kdi_printf("rax %016llx  rbx %016llx  rcx %016llx\n", (ull)f->rax, (ull)f->rbx, (ull)f->rcx);
    kdi_printf("rdx %016llx  rsi %016llx  rdi %016llx\n", (ull)f->rdx, (ull)f->rsi, (ull)f->rdi);
    kdi_printf("r8  %016llx  r9  %016llx  r10 %016llx\n", (ull)f->r8, (ull)f->r9, (ull)f->r10);
    kdi_printf("r11 %016llx  r12 %016llx  r13 %016llx\n", (ull)f->r11, (ull)f->r12, (ull)f->r13);
    kdi_printf("r14 %016llx  r15 %016llx\n", (ull)f->r14, (ull)f->r15);
    kdi_printf("cs %#llx  ss %#llx  %s, error %#llx, upcalls %s\n", (ull)f->cs & 0xffff,
               (ull)f->ss & 0xffff, trap_name((unsigned)f->vector), (ull)f->error,
               (f->rflags & KDI_RFLAGS_IF) != 0 ? "open" : "masked");
    return 0;
}

static void bt_line(uint64_t address, void *arg)
{
    char text[KDI_SYMBOL_MAX];
    unsigned *depth = arg;

    kdi_printf("%2u  %016llx  %s\n", (*depth)++, (ull)address, kdi_symbol(address, text));
}

static int cmd_bt(int argc, char **argv)
{
    struct kdi_place place;
    unsigned depth = 0;

    if (argc > 2) {
        return -EINVAL;
    }
    if (argc == 2) {
        const struct thread *t = kdi_thread_named(argv[1]);

        if (t == NULL) {
            return 0;
        }
        if (!kdi_place_of(t, &place)) {
            kdi_printf("thread \"%s\" runs on vCPU %u, whose registers are not known\n", t->name,
                       t->cpu);
            return 0;
        }
        kdi_printf("thread %u \"%s\":\n", t->id, t->name);
    } else if (kdi.frame == NULL) {
        return -EINVAL;
    } else {
        kdi_place_of_frame(kdi.frame, &place);
    }
    kdi_backtrace(&place, bt_line, &depth);
    return 0;
}

static const char *cpu_state(const struct cpu *cpu)
{
    static const char *const names[] = {[KDI_RUNNING] = "running",
                                        [KDI_BY_IPI] = "stopped",
                                        [KDI_BY_NMI] = "stopped by NMI",
                                        [KDI_BY_TRAP] = "waits for the debugger",
                                        [KDI_DOWN] = "taken down"};
    const struct trap_frame *frame;

    if ((int)cpu->id == kdi_owner_cpu()) {
        return "in the debugger";
    }
    return cpu->online ? names[kdi_stopped(cpu->id, &frame)] : "offline";
}

static int kdi_cmd_cpus(int argc, char **argv __unused)
{
    if (argc != 1) {
        return -EINVAL;
    }
    kdi_printf("cpu  level  mask  ready    upcalls   switches  stolen/ms  state, thread\n");
    for (unsigned id = 0; id < CPU_MAX; id++) {
        const struct cpu *cpu = cpu_by_id(id);

        if (cpu == NULL) {
            continue;
        }
        uint64_t stolen =
            cpu->runstate.time[RUNSTATE_runnable] + cpu->runstate.time[RUNSTATE_offline];
        kdi_printf("%3u  %5d  %4u  %5u  %9llu  %9llu  %9llu  %s, \"%s\"\n", id, cpu->ipl,
                   cpu->info.evtchn_upcall_mask, cpu->sched != NULL ? cpu->sched->nready : 0,
                   (ull)cpu->upcalls, (ull)cpu->switches, (ull)(stolen / NSEC_PER_MSEC),
                   cpu_state(cpu), cpu->current != NULL ? cpu->current->name : "(none)");
        const spinlock_t *lock = READ_ONCE(cpu->wants_lock);
        if (lock != NULL) {
            kdi_printf("     spins for \"%s\", held by vCPU %d\n", lock->name, lock->owner);
        }
    }
    return 0;
}

static int cmd_sym(int argc, char **argv)
{
    char text[KDI_SYMBOL_MAX];
    uint64_t address;

    if (argc != 2) {
        return -EINVAL;
    }
    if (kdi_eval(argv[1], &address) == 0) {
        kdi_printf("%016llx  %s\n", (ull)address, kdi_symbol(address, text));
    }
    return 0;
}

const struct kdi_command kdi_cpu_commands[] = {
    {"regs", "regs [CPU]", "registers of this or another vCPU", cmd_regs, true},
    {"bt", "bt [THREAD|cpuN]", "backtrace: here, of a thread by number or name, of a vCPU", cmd_bt,
     false},
    {"cpus", "cpus", "the vCPUs: interrupt level, upcall mask, what they run", kdi_cmd_cpus, false},
    {"sym", "sym ADDR", "the symbol of an address, the address of a symbol", cmd_sym, false},
    {0},
};
