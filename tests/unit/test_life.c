/*
 * The table of a device's life: every event in every phase, deadlines included. What is expected is
 * written down here a second time, independently: a row says to which phase an event leads and what
 * is done. An event without a row must change nothing and do nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "life.h"

#define NOTHING LIFE_DO_NOTHING

static struct loop *loop;
static struct life life;
static enum life_action done[4];
static unsigned int nr_done;

static void act(struct life *l, enum life_action action)
{
    assert_ptr_equal(l, &life);
    assert_true(nr_done < 4);
    done[nr_done++] = action;
}

static const struct life_ops ops = {.act = act};

struct expected {
    enum life_phase from;
    enum life_event event;
    enum life_phase to;
    enum life_action first, second; /* what is done, in this order */
};

/* A worker starts or serves. */
#define WORKER(from)                                                         \
    {from, LIFE_ON_IDLE, LIFE_STOPPING, LIFE_DO_STOP, NOTHING},              \
        {from, LIFE_ON_READY, from, LIFE_DO_UPDATE, NOTHING},                \
        {from, LIFE_ON_CLOSING, from, LIFE_DO_TELL_CLOSING, NOTHING},        \
        {from, LIFE_ON_CLOSED, LIFE_STOPPING, LIFE_DO_STOP, NOTHING},        \
        {from, LIFE_ON_REMOVE, LIFE_STOPPING, LIFE_DO_STOP, NOTHING},        \
        {from, LIFE_ON_REMOVE_READY, from, LIFE_DO_UPDATE, NOTHING},         \
        {from, LIFE_ON_GONE, LIFE_STOPPING, LIFE_DO_STOP, NOTHING},          \
        {from, LIFE_ON_YIELD, LIFE_STOPPING, LIFE_DO_STOP, NOTHING},         \
        {from, LIFE_ON_LOST, LIFE_STOPPING, LIFE_DO_STOP, NOTHING},          \
        {from, LIFE_ON_FAILED, LIFE_TERMINATED, LIFE_DO_TERMINATE, NOTHING}, \
        {from, LIFE_ON_EXIT, LIFE_PAUSING, NOTHING, NOTHING},                \
        {from, LIFE_ON_DEATH, LIFE_PAUSING, NOTHING, NOTHING},               \
        {from, LIFE_ON_GIVEN_UP, LIFE_CLOSED, LIFE_DO_CLOSE, NOTHING},       \
    {                                                                        \
        from, LIFE_ON_LEAVE, LIFE_STOPPING, LIFE_DO_STOP, NOTHING            \
    }

/* No worker: it may close, or go, at once. */
#define CLOSES(from, event)                              \
    {                                                    \
        from, event, LIFE_CLOSED, LIFE_DO_CLOSE, NOTHING \
    }
#define GOES(from)                                             \
    {from, LIFE_ON_GONE, LIFE_FREED, LIFE_DO_FREE, NOTHING},   \
    {                                                          \
        from, LIFE_ON_LEAVE, LIFE_FREED, LIFE_DO_FREE, NOTHING \
    }

/* A worker ends, and the device is to be closed then (`after`, see every_event_in_every_phase()).
 */
#define ENDS(from)                                                  \
    {from, LIFE_ON_EXIT, LIFE_CLOSED, LIFE_DO_CLOSE, NOTHING},      \
        {from, LIFE_ON_DEATH, LIFE_CLOSED, LIFE_DO_CLOSE, NOTHING}, \
    {                                                               \
        from, LIFE_ON_GIVEN_UP, LIFE_CLOSED, LIFE_DO_CLOSE, NOTHING \
    }

static const struct expected expectations[] = {
    {LIFE_NEW, LIFE_ON_IDLE, LIFE_OPENING, LIFE_DO_OPEN, NOTHING},
    {LIFE_NEW, LIFE_ON_READY, LIFE_OPENING, LIFE_DO_OPEN, NOTHING},
    {LIFE_NEW, LIFE_ON_REMOVE_READY, LIFE_OPENING, LIFE_DO_OPEN, NOTHING},
    CLOSES(LIFE_NEW, LIFE_ON_CLOSING),
    CLOSES(LIFE_NEW, LIFE_ON_CLOSED),
    CLOSES(LIFE_NEW, LIFE_ON_REMOVE),
    CLOSES(LIFE_NEW, LIFE_ON_REFUSED),
    GOES(LIFE_NEW),

    {LIFE_OPENING, LIFE_ON_OPENED, LIFE_WAITING, LIFE_DO_OFFER, NOTHING},
    {LIFE_OPENING, LIFE_ON_LOST, LIFE_OPENING, LIFE_DO_OPEN, NOTHING},
    {LIFE_OPENING, LIFE_ON_DEADLINE, LIFE_WAITING, LIFE_DO_OPEN_LATE, LIFE_DO_OFFER},
    CLOSES(LIFE_OPENING, LIFE_ON_REFUSED),
    CLOSES(LIFE_OPENING, LIFE_ON_CLOSING),
    CLOSES(LIFE_OPENING, LIFE_ON_CLOSED),
    CLOSES(LIFE_OPENING, LIFE_ON_REMOVE),
    GOES(LIFE_OPENING),

    {LIFE_WAITING, LIFE_ON_IDLE, LIFE_WAITING, LIFE_DO_TRY_OPEN, NOTHING},
    {LIFE_WAITING, LIFE_ON_READY, LIFE_CALLED, LIFE_DO_CONNECT, NOTHING},
    {LIFE_WAITING, LIFE_ON_REMOVE_READY, LIFE_CALLED, LIFE_DO_CONNECT, NOTHING},
    CLOSES(LIFE_WAITING, LIFE_ON_REFUSED),
    CLOSES(LIFE_WAITING, LIFE_ON_CLOSING),
    CLOSES(LIFE_WAITING, LIFE_ON_CLOSED),
    CLOSES(LIFE_WAITING, LIFE_ON_REMOVE),
    GOES(LIFE_WAITING),

    {LIFE_CALLED, LIFE_ON_READY, LIFE_CALLED, LIFE_DO_CONNECT, NOTHING},
    {LIFE_CALLED, LIFE_ON_OPENED, LIFE_CALLED, LIFE_DO_CONNECT, NOTHING},
    {LIFE_CALLED, LIFE_ON_STARTED, LIFE_STARTING, NOTHING, NOTHING},
    {LIFE_CALLED, LIFE_ON_SERVING, LIFE_CONNECTED, LIFE_DO_SERVE, NOTHING},
    {LIFE_CALLED, LIFE_ON_TOO_SOON, LIFE_PAUSING, NOTHING, NOTHING},
    {LIFE_CALLED, LIFE_ON_DEATH, LIFE_PAUSING, NOTHING, NOTHING},
    CLOSES(LIFE_CALLED, LIFE_ON_GIVEN_UP),
    {LIFE_CALLED, LIFE_ON_YIELD, LIFE_YIELDED, LIFE_DO_REST, NOTHING},
    {LIFE_CALLED, LIFE_ON_DEADLINE, LIFE_CALLED, LIFE_DO_CONNECT_LATE, NOTHING},
    {LIFE_CALLED, LIFE_ON_REMOVE_READY, LIFE_CALLED, LIFE_DO_CONNECT, NOTHING},
    CLOSES(LIFE_CALLED, LIFE_ON_REFUSED),
    CLOSES(LIFE_CALLED, LIFE_ON_IDLE),
    CLOSES(LIFE_CALLED, LIFE_ON_CLOSING),
    CLOSES(LIFE_CALLED, LIFE_ON_CLOSED),
    CLOSES(LIFE_CALLED, LIFE_ON_REMOVE),
    GOES(LIFE_CALLED),

    {LIFE_PAUSING, LIFE_ON_DEADLINE, LIFE_CALLED, LIFE_DO_CONNECT, NOTHING},
    CLOSES(LIFE_PAUSING, LIFE_ON_IDLE),
    CLOSES(LIFE_PAUSING, LIFE_ON_CLOSING),
    CLOSES(LIFE_PAUSING, LIFE_ON_CLOSED),
    CLOSES(LIFE_PAUSING, LIFE_ON_REMOVE),
    GOES(LIFE_PAUSING),

    WORKER(LIFE_STARTING),
    {LIFE_STARTING, LIFE_ON_SERVING, LIFE_CONNECTED, LIFE_DO_SERVE, NOTHING},
    {LIFE_STARTING, LIFE_ON_DEADLINE, LIFE_KILLED, LIFE_DO_KILL, NOTHING},
    WORKER(LIFE_CONNECTED),
    {LIFE_CONNECTED, LIFE_ON_HUNG, LIFE_KILLED, LIFE_DO_KILL, NOTHING},

    ENDS(LIFE_STOPPING),
    {LIFE_STOPPING, LIFE_ON_FAILED, LIFE_TERMINATED, LIFE_DO_TERMINATE, NOTHING},
    {LIFE_STOPPING, LIFE_ON_DEADLINE, LIFE_TERMINATED, LIFE_DO_TERMINATE, NOTHING},
    ENDS(LIFE_TERMINATED),
    {LIFE_TERMINATED, LIFE_ON_DEADLINE, LIFE_KILLED, LIFE_DO_KILL, NOTHING},
    ENDS(LIFE_KILLED),

    {LIFE_YIELDED, LIFE_ON_READY, LIFE_YIELDED, LIFE_DO_RESUME, NOTHING},
    {LIFE_YIELDED, LIFE_ON_REMOVE_READY, LIFE_YIELDED, LIFE_DO_RESUME, NOTHING},
    {LIFE_YIELDED, LIFE_ON_RESUME, LIFE_CALLED, LIFE_DO_CONNECT, NOTHING},
    CLOSES(LIFE_YIELDED, LIFE_ON_IDLE),
    CLOSES(LIFE_YIELDED, LIFE_ON_CLOSING),
    CLOSES(LIFE_YIELDED, LIFE_ON_CLOSED),
    CLOSES(LIFE_YIELDED, LIFE_ON_REMOVE),
    GOES(LIFE_YIELDED),

    {LIFE_CLOSED, LIFE_ON_IDLE, LIFE_CLOSED, LIFE_DO_STAY_CLOSED, NOTHING},
    {LIFE_CLOSED, LIFE_ON_READY, LIFE_CLOSED, LIFE_DO_STAY_CLOSED, NOTHING},
    {LIFE_CLOSED, LIFE_ON_CLOSING, LIFE_CLOSED, LIFE_DO_STAY_CLOSED, NOTHING},
    {LIFE_CLOSED, LIFE_ON_CLOSED, LIFE_CLOSED, LIFE_DO_STAY_CLOSED, NOTHING},
    {LIFE_CLOSED, LIFE_ON_REMOVE, LIFE_CLOSED, LIFE_DO_STAY_CLOSED, NOTHING},
    {LIFE_CLOSED, LIFE_ON_REMOVE_READY, LIFE_CLOSED, LIFE_DO_STAY_CLOSED, NOTHING},
    {LIFE_CLOSED, LIFE_ON_ANEW, LIFE_OPENING, LIFE_DO_OPEN, NOTHING},
    GOES(LIFE_CLOSED),
};

static struct expected expectation(enum life_phase from, enum life_event event)
{
    for (unsigned int i = 0; i < sizeof(expectations) / sizeof(expectations[0]); i++) {
        if (expectations[i].from == from && expectations[i].event == event) {
            return expectations[i];
        }
    }
    return (struct expected){from, event, from, NOTHING, NOTHING};
}

static void begin(enum life_phase phase, enum life_phase after)
{
    life_release(&life);
    life.phase = phase;
    life.after = after;
    nr_done = 0;
}

static void every_event_in_every_phase(void **state)
{
    (void)state;
    for (int phase = 0; phase < LIFE_NR_PHASES; phase++) {
        for (int event = 0; event < LIFE_NR_EVENTS; event++) {
            const struct expected e = expectation(phase, event);
            const enum life_action want[] = {e.first, e.second};
            unsigned int n = 0;

            begin(phase, LIFE_CLOSED);
            life_happens(&life, event);
            if (life.phase != e.to) {
                fail_msg("%s, event %d: to %s, not to %s", life_phase_name(phase), event,
                         life_phase_name(life.phase), life_phase_name(e.to));
            }
            for (unsigned int i = 0; i < 2; i++) {
                if (want[i] != NOTHING && (n >= nr_done || done[n++] != want[i])) {
                    fail_msg("%s, event %d: action %u is not done", life_phase_name(phase), event,
                             want[i]);
                }
            }
            assert_int_equal(n, nr_done);
        }
    }
}

/* What comes after a worker's end was decided by what began it. */
static void what_comes_after_the_end_of_a_worker(void **state)
{
    static const struct {
        enum life_event begun, ended;
        enum life_phase then;
    } ways[] = {
        {LIFE_ON_CLOSED, LIFE_ON_EXIT, LIFE_CLOSED}, {LIFE_ON_CLOSED, LIFE_ON_DEATH, LIFE_CLOSED},
        {LIFE_ON_YIELD, LIFE_ON_EXIT, LIFE_YIELDED}, {LIFE_ON_YIELD, LIFE_ON_DEATH, LIFE_CLOSED},
        {LIFE_ON_LEAVE, LIFE_ON_EXIT, LIFE_FREED},   {LIFE_ON_LEAVE, LIFE_ON_DEATH, LIFE_FREED},
        {LIFE_ON_GONE, LIFE_ON_EXIT, LIFE_FREED},    {LIFE_ON_FAILED, LIFE_ON_DEATH, LIFE_CLOSED},
        {LIFE_ON_FAILED, LIFE_ON_EXIT, LIFE_CLOSED},
    };

    (void)state;
    for (unsigned int i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        begin(LIFE_CONNECTED, LIFE_NEW);
        life_happens(&life, ways[i].begun);
        life_happens(&life, LIFE_ON_READY); /* means nothing any more */
        life_happens(&life, ways[i].ended);
        assert_string_equal(life_phase_name(life.phase), life_phase_name(ways[i].then));

        begin(LIFE_CONNECTED, LIFE_NEW); /* the same, but it must be killed */
        life_happens(&life, ways[i].begun);
        life_happens(&life, LIFE_ON_DEADLINE);
        life_happens(&life, LIFE_ON_DEADLINE);
        assert_int_equal(life.phase, LIFE_KILLED);
        life_happens(&life, ways[i].ended);
        assert_string_equal(life_phase_name(life.phase), life_phase_name(ways[i].then));

        begin(LIFE_CONNECTED, LIFE_NEW); /* the same, and the directory goes meanwhile */
        life_happens(&life, ways[i].begun);
        life_happens(&life, LIFE_ON_GONE);
        life_happens(&life, ways[i].ended);
        assert_string_equal(life_phase_name(life.phase), "FREED");
    }
}

static void a_worker_that_does_not_start_is_replaced(void **state)
{
    (void)state;
    begin(LIFE_CALLED, LIFE_NEW);
    life_happens(&life, LIFE_ON_STARTED);
    life_happens(&life, LIFE_ON_DEADLINE);
    life_happens(&life, LIFE_ON_DEATH);
    assert_int_equal(life.phase, LIFE_PAUSING);
}

/* Whoever is waited for has a deadline, and no other has one. */
static void deadlines_are_armed_where_somebody_is_waited_for(void **state)
{
    static const enum life_phase waiting[] = {LIFE_OPENING, LIFE_CALLED, LIFE_STARTING,
                                              LIFE_STOPPING, LIFE_TERMINATED};

    (void)state;
    for (int phase = 0; phase < LIFE_NR_PHASES; phase++) {
        bool has = false;

        for (unsigned int i = 0; i < sizeof(waiting) / sizeof(waiting[0]); i++) {
            has = has || waiting[i] == (enum life_phase)phase;
        }
        assert_int_equal(life_deadline_ms(phase) != 0, has);
    }
    begin(LIFE_CONNECTED, LIFE_NEW);
    life_happens(&life, LIFE_ON_CLOSED);
    assert_true(life.deadline.armed);
    life_happens(&life, LIFE_ON_EXIT);
    assert_false(life.deadline.armed);
}

static void stop_loop(void *arg)
{
    loop_stop(arg, 0);
}

static void a_pause_ends_when_it_was_said_to(void **state)
{
    struct loop_timer end = {0};

    (void)state;
    begin(LIFE_CALLED, LIFE_NEW);
    life.pause_ns = 20000000;
    life_happens(&life, LIFE_ON_TOO_SOON);
    assert_int_equal(life.phase, LIFE_PAUSING);
    loop_timer_set(loop, &end, 21000000, stop_loop, loop);
    loop_run(loop);
    assert_int_equal(life.phase, LIFE_CALLED);
    assert_int_equal(done[0], LIFE_DO_CONNECT);
    life_release(&life);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_in_every_phase),
        cmocka_unit_test(what_comes_after_the_end_of_a_worker),
        cmocka_unit_test(a_worker_that_does_not_start_is_replaced),
        cmocka_unit_test(deadlines_are_armed_where_somebody_is_waited_for),
        cmocka_unit_test(a_pause_ends_when_it_was_said_to),
    };
    int failed;

    loop = loop_new();
    life.ops = &ops;
    life.loop = loop;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    loop_free(loop);
    return failed;
}
