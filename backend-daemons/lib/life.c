/*
 * The table of a device's life: see life.h for what the phases and events mean.
 *
 * Entering a phase does what its `enter` says, under its deadline. An event that a phase does not
 * list means nothing in that phase. STAY means the phase at hand, whose deadline goes on. AFTER
 * means what was decided when the worker was told to end, and KEEP leaves that decision as it is.
 */
#include "life.h"

#define NS_PER_MS UINT64_C(1000000)

#define STAY       LIFE_NR_PHASES
#define AFTER      ((enum life_phase)(LIFE_NR_PHASES + 1))
#define AFTER_DEAD ((enum life_phase)(LIFE_NR_PHASES + 2)) /* AFTER, but nobody can yield */

struct life_step {
    enum life_phase next;
    enum life_action act; /* before the next phase is entered; raises events only with STAY */
    enum life_phase after;
};

struct life_rule {
    const char *name;
    unsigned int deadline_ms;
    enum life_action enter;
    struct life_step on[LIFE_NR_EVENTS];
};

/* A step that the table does not have is all zeros, which is none: nothing leads back to NEW. */
#define IGNORED(step) ((step)->next == LIFE_NEW)
#define KEEP          LIFE_NEW

#define GO(phase)       \
    {                   \
        .next = (phase) \
    }
#define DO(what)                    \
    {                               \
        .next = STAY, .act = (what) \
    }
#define DO_GO(what, phase)             \
    {                                  \
        .next = (phase), .act = (what) \
    }
#define END(phase, then)                 \
    {                                    \
        .next = (phase), .after = (then) \
    }

/* A device without a worker may go at once. */
#define MAY_GO [LIFE_ON_GONE] = GO(LIFE_FREED), [LIFE_ON_LEAVE] = GO(LIFE_FREED)

/* The front end leaves, or the toolstack takes the device from one that does not use it. */
/* `step` is an initializer, which no parentheses may enclose.
 * NOLINTNEXTLINE(bugprone-macro-parentheses) */
#define FRONT_LEAVES(step) [LIFE_ON_CLOSED] = step, [LIFE_ON_REMOVE] = step

/* A worker, starting or serving, whose end begins. */
#define WITH_WORKER                                                                          \
    [LIFE_ON_READY] = DO(LIFE_DO_UPDATE), [LIFE_ON_REMOVE_READY] = DO(LIFE_DO_UPDATE),       \
    [LIFE_ON_CLOSING] = DO(LIFE_DO_TELL_CLOSING),                                            \
    [LIFE_ON_IDLE] = END(LIFE_STOPPING, LIFE_CLOSED),                                        \
    FRONT_LEAVES(END(LIFE_STOPPING, LIFE_CLOSED)),                                           \
    [LIFE_ON_YIELD] = END(LIFE_STOPPING, LIFE_YIELDED),                                      \
    [LIFE_ON_LOST] = END(LIFE_STOPPING, LIFE_CALLED),                                        \
    [LIFE_ON_GONE] = END(LIFE_STOPPING, LIFE_FREED),                                         \
    [LIFE_ON_LEAVE] = END(LIFE_STOPPING, LIFE_FREED),                                        \
    [LIFE_ON_FAILED] = END(LIFE_TERMINATED, LIFE_CLOSED), [LIFE_ON_EXIT] = GO(LIFE_PAUSING), \
    [LIFE_ON_DEATH] = GO(LIFE_PAUSING), [LIFE_ON_GIVEN_UP] = GO(LIFE_CLOSED)

/* A worker that is about to end. */
#define ENDING                                                                    \
    [LIFE_ON_EXIT] = GO(AFTER), [LIFE_ON_DEATH] = GO(AFTER_DEAD),                 \
    [LIFE_ON_GIVEN_UP] = GO(LIFE_CLOSED), [LIFE_ON_GONE] = END(STAY, LIFE_FREED), \
    [LIFE_ON_LEAVE] = END(STAY, LIFE_FREED)

static const struct life_rule life_rules[LIFE_NR_PHASES] = {
    [LIFE_NEW] = {.name = "NEW",
                  .on = {[LIFE_ON_IDLE] = GO(LIFE_OPENING),
                         [LIFE_ON_READY] = GO(LIFE_OPENING),
                         [LIFE_ON_REMOVE_READY] = GO(LIFE_OPENING),
                         [LIFE_ON_CLOSING] = GO(LIFE_CLOSED),
                         FRONT_LEAVES(GO(LIFE_CLOSED)),
                         [LIFE_ON_REFUSED] = GO(LIFE_CLOSED),
                         MAY_GO}},
    /* libxl waits ten seconds for state 2: it is to hear our sentence, not to wait in vain */
    [LIFE_OPENING] = {.name = "OPENING",
                      .deadline_ms = 9000,
                      .enter = LIFE_DO_OPEN,
                      .on = {[LIFE_ON_OPENED] = GO(LIFE_WAITING),
                             [LIFE_ON_LOST] = GO(LIFE_OPENING),
                             [LIFE_ON_REFUSED] = GO(LIFE_CLOSED),
                             [LIFE_ON_CLOSING] = GO(LIFE_CLOSED),
                             FRONT_LEAVES(GO(LIFE_CLOSED)),
                             [LIFE_ON_DEADLINE] = DO_GO(LIFE_DO_OPEN_LATE, LIFE_WAITING),
                             MAY_GO}},
    [LIFE_WAITING] = {.name = "WAITING",
                      .enter = LIFE_DO_OFFER,
                      .on = {[LIFE_ON_IDLE] = DO(LIFE_DO_TRY_OPEN),
                             [LIFE_ON_READY] = GO(LIFE_CALLED),
                             [LIFE_ON_REMOVE_READY] = GO(LIFE_CALLED),
                             [LIFE_ON_REFUSED] = GO(LIFE_CLOSED),
                             [LIFE_ON_CLOSING] = GO(LIFE_CLOSED),
                             FRONT_LEAVES(GO(LIFE_CLOSED)),
                             MAY_GO}},
    /* libxl ends its script after forty seconds */
    [LIFE_CALLED] = {.name = "CALLED",
                     .deadline_ms = 60000,
                     .enter = LIFE_DO_CONNECT,
                     .on = {[LIFE_ON_READY] = DO(LIFE_DO_CONNECT),
                            [LIFE_ON_OPENED] = GO(LIFE_CALLED), /* for the script, as long again */
                            [LIFE_ON_STARTED] = GO(LIFE_STARTING),
                            [LIFE_ON_SERVING] = GO(LIFE_CONNECTED),
                            [LIFE_ON_TOO_SOON] = GO(LIFE_PAUSING),
                            [LIFE_ON_DEATH] = GO(LIFE_PAUSING),
                            [LIFE_ON_GIVEN_UP] = GO(LIFE_CLOSED),
                            [LIFE_ON_YIELD] = GO(LIFE_YIELDED),
                            [LIFE_ON_REFUSED] = GO(LIFE_CLOSED),
                            [LIFE_ON_IDLE] = GO(LIFE_CLOSED),
                            [LIFE_ON_CLOSING] = GO(LIFE_CLOSED),
                            [LIFE_ON_REMOVE_READY] = DO(LIFE_DO_CONNECT),
                            FRONT_LEAVES(GO(LIFE_CLOSED)),
                            [LIFE_ON_DEADLINE] = DO(LIFE_DO_CONNECT_LATE),
                            MAY_GO}},
    [LIFE_PAUSING] = {.name = "PAUSING", /* for pause_ns */
                      .on = {[LIFE_ON_DEADLINE] = GO(LIFE_CALLED),
                             [LIFE_ON_IDLE] = GO(LIFE_CLOSED),
                             [LIFE_ON_CLOSING] = GO(LIFE_CLOSED),
                             FRONT_LEAVES(GO(LIFE_CLOSED)),
                             MAY_GO}},
    [LIFE_STARTING] = {.name = "STARTING",
                       .deadline_ms = 30000,
                       .on = {WITH_WORKER, [LIFE_ON_SERVING] = GO(LIFE_CONNECTED),
                              [LIFE_ON_DEADLINE] = END(LIFE_KILLED, LIFE_PAUSING)}},
    [LIFE_CONNECTED] = {.name = "CONNECTED",
                        .enter = LIFE_DO_SERVE,
                        .on = {WITH_WORKER, [LIFE_ON_HUNG] = END(LIFE_KILLED, LIFE_PAUSING)}},
    /* a slow disk may need its time, and less than the unit's TimeoutStopSec */
    [LIFE_STOPPING] = {.name = "STOPPING",
                       .deadline_ms = 30000,
                       .enter = LIFE_DO_STOP,
                       .on = {ENDING, [LIFE_ON_FAILED] = END(LIFE_TERMINATED, KEEP),
                              [LIFE_ON_DEADLINE] = END(LIFE_TERMINATED, KEEP)}},
    [LIFE_TERMINATED] = {.name = "TERMINATED",
                         .deadline_ms = 5000,
                         .enter = LIFE_DO_TERMINATE,
                         .on = {ENDING, [LIFE_ON_DEADLINE] = END(LIFE_KILLED, KEEP)}},
    [LIFE_KILLED] = {.name = "KILLED", .enter = LIFE_DO_KILL, .on = {ENDING}},
    [LIFE_YIELDED] = {.name = "YIELDED",
                      .enter = LIFE_DO_REST,
                      .on = {[LIFE_ON_READY] = DO(LIFE_DO_RESUME),
                             [LIFE_ON_REMOVE_READY] = DO(LIFE_DO_RESUME),
                             [LIFE_ON_RESUME] = GO(LIFE_CALLED),
                             [LIFE_ON_IDLE] = GO(LIFE_CLOSED),
                             [LIFE_ON_CLOSING] = GO(LIFE_CLOSED),
                             FRONT_LEAVES(GO(LIFE_CLOSED)),
                             MAY_GO}},
    [LIFE_CLOSED] = {.name = "CLOSED",
                     .enter = LIFE_DO_CLOSE,
                     .on = {[LIFE_ON_IDLE] = DO(LIFE_DO_STAY_CLOSED),
                            [LIFE_ON_READY] = DO(LIFE_DO_STAY_CLOSED),
                            [LIFE_ON_CLOSING] = DO(LIFE_DO_STAY_CLOSED),
                            [LIFE_ON_REMOVE_READY] = DO(LIFE_DO_STAY_CLOSED),
                            FRONT_LEAVES(DO(LIFE_DO_STAY_CLOSED)),
                            [LIFE_ON_ANEW] = GO(LIFE_OPENING),
                            MAY_GO}},
    [LIFE_FREED] = {.name = "FREED", .enter = LIFE_DO_FREE},
};

unsigned int life_deadline_ms(enum life_phase phase)
{
    return life_rules[phase].deadline_ms;
}

const char *life_phase_name(enum life_phase phase)
{
    return life_rules[phase].name;
}

static void life_on_deadline(void *arg)
{
    life_happens(arg, LIFE_ON_DEADLINE);
}

void life_release(struct life *life)
{
    loop_timer_cancel(life->loop, &life->deadline);
}

static void life_enter(struct life *life, enum life_phase phase)
{
    const struct life_rule *rule = &life_rules[phase];
    uint64_t ns = rule->deadline_ms * NS_PER_MS;

    life->phase = phase;
    if (phase == LIFE_PAUSING) {
        ns = life->pause_ns;
        life->pause_ns = 0;
    }
    loop_timer_cancel(life->loop, &life->deadline);
    if (ns != 0 || phase == LIFE_PAUSING) {
        loop_timer_set(life->loop, &life->deadline, ns, life_on_deadline, life);
    }
    if (rule->enter != LIFE_DO_NOTHING) {
        life->ops->act(life, rule->enter);
    }
}

void life_happens(struct life *life, enum life_event event)
{
    const struct life_step *step = &life_rules[life->phase].on[event];
    enum life_phase next = step->next;

    if (IGNORED(step)) {
        return;
    }
    if (step->after != KEEP) {
        life->after = step->after;
    }
    if (next == STAY) {
        if (step->act != LIFE_DO_NOTHING) {
            life->ops->act(life, step->act);
        }
        return;
    }
    if (next == AFTER_DEAD && life->after == LIFE_YIELDED) {
        next = LIFE_CLOSED; /* nobody knows what it left undone, and another end would not ask */
    } else if (next == AFTER || next == AFTER_DEAD) {
        next = life->after;
    }
    if (step->act != LIFE_DO_NOTHING) {
        life->ops->act(life, step->act);
    }
    life_enter(life, next);
}
