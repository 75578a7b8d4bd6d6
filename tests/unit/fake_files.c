/*
 * fake_files.c - what open files stand on: see fake_files.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "fake_files.h"
#include "fs/node.h"
#include "kern/mem.h"
#include "kern/page.h"
#include "proc/proc.h"

bool fake_locked, fake_users_may_take, fake_interrupted;
unsigned fake_held, fake_woken;
void (*fake_sleep)(void), (*fake_next_sleep)(void);
bool fake_times_out;
uint64_t fake_deadline;

void fake_files_begin(void)
{
    fake_locked = fake_interrupted = false;
    fake_users_may_take = true;
    fake_woken = 0;
    fake_sleep = fake_next_sleep = NULL;
    fake_times_out = false;
}

void mutex_init(struct mutex *m, const char *name)
{
    (void)m;
    (void)name;
}

void mutex_lock(struct mutex *m)
{
    (void)m;
    assert_false(fake_locked);
    fake_locked = true;
}

void mutex_unlock(struct mutex *m)
{
    (void)m;
    assert_true(fake_locked);
    fake_locked = false;
}

void *kzalloc(size_t size)
{
    fake_held++;
    return calloc(1, size);
}

void kfree(void *ptr)
{
    fake_held -= ptr != NULL;
    free(ptr);
}

bool page_users_may_take(void)
{
    return fake_users_may_take;
}

struct node *node_get(struct node *n)
{
    n->refs++;
    return n;
}

void proc_wake(void)
{
    fake_woken++;
}

uint64_t proc_changes(void)
{
    return fake_woken;
}

struct uthread *uthread_self(void)
{
    static struct uthread t;

    return &t;
}

bool uthread_interrupted(const struct uthread *t)
{
    (void)t;
    return fake_interrupted;
}

int proc_wait_change(const struct uthread *t, uint64_t seen, nsec_t deadline)
{
    bool timed_out;

    (void)t;
    fake_deadline = deadline;
    assert_false(fake_locked);
    if (seen == fake_woken) {
        assert_non_null(fake_sleep);
        fake_sleep();
        fake_sleep = fake_next_sleep != NULL ? fake_next_sleep : fake_sleep;
    }
    timed_out = fake_times_out;
    fake_times_out = false;
    return timed_out ? -ETIMEDOUT : 0;
}
