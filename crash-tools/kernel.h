/*
 * What the kernel in a core keeps: its threads, vCPUs and locks, read by the names of its own
 * structures. And the session that all commands share.
 */
#ifndef DUET_CRASH_KERNEL_H
#define DUET_CRASH_KERNEL_H

#include "unwind.h"

#define KERNEL_NAME_MAX    64
#define KERNEL_THREADS_MAX 4096
#define KERNEL_CPUS_MAX    128

struct session {
    struct core *core;
    struct image *image;
    const char *kernel; /* the image's path */
    struct space space; /* the kernel's addresses */
    struct unwinder unwinder;
    struct {
        const char *name;
        Dwarf_Die type;
    } types[16]; /* looked up before */
    unsigned int ntypes;
};

/* A thread. Names have printable characters only. */
struct kthread {
    uint64_t address, sp, stack;
    uint64_t wants, waits_for; /* struct mutex and struct waitq; 0: none */
    unsigned int id, cpu, prio, state;
    int running; /* the vCPU that runs it, or -1 */
    char name[KERNEL_NAME_MAX];
};

/* The kernel's view of a vCPU. */
struct kcpu {
    uint64_t address, current, wants_lock, cr2;
    unsigned int id;
    bool online;
};

struct kernel {
    struct kthread *threads;
    unsigned int nthreads;
    struct kcpu cpus[KERNEL_CPUS_MAX];
    unsigned int ncpus;
    bool cut; /* the list of threads does not end, or leads nowhere; or a vCPU's structure is not
                 there */
};

/*
 * Reads threads and vCPUs. Of a domain that runs it reads the registers anew first, and a list that
 * changed on the way once more. Returns 0 or -errno; kernel_free() in any case.
 */
int kernel_load(struct session *s, struct kernel *k);
void kernel_free(struct kernel *k);

const struct kthread *kernel_thread(const struct kernel *k, uint64_t address);
const struct kcpu *kernel_cpu(const struct kernel *k, unsigned int id);

/* Reads a number, or pointer, at @path of the @type at @address, zero-extended. 0 or -errno. */
int kernel_member(struct session *s, const char *type, uint64_t address, const char *path,
                  uint64_t *value);

/* Finds a variable, or a member of one: "kern/log.c:ring", "boot_cpu.info". Returns 0 or -errno. */
int kernel_find(const struct session *s, const char *path, uint64_t *address, Dwarf_Die *type);

/* Reads a variable, or a member of one: "panicking", "all_threads.tqh_first". 0 or -errno. */
int kernel_variable(struct session *s, const char *name, uint64_t *value);

/* Reads a string, with everything that is not printable escaped. False if it is not there. */
bool kernel_string(const struct session *s, uint64_t address, char *to, size_t size);

/* What a vCPU and a thread are called in a list of both. */
void kernel_vcpu_title(const struct kernel *k, unsigned int id, char *to, size_t size);
void kernel_thread_title(const struct kthread *t, char *to, size_t size);

/* The vCPU that panicked, or -1. */
int kernel_panicked(struct session *s);

/* The name of a lock, from the address of its structure ("mutex" or "spinlock"). */
void kernel_lock_name(struct session *s, const char *type, uint64_t lock, char *to, size_t size);

/* The owner of a spinlock: a vCPU's number, or -1. */
int kernel_spin_owner(struct session *s, uint64_t lock);

/* Where a thread goes on: its registers, saved or of the vCPU that runs it. 0 or -errno. */
int kernel_thread_regs(const struct session *s, const struct kthread *t, struct regs *regs);

/* Escapes @len bytes into @to, cut where it is full. */
void kernel_escape(const char *from, size_t len, char *to, size_t size);

#endif
