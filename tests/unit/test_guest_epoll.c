/*
 * The guest kernel's sets of watched files: what is told by level and by edge, once, in turn; a
 * watch ends with its file, whatever descriptors there are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fake_files.h"
#include "syscall/epoll.h"

static struct file files[4];
static unsigned ready[4];
static struct file *epoll;

static unsigned ready_now(const struct file *f)
{
    assert_true(f >= files && f < files + 4);
    return ready[f - files];
}

static const struct file_ops ops = {.ready = ready_now};

static void becomes(unsigned i, unsigned what)
{
    ready[i] = what;
    file_changed(&files[i]);
}

static int control(enum epoll_do what, unsigned i, uint32_t events)
{
    const struct abi_epoll_event event = {.events = events, .data = 100 + i};

    return epoll_control(epoll, what, (int)i, &files[i], &event);
}

/* What is told now: the last one's events, and how many there are. */
static unsigned told(uint32_t *events)
{
    struct abi_epoll_event e[4] = {{0}};
    unsigned n = epoll_collect(epoll, e, 4);

    *events = n != 0 ? e[n - 1].events : 0;
    return n;
}

static int begin(void **state)
{
    (void)state;
    memset(ready, 0, sizeof(ready));
    for (unsigned i = 0; i < 4; i++) {
        files[i] = (struct file){.ops = &ops};
    }
    fake_files_begin();
    epoll_boot();
    epoll = epoll_create();
    assert_true(epoll_is(epoll));
    assert_false(epoll_is(&(struct file){0}));
    return 0;
}

static int nothing_is_left(void **state)
{
    (void)state;
    file_put(epoll);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(files[i].watched, 0);
    }
    assert_int_equal(fake_held, 0);
    return 0;
}

static void by_level_it_is_told_while_it_is_so(void **state)
{
    uint32_t events;

    (void)state;
    assert_int_equal(control(EPOLL_ADD, 0, POLLIN), 0);
    assert_int_equal(told(&events), 0);
    becomes(0, POLLIN | POLLOUT);
    assert_int_equal(epoll->ops->ready(epoll), POLLIN);
    assert_int_equal(told(&events), 1);
    assert_int_equal(events, POLLIN);
    assert_int_equal(told(&events), 1);
    becomes(0, POLLHUP); /* which nobody has to ask for */
    assert_int_equal(told(&events), 1);
    assert_int_equal(events, POLLHUP);
    becomes(0, POLLOUT);
    assert_int_equal(told(&events), 0);
    assert_int_equal(epoll->ops->ready(epoll), 0);
}

static void by_edge_it_is_told_once_for_each_change(void **state)
{
    uint32_t events;

    (void)state;
    becomes(1, POLLIN);
    assert_int_equal(control(EPOLL_ADD, 1, POLLIN | EPOLLET), 0);
    assert_int_equal(told(&events), 1);
    assert_int_equal(told(&events), 0);
    becomes(1, POLLIN);
    assert_int_equal(told(&events), 1);
    assert_int_equal(told(&events), 0);
    becomes(1, POLLOUT);
    assert_int_equal(told(&events), 0);
    ready[1] = POLLIN; /* and what changed is still to be told */
    assert_int_equal(told(&events), 1);
    assert_int_equal(control(EPOLL_MOD, 1, POLLIN | EPOLLET), 0);
    assert_int_equal(told(&events), 1);
}

static void one_shot_is_one(void **state)
{
    uint32_t events;

    (void)state;
    becomes(2, POLLIN);
    assert_int_equal(control(EPOLL_ADD, 2, POLLIN | EPOLLONESHOT), 0);
    assert_int_equal(told(&events), 1);
    becomes(2, POLLIN | POLLERR);
    assert_int_equal(told(&events), 0);
    assert_int_equal(control(EPOLL_MOD, 2, POLLIN | EPOLLONESHOT), 0);
    assert_int_equal(told(&events), 1);
    assert_int_equal(events, POLLIN | POLLERR);
    assert_int_equal(told(&events), 0);
}

/* Who asks for one at a time hears of all. */
static void all_are_told_of_in_turn(void **state)
{
    unsigned seen = 0;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        becomes(i, POLLIN);
        assert_int_equal(control(EPOLL_ADD, i, POLLIN), 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        struct abi_epoll_event e;

        assert_int_equal(epoll_collect(epoll, &e, 1), 1);
        seen |= 1u << (e.data - 100);
    }
    assert_int_equal(seen, 7);
}

static void a_watch_ends_with_its_file(void **state)
{
    uint32_t events;

    (void)state;
    becomes(3, POLLIN);
    assert_int_equal(control(EPOLL_ADD, 3, POLLIN), 0);
    assert_int_equal(
        epoll_control(epoll, EPOLL_ADD, 77, &files[3], &(struct abi_epoll_event){.events = POLLIN}),
        0);
    assert_int_equal(files[3].watched, 2);
    assert_int_equal(told(&events), 2);
    epoll_forget(&files[3]);
    assert_int_equal(files[3].watched, 0);
    assert_int_equal(told(&events), 0);
    assert_int_equal(control(EPOLL_MOD, 3, POLLIN), -ENOENT);
}

static void what_cannot_be_watched(void **state)
{
    (void)state;
    assert_int_equal(control(EPOLL_ADD, 0, POLLIN), 0);
    assert_int_equal(control(EPOLL_ADD, 0, POLLIN), -EEXIST);
    assert_int_equal(control(EPOLL_DEL, 1, 0), -ENOENT);
    assert_int_equal(control(EPOLL_DEL, 0, 0), 0);
    fake_users_may_take = false;
    assert_int_equal(control(EPOLL_ADD, 0, POLLIN), -ENOMEM);
    fake_users_may_take = true;
    for (int fd = 0; fd < WATCHES_MAX; fd++) {
        assert_int_equal(epoll_control(epoll, EPOLL_ADD, fd, &files[0],
                                       &(struct abi_epoll_event){.events = POLLIN}),
                         0);
    }
    assert_int_equal(control(EPOLL_ADD, 1, POLLIN), -ENOSPC);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, nothing_is_left)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(by_level_it_is_told_while_it_is_so),
        TEST(by_edge_it_is_told_once_for_each_change),
        TEST(one_shot_is_one),
        TEST(all_are_told_of_in_turn),
        TEST(a_watch_ends_with_its_file),
        TEST(what_cannot_be_watched),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
