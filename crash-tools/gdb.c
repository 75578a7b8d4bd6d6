/*
 * A stub of GDB's over a core: see gdb.h. Here are the threads that it has; gdb_talk.c is how GDB
 * comes to it, gdb_stub.c answers, gdb_wire.c frames.
 */
#include "gdb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gdb_talk.h"

static void take_registers(struct gdb_thread *t, const struct regs *regs)
{
    for (enum reg reg = 0; reg < REG_COUNT; reg++) {
        if ((regs->known & 1u << reg) != 0) {
            gdb_set_register(t, reg_name(reg), regs->value[reg]);
        }
    }
}

static void take_vcpu(struct session *s, const struct kernel *k, unsigned int id,
                      struct gdb_thread *t)
{
    const struct vcpu_guest_context *v = core_vcpu(s->core, id);
    struct regs regs;

    if (s->image != NULL) {
        kernel_vcpu_title(k, id, t->name, sizeof(t->name));
    } else {
        snprintf(t->name, sizeof(t->name), "vCPU %u", id);
    }
    regs_of_vcpu(v, &regs);
    take_registers(t, &regs);
    gdb_set_register(t, "eflags", v->user_regs.rflags);
    gdb_set_register(t, "cs", v->user_regs.cs);
    gdb_set_register(t, "ss", v->user_regs.ss);
    gdb_set_register(t, "ds", v->user_regs.ds);
    gdb_set_register(t, "es", v->user_regs.es);
    gdb_set_register(t, "fs", v->user_regs.fs);
    gdb_set_register(t, "gs", v->user_regs.gs);
    gdb_set_register(t, "fs_base", v->fs_base);
    gdb_set_register(t, "gs_base",
                     (v->flags & VGCF_in_kernel) != 0 ? v->gs_base_kernel : v->gs_base_user);
}

/* Those that no vCPU runs; the others are their vCPUs'. */
static bool take_thread(struct session *s, const struct kthread *k, struct gdb_thread *t)
{
    struct regs regs;

    if (k->running >= 0 || kernel_thread_regs(s, k, &regs) != 0) {
        return false;
    }
    kernel_thread_title(k, t->name, sizeof(t->name));
    take_registers(t, &regs);
    return true;
}

/* Returns the threads, for free(), and how many; NULL if there is no memory. */
static struct gdb_thread *take_threads(struct session *s, const struct kernel *k,
                                       unsigned int *count)
{
    unsigned int vcpus = core_vcpu_count(s->core);
    struct gdb_thread *threads = calloc(vcpus + (size_t)k->nthreads, sizeof(*threads));

    if (threads == NULL) {
        return NULL;
    }
    for (*count = 0; *count < vcpus; ++*count) {
        take_vcpu(s, k, *count, &threads[*count]);
    }
    for (unsigned int i = 0; i < k->nthreads; i++) {
        *count += take_thread(s, &k->threads[i], &threads[*count]);
    }
    return threads;
}

int gdb_serve(struct session *s, const char *where, struct excuse *why)
{
    struct gdb_target target = {.space = &s->space, .exec_file = ""};
    struct kernel k = {0};
    char path[4096];
    int panicked = -1;

    if (s->image != NULL) {
        panicked = kernel_panicked(s);
        if (kernel_load(s, &k) != 0) {
            k.nthreads = 0; /* the vCPUs are there in any case */
        }
    }
    struct gdb_thread *threads = take_threads(s, &k, &target.nthreads);
    kernel_free(&k);
    if (threads == NULL) {
        return crash_fail(why, CRASH_FAILED, "out of memory");
    }
    target.threads = threads;
    target.first = panicked >= 0 ? (unsigned int)panicked : 0;
    if (s->image != NULL && realpath(s->kernel, path) != NULL) {
        target.exec_file = path;
    }
    int err = gdb_talk(&target, where);
    free(threads);
    return err == 0 ? CRASH_DONE : crash_fail(why, CRASH_FAILED, "%s: %s", where, strerror(-err));
}
