/*
 * Chance, time, findings and tasks: see sim.h.
 *
 * A task begins on its stack by way of ucontext, and is switched to and from by setjmp() and
 * longjmp(), which need no system call.
 */
#include "sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

#define STACK_BYTES (192U * 1024)

static uint64_t chance;
uint64_t sim_now;
bool sim_tracing;
static uint64_t trace_hash;

struct task sim_tasks[SIM_TASKS];
struct task *sim_task;
static ucontext_t begins[SIM_TASKS];
static jmp_buf places[SIM_TASKS], scheduler, outside;
static _Alignas(64) char stacks[SIM_TASKS][STACK_BYTES];

uint32_t sim_edges;
void (*sim_on_edge)(void);
uint32_t sim_edges_seen;
static char finding[1024];

void sim_seed(uint64_t seed)
{
    chance = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

/* splitmix64 */
static uint64_t draw(void)
{
    uint64_t z = (chance += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint32_t sim_below(uint32_t n)
{
    return (uint32_t)(((draw() >> 32) * n) >> 32);
}

bool sim_chance(uint32_t per_thousand)
{
    return per_thousand != 0 && sim_below(1000) < per_thousand;
}

void sim_trace_reset(void)
{
    trace_hash = UINT64_C(0xcbf29ce484222325);
}

uint64_t sim_trace_hash(void)
{
    return trace_hash;
}

static void print(const char *fmt, va_list ap)
{
    printf("%12.6f  ", (double)sim_now / 1e9);
    vprintf(fmt, ap);
    putchar('\n');
}

void sim_tell(const char *fmt, ...)
{
    va_list ap;

    if (sim_tracing) {
        va_start(ap, fmt);
        print(fmt, ap);
        va_end(ap);
    }
}

/* The state of chance and the time tell runs apart as well as the text does, and cost less. */
void sim_trace(const char *fmt, ...)
{
    va_list ap;

    trace_hash = (trace_hash ^ chance ^ sim_now) * UINT64_C(0x100000001b3);
    if (!sim_tracing) {
        return;
    }
    va_start(ap, fmt);
    print(fmt, ap);
    va_end(ap);
}

void sim_found(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(finding, sizeof(finding), fmt, ap);
    va_end(ap);
    sim_edges = 0;
    sim_task = NULL;
    _longjmp(outside, 1);
}

static void begin(void)
{
    struct task *t = sim_task;

    t->run(t->arg);
    t->done = true;
    _longjmp(scheduler, 1);
}

struct task *task_start(const char *name, void (*run)(void *arg), void *arg, struct process *p)
{
    struct task *t = sim_tasks;

    while (t->used) {
        t++;
        sim_require(t < sim_tasks + SIM_TASKS);
    }
    *t = (struct task){.name = name, .used = true, .process = p, .run = run, .arg = arg};
    return t;
}

void task_drop(struct task *t)
{
    t->used = false;
    if (t == sim_task) {
        sim_edges = 0;
        _longjmp(scheduler, 1);
    }
}

bool task_is_ready(const struct task *t)
{
    return t->used && (t->until == NULL || t->until(t->until_arg) || sim_now >= t->deadline);
}

void task_resume(struct task *t)
{
    unsigned int i = (unsigned int)(t - sim_tasks);

    sim_task = t;
    if (_setjmp(scheduler) == 0) {
        if (t->begun) {
            _longjmp(places[i], 1);
        }
        t->begun = true;
        getcontext(&begins[i]);
        begins[i].uc_stack.ss_sp = stacks[i];
        begins[i].uc_stack.ss_size = STACK_BYTES;
        begins[i].uc_link = NULL;
        makecontext(&begins[i], begin, 0);
        setcontext(&begins[i]);
    }
    sim_task = NULL;
    sim_edges = 0;
    if (t->done) {
        t->used = false;
    }
}

static void leave(struct task *t)
{
    sim_edges = 0;
    if (_setjmp(places[t - sim_tasks]) == 0) {
        _longjmp(scheduler, 1);
    }
}

bool task_wait(bool (*until)(void *arg), void *arg, uint64_t deadline)
{
    struct task *t = sim_task;

    sim_require(t != NULL);
    while (!until(arg) && sim_now < deadline) {
        t->until = until;
        t->until_arg = arg;
        t->deadline = deadline;
        leave(t);
    }
    t->until = NULL;
    return until(arg);
}

void task_give_way(uint32_t per_thousand)
{
    if (sim_task != NULL && sim_chance(per_thousand)) {
        sim_task->until = NULL;
        leave(sim_task);
    }
}

void tasks_reset(void)
{
    memset(sim_tasks, 0, sizeof(sim_tasks));
    sim_task = NULL;
}

static void edge(void)
{
    sim_edges_seen++;
    if (sim_edges != 0 && --sim_edges == 0) {
        sim_on_edge();
    }
}

/* What clang puts at each edge, and before each store, of code that is built for it. */
void __sanitizer_cov_trace_pc_guard(uint32_t *guard);
void __sanitizer_cov_trace_pc_guard_init(uint32_t *start, uint32_t *stop);
void __sanitizer_cov_store1(uint8_t *at);
void __sanitizer_cov_store2(uint16_t *at);
void __sanitizer_cov_store4(uint32_t *at);
void __sanitizer_cov_store8(uint64_t *at);
void __sanitizer_cov_store16(void *at);

void __sanitizer_cov_trace_pc_guard(uint32_t *guard)
{
    (void)guard;
    edge();
}

void __sanitizer_cov_trace_pc_guard_init(uint32_t *start, uint32_t *stop)
{
    (void)start;
    (void)stop;
}

void __sanitizer_cov_store1(uint8_t *at)
{
    (void)at;
    edge();
}

void __sanitizer_cov_store2(uint16_t *at)
{
    (void)at;
    edge();
}

void __sanitizer_cov_store4(uint32_t *at)
{
    (void)at;
    edge();
}

void __sanitizer_cov_store8(uint64_t *at)
{
    (void)at;
    edge();
}

void __sanitizer_cov_store16(void *at)
{
    (void)at;
    edge();
}

const char *sim_run(uint64_t seed, void (*schedule)(void))
{
    sim_seed(seed);
    sim_trace_reset();
    sim_now = 100 * SIM_S;
    sim_edges = 0;
    if (_setjmp(outside) != 0) {
        return finding;
    }
    schedule();
    return NULL;
}
