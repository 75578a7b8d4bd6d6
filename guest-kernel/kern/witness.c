/*
 * witness.c - see witness.h.
 *
 * What is held is kept by who holds it: spinlocks and running callbacks by vCPU, mutexes by thread.
 * A handler runs on a thread's stack, but does not wait for its mutexes: they do not count at an
 * interrupt level. `order` remembers for each two classes where one was first taken with the other
 * held; a race between two vCPUs that both write the first costs nothing but which is named.
 *
 * Locks: none, of course; a list is touched by its vCPU with upcalls masked, or by its thread.
 */
#include "kern/witness.h"

#ifdef DUET_WITNESS

#include "kern/sched.h"
#include "kern/string.h"
#include "os/ksyms.h"
#include "os/panic.h"

#define PLACE_MAX 48

static struct held_locks by_cpu[CPU_MAX];

/* Where a class was taken, with another held since then. */
static struct {
    uint64_t held, taken;
} order[LOCK_CLASSES][LOCK_CLASSES];

static const char *const kinds[] = {"mutex", "running", "spinlock"};
static const char *const wants[] = {"wants mutex", "waits for", "wants spinlock"};

/* "function+0x12" of an address. */
static const char *place_text(uint64_t place, char *text)
{
    uint64_t offset;
    const char *name = ksym_find(place, &offset);

    if (name != NULL) {
        snprintf(text, PLACE_MAX, "%s+%#llx", name, (unsigned long long)offset);
    } else {
        snprintf(text, PLACE_MAX, "%#llx", (unsigned long long)place);
    }
    return text;
}

/* What the other order of two classes is known by, for a report. */
static const char *other_order(enum lock_class outer, enum lock_class inner, char *text,
                               size_t size)
{
    char held[PLACE_MAX], taken[PLACE_MAX];

    if (order[outer][inner].taken == 0) {
        strlcpy(text, "as yet nobody took them in the table's order", size);
        return text;
    }
    snprintf(text, size, "the table's order: \"%s\" at %s, then \"%s\" at %s",
             lock_class_info(outer)->name, place_text(order[outer][inner].held, held),
             lock_class_info(inner)->name, place_text(order[outer][inner].taken, taken));
    return text;
}

/* Panics: @w is wanted with @h held. */
static void witness_report(const struct held_lock *h, const struct held_lock *w)
{
    const struct lock_class_info *wanted = lock_class_info(w->class);
    const struct lock_class_info *held = lock_class_info(h->class);
    char wanted_at[PLACE_MAX], held_at[PLACE_MAX], other[224];

    place_text(w->place, wanted_at);
    place_text(h->place, held_at);
    panic("lock order: %s \"%s\" at %s, with %s \"%s\" held since %s; %s", wants[wanted->kind],
          w->name, wanted_at, kinds[held->kind], h->name, held_at,
          other_order(w->class, h->class, other, sizeof(other)));
}

/* Compares what is wanted with all of a list. */
static void check_list(const struct held_locks *list, const struct held_lock *w)
{
    for (unsigned i = 0; i < list->n; i++) {
        const struct held_lock *h = &list->at[i];
        bool pair = h->class == w->class && h->lock != w->lock && lock_class_info(h->class)->pair;

        if (h->class >= w->class && !pair) {
            witness_report(h, w);
        }
        if (order[h->class][w->class].taken == 0) {
            order[h->class][w->class].held = h->place;
            order[h->class][w->class].taken = w->place;
        }
    }
}

/* The mutexes that count here, or NULL. Upcalls are masked. */
static struct held_locks *mutexes_here(const struct cpu *cpu)
{
    return cpu->current != NULL && cpu->ipl == IPL_NONE ? &cpu->current->mutexes : NULL;
}

static void witness_check(const struct held_lock *w)
{
    upcall_state_t state = upcalls_save();
    const struct cpu *cpu = this_cpu();
    const struct held_locks *mutexes = mutexes_here(cpu);

    check_list(&by_cpu[cpu->id], w);
    if (mutexes != NULL) {
        check_list(mutexes, w);
    }
    upcalls_restore(state);
}

static void witness_push(struct held_locks *list, const struct held_lock *h)
{
    ASSERT(list->n < WITNESS_HELD_MAX);
    list->at[list->n++] = *h;
}

/* Locks need not be released in the reverse order. */
static void witness_drop(struct held_locks *list, const void *lock)
{
    for (unsigned i = list->n; i-- > 0;) {
        if (list->at[i].lock == lock) {
            for (list->n--; i < list->n; i++) {
                list->at[i] = list->at[i + 1];
            }
            return;
        }
    }
}

/* The class of a lock; whoever makes a new kind of lock gives it a row first. */
static enum lock_class class_of(enum lock_kind kind, uint16_t *cache, const char *name)
{
    if (*cache == LOCK_UNKNOWN) {
        *cache = (uint16_t)lock_class_of(kind, name);
    }
    if (*cache == LOCK_UNKNOWN) {
        panic("%s \"%s\" is not in kern/lockorder.def", kinds[kind], name);
    }
    return *cache;
}

void witness_spin_wants(spinlock_t *lock, uint64_t place)
{
    struct held_lock w = {.lock = lock, .name = lock->name, .place = place};

    if (!upcalls_masked()) {
        char at[PLACE_MAX];

        panic("spinlock \"%s\": taken with upcalls open at %s", lock->name, place_text(place, at));
    }
    w.class = class_of(LOCK_KIND_SPIN, &lock->class, lock->name);
    witness_check(&w);
}

void witness_spin_has(const spinlock_t *lock, uint64_t place)
{
    witness_push(&by_cpu[this_cpu()->id],
                 &(struct held_lock){
                     .class = lock->class, .lock = lock, .name = lock->name, .place = place});
}

void witness_spin_drops(const spinlock_t *lock)
{
    witness_drop(&by_cpu[this_cpu()->id], lock);
}

/* Panics if the caller, at @place, may not sleep. */
static void check_sleep(uint64_t place)
{
    upcall_state_t state = upcalls_save();
    const struct cpu *cpu = this_cpu();
    const struct held_locks *held = &by_cpu[cpu->id];
    char at[PLACE_MAX], held_at[PLACE_MAX];

    if (held->n != 0) {
        const struct held_lock *h = &held->at[held->n - 1];

        panic("lock order: may sleep at %s, with %s \"%s\" held since %s", place_text(place, at),
              kinds[lock_class_info(h->class)->kind], h->name, place_text(h->place, held_at));
    }
    if (state || cpu->ipl != IPL_NONE) {
        panic("lock order: may sleep at %s, with upcalls masked (%d) or at level %d",
              place_text(place, at), state, cpu->ipl);
    }
    upcalls_restore(state);
}

void witness_may_sleep(void)
{
    check_sleep((uint64_t)__builtin_return_address(0));
}

void witness_mutex_wants(struct mutex *m, uint64_t place)
{
    struct held_lock w = {.lock = m, .name = m->waiters.lock.name, .place = place};

    if (locks_bypassed()) {
        return;
    }
    check_sleep(place);
    w.class = class_of(LOCK_KIND_MUTEX, &m->class, m->waiters.lock.name);
    witness_check(&w);
}

void witness_mutex_has(struct mutex *m, uint64_t place)
{
    struct thread *self = thread_self();
    const char *name = m->waiters.lock.name;

    witness_push(&self->mutexes,
                 &(struct held_lock){.class = class_of(LOCK_KIND_MUTEX, &m->class, name),
                                     .lock = m,
                                     .name = name,
                                     .place = place});
}

void witness_mutex_drops(const struct mutex *m)
{
    witness_drop(&thread_self()->mutexes, m);
}

void witness_callback_begin(enum lock_class class, uint64_t fn)
{
    upcall_state_t state = upcalls_save();

    witness_push(
        &by_cpu[this_cpu()->id],
        &(struct held_lock){.class = class, .name = lock_class_info(class)->name, .place = fn});
    upcalls_restore(state);
}

void witness_callback_end(void)
{
    upcall_state_t state = upcalls_save();

    by_cpu[this_cpu()->id].n--; /* all that it took it has released */
    upcalls_restore(state);
}

void witness_waits(enum lock_class class)
{
    witness_check(&(struct held_lock){.class = class,
                                      .name = lock_class_info(class)->name,
                                      .place = (uint64_t)__builtin_return_address(0)});
}

#endif /* DUET_WITNESS */
