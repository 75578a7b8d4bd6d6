/*
 * futex.c - sleeping on a word of the program's memory: see futex.h.
 */
#include "proc/futex.h"

#include "proc/proc.h"

/* As programs have it: struct robust_list_head. */
struct robust_head {
    uint64_t next;
    int64_t offset; /* from an entry to its lock's word */
    uint64_t pending;
};

#define ROBUST_PI 1ull /* in an entry's address: of a kind of lock that is not offered */

void futexes_init(struct futexes *f)
{
    mutex_init(&f->lock, "futex");
    for (unsigned i = 0; i < FUTEX_LISTS; i++) {
        XEN_TAILQ_INIT(&f->lists[i]);
    }
}

static struct futex_list *list_of(struct futexes *f, uint64_t at)
{
    uint64_t word = at / sizeof(uint32_t);

    return &f->lists[(word ^ word >> 5 ^ word >> 10) % FUTEX_LISTS];
}

/* ---- sleeping ---- */

/* The word is what it should be: join the list. The lock is held. */
static int sleeper_join(struct futexes *f, struct futex_sleeper *s, uint32_t value)
{
    uint32_t word;
    int rc = load_user(UADDR(s->at), &word);

    if (rc == 0 && word != value) {
        rc = -EAGAIN;
    }
    if (rc == 0) {
        s->queued = true;
        XEN_TAILQ_INSERT_TAIL(list_of(f, s->at), s, link);
    }
    return rc;
}

static int sleeper_sleep(struct uthread *t, const struct futex_sleeper *s,
                         const struct futex_until *until)
{
    struct waiter w;
    int rc = 0;

    witness_may_sleep();
    while (READ_ONCE(s->queued) && !uthread_interrupted(t) && rc == 0) {
        waitq_prepare(&t->wait, &w);
        if (READ_ONCE(s->queued) && !uthread_interrupted(t)) {
            rc = until->wall ? waitq_sleep_wall(&t->wait, &w, until->deadline)
                             : waitq_sleep(&t->wait, &w, until->deadline);
        }
        waitq_finish(&t->wait, &w);
    }
    return rc;
}

int futex_wait(struct uthread *t, uint64_t at, uint32_t value, uint32_t bits,
               const struct futex_until *until)
{
    struct futexes *f = &t->proc->futexes;
    struct futex_sleeper s = {.at = at, .bits = bits, .wait = &t->wait};

    mutex_lock(&f->lock);
    int rc = sleeper_join(f, &s, value);
    mutex_unlock(&f->lock);
    if (rc != 0) {
        return rc;
    }
    rc = sleeper_sleep(t, &s, until);
    mutex_lock(&f->lock); /* who woke us is done with us then */
    if (!s.queued) {
        rc = 0; /* whatever else happened meanwhile */
    } else {
        XEN_TAILQ_REMOVE(list_of(f, s.at), &s, link);
        rc = rc != 0 ? rc : -CALL_RESTARTS;
    }
    mutex_unlock(&f->lock);
    return rc;
}

/* ---- waking ---- */

/* The lock is held. */
static void sleeper_wake(struct futexes *f, struct futex_sleeper *s)
{
    XEN_TAILQ_REMOVE(list_of(f, s->at), s, link);
    WRITE_ONCE(s->queued, false);
    waitq_wake_all(s->wait);
}

static void sleeper_move(struct futexes *f, struct futex_sleeper *s, uint64_t to)
{
    XEN_TAILQ_REMOVE(list_of(f, s->at), s, link);
    s->at = to;
    XEN_TAILQ_INSERT_TAIL(list_of(f, to), s, link);
}

/* The first one behind @last that sleeps at @at; NULL: from the list's beginning, and none. */
static struct futex_sleeper *sleeper_next(struct futexes *f, struct futex_sleeper *last,
                                          uint64_t at, uint32_t bits)
{
    struct futex_sleeper *s =
        last == NULL ? XEN_TAILQ_FIRST(list_of(f, at)) : XEN_TAILQ_NEXT(last, link);

    while (s != NULL && (s->at != at || (s->bits & bits) == 0)) {
        s = XEN_TAILQ_NEXT(s, link);
    }
    return s;
}

int futex_wake(struct proc *p, uint64_t at, unsigned n, uint32_t bits)
{
    struct futexes *f = &p->futexes;
    struct futex_sleeper *s, *next;
    int woken = 0;

    mutex_lock(&f->lock);
    for (s = sleeper_next(f, NULL, at, bits); s != NULL; s = next) {
        next = sleeper_next(f, s, at, bits);
        sleeper_wake(f, s);
        if (++woken >= (int)MIN(n, INT32_MAX)) {
            break;
        }
    }
    mutex_unlock(&f->lock);
    return woken;
}

int futex_requeue(struct proc *p, uint64_t at, unsigned n, uint64_t to, unsigned more,
                  const uint32_t *expected)
{
    struct futexes *f = &p->futexes;
    struct futex_sleeper *s, *next;
    unsigned done = 0;
    uint32_t word;

    mutex_lock(&f->lock);
    int rc = expected == NULL ? 0 : load_user(UADDR(at), &word);
    if (rc == 0 && expected != NULL && word != *expected) {
        rc = -EAGAIN;
    }
    for (s = sleeper_next(f, NULL, at, FUTEX_ALL); rc == 0 && s != NULL; s = next) {
        next = sleeper_next(f, s, at, FUTEX_ALL);
        if (done < n) {
            sleeper_wake(f, s);
        } else if (done - n >= more) {
            break;
        } else if (to != at) { /* else it would be met again */
            sleeper_move(f, s, to);
        }
        done++;
    }
    mutex_unlock(&f->lock);
    return rc == 0 ? (int)done : rc;
}

/* ---- a thread's end ---- */

/* One of its locks, if it is still its. False: the list cannot be gone on with. */
static bool lock_abandon(struct uthread *t, uint64_t at, bool pending)
{
    uint32_t word, seen;

    if (at % sizeof(word) != 0 || load_user(UADDR(at), &word) != 0) {
        return false;
    }
    while ((word & FUTEX_TID) == t->tid) {
        uint32_t dead = (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED;

        if (exchange_user(UADDR(at), word, dead, &seen) != 0) {
            return false;
        }
        if (seen == word) {
            if (word & FUTEX_WAITERS) {
                (void)futex_wake(t->proc, at, 1, FUTEX_ALL);
            }
            return true;
        }
        word = seen; /* somebody began to wait */
    }
    /* It gave one back, and ended before it woke whoever waits. */
    if (pending && word == 0) {
        (void)futex_wake(t->proc, at, 1, FUTEX_ALL);
    }
    return true;
}

/* The list is the program's, which may have written anything to it. */
static void robust_list_abandon(struct uthread *t)
{
    struct robust_head head;
    uint64_t entry;

    if (copy_from_user(&head, UADDR(t->robust_list), sizeof(head)) != 0) {
        return;
    }
    entry = head.next;
    for (unsigned i = 0; i < FUTEX_ROBUST_MAX && entry != t->robust_list; i++) {
        uint64_t at = entry & ~ROBUST_PI, next;

        /* Read first: who gets the lock may free it. */
        int rc = copy_from_user(&next, UADDR(at), sizeof(next));
        if (entry != head.pending && !lock_abandon(t, at + (uint64_t)head.offset, false)) {
            break;
        }
        if (rc != 0) {
            break;
        }
        entry = next;
    }
    if (head.pending != 0) {
        (void)lock_abandon(t, (head.pending & ~ROBUST_PI) + (uint64_t)head.offset, true);
    }
}

void futex_thread_ends(struct uthread *t)
{
    static const uint32_t none = 0;

    if (t->robust_list != 0) {
        robust_list_abandon(t);
    }
    if (t->clear_tid != 0 && copy_to_user(UADDR(t->clear_tid), &none, sizeof(none)) == 0) {
        (void)futex_wake(t->proc, t->clear_tid, 1, FUTEX_ALL);
    }
}
