/*
 * What every part of the simulation stands on: chance, time, what is told, and tasks.
 *
 * Chance comes from the seed alone, and so does everything else: no clock, no address and no order
 * of a hash decides anything. So a seed is a schedule, and runs the same way each time.
 *
 * A task is a piece of code with a stack of its own (a process of dom0, a thread of the guest). One
 * runs at a time, until it waits; then the scheduler (schedule.c) chooses who is next. Code that
 * was built with coverage calls sim_edge_countdown's callback at each edge and before each store,
 * by which a task is interrupted at any of them.
 *
 * Types: struct task.
 */
#ifndef DUET_SIM_H
#define DUET_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_MS    UINT64_C(1000000)
#define SIM_S     UINT64_C(1000000000)
#define SIM_NEVER UINT64_MAX

/* ---- chance ---- */

void sim_seed(uint64_t seed);

/* A number below `n`, which is not 0. */
uint32_t sim_below(uint32_t n);

/* True so many times in a thousand. */
bool sim_chance(uint32_t per_thousand);

/* ---- time and what is told ---- */

extern uint64_t sim_now; /* of every clock, in nanoseconds */
extern bool sim_tracing; /* sim_trace() prints */

/* One line of the trace, with the time before it. */
void sim_trace(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The same for what is told only when somebody reads it. */
void sim_tell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A hash of all lines of the trace so far, whether they were printed or not. */
uint64_t sim_trace_hash(void);
void sim_trace_reset(void);

/* Something is not as it must be: ends the schedule. Does not return. */
_Noreturn void sim_found(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define sim_require(condition)                                      \
    do {                                                            \
        if (!(condition)) {                                         \
            sim_found("%s:%d: %s", __FILE__, __LINE__, #condition); \
        }                                                           \
    } while (0)

/* ---- tasks ---- */

struct process;

struct task {
    const char *name;
    bool used, done, ready;
    bool (*until)(void *arg); /* what it waits for; NULL: it only gave way */
    void *until_arg;
    uint64_t deadline;       /* when it goes on in any case */
    struct process *process; /* whose it is; NULL: the guest's */
    /* private */
    void (*run)(void *arg);
    void *arg;
    bool begun;
};

#define SIM_TASKS 12U

extern struct task sim_tasks[SIM_TASKS];
extern struct task *sim_task; /* the one that runs; NULL: the scheduler */

struct task *task_start(const char *name, void (*run)(void *arg), void *arg, struct process *p);

/* It does not go on. It may be the one that runs: then this does not return. */
void task_drop(struct task *t);

/* Whether what it waits for is there. */
bool task_is_ready(const struct task *t);

/* For the scheduler: lets it run until it waits. */
void task_resume(struct task *t);

/* For a task: waits. Returns whether `until` is true; false: the deadline has passed. */
bool task_wait(bool (*until)(void *arg), void *arg, uint64_t deadline);

/* For a task, or for nobody: gives way by chance, `per_thousand`. */
void task_give_way(uint32_t per_thousand);

void tasks_reset(void);

/* ---- what happens in the middle ---- */

extern uint32_t sim_edges; /* until `sim_on_edge` is called once; 0: never */
extern void (*sim_on_edge)(void);
extern uint32_t sim_edges_seen; /* in all, since the user put it to 0 */

/*
 * Runs `schedule` with this seed. Returns NULL, or the finding, valid until the next call.
 */
const char *sim_run(uint64_t seed, void (*schedule)(void));

#endif
