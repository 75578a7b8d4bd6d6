/*
 * kdi_impl.h - what the debugger's files share.
 *
 * The session (kdi.c) belongs to the CPU that runs the debugger. Commands write with kdi_printf(),
 * read memory with kdi_peek() and may be abandoned at any point: they hold nothing that must be
 * given back.
 */
#ifndef KDI_KDI_IMPL_H
#define KDI_KDI_IMPL_H

#include "hat/addr.h"
#include "hat/pte.h"
#include "kdi/kdi.h"
#include "kern/types.h"
#include "psm/trap.h"

struct cpu;
struct thread;

typedef unsigned long long ull;

#define KDI_RFLAGS_TF (1ull << 8)
#define KDI_RFLAGS_IF (1ull << 9) /* in a frame: upcalls were open */

/* ---- kdi.c ---- */

/* What a command asks for when it is done. */
enum kdi_verdict { KDI_STAY, KDI_CONTINUE, KDI_STEP };

struct kdi_session {
    struct trap_frame *frame; /* what was interrupted; of a panic a copy */
    bool whole;               /* all registers in it are true; else rip and rbp only */
    bool fatal;               /* a panic: cannot be continued */
    bool live;                /* kdi_report(): nothing is stopped */
    const char *why;
    enum kdi_verdict verdict;
    uint64_t steps; /* KDI_STEP: how many */
};
extern struct kdi_session kdi;

/**
 * struct kdi_command - one command
 * @usage: the whole line; @summary: one line for `help`
 * @run: @argv[0] is the command. Return 0, or -EINVAL to have the usage shown
 * @stopped: works on a stopped machine only
 */
struct kdi_command {
    const char *name, *usage, *summary;
    int (*run)(int argc, char **argv);
    bool stopped;
};

/* Each ends with an entry without a name. */
extern const struct kdi_command kdi_cpu_commands[], kdi_memory_commands[], kdi_thread_commands[],
    kdi_xen_commands[], kdi_run_commands[];

/** kdi_commands - all of them, ending with NULL. */
extern const struct kdi_command *const kdi_commands[];

/** kdi_active_here() - whether this CPU is in the debugger now. Any context. */
bool kdi_active_here(void);

/** kdi_owner_cpu() - the id of the CPU that runs the debugger, -1: none. */
int kdi_owner_cpu(void);

/** kdi_give_up() - end the running command with a sentence; back to the prompt. */
__noreturn void kdi_give_up(const char *fmt, ...) __printf_like(1, 2);

/* ---- enter.S ---- */

void kdi_stack_call(void (*fn)(void));
__noreturn void kdi_stack_restart(void (*fn)(void));
extern const char kdi_break_return[];

/* ---- stop.c ---- */

enum kdi_stop { KDI_RUNNING, KDI_BY_IPI, KDI_BY_NMI, KDI_BY_TRAP, KDI_DOWN };

/** kdi_stop_others() - all other online CPUs stand still when this returns. */
void kdi_stop_others(void);

/** kdi_release_others() - and go on. */
void kdi_release_others(void);

/** kdi_nmi_was_ours() - take an NMI that one of the two above sent. Return: whether it was. */
bool kdi_nmi_was_ours(const struct trap_frame *frame);

/** kdi_stop() - @cpu, which is this one, was asked through its debug port to stand still. */
void kdi_stop(const struct cpu *cpu);

/** kdi_park() - if the machine is being stopped, stand still here until it goes on. */
void kdi_park(const struct trap_frame *frame, enum kdi_stop how);

/** kdi_stopped() - how a CPU was stopped, and the registers it was stopped with (or NULL). */
enum kdi_stop kdi_stopped(unsigned id, const struct trap_frame **frame);

/* ---- io.c ---- */

/** kdi_printf() - write to whoever asked. Abandons the command when the reader has enough. */
void kdi_printf(const char *fmt, ...) __printf_like(1, 2);

/** kdi_io_live() - where output goes while kdi.live. */
void kdi_io_live(void (*write)(const char *text, size_t len));

/** kdi_io_command() - a new command begins: its output is paged, if @paged. */
void kdi_io_command(bool paged);

/** kdi_io_raw() - write to the console, not paged. */
void kdi_io_raw(const char *text, size_t len);

/** kdi_io_interrupted() - whether ^C was typed; what was typed before is dropped then. */
bool kdi_io_interrupted(void);

/** kdi_io_key() - wait for a key. */
char kdi_io_key(void);

/* ---- eval.c ---- */

/**
 * kdi_eval() - the value of $rip, name, name+0x10, 0x1234, 10, ffffffff80001000 and their sums
 *
 * Return: 0, or -EINVAL with the reason written.
 */
int kdi_eval(const char *text, uint64_t *value) __must_check;

/** kdi_count() - an optional number among the arguments, @dflt where it is missing. */
int kdi_count(int argc, char **argv, int at, uint64_t dflt, uint64_t *value) __must_check;

/** kdi_symbol() - an address as "name+0x10", or in hexadecimal; @buf is returned. */
#define KDI_SYMBOL_MAX 80
const char *kdi_symbol(uint64_t address, char buf[KDI_SYMBOL_MAX]);

/** kdi_thread_named() - a thread by id, name or "cpuN" (what runs there); NULL with the reason. */
const struct thread *kdi_thread_named(const char *text);

/* Where a stack's walk begins. */
struct kdi_place {
    uint64_t rip, rbp;
    const struct trap_frame *frame; /* all registers, NULL: not known */
};

/** kdi_backtrace() - call @fn for the place and for each caller, nearest first. */
void kdi_backtrace(const struct kdi_place *place, void (*fn)(uint64_t address, void *arg),
                   void *arg);

/** kdi_runs() - whether a CPU executes a thread; its state alone does not tell for idle threads. */
bool kdi_runs(const struct thread *t);

/** kdi_place_of() - where a thread is: false if it runs on a CPU that did not stop. */
bool kdi_place_of(const struct thread *t, struct kdi_place *place);

/** kdi_place_of_frame() - the place that a frame tells of. */
void kdi_place_of_frame(const struct trap_frame *frame, struct kdi_place *place);

/* ---- peek.c ---- */

/** kdi_peek() - read memory that may not be mapped. Return: bytes that could be read. */
size_t kdi_peek(uint64_t address, void *buf, size_t n);

/** kdi_poke() - write it, even where the kernel maps it read-only. 0, -EFAULT, or Xen's refusal. */
int kdi_poke(uint64_t address, const void *data, size_t n);

/** kdi_poke_text() - write a byte of the kernel's text, calling little. 0 or -errno. */
int kdi_poke_text(uint64_t address, uint8_t byte);

/* One level of a walk through page tables. */
struct kdi_walk {
    unsigned level;
    uint64_t entry_va; /* where the entry can be read, 0: nowhere */
    pte_t pte;
};

/** kdi_walk() - from level 4 down. Return: how many of @steps are filled in; 0: nothing readable.
 */
unsigned kdi_walk(uint64_t va, struct kdi_walk steps[4]);

void kdi_peek_boot(void);

/* ---- break.c ---- */

/** kdi_breaks_remove() / kdi_breaks_insert() - take the int3 bytes out of the text, put them in. */
void kdi_breaks_remove(void);
void kdi_breaks_insert(void);

/** kdi_break_at() - the number of the breakpoint at an address, -1: none. Counts a hit. */
int kdi_break_hit(uint64_t address);

/** kdi_break_is_set() - whether there is one. */
bool kdi_break_is_set(uint64_t address);

/** kdi_step_begin() - have the frame return for one instruction. False: it was done here. */
bool kdi_step_begin(struct trap_frame *frame);

/** kdi_step_end() - the instruction was executed. */
void kdi_step_end(struct trap_frame *frame);

/* ---- deadlock.c ---- */

/** kdi_deadlocks() - report circles of waiters. Return: how many. */
unsigned kdi_deadlocks(void);

#endif /* KDI_KDI_IMPL_H */
