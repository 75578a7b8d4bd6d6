/*
 * stress.c - one worker per mechanism, two of each, until the time is up.
 *
 * A worker repeats one step and counts; a step returns false when something is not as it must be,
 * which ends that worker and fails the run. Each keeps its own pseudo-random state, seeded by its
 * number, so that runs are alike. Locks: none; counters belong to their worker.
 * Suspend: goes on afterwards.
 */
#include "selftest/stress.h"

#include "hat/kvm.h"
#include "io/blk.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "kern/wait.h"
#include "psm/clock.h"
#include "psm/cpu.h"
#include "psm/timer.h"
#include "vm/vm.h"

#define COPIES      2
#define BASE        0x10000000ull
#define SLACK_PAGES 64
#define DISK_CHUNK  8 /* sectors */

struct worker {
    bool (*step)(struct worker *w);
    const char *name;
    const bool *stop;
    uint64_t random;
    uint64_t count;
    bool failed;
    struct thread *thread;
};

/* xorshift64: good enough to choose sizes with. */
static uint64_t pick(struct worker *w, uint64_t limit)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random % limit;
}

/* ---- the steps ---- */

/* An address space: touch some of it, clone it, change both, see that they differ. */
static bool step_vm(struct worker *w)
{
    struct vm_space *parent = vm_create(), *child;
    uint64_t pages = 1 + pick(w, 32);
    bool ok;

    if (parent == NULL || vm_map(parent, BASE, pages * PAGE_SIZE, HAT_WRITE) != 0) {
        return false;
    }
    vm_enter(parent);
    for (uint64_t i = 0; i < pages; i++) {
        *(volatile uint64_t *)(BASE + i * PAGE_SIZE) = i;
    }
    child = vm_clone(parent);
    *(volatile uint64_t *)BASE = 77;
    vm_enter(child);
    ok = child != NULL && *(volatile uint64_t *)BASE == 0;
    *(volatile uint64_t *)(BASE + (pages - 1) * PAGE_SIZE) = 88;
    vm_enter(NULL);
    vm_destroy(parent);
    if (child != NULL) {
        vm_destroy(child);
    }
    return ok;
}

static bool step_heap(struct worker *w)
{
    unsigned char *objects[16];
    bool ok = true;

    for (unsigned i = 0; i < ARRAY_SIZE(objects); i++) {
        size_t size = 1 + pick(w, 6000);

        objects[i] = kmalloc(size);
        if (objects[i] != NULL) {
            memset(objects[i], (int)i, size);
        }
    }
    for (unsigned i = 0; i < ARRAY_SIZE(objects); i++) {
        ok &= objects[i] == NULL || objects[i][0] == i;
        kfree(objects[i]);
    }
    return ok;
}

static bool step_sleep(struct worker *w)
{
    nsec_t deadline = clock_now() + pick(w, 3 * NSEC_PER_MSEC);

    thread_sleep_until(deadline);
    return clock_now() >= deadline;
}

static bool step_ipi(struct worker *w)
{
    struct cpu *cpu = cpu_by_id((unsigned)pick(w, CPU_MAX));

    if (cpu != NULL && READ_ONCE(cpu->online)) {
        WRITE_ONCE(cpu->need_resched, true);
        cpu_kick(cpu);
    } else {
        thread_yield();
    }
    return true;
}

static void stress_nothing(void *arg)
{
    (void)arg;
}

static bool step_thread(struct worker *w)
{
    struct thread *t = thread_create("stress", stress_nothing, w, PRIO_NORMAL);

    if (t != NULL) {
        thread_join(t);
    }
    return t != NULL;
}

/* Read a piece of the first disk, if there is one. */
static bool step_disk(struct worker *w)
{
    struct blk_dev *disk = blk_next(NULL);
    struct blk_info info;
    void *buffer;
    int rc;

    if (disk == NULL) {
        return step_sleep(w);
    }
    blk_get_info(disk, &info);
    buffer = page_alloc_zeroed(0);
    rc = buffer == NULL || info.sectors < DISK_CHUNK
             ? -EINVAL
             : blk_rw(disk, BLK_READ, pick(w, info.sectors / DISK_CHUNK) * DISK_CHUNK, DISK_CHUNK,
                      buffer);
    if (buffer != NULL) {
        page_free(buffer, 0);
    }
    blk_put(disk);
    return rc == 0;
}

static const struct {
    const char *name;
    bool (*step)(struct worker *w);
} kinds[] = {
    {"address spaces", step_vm}, {"objects", step_heap},   {"sleeps", step_sleep},
    {"interrupts", step_ipi},    {"threads", step_thread}, {"disk reads", step_disk},
};

#define WORKERS (ARRAY_SIZE(kinds) * COPIES)

/* ---- the run ---- */

static void stress_work(void *arg)
{
    struct worker *w = arg;

    while (!READ_ONCE(*w->stop) && !w->failed) {
        w->failed = !w->step(w);
        WRITE_ONCE(w->count, w->count + 1);
    }
}

static void say_memory(const char *when, const struct mem_stats *m, selftest_say_t say, void *arg)
{
    say(arg, "memory %s: %lu pages free of %lu, %lu tables, %lu slab pages\n", when, m->pages_free,
        m->pages_total, m->pages_pagetable, m->pages_slab);
}

/* The balloon may change the size meanwhile: what a larger domain's map takes is no leak. */
static uint64_t pages_in_use(const struct mem_stats *m)
{
    return m->pages_total - m->pages_free - m->pages_map;
}

static bool stress_start_all(struct worker *workers, const bool *stop)
{
    bool all = true;

    for (size_t i = 0; i < WORKERS; i++) {
        struct worker *w = &workers[i];

        *w = (struct worker){.step = kinds[i / COPIES].step,
                             .name = kinds[i / COPIES].name,
                             .stop = stop,
                             .random = 0x9e3779b97f4a7c15ull * (i + 1)};
        w->thread = thread_create(w->name, stress_work, w, PRIO_NORMAL);
        all &= w->thread != NULL;
    }
    return all;
}

/* Join the workers and report. Return: whether all went well. */
static bool finish_all(struct worker *workers, selftest_say_t say, void *arg)
{
    bool ok = true;

    for (size_t i = 0; i < WORKERS; i++) {
        struct worker *w = &workers[i];

        if (w->thread != NULL) {
            thread_join(w->thread);
        }
        ok &= !w->failed;
        say(arg, "%-14s %10lu%s\n", w->name, w->count, w->failed ? "  FAILED" : "");
    }
    return ok;
}

int stress_run(uint64_t seconds, bool (*interrupted)(void *arg), selftest_say_t say, void *arg)
{
    static struct worker workers[WORKERS];
    static bool stop;
    struct mem_stats before, after;
    nsec_t end = clock_now() + seconds * NSEC_PER_SEC;

    mem_get_stats(&before);
    say_memory("before", &before, say, arg);
    stop = false;
    bool ok = stress_start_all(workers, &stop);
    while (ok && clock_now() < end && (interrupted == NULL || !interrupted(arg))) {
        thread_sleep_until(MIN(end, clock_now() + 100 * NSEC_PER_MSEC));
    }
    WRITE_ONCE(stop, true);
    ok &= finish_all(workers, say, arg);
    mem_get_stats(&after);
    say_memory("after", &after, say, arg);
    uint64_t used_before = pages_in_use(&before);
    uint64_t used_after = pages_in_use(&after);
    bool leak = used_after > used_before + SLACK_PAGES;
    say(arg, "stress: %s, %ld pages more in use than before\n", ok && !leak ? "passed" : "FAILED",
        (long)(used_after - used_before));
    return ok && !leak ? 0 : -EIO;
}
