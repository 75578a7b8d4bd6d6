/*
 * stress.h - everything at once, for a while, and nothing may be missing afterwards.
 */
#ifndef SELFTEST_STRESS_H
#define SELFTEST_STRESS_H

#include "selftest/selftest.h"

/**
 * stress_run() - load memory, MMU, timers, interrupts, threads and disks together
 * @seconds: how long
 * @interrupted: asked now and then whether to end early; may be NULL
 *
 * Prints what each worker did and memory before and after. Return: 0, or -EIO when something went
 * wrong or memory is missing. Thread context.
 */
int stress_run(uint64_t seconds, bool (*interrupted)(void *arg), selftest_say_t say, void *arg);

/** mmu_bench() - print hypercalls and time for mapping 1, 64 and 4096 pages, batched and not. */
int mmu_bench(selftest_say_t say, void *arg);

#endif /* SELFTEST_STRESS_H */
