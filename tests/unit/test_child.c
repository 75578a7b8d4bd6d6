/*
 * Child processes. This program starts itself, with a word in the environment that says what the
 * child is to do, and checks that messages, descriptors and the way it ended come through.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"

static struct loop *loop;
static struct child child;
static char got[256];
static int exit_status;

/* Messages that came, the most of them between two turns of the loop, and those of a process that
 * was not there any more. */
static unsigned int came, in_turn, most_in_turn, of_nobody;
static unsigned int bearable; /* messages until it is given up; 0: any number */
static struct loop_work turn;

/* Sends as much as fits, says so by a byte to `fd`, and goes on as long as it is let. */
static int flood(int fd)
{
    while (send(CHILD_SOCKET_FD, "flood", 5, MSG_DONTWAIT) == 5) {
    }
    if (write(fd, "", 1) != 1) {
        return 14;
    }
    for (int i = 0; i < 20000; i++) {
        if (send(CHILD_SOCKET_FD, "flood", 5, MSG_NOSIGNAL) != 5) {
            return 15;
        }
    }
    return 0;
}

/* What the started copy does. Returns its exit status. */
static int act(const char *part)
{
    char msg[64];
    int fd = -1;
    long n;

    if (strcmp(part, "echo") == 0) {
        n = child_receive(CHILD_SOCKET_FD, msg, sizeof(msg), &fd, 1);
        if (n <= 0 || write(fd, msg, (unsigned long)n) != n) {
            return 10;
        }
        return send(CHILD_SOCKET_FD, msg, (unsigned long)n, 0) == n ? 5 : 11;
    }
    if (strcmp(part, "flood") == 0) {
        n = child_receive(CHILD_SOCKET_FD, msg, sizeof(msg), &fd, 1);
        return n == 1 ? flood(fd) : 16;
    }
    if (strcmp(part, "last-words") == 0) {
        for (int i = 0; i < 40; i++) {
            send(CHILD_SOCKET_FD, "bye", 3, 0);
        }
        return 7;
    }
    if (strcmp(part, "no-descriptor") == 0) {
        n = child_receive(CHILD_SOCKET_FD, msg, sizeof(msg), &fd, 1);
        return n == -EPROTO ? 0 : 12;
    }
    n = child_receive(CHILD_SOCKET_FD, msg, sizeof(msg), NULL, 0); /* until killed or left alone */
    return n == 0 ? 6 : 13;
}

static void on_message(void *arg, const void *msg, unsigned long len)
{
    (void)arg;
    came++;
    in_turn++;
    most_in_turn = in_turn > most_in_turn ? in_turn : most_in_turn;
    of_nobody += child.pid == 0 || kill(child.pid, 0) != 0 ? 1U : 0U;
    snprintf(got, sizeof(got), "%.*s", (int)len, (const char *)msg);
    if (came == bearable) {
        child_give_up(&child);
    }
}

static void on_exit_(void *arg, int status)
{
    (void)arg;
    exit_status = status;
    loop_stop(loop, 0);
}

static void on_turn(void *arg)
{
    (void)arg;
    in_turn = 0;
    loop_defer(loop, &turn, on_turn, NULL);
}

/* Runs the loop until the child has ended, and counts its turns. */
static void run_in_turns(void)
{
    came = in_turn = most_in_turn = of_nobody = 0;
    on_turn(NULL);
    loop_run(loop);
    loop_defer_cancel(loop, &turn);
}

static int start(const char *part)
{
    char *argv[] = {"/proc/self/exe", NULL};

    got[0] = '\0';
    setenv("TEST_CHILD", part, 1);
    return child_start(&child, loop, -1, argv, on_message, on_exit_, NULL);
}

static void messages_and_descriptors_come_through(void **state)
{
    char back[16] = "";
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(start("echo"), 0);
    assert_int_equal(child_send(&child, "hello", 5, &fds[1], 1), 0);
    loop_run(loop);
    assert_string_equal(got, "hello"); /* delivered although the child has ended */
    assert_int_equal(read(fds[0], back, sizeof(back)), 5);
    assert_true(WIFEXITED(exit_status));
    assert_int_equal(WEXITSTATUS(exit_status), 5);
    assert_int_equal(child.pid, 0);
    assert_int_equal(child_send(&child, "x", 1, NULL, 0), -EPIPE);
    close(fds[0]);
    close(fds[1]);
}

static void a_message_without_its_descriptor_is_refused(void **state)
{
    (void)state;
    assert_int_equal(start("no-descriptor"), 0);
    assert_int_equal(child_send(&child, "hello", 5, NULL, 0), 0);
    loop_run(loop);
    assert_int_equal(exit_status, 0);
}

static void the_way_it_ended_is_told(void **state)
{
    char text[64];

    (void)state;
    assert_int_equal(start("wait"), 0);
    child_signal(&child, SIGKILL);
    loop_run(loop);
    child_describe_status(exit_status, text, sizeof(text));
    assert_string_equal(text, "killed by signal 9 (Killed)");
    child_describe_status(5 << 8, text, sizeof(text));
    assert_string_equal(text, "exited with status 5");
    child_signal(&child, SIGKILL); /* not running: harmless */
}

static void who_talks_without_end_holds_up_nobody_and_is_killed(void **state)
{
    uint64_t begin = loop_now_ns();
    char byte;
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(start("flood"), 0);
    assert_int_equal(child_send(&child, "x", 1, &fds[1], 1), 0);
    assert_int_equal(read(fds[0], &byte, 1), 1); /* its socket is full */
    run_in_turns();
    assert_true(WIFSIGNALED(exit_status));
    assert_int_equal(WTERMSIG(exit_status), SIGKILL);
    assert_in_range(most_in_turn, 1, 16);
    assert_in_range(came, 1000, 1001 + 100 * ((loop_now_ns() - begin) / 1000000000 + 1));
    close(fds[0]);
    close(fds[1]);
}

/* So that a signal because of one of them reaches nobody else. */
static void last_words_are_heard_while_its_number_is_its_own(void **state)
{
    siginfo_t info;

    (void)state;
    assert_int_equal(start("last-words"), 0);
    assert_int_equal(waitid(P_PID, (id_t)child.pid, &info, WEXITED | WNOWAIT), 0);
    run_in_turns();
    assert_int_equal(came, 40);
    assert_int_equal(of_nobody, 0);
    assert_int_equal(WEXITSTATUS(exit_status), 7);
}

/* What it said before it was killed waits in its socket. */
static void who_is_given_up_is_not_heard_any_more(void **state)
{
    siginfo_t info;

    (void)state;
    assert_int_equal(start("last-words"), 0);
    assert_int_equal(waitid(P_PID, (id_t)child.pid, &info, WEXITED | WNOWAIT), 0);
    bearable = 3;
    run_in_turns();
    bearable = 0;
    assert_int_equal(came, 3);
    assert_int_equal(child.pid, 0);
}

static long oom_score_of(const char *pid)
{
    char path[48], text[16];
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%s/oom_score_adj", pid);
    f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof(text), f));
    fclose(f);
    return strtol(text, NULL, 10);
}

static void set_own_oom_score(long score)
{
    FILE *f = fopen("/proc/self/oom_score_adj", "w");

    assert_non_null(f);
    assert_true(fprintf(f, "%ld", score) > 0);
    assert_int_equal(fclose(f), 0);
}

/* Units give supervisors less than 0; more than 0 needs no privilege, and is inherited alike. */
static void it_does_not_inherit_the_parents_place_before_the_oom_killer(void **state)
{
    char pid[16];
    long before = oom_score_of("self");

    (void)state;
    set_own_oom_score(300);
    assert_int_equal(start("wait"), 0);
    snprintf(pid, sizeof(pid), "%d", (int)child.pid);
    assert_int_equal(oom_score_of("self"), 300);
    assert_int_equal(oom_score_of(pid), 0);
    child_signal(&child, SIGKILL);
    loop_run(loop);
    set_own_oom_score(before);
}

static void a_program_that_does_not_exist_is_an_error(void **state)
{
    char *argv[] = {"/nonexistent/worker", NULL};

    (void)state;
    assert_int_equal(child_start(&child, loop, -1, argv, on_message, on_exit_, NULL), -ENOENT);
    assert_int_equal(child.pid, 0);
}

static void too_many_descriptors_are_refused(void **state)
{
    int fds[CHILD_FDS_MAX + 1] = {0};

    (void)state;
    assert_int_equal(start("wait"), 0);
    assert_int_equal(child_send(&child, "x", 1, fds, CHILD_FDS_MAX + 1), -E2BIG);
    child_signal(&child, SIGKILL);
    loop_run(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_and_descriptors_come_through),
        cmocka_unit_test(a_message_without_its_descriptor_is_refused),
        cmocka_unit_test(the_way_it_ended_is_told),
        cmocka_unit_test(who_talks_without_end_holds_up_nobody_and_is_killed),
        cmocka_unit_test(last_words_are_heard_while_its_number_is_its_own),
        cmocka_unit_test(who_is_given_up_is_not_heard_any_more),
        cmocka_unit_test(it_does_not_inherit_the_parents_place_before_the_oom_killer),
        cmocka_unit_test(a_program_that_does_not_exist_is_an_error),
        cmocka_unit_test(too_many_descriptors_are_refused),
    };
    const char *part = getenv("TEST_CHILD");
    int failed;

    if (part != NULL) {
        return act(part);
    }
    loop = loop_new();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    loop_free(loop);
    return failed;
}
