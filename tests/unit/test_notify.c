/*
 * The watchdog's word to the service manager, whose socket is the test's: it comes while the loop
 * turns, and while the daemon waits for xenstored (fake_xenstore.h); a daemon that hangs elsewhere
 * is silent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "fake_xenstore.h"
#include "notify.h"
#include "store.h"

#define WATCHDOG_US "200000" /* the word comes twice as often */

enum { PATIENCE_MS = 20000, SILENCE_MS = 1000 };

static struct loop *loop;
static struct store *store;
static int manager;

/* The next message of the daemon's within so many milliseconds. */
static bool hear(char *text, unsigned long size, int ms)
{
    struct pollfd fd = {.fd = manager, .events = POLLIN};
    const uint64_t end = loop_now_ns() + (uint64_t)ms * 1000000;
    ssize_t n;

    while (loop_now_ns() < end) { /* the alarm interrupts it */
        if (poll(&fd, 1, 10) > 0) {
            n = recv(manager, text, size - 1, 0);
            assert_true(n > 0);
            text[n] = '\0';
            return true;
        }
    }
    return false;
}

static void forget(void)
{
    char text[256];

    while (recv(manager, text, sizeof(text), MSG_DONTWAIT) > 0) {
    }
}

static void stop(void *arg)
{
    loop_stop(arg, 0);
}

static int setup(void **state)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    char name[64], pid[16];

    (void)state;
    snprintf(name, sizeof(name), "@duet-test-notify-%d", (int)getpid());
    memcpy(addr.sun_path + 1, name + 1, strlen(name) - 1);
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (bind(manager, (struct sockaddr *)&addr,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))) != 0) {
        return -1;
    }
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv("NOTIFY_SOCKET", name, 1);
    setenv("WATCHDOG_USEC", WATCHDOG_US, 1);
    setenv("WATCHDOG_PID", pid, 1);
    fake_reset();
    loop = loop_new();
    store = store_open(loop, NULL, NULL);
    notify_ready(loop);
    return store == NULL;
}

static int teardown(void **state)
{
    const struct itimerval none = {{0, 0}, {0, 0}};

    (void)state;
    setitimer(ITIMER_REAL, &none, NULL);
    store_close(store);
    loop_free(loop);
    close(manager);
    return 0;
}

static void ready_is_told_first(void **state)
{
    char text[256];

    (void)state;
    assert_true(hear(text, sizeof(text), PATIENCE_MS));
    assert_string_equal(text, "READY=1");
}

static void a_loop_that_turns_is_alive(void **state)
{
    struct loop_timer t = {.armed = false};
    char text[256];

    (void)state;
    forget();
    loop_timer_set(loop, &t, 500000000, stop, loop);
    loop_run(loop);
    assert_true(hear(text, sizeof(text), PATIENCE_MS));
    assert_string_equal(text, "WATCHDOG=1");
}

/* xenstored answers after the manager has heard of us three times. */
static void answer_late(void)
{
    char text[256];

    forget();
    for (int i = 0; i < 3; i++) {
        assert_true(hear(text, sizeof(text), PATIENCE_MS));
        assert_string_equal(text, "WATCHDOG=1");
    }
}

static void who_waits_for_xenstored_is_alive(void **state)
{
    (void)state;
    assert_false(store_is_asking());
    fake_on_read(answer_late);
    assert_false(store_exists(store, STORE_NO_TX, "/nothing", NULL));
    fake_on_read(NULL);
    assert_false(store_is_asking());
}

/* Five times as long as the watchdog waits. */
static void who_hangs_is_not(void **state)
{
    char text[256];

    (void)state;
    forget();
    assert_false(hear(text, sizeof(text), SILENCE_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ready_is_told_first),
        cmocka_unit_test(a_loop_that_turns_is_alive),
        cmocka_unit_test(who_waits_for_xenstored_is_alive),
        cmocka_unit_test(who_hangs_is_not),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
