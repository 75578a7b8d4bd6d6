/*
 * cpu.h - a virtual CPU, and where everything that is per CPU hangs.
 *
 * One struct cpu per vCPU, reached through the kernel's %gs base. It holds Xen's vcpu_info itself
 * (VCPUOP_register_vcpu_info), so that masking upcalls is one instruction relative to %gs and
 * cannot hit the vCPU a thread has just been moved away from. The assembly offsets are checked
 * below. Fields are used by their own CPU with upcalls masked unless a comment says otherwise.
 *
 * What every trap, lock and switch of threads touches (the mask, the level, the running thread, the
 * stack's limit) lies in struct cpu itself, one or two loads from %gs. What one room keeps for a
 * CPU is that room's structure behind a pointer: one load more, where a queue or a lock is touched
 * anyway. Suspend: vcpu_info and runstate are registered again at resume.
 */
#ifndef PSM_CPU_H
#define PSM_CPU_H

#include "kern/types.h"

#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen/vcpu.h>

#include "kern/lock.h"
#include "os/evtchn.h"

#include "psm/offsets.h"

#define CPU_MAX 128

struct cpu_events;
struct cpu_sched;
struct cpu_timers;
struct mmuq;
struct thread;
struct trap_frame;
struct uhat;

struct cpu {
    struct vcpu_info info __aligned(64); /* shared with Xen */
    struct cpu *self;                    /* what this_cpu() loads */
    uint64_t stack_limit;                /* see stack.S: below is too deep for the running thread */
    unsigned id;

    /* What all of the core looks at. */
    enum ipl ipl; /* interrupt level that runs now */
    struct thread *current;
    struct thread *idle;
    bool idling;       /* in its idle thread; read from any CPU */
    bool need_resched; /* set from any CPU */
    bool online;       /* runs threads; read from any CPU */
    bool leaving;      /* shall go offline; set by cpu_stop() */
    evtchn_port_t ipi; /* kicks this CPU */

    /* Each room's own, made by it when the CPU is. */
    struct cpu_events *events; /* os/evtchn_ops.h */
    struct cpu_sched *sched;   /* kern/sched.h */
    struct cpu_timers *timers; /* psm/timer.h */
    struct mmuq *mmuq;         /* hat/mmuq.c: pending page-table updates */
    struct uhat *uhat;         /* hat/uhat.c: address space that is loaded, NULL: the kernel's */

    /* Start and stop: cpu_start.c */
    struct vcpu_runstate_info runstate; /* written by Xen: steal time */
    bool parked;                        /* went offline for a suspend */
    bool registered;                    /* Xen knows its shared areas */
    bool has_context;                   /* Xen knows where it begins, or where it stopped */

    /* For whoever looks on: the debugger, and statistics. */
    evtchn_port_t debug_port;     /* asks this CPU to stand still */
    struct trap_frame *frame;     /* of the upcall that runs now, NULL: none */
    const spinlock_t *wants_lock; /* it spins for this one now */
    uint64_t upcalls, switches;
};

_Static_assert(offsetof(struct cpu, info) == 0, "lock.c masks upcalls relative to %gs:0");
_Static_assert(offsetof(struct cpu, stack_limit) == CPU_STACK_LIMIT, "used by assembly");
_Static_assert(sizeof(struct vcpu_info) == 64, "must not cross a page");

/** this_cpu() - the CPU that runs this. Stable only while upcalls are masked. */
static inline struct cpu *this_cpu(void)
{
    struct cpu *cpu;

    __asm__ volatile("movq %%gs:%c1, %0" : "=r"(cpu) : "i"(offsetof(struct cpu, self)));
    return cpu;
}

/** cpu_brand() - a third of the processor's name, 0 to 2: 16 characters. Any context. */
void cpu_brand(unsigned part, uint32_t text[4]);

/** cpu_by_id() - a CPU that was, or was to be, started once, else NULL. Any context. */
struct cpu *cpu_by_id(unsigned id);

/** cpu_count_online() - how many run now. Any context. */
unsigned cpu_count_online(void);

/** cpu_find_idle() - a CPU that is idling, NULL if all are busy. Any context. */
struct cpu *cpu_find_idle(void);

/** cpu_kick() - have another CPU look at its run queue and timers (an IPI). Any context. */
void cpu_kick(struct cpu *cpu);

/** cpu_boot_early() - make the boot CPU's struct usable: the first thing of all. */
void cpu_boot_early(void);

/** cpu_enter() - from here on cpu_by_id() knows a new CPU. Thread context. */
void cpu_enter(struct cpu *cpu);

/** cpu_register() - tell Xen a CPU's shared areas; once in a domain's life. 0 or -errno. */
int cpu_register(struct cpu *cpu);

/** cpu_start() - bring a secondary vCPU up; nothing if it runs. Thread context, may sleep.
 *
 * Return: 0, -ENOENT if the domain has no such vCPU, -ENOMEM, or what Xen answered.
 */
int cpu_start(unsigned id);

/** cpu_stop() - take a vCPU other than 0 down, its threads moved. Thread context, may sleep. */
int cpu_stop(unsigned id);

/** cpu_hotplug_boot() - make cpu_start() and cpu_stop() usable. Once. */
void cpu_hotplug_boot(void);

/** cpu_leave() - last act of a leaving CPU's idle thread; returns when it is started again. */
void cpu_leave(struct cpu *cpu);

/** cpu_exists() - whether the domain has such a vCPU, running or not. Any context. */
bool cpu_exists(unsigned id);

/**
 * cpus_park() - take every vCPU but 0 down and let none come up until cpus_unpark()
 *
 * The caller is on vCPU 0 afterwards. Thread context, may sleep.
 */
void cpus_park(void);

/** cpus_unpark() - start those again that ran. Thread context, may sleep. */
void cpus_unpark(void);

/**
 * cpus_resume() - tell the Xen that restored us each CPU's shared areas
 *
 * Panics if it refuses. On vCPU 0, the others parked, upcalls masked.
 */
void cpus_resume(void);

/** cpu_boot() - register vcpu_info and runstate with Xen; the p2m must work. */
void cpu_boot(void);

/** cpu_interrupts_init() - bind a CPU's timer and IPIs: all, or none and -errno. Thread context. */
int cpu_interrupts_init(struct cpu *cpu);

/** cpu_interrupts_close() - the reverse, when the CPU is down. */
void cpu_interrupts_close(struct cpu *cpu);

/* One of several things that a CPU's start needs, and what takes it back (NULL: nothing has to). */
struct cpu_step {
    int (*make)(struct cpu *cpu); /* 0 or -errno, and then as before */
    void (*undo)(struct cpu *cpu);
};

/** cpu_do_steps() - all of them in order, or if one fails none: its error. Thread context. */
int cpu_do_steps(const struct cpu_step *steps, size_t n, struct cpu *cpu);

/** cpu_undo_steps() - take the first @n back, the last first. Thread context. */
void cpu_undo_steps(const struct cpu_step *steps, size_t n, struct cpu *cpu);

/** cpu_fail_step() - let the @n-th step from now on fail with -EIO, once; 0: none. For tests. */
void cpu_fail_step(unsigned n);

#endif /* PSM_CPU_H */
