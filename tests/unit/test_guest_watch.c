/*
 * The guest's watches after a restore: the store of the other host knows none of them, and gets all
 * of them, whatever it answers to one.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kern/errno.h"
#include "kern/lock.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/thread.h"
#include "kern/wait.h"
#include "os/panic.h"
#include "xenbus/xs_conn.h"

#include <xen/io/xs_wire.h>

#define WATCHES 3

static unsigned asked;      /* watches that the store was asked for */
static const char *refused; /* the path of the one that it does not take; NULL: it takes all */

/* ---- the kernel around it ---- */

int xs_talk(uint32_t type, xs_txn_t t, const struct xs_part *parts, unsigned nparts,
            struct xs_reply *reply)
{
    assert_int_equal(t, XS_NO_TXN);
    assert_int_equal(nparts, 2);
    assert_null(reply);
    asked += type == XS_WATCH;
    return refused != NULL && strcmp(parts[0].data, refused) == 0 ? -EIO : 0;
}

void *kmalloc(size_t size)
{
    return malloc(size);
}

void kfree(void *object)
{
    free(object);
}

void waitq_wake_all(struct waitq *wq)
{
    (void)wq;
}

/* Nobody waits here: what a thread of its own would call is not what this is about. */
void waitq_prepare(struct waitq *wq, struct waiter *w)
{
    (void)wq;
    (void)w;
    fail();
}

int waitq_sleep(struct waitq *wq, struct waiter *w, nsec_t deadline)
{
    (void)wq;
    (void)w;
    (void)deadline;
    return -ETIMEDOUT;
}

void waitq_finish(struct waitq *wq, struct waiter *w)
{
    (void)wq;
    (void)w;
}

struct thread *thread_create(const char *name, void (*fn)(void *arg), void *arg,
                             enum thread_prio prio)
{
    (void)name;
    (void)fn;
    (void)arg;
    (void)prio;
    return NULL;
}

struct thread *thread_self(void)
{
    return NULL;
}

void xs_conn_init(void)
{
    fail();
}

void klog(enum log_level level, const char *fmt, ...)
{
    (void)level;
    (void)fmt;
}

const char *errno_name(int err)
{
    (void)err;
    return "error";
}

void panic(const char *fmt, ...)
{
    fail_msg("panic: %s", fmt);
    abort();
}

/* ---- the promises ---- */

static void ignore(struct xs_watch *w, const char *path)
{
    (void)w;
    (void)path;
}

static void all_watches_are_set_again(void **unused)
{
    static const char *const paths[WATCHES] = {"device", "control/shutdown", "memory/target"};
    struct xs_watch watches[WATCHES];

    (void)unused;
    for (unsigned i = 0; i < WATCHES; i++) {
        watches[i] = (struct xs_watch){.path = paths[i], .fn = ignore};
        assert_int_equal(xs_watch_add(&watches[i]), 0);
    }
    asked = 0;
    assert_int_equal(xs_watch_again(), 0);
    assert_int_equal(asked, WATCHES);
    for (unsigned i = 0; i < WATCHES; i++) {
        asked = 0;
        refused = paths[i];
        assert_int_equal(xs_watch_again(), -EIO);
        assert_int_equal(asked, WATCHES);
    }
    refused = NULL;
    for (unsigned i = 0; i < WATCHES; i++) {
        xs_watch_forget(&watches[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_watches_are_set_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
