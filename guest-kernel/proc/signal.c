/*
 * signal.c - sets of signals and what each does: see signal.h.
 *
 * A signal is dropped by who sends it if it is ignored and not blocked. So what is ready is hardly
 * ever ignored, and a thread that sleeps is not woken for nothing. Two ways lead to such a signal
 * all the same: it was blocked when it came, or its action changed; signal_next() drops it then.
 *
 * Nobody is ever stopped: the signals that would do it are ignored by default.
 */
#include "proc/signal.h"

/* What nobody blocks, handles or ignores. */
#define ALWAYS (SIGNAL_BIT(SIGNAL_KILL) | SIGNAL_BIT(SIGNAL_STOP))

/* What does nothing by default. */
#define HARMLESS                                                                            \
    (SIGNAL_BIT(SIGNAL_CHILD) | SIGNAL_BIT(SIGNAL_CONTINUE) | SIGNAL_BIT(SIGNAL_STOP) |     \
     SIGNAL_BIT(SIGNAL_TTY_STOP) | SIGNAL_BIT(SIGNAL_TTY_IN) | SIGNAL_BIT(SIGNAL_TTY_OUT) | \
     SIGNAL_BIT(SIGNAL_URGENT) | SIGNAL_BIT(SIGNAL_WINDOW))

void signals_init(struct signals *s)
{
    *s = (struct signals){.pending = 0};
    spin_init(&s->lock, "signals");
}

void signals_fork(struct signals *child, struct signals *parent)
{
    upcall_state_t state = spin_lock(&parent->lock);

    child->blocked = parent->blocked;
    child->stack = parent->stack;
    for (unsigned i = 0; i < SIGNALS; i++) {
        child->actions[i] = parent->actions[i];
    }
    spin_unlock(&parent->lock, state);
}

void signals_exec(struct signals *s)
{
    upcall_state_t state = spin_lock(&s->lock);

    s->stack = (struct signal_stack){.size = 0};
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

bool signal_post(struct signals *s, unsigned number, const struct signal_info *info)
{
    upcall_state_t state = spin_lock(&s->lock);
    uint64_t bit = SIGNAL_BIT(number);
    bool kept = (s->blocked & bit) != 0 || !action_ignores(s, number);

    if (kept && (s->pending & bit) == 0) {
        s->info[number - 1] = *info;
        WRITE_ONCE(s->pending, s->pending | bit);
    }
    spin_unlock(&s->lock, state);
    return kept;
}

/* ---- going out ---- */

/* The lock is held. */
static unsigned take_locked(struct signals *s, uint64_t set, struct signal_info *info)
{
    uint64_t those = s->pending & set;

    if (those == 0) {
        return 0;
    }
    unsigned number = (unsigned)__builtin_ctzll(those) + 1;
    *info = s->info[number - 1];
    WRITE_ONCE(s->pending, s->pending & ~SIGNAL_BIT(number));
    return number;
}

unsigned signal_take(struct signals *s, uint64_t set, struct signal_info *info)
{
    upcall_state_t state = spin_lock(&s->lock);
    unsigned number = take_locked(s, set, info);

    spin_unlock(&s->lock, state);
    return number;
}

bool signal_next(struct signals *s, struct signal_due *due)
{
    upcall_state_t state = spin_lock(&s->lock);

    do {
        due->number = take_locked(s, ~s->blocked, &due->info);
    } while (due->number != 0 && action_ignores(s, due->number));
    if (due->number != 0) {
        due->action = s->actions[due->number - 1];
        due->ends = due->action.handler == HANDLER_DEFAULT;
    }
    spin_unlock(&s->lock, state);
    return due->number != 0;
}

bool signal_force(struct signals *s, unsigned number, const struct signal_info *info,
                  struct signal_due *due)
{
    upcall_state_t state = spin_lock(&s->lock);
    bool blocked = (s->blocked & SIGNAL_BIT(number)) != 0;

    *due = (struct signal_due){.number = number, .info = *info, .action = s->actions[number - 1]};
    due->ends = blocked || due->action.handler <= HANDLER_IGNORE;
    spin_unlock(&s->lock, state);
    return !due->ends;
}

uint64_t signal_mask_before(struct signals *s)
{
    upcall_state_t state = spin_lock(&s->lock);
    uint64_t mask = s->suspended ? s->before : s->blocked;

    spin_unlock(&s->lock, state);
    return mask;
}

/* The lock is held. */
static void block_locked(struct signals *s, uint64_t mask)
{
    WRITE_ONCE(s->blocked, mask & ~ALWAYS);
}

void signal_enter(struct signals *s, const struct signal_due *due)
{
    upcall_state_t state = spin_lock(&s->lock);
    uint64_t own = due->action.flags & SA_NODEFER ? 0 : SIGNAL_BIT(due->number);

    s->suspended = false;
    block_locked(s, s->blocked | due->action.mask | own);
    if (due->action.flags & SA_RESETHAND) {
        s->actions[due->number - 1].handler = HANDLER_DEFAULT;
    }
    spin_unlock(&s->lock, state);
}

/* ---- what the program sets ---- */

void signal_suspend(struct signals *s, uint64_t mask)
{
    upcall_state_t state = spin_lock(&s->lock);

    s->before = s->blocked;
    s->suspended = true;
    block_locked(s, mask);
    spin_unlock(&s->lock, state);
}

void signal_resume(struct signals *s)
{
    upcall_state_t state = spin_lock(&s->lock);

    if (s->suspended) {
        s->suspended = false;
        block_locked(s, s->before);
    }
    spin_unlock(&s->lock, state);
}

void signal_set_blocked(struct signals *s, uint64_t mask)
{
    upcall_state_t state = spin_lock(&s->lock);

    block_locked(s, mask);
    spin_unlock(&s->lock, state);
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
            WRITE_ONCE(s->pending, s->pending & ~SIGNAL_BIT(number));
        }
    }
    spin_unlock(&s->lock, state);
    return 0;
}

bool signal_on_stack(const struct signal_stack *stack, uint64_t sp)
{
    return stack->size != 0 && sp > stack->sp && sp - stack->sp <= stack->size;
}

int signal_set_stack(struct signals *s, uint64_t sp, const struct signal_stack *stack,
                     struct signal_stack *old)
{
    bool on = signal_on_stack(&s->stack, sp);

    if (old != NULL) {
        *old = (struct signal_stack){.sp = s->stack.sp,
                                     .flags = s->stack.size == 0 ? SS_DISABLE
                                              : on               ? SS_ONSTACK
                                                                 : 0,
                                     .size = s->stack.size};
    }
    if (stack == NULL) {
        return 0;
    }
    if (on || (stack->flags & ~(SS_ONSTACK | SS_DISABLE)) != 0) {
        return on ? -EPERM : -EINVAL;
    }
    if (stack->flags & SS_DISABLE) {
        s->stack = (struct signal_stack){.size = 0};
        return 0;
    }
    if (stack->size < SIGNAL_STACK_MIN) {
        return -ENOMEM;
    }
    s->stack = (struct signal_stack){.sp = stack->sp, .size = stack->size};
    return 0;
}

bool signal_no_zombies(struct signals *s)
{
    upcall_state_t state = spin_lock(&s->lock);
    const struct signal_action *a = &s->actions[SIGNAL_CHILD - 1];
    bool none = a->handler == HANDLER_IGNORE || (a->flags & SA_NOCLDWAIT) != 0;

    spin_unlock(&s->lock, state);
    return none;
}
