/*
 * The guest kernel's futexes, with threads of the host for a program's: no wake-up is lost, however
 * compare and wake meet; who came first is woken first; what is moved is woken elsewhere;
 * deadlines, interruptions, and the locks of a thread that ends, whose list may say anything.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "fake_user.h"
#include "proc/proc.h"

#define THREADS 4
#define MEMORY  0x10000 /* where the program's words are */
#define WORDS   64
#define OUTSIDE 0x800000

static struct proc p;
static struct uthread threads[THREADS];
static uint32_t memory[WORDS];
static __thread struct uthread *self;

/* ---- what is played ---- */

static pthread_mutex_t big = PTHREAD_MUTEX_INITIALIZER; /* over all queues */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_mutex_t table = PTHREAD_MUTEX_INITIALIZER;
static unsigned locks_wanted;         /* by threads that sleep for the table */
static void (*while_reading)(void);   /* called once, when a word is read */
static int (*instead_of_sleep)(void); /* likewise, and what comes of the sleep */
static bool interrupted;
static bool last_wall;

void mutex_init(struct mutex *m, const char *name)
{
    (void)m;
    (void)name;
}

void mutex_lock(struct mutex *m)
{
    (void)m;
    __atomic_add_fetch(&locks_wanted, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_lock(&table);
    __atomic_sub_fetch(&locks_wanted, 1, __ATOMIC_SEQ_CST);
}

void mutex_unlock(struct mutex *m)
{
    (void)m;
    pthread_mutex_unlock(&table);
}

void waitq_prepare(struct waitq *wq, struct waiter *w)
{
    pthread_mutex_lock(&big);
    *w = (struct waiter){.queued = true, .waiting = true};
    XEN_TAILQ_INSERT_TAIL(&wq->waiters, w, link);
    pthread_mutex_unlock(&big);
}

void waitq_wake_all(struct waitq *wq)
{
    struct waiter *w;

    pthread_mutex_lock(&big);
    while ((w = XEN_TAILQ_FIRST(&wq->waiters)) != NULL) {
        XEN_TAILQ_REMOVE(&wq->waiters, w, link);
        w->queued = w->waiting = false;
    }
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&big);
}

/* A deadline is so many nanoseconds of the host's clock. */
int waitq_sleep(struct waitq *wq, struct waiter *w, nsec_t deadline)
{
    const struct timespec until = {.tv_sec = (time_t)(deadline / NSEC_PER_SEC),
                                   .tv_nsec = (long)(deadline % NSEC_PER_SEC)};
    int (*fn)(void) = instead_of_sleep;
    int rc = 0;

    (void)wq;
    last_wall = false;
    if (fn != NULL) {
        instead_of_sleep = NULL;
        return fn();
    }
    pthread_mutex_lock(&big);
    while (w->waiting && rc == 0) {
        rc = deadline == NSEC_FOREVER ? pthread_cond_wait(&changed, &big)
                                      : pthread_cond_timedwait(&changed, &big, &until);
    }
    pthread_mutex_unlock(&big);
    return w->waiting ? -ETIMEDOUT : 0;
}

int waitq_sleep_wall(struct waitq *wq, struct waiter *w, nsec_t deadline)
{
    int rc = waitq_sleep(wq, w, deadline);

    last_wall = true;
    return rc;
}

void waitq_finish(struct waitq *wq, struct waiter *w)
{
    pthread_mutex_lock(&big);
    if (w->queued) {
        XEN_TAILQ_REMOVE(&wq->waiters, w, link);
    }
    pthread_mutex_unlock(&big);
}

bool uthread_interrupted(const struct uthread *t)
{
    (void)t;
    return __atomic_load_n(&interrupted, __ATOMIC_SEQ_CST);
}

static void reading(void)
{
    void (*fn)(void) = while_reading;

    while_reading = NULL;
    if (fn != NULL) {
        fn();
    }
}

int load_user(uaddr_t src, uint32_t *value)
{
    const uint32_t *from = users(src, sizeof(*value));

    if (from == NULL || src.a % sizeof(*value) != 0) {
        return -EFAULT;
    }
    *value = __atomic_load_n(from, __ATOMIC_SEQ_CST);
    reading();
    return 0;
}

int exchange_user(uaddr_t dst, uint32_t old, uint32_t value, uint32_t *seen)
{
    uint32_t *to = users(dst, sizeof(*to));

    if (to == NULL || dst.a % sizeof(*to) != 0) {
        return -EFAULT;
    }
    reading();
    *seen = old;
    (void)__atomic_compare_exchange_n(to, seen, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return 0;
}

/* ---- a program ---- */

static int begin(void **state)
{
    (void)state;
    memset(&p, 0, sizeof(p));
    memset(memory, 0, sizeof(memory));
    fake_user_is(MEMORY, memory, sizeof(memory));
    futexes_init(&p.futexes);
    for (unsigned i = 0; i < THREADS; i++) {
        threads[i] = (struct uthread){.tid = i + 1, .proc = &p};
        XEN_TAILQ_INIT(&threads[i].wait.waiters);
    }
    self = &threads[0];
    interrupted = false;
    while_reading = NULL;
    return 0;
}

static uint64_t at(unsigned word)
{
    return MEMORY + word * sizeof(uint32_t);
}

static nsec_t host_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (nsec_t)t.tv_sec * NSEC_PER_SEC + (nsec_t)t.tv_nsec;
}

static const struct futex_until forever = {.deadline = NSEC_FOREVER};

/* Long enough for a test that is right never to see it. */
static struct futex_until at_last(void)
{
    return (struct futex_until){.deadline = host_now() + 30 * NSEC_PER_SEC};
}

/* A thread of the program's that sleeps, and what came of it. */
struct sleeper {
    pthread_t pthread;
    struct uthread *t;
    unsigned word;
    uint32_t bits;
    int rc;
    unsigned order;
};

static unsigned order_next;

static void *sleep_there(void *arg)
{
    struct sleeper *s = arg;
    struct futex_until until = at_last();

    s->rc = futex_wait(s->t, at(s->word), 0, s->bits, &until);
    s->order = __atomic_fetch_add(&order_next, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static unsigned count_asleep(void)
{
    const struct futex_sleeper *s;
    unsigned n = 0;

    pthread_mutex_lock(&table);
    for (unsigned i = 0; i < FUTEX_LISTS; i++) {
        XEN_TAILQ_FOREACH (s, &p.futexes.lists[i], link) {
            n++;
        }
    }
    pthread_mutex_unlock(&table);
    return n;
}

/* Let thread @i sleep, behind those that do already. */
static void let_sleep(struct sleeper *s, unsigned i, unsigned word, uint32_t bits)
{
    unsigned before = count_asleep();

    *s = (struct sleeper){.t = &threads[i], .word = word, .bits = bits};
    assert_int_equal(pthread_create(&s->pthread, NULL, sleep_there, s), 0);
    while (count_asleep() == before) {
        sched_yield();
    }
}

static int result(struct sleeper *s)
{
    pthread_join(s->pthread, NULL);
    return s->rc;
}

/* ---- sleeping and waking ---- */

static void a_word_of_another_value_is_not_slept_on(void **state)
{
    struct futex_until soon = {.deadline = host_now() + NSEC_PER_SEC};

    (void)state;
    memory[0] = 5;
    assert_int_equal(futex_wait(self, at(0), 4, FUTEX_ALL, &soon), -EAGAIN);
    assert_int_equal(futex_wait(self, OUTSIDE, 0, FUTEX_ALL, &soon), -EFAULT);
    assert_int_equal(count_asleep(), 0);
    assert_int_equal(futex_wake(&p, at(0), 1, FUTEX_ALL), 0);
    assert_int_equal(futex_wake(&p, OUTSIDE, 1, FUTEX_ALL), 0);
}

static pthread_t waker;
static bool waker_done;
static int waker_woke;

/* What who gives a lock back does: change the word, then wake. */
static void *change_and_wake(void *arg)
{
    (void)arg;
    __atomic_store_n(&memory[0], 1, __ATOMIC_SEQ_CST);
    waker_woke = futex_wake(&p, at(0), 1, FUTEX_ALL);
    __atomic_store_n(&waker_done, true, __ATOMIC_SEQ_CST);
    return NULL;
}

/* The word was read, and nobody sleeps yet: the worst moment. */
static void wake_meanwhile(void)
{
    waker_done = false;
    assert_int_equal(pthread_create(&waker, NULL, change_and_wake, NULL), 0);
    while (!__atomic_load_n(&waker_done, __ATOMIC_SEQ_CST) &&
           __atomic_load_n(&locks_wanted, __ATOMIC_SEQ_CST) == 0) {
        sched_yield();
    }
}

static void no_wake_up_is_lost_between_look_and_sleep(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        struct futex_until until = at_last();

        memory[0] = 0;
        while_reading = wake_meanwhile;
        assert_int_equal(futex_wait(self, at(0), 0, FUTEX_ALL, &until), 0);
        pthread_join(waker, NULL);
        assert_int_equal(waker_woke, 1);
    }
}

/* A lock as C libraries make it: 0 free, 1 taken, 2 taken and somebody may sleep. */
static void lock(void)
{
    uint32_t free = 0;

    if (!__atomic_compare_exchange_n(&memory[1], &free, 1, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST)) {
        while (__atomic_exchange_n(&memory[1], 2, __ATOMIC_SEQ_CST) != 0) {
            struct futex_until until = at_last();

            assert_int_not_equal(futex_wait(self, at(1), 2, FUTEX_ALL, &until), -ETIMEDOUT);
        }
    }
}

static void unlock(void)
{
    if (__atomic_exchange_n(&memory[1], 0, __ATOMIC_SEQ_CST) == 2) {
        (void)futex_wake(&p, at(1), 1, FUTEX_ALL);
    }
}

static unsigned counter; /* under that lock */

static void *count_up(void *arg)
{
    self = arg;
    for (unsigned i = 0; i < 5000; i++) {
        lock();
        counter++;
        unlock();
    }
    return NULL;
}

static void a_lock_made_of_it_holds(void **state)
{
    pthread_t t[THREADS];

    (void)state;
    counter = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&t[i], NULL, count_up, &threads[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(t[i], NULL);
    }
    assert_int_equal(counter, THREADS * 5000);
    assert_int_equal(count_asleep(), 0);
}

static void who_came_first_is_woken_first(void **state)
{
    struct sleeper s[3];

    (void)state;
    order_next = 0;
    for (unsigned i = 0; i < 3; i++) {
        let_sleep(&s[i], i, 0, FUTEX_ALL);
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(futex_wake(&p, at(0), 1, FUTEX_ALL), 1);
        assert_int_equal(result(&s[i]), 0);
        assert_int_equal(s[i].order, i);
    }
}

static void so_many_are_woken_and_at_that_word_only(void **state)
{
    struct sleeper s[4];

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        let_sleep(&s[i], i, 0, FUTEX_ALL);
    }
    /* Of the same list: the lists are chosen by a hash, see futex.c. */
    let_sleep(&s[3], 3, 33, FUTEX_ALL);
    assert_int_equal(futex_wake(&p, at(0), 2, FUTEX_ALL), 2);
    assert_int_equal(count_asleep(), 2);
    assert_int_equal(futex_wake(&p, at(0), UINT32_MAX, FUTEX_ALL), 1);
    assert_int_equal(futex_wake(&p, at(33), 0, FUTEX_ALL), 1); /* as on Linux: one at least */
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(result(&s[i]), 0);
    }
}

static void bits_tell_sleepers_apart(void **state)
{
    struct sleeper s[2];

    (void)state;
    let_sleep(&s[0], 0, 0, 1);
    let_sleep(&s[1], 1, 0, 2);
    assert_int_equal(futex_wake(&p, at(0), 9, 4), 0);
    assert_int_equal(futex_wake(&p, at(0), 9, 2), 1);
    assert_int_equal(result(&s[1]), 0);
    assert_int_equal(count_asleep(), 1);
    assert_int_equal(futex_wake(&p, at(0), 9, 3), 1);
    assert_int_equal(result(&s[0]), 0);
}

/* ---- moving ---- */

static void what_is_moved_is_woken_elsewhere(void **state)
{
    struct sleeper s[4];
    uint32_t expected = 1;

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        let_sleep(&s[i], i, 0, FUTEX_ALL);
    }
    assert_int_equal(futex_requeue(&p, at(0), 1, at(9), 2, &expected), -EAGAIN);
    assert_int_equal(futex_requeue(&p, OUTSIDE, 1, at(9), 2, &expected), -EFAULT);
    assert_int_equal(count_asleep(), 4);
    expected = 0;
    assert_int_equal(futex_requeue(&p, at(0), 1, at(9), 2, &expected), 3);
    assert_int_equal(result(&s[0]), 0);
    assert_int_equal(futex_wake(&p, at(0), 9, FUTEX_ALL), 1);
    assert_int_equal(result(&s[3]), 0);
    assert_int_equal(futex_wake(&p, at(9), 1, FUTEX_ALL), 1); /* in their old order */
    assert_int_equal(result(&s[1]), 0);
    assert_int_equal(futex_wake(&p, at(9), 9, FUTEX_ALL), 1);
    assert_int_equal(result(&s[2]), 0);
}

static void moving_to_the_same_place_ends(void **state)
{
    struct sleeper s[3];

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        let_sleep(&s[i], i, 0, FUTEX_ALL);
    }
    assert_int_equal(futex_requeue(&p, at(0), 0, at(0), 1000, NULL), 3);
    assert_int_equal(futex_wake(&p, at(0), 9, FUTEX_ALL), 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(result(&s[i]), 0);
    }
}

/* ---- ends of a sleep ---- */

static void deadlines_end_a_sleep(void **state)
{
    struct futex_until until = {.deadline = host_now() + 20 * NSEC_PER_MSEC};

    (void)state;
    assert_int_equal(futex_wait(self, at(0), 0, FUTEX_ALL, &until), -ETIMEDOUT);
    assert_true(host_now() >= until.deadline);
    assert_false(last_wall);
    assert_int_equal(count_asleep(), 0);
    until.wall = true;
    assert_int_equal(futex_wait(self, at(0), 0, FUTEX_ALL, &until), -ETIMEDOUT); /* over */
    assert_true(last_wall);
}

static void a_signal_ends_a_sleep(void **state)
{
    struct sleeper s;

    (void)state;
    let_sleep(&s, 0, 0, FUTEX_ALL);
    __atomic_store_n(&interrupted, true, __ATOMIC_SEQ_CST);
    waitq_wake_all(&threads[0].wait);
    assert_int_equal(result(&s), -CALL_RESTARTS);
    assert_int_equal(count_asleep(), 0);
    /* It does not sleep at all if there is one already. */
    assert_int_equal(futex_wait(self, at(0), 0, FUTEX_ALL, &forever), -CALL_RESTARTS);
}

static void woken_for_nothing_it_sleeps_on(void **state)
{
    struct sleeper s;

    (void)state;
    let_sleep(&s, 0, 0, FUTEX_ALL);
    for (unsigned i = 0; i < 100; i++) {
        waitq_wake_all(&threads[0].wait);
        sched_yield();
    }
    assert_int_equal(count_asleep(), 1);
    assert_int_equal(futex_wake(&p, at(0), 1, FUTEX_ALL), 1);
    assert_int_equal(result(&s), 0);
}

/* All at once: woken, a signal, and its time is over. */
static int everything_happens(void)
{
    assert_int_equal(futex_wake(&p, at(0), 1, FUTEX_ALL), 1);
    interrupted = true;
    return -ETIMEDOUT;
}

/* Whoever was woken was woken, whatever else: the wake-up is used up, and must not be lost. */
static void a_wake_up_counts_more_than_anything(void **state)
{
    (void)state;
    instead_of_sleep = everything_happens;
    assert_int_equal(futex_wait(self, at(0), 0, FUTEX_ALL, &forever), 0);
    assert_int_equal(count_asleep(), 0);
}

/* ---- a thread's end ---- */

/* A list of locks: its head at word 0, entries of two words, each followed by its lock. */
#define HEAD     MEMORY
#define OFFSET   8
#define ENTRY(i) (MEMORY + 32 + 16 * (uint64_t)(i))
#define LOCK(i)  ((unsigned)((ENTRY(i) + OFFSET - MEMORY) / 4))

static void put(uint64_t address, uint64_t value)
{
    memcpy(users(UADDR(address), sizeof(value)), &value, sizeof(value));
}

static void robust_list(unsigned entries)
{
    put(HEAD, entries == 0 ? HEAD : ENTRY(0));
    put(HEAD + 8, OFFSET);
    put(HEAD + 16, 0);
    for (unsigned i = 0; i < entries; i++) {
        put(ENTRY(i), i + 1 < entries ? ENTRY(i + 1) : HEAD);
        memory[LOCK(i)] = self->tid;
    }
    self->robust_list = HEAD;
}

static void somebody_begins_to_wait(void)
{
    memory[LOCK(0)] |= FUTEX_WAITERS;
}

static void locks_of_a_thread_that_ends_are_marked(void **state)
{
    struct sleeper s;

    (void)state;
    robust_list(3);
    memory[LOCK(1)] = FUTEX_WAITERS | 2; /* another's: it only looks as if */
    memory[LOCK(2)] |= FUTEX_WAITERS;
    memory[50] = 0;
    let_sleep(&s, 1, 50, FUTEX_ALL);
    assert_int_equal(futex_requeue(&p, at(50), 0, at(LOCK(2)), 1, NULL), 1);
    futex_thread_ends(self);
    assert_int_equal(memory[LOCK(0)], FUTEX_OWNER_DIED);
    assert_int_equal(memory[LOCK(1)], FUTEX_WAITERS | 2);
    assert_int_equal(memory[LOCK(2)], FUTEX_OWNER_DIED | FUTEX_WAITERS);
    assert_int_equal(result(&s), 0);
    /* Somebody begins to wait in the very moment. */
    robust_list(1);
    while_reading = somebody_begins_to_wait;
    futex_thread_ends(self);
    assert_int_equal(memory[LOCK(0)], FUTEX_OWNER_DIED | FUTEX_WAITERS);
}

static void a_lock_on_its_way_is_looked_after(void **state)
{
    struct sleeper s;

    (void)state;
    /* Taken, and not in the list yet. */
    robust_list(0);
    put(HEAD + 16, ENTRY(0));
    memory[LOCK(0)] = self->tid;
    futex_thread_ends(self);
    assert_int_equal(memory[LOCK(0)], FUTEX_OWNER_DIED);
    /* Given back, and nobody woken. */
    memory[LOCK(0)] = 0;
    let_sleep(&s, 1, LOCK(0), FUTEX_ALL);
    futex_thread_ends(self);
    assert_int_equal(result(&s), 0);
}

static void lists_that_lie_do_no_harm(void **state)
{
    static const uint64_t heads[] = {8, OUTSIDE, MEMORY + sizeof(memory) - 8, UINT64_MAX - 4};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
        self->robust_list = heads[i];
        futex_thread_ends(self);
    }
    robust_list(2);
    put(ENTRY(1), ENTRY(0)); /* without end */
    alarm(60);
    futex_thread_ends(self);
    alarm(0);
    assert_int_equal(memory[LOCK(1)], FUTEX_OWNER_DIED);
    robust_list(2);
    put(ENTRY(0), OUTSIDE); /* what can be reached is done */
    futex_thread_ends(self);
    assert_int_equal(memory[LOCK(0)], FUTEX_OWNER_DIED);
    assert_int_equal(memory[LOCK(1)], self->tid);
    robust_list(1);
    put(HEAD + 8, OFFSET + 1); /* no word */
    futex_thread_ends(self);
    assert_int_equal(memory[LOCK(0)], self->tid);
}

static void who_joins_is_told(void **state)
{
    struct sleeper s;

    (void)state;
    let_sleep(&s, 1, 5, FUTEX_ALL);
    memory[5] = 77;
    self->clear_tid = at(5);
    futex_thread_ends(self);
    assert_int_equal(memory[5], 0);
    assert_int_equal(result(&s), 0);
    self->clear_tid = OUTSIDE;
    futex_thread_ends(self);
}

#define TEST(fn) cmocka_unit_test_setup(fn, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_word_of_another_value_is_not_slept_on),
        TEST(no_wake_up_is_lost_between_look_and_sleep),
        TEST(a_lock_made_of_it_holds),
        TEST(who_came_first_is_woken_first),
        TEST(so_many_are_woken_and_at_that_word_only),
        TEST(bits_tell_sleepers_apart),
        TEST(what_is_moved_is_woken_elsewhere),
        TEST(moving_to_the_same_place_ends),
        TEST(deadlines_end_a_sleep),
        TEST(a_signal_ends_a_sleep),
        TEST(woken_for_nothing_it_sleeps_on),
        TEST(a_wake_up_counts_more_than_anything),
        TEST(locks_of_a_thread_that_ends_are_marked),
        TEST(a_lock_on_its_way_is_looked_after),
        TEST(lists_that_lie_do_no_harm),
        TEST(who_joins_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
