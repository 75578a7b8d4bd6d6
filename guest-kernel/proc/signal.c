/*
 * signal.c - sets of signals and what each does: see signal.h.
 *
 * A signal is dropped by who sends it if it is ignored and not blocked. So what is ready is hardly
 * ever ignored, and a thread that sleeps is not woken for nothing. Two ways lead to such a signal
 * all the same: it was blocked when it came, or its action changed; signal_next() drops it then.
 *
 * What stops a process is a state of all its threads, and no signal of one's: it is here so that it
 * changes with the lock that SIGCONT is posted with. Between taking a signal that stops and
 * stopping, somebody may post one: `stop_taken` tells.
 */
#include "proc/signal.h"

/* What nobody blocks, handles or ignores. */
#define ALWAYS (SIGNAL_BIT(SIGNAL_KILL) | SIGNAL_BIT(SIGNAL_STOP))

/* What does nothing by default, and what stops. */
#define HARMLESS                                                                          \
    (SIGNAL_BIT(SIGNAL_CHILD) | SIGNAL_BIT(SIGNAL_CONTINUE) | SIGNAL_BIT(SIGNAL_URGENT) | \
     SIGNAL_BIT(SIGNAL_WINDOW))
#define STOPS                                                                            \
    (SIGNAL_BIT(SIGNAL_STOP) | SIGNAL_BIT(SIGNAL_TTY_STOP) | SIGNAL_BIT(SIGNAL_TTY_IN) | \
     SIGNAL_BIT(SIGNAL_TTY_OUT))

void signals_init(struct signals *s)
{
    *s = (struct signals){.pending = {.set = 0}};
    spin_init(&s->lock, "signals");
    XEN_TAILQ_INIT(&s->threads);
}

void signals_join(struct signals *s, struct thread_signals *t)
{
    *t = (struct thread_signals){.process = s};
    upcall_state_t state = spin_lock(&s->lock);
    XEN_TAILQ_INSERT_TAIL(&s->threads, t, link);
    spin_unlock(&s->lock, state);
}

void signals_leave(struct thread_signals *t)
{
    struct signals *s = t->process;
    upcall_state_t state = spin_lock(&s->lock);

    XEN_TAILQ_REMOVE(&s->threads, t, link);
    spin_unlock(&s->lock, state);
}

void signals_fork(struct thread_signals *child, struct thread_signals *t)
{
    upcall_state_t state = spin_lock(&t->process->lock);

    child->blocked = t->blocked;
    child->stack = t->stack;
    for (unsigned i = 0; i < SIGNALS; i++) {
        child->process->actions[i] = t->process->actions[i];
    }
    spin_unlock(&t->process->lock, state);
}

void signals_exec(struct thread_signals *t)
{
    struct signals *s = t->process;
    upcall_state_t state = spin_lock(&s->lock);

    t->stack = (struct signal_stack){.size = 0};
    for (unsigned i = 0; i < SIGNALS; i++) {
        uint64_t kept = s->actions[i].handler == HANDLER_IGNORE ? HANDLER_IGNORE : HANDLER_DEFAULT;

        s->actions[i] = (struct signal_action){.handler = kept};
    }
    spin_unlock(&s->lock, state);
}

/* ---- coming in ---- */

static bool action_ignores(const struct signals *s, unsigned number)
{
    uint64_t handler = s->actions[number - 1].handler;

    return handler == HANDLER_IGNORE ||
           (handler == HANDLER_DEFAULT && (HARMLESS & SIGNAL_BIT(number)) != 0);
}

static bool action_stops(const struct signals *s, unsigned number)
{
    return s->actions[number - 1].handler == HANDLER_DEFAULT && (STOPS & SIGNAL_BIT(number)) != 0;
}

/* The lock is held. */
static void queue_add(struct signal_queue *q, unsigned number, const struct signal_info *info)
{
    if ((q->set & SIGNAL_BIT(number)) == 0) {
        q->info[number - 1] = *info;
        WRITE_ONCE(q->set, q->set | SIGNAL_BIT(number));
    }
}

static void queue_drop(struct signal_queue *q, uint64_t set)
{
    WRITE_ONCE(q->set, q->set & ~set);
}

/* Whether some thread blocks a signal. The lock is held. */
static bool somebody_blocks(const struct signals *s, unsigned number)
{
    const struct thread_signals *t;
    bool blocked = false;

    XEN_TAILQ_FOREACH (t, &s->threads, link) {
        blocked = blocked || (t->blocked & SIGNAL_BIT(number)) != 0;
    }
    return blocked;
}

/* Take signals back from the process and all its threads. The lock is held. */
static void forget_locked(struct signals *s, uint64_t set)
{
    struct thread_signals *t;

    queue_drop(&s->pending, set);
    XEN_TAILQ_FOREACH (t, &s->threads, link) {
        queue_drop(&t->pending, set);
    }
}

/* What a signal does when it is posted, whatever becomes of it. Return: the process goes on now. */
static bool stop_or_go(struct signals *s, unsigned number)
{
    bool goes_on = number == SIGNAL_CONTINUE && s->stop != 0;

    if (number == SIGNAL_CONTINUE) {
        forget_locked(s, STOPS);
        s->stop_taken = false;
        WRITE_ONCE(s->stop, 0);
    } else if (STOPS & SIGNAL_BIT(number)) {
        forget_locked(s, SIGNAL_BIT(SIGNAL_CONTINUE));
    }
    return goes_on;
}

bool signal_post(struct signals *s, unsigned number, const struct signal_info *info)
{
    upcall_state_t state = spin_lock(&s->lock);
    bool goes_on = stop_or_go(s, number);
    bool kept = !action_ignores(s, number) || somebody_blocks(s, number);

    bool news = kept && (s->pending.set & SIGNAL_BIT(number)) == 0;

    if (kept) {
        queue_add(&s->pending, number, info);
    }
    spin_unlock(&s->lock, state);
    return news || goes_on;
}

bool signal_post_thread(struct thread_signals *t, unsigned number, const struct signal_info *info)
{
    upcall_state_t state = spin_lock(&t->process->lock);
    bool goes_on = stop_or_go(t->process, number);
    bool kept = !action_ignores(t->process, number) || (t->blocked & SIGNAL_BIT(number)) != 0;

    bool news = kept && (t->pending.set & SIGNAL_BIT(number)) == 0;

    if (kept) {
        queue_add(&t->pending, number, info);
    }
    spin_unlock(&t->process->lock, state);
    return news || goes_on;
}

/* ---- going out ---- */

/* The lock is held. */
static unsigned queue_take(struct signal_queue *q, uint64_t set, struct signal_info *info)
{
    uint64_t those = q->set & set;

    if (those == 0) {
        return 0;
    }
    unsigned number = (unsigned)__builtin_ctzll(those) + 1;
    *info = q->info[number - 1];
    queue_drop(q, SIGNAL_BIT(number));
    return number;
}

/* The lock is held. */
static unsigned take_locked(struct thread_signals *t, uint64_t set, struct signal_info *info)
{
    unsigned number = queue_take(&t->pending, set, info);

    return number != 0 ? number : queue_take(&t->process->pending, set, info);
}

unsigned signal_take(struct thread_signals *t, uint64_t set, struct signal_info *info)
{
    upcall_state_t state = spin_lock(&t->process->lock);
    unsigned number = take_locked(t, set, info);

    spin_unlock(&t->process->lock, state);
    return number;
}

bool signal_next(struct thread_signals *t, struct signal_due *due)
{
    upcall_state_t state = spin_lock(&t->process->lock);

    do {
        due->number = take_locked(t, ~t->blocked, &due->info);
    } while (due->number != 0 && action_ignores(t->process, due->number));
    if (due->number != 0) {
        due->action = t->process->actions[due->number - 1];
        due->stops = action_stops(t->process, due->number);
        due->ends = due->action.handler == HANDLER_DEFAULT && !due->stops;
        t->process->stop_taken = t->process->stop_taken || due->stops;
    }
    spin_unlock(&t->process->lock, state);
    return due->number != 0;
}

void signals_stop(struct signals *s, unsigned number)
{
    upcall_state_t state = spin_lock(&s->lock);

    if (s->stop_taken && s->stop == 0) {
        s->stops++;
        WRITE_ONCE(s->stop, number);
    }
    s->stop_taken = false;
    spin_unlock(&s->lock, state);
}

unsigned signal_fatal(const struct thread_signals *t)
{
    upcall_state_t state = spin_lock(&t->process->lock);
    uint64_t ready = signal_ready(t);
    unsigned fatal = 0;

    for (unsigned number = 1; number <= SIGNALS && fatal == 0; number++) {
        if ((ready & SIGNAL_BIT(number)) != 0 && !action_ignores(t->process, number) &&
            !action_stops(t->process, number) &&
            t->process->actions[number - 1].handler == HANDLER_DEFAULT) {
            fatal = number;
        }
    }
    spin_unlock(&t->process->lock, state);
    return fatal;
}

bool signal_force(struct thread_signals *t, unsigned number, const struct signal_info *info,
                  struct signal_due *due)
{
    upcall_state_t state = spin_lock(&t->process->lock);
    bool blocked = (t->blocked & SIGNAL_BIT(number)) != 0;

    *due = (struct signal_due){
        .number = number, .info = *info, .action = t->process->actions[number - 1]};
    due->ends = blocked || due->action.handler <= HANDLER_IGNORE;
    spin_unlock(&t->process->lock, state);
    return !due->ends;
}

uint64_t signal_mask_before(struct thread_signals *t)
{
    upcall_state_t state = spin_lock(&t->process->lock);
    uint64_t mask = t->suspended ? t->before : t->blocked;

    spin_unlock(&t->process->lock, state);
    return mask;
}

/* The lock is held. */
static void block_locked(struct thread_signals *t, uint64_t mask)
{
    WRITE_ONCE(t->blocked, mask & ~ALWAYS);
}

void signal_enter(struct thread_signals *t, const struct signal_due *due)
{
    upcall_state_t state = spin_lock(&t->process->lock);
    uint64_t own = due->action.flags & SA_NODEFER ? 0 : SIGNAL_BIT(due->number);

    t->suspended = false;
    block_locked(t, t->blocked | due->action.mask | own);
    if (due->action.flags & SA_RESETHAND) {
        t->process->actions[due->number - 1].handler = HANDLER_DEFAULT;
    }
    spin_unlock(&t->process->lock, state);
}

/* ---- what the program sets ---- */

void signal_suspend(struct thread_signals *t, uint64_t mask)
{
    upcall_state_t state = spin_lock(&t->process->lock);

    t->before = t->blocked;
    t->suspended = true;
    block_locked(t, mask);
    spin_unlock(&t->process->lock, state);
}

void signal_resume(struct thread_signals *t)
{
    upcall_state_t state = spin_lock(&t->process->lock);

    if (t->suspended) {
        t->suspended = false;
        block_locked(t, t->before);
    }
    spin_unlock(&t->process->lock, state);
}

void signal_set_blocked(struct thread_signals *t, uint64_t mask)
{
    upcall_state_t state = spin_lock(&t->process->lock);

    block_locked(t, mask);
    spin_unlock(&t->process->lock, state);
}

int signal_set_action(struct signals *s, unsigned number, const struct signal_action *action,
                      struct signal_action *old)
{
    if (number == 0 || number > SIGNALS || (action != NULL && (ALWAYS & SIGNAL_BIT(number)) != 0)) {
        return -EINVAL;
    }
    upcall_state_t state = spin_lock(&s->lock);
    if (old != NULL) {
        *old = s->actions[number - 1];
    }
    if (action != NULL) {
        s->actions[number - 1] = *action;
        if (action_ignores(s, number)) {
            forget_locked(s, SIGNAL_BIT(number));
        }
    }
    spin_unlock(&s->lock, state);
    return 0;
}

bool signal_on_stack(const struct signal_stack *stack, uint64_t sp)
{
    return stack->size != 0 && sp > stack->sp && sp - stack->sp <= stack->size;
}

int signal_set_stack(struct thread_signals *t, uint64_t sp, const struct signal_stack *stack,
                     struct signal_stack *old)
{
    bool on = signal_on_stack(&t->stack, sp);

    if (old != NULL) {
        *old = (struct signal_stack){.sp = t->stack.sp,
                                     .flags = t->stack.size == 0 ? SS_DISABLE
                                              : on               ? SS_ONSTACK
                                                                 : 0,
                                     .size = t->stack.size};
    }
    if (stack == NULL) {
        return 0;
    }
    if (on || (stack->flags & ~(SS_ONSTACK | SS_DISABLE)) != 0) {
        return on ? -EPERM : -EINVAL;
    }
    if (stack->flags & SS_DISABLE) {
        t->stack = (struct signal_stack){.size = 0};
        return 0;
    }
    if (stack->size < SIGNAL_STACK_MIN) {
        return -ENOMEM;
    }
    t->stack = (struct signal_stack){.sp = stack->sp, .size = stack->size};
    return 0;
}

bool signal_refused(const struct thread_signals *t, unsigned number)
{
    upcall_state_t state = spin_lock(&t->process->lock);
    bool refused = (t->blocked & SIGNAL_BIT(number)) != 0 || action_ignores(t->process, number);

    spin_unlock(&t->process->lock, state);
    return refused;
}

bool signal_no_stops(struct signals *s)
{
    upcall_state_t state = spin_lock(&s->lock);
    const struct signal_action *a = &s->actions[SIGNAL_CHILD - 1];
    bool none = a->handler == HANDLER_IGNORE || (a->flags & SA_NOCLDSTOP) != 0;

    spin_unlock(&s->lock, state);
    return none;
}

bool signal_no_zombies(struct signals *s)
{
    upcall_state_t state = spin_lock(&s->lock);
    const struct signal_action *a = &s->actions[SIGNAL_CHILD - 1];
    bool none = a->handler == HANDLER_IGNORE || (a->flags & SA_NOCLDWAIT) != 0;

    spin_unlock(&s->lock, state);
    return none;
}
