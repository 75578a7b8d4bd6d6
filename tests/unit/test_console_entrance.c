/*
 * The socket at which programs attach to consoles: whose it is, who may enter, and that whoever
 * enters is handed to the worker.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "entrance.h"

#define MS_NS UINT64_C(1000000)

static char folder[] = "/tmp/duet-entrance-XXXXXX";
static char path[64];
static struct loop *loop;
static struct cons_link link_to_worker;
static unsigned int visits;
static uint32_t last_pid;

/* A stand-in for link.c. */
void cons_link_send(struct cons_link *link, const struct cons_order *order, int fd)
{
    assert_ptr_equal(link, &link_to_worker);
    assert_int_equal(order->kind, CONS_VISIT);
    assert_true(fd >= 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    last_pid = order->pid;
    visits++;
    close(fd);
}

static void stop_loop(void *arg)
{
    loop_stop(arg, 0);
}

static void turn(unsigned int ms)
{
    struct loop_timer timer = {0};

    loop_timer_set(loop, &timer, ms * MS_NS, stop_loop, loop);
    loop_run(loop);
}

static int knock(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0), err;

    snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
    err = connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0 ? 0 : errno;
    close(fd);
    return err;
}

static int setup(void **state)
{
    (void)state;
    loop = loop_new();
    visits = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    loop_free(loop);
    unlink(path);
    return 0;
}

static void root_is_let_in_once_all_is_ready(void **state)
{
    struct cons_entrance entrance;
    struct stat st;

    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    cons_entrance_open(&entrance, path);
    assert_true(entrance.fd >= 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_uid, 0);
    /* It waits outside until there are consoles. */
    assert_int_equal(knock(), 0);
    turn(5);
    assert_int_equal(visits, 0);
    cons_entrance_begin(&entrance, loop, &link_to_worker);
    turn(5);
    assert_int_equal(visits, 1);
    assert_int_equal(last_pid, getpid());
    cons_entrance_close(&entrance);
    assert_int_equal(knock(), ECONNREFUSED);
}

/* The mode alone keeps others out; this is about one whom it does not. */
static void nobody_else_is_let_in(void **state)
{
    struct cons_entrance entrance;
    pid_t pid;
    int status;

    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    cons_entrance_open(&entrance, path);
    cons_entrance_begin(&entrance, loop, &link_to_worker);
    assert_int_equal(chmod(path, 0666), 0);
    pid = fork();
    if (pid == 0) {
        _exit(setresuid(65534, 65534, 65534) == 0 ? knock() : 99);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    turn(5);
    assert_int_equal(visits, 0);
    assert_int_equal(knock(), 0);
    turn(5);
    assert_int_equal(visits, 1);
    cons_entrance_close(&entrance);
}

static void what_an_earlier_daemon_left_is_replaced_and_nothing_else(void **state)
{
    struct cons_entrance entrance, second;
    int fd;

    (void)state;
    cons_entrance_open(&entrance, path);
    assert_true(entrance.fd >= 0);
    cons_entrance_open(&second, path);
    assert_int_equal(second.fd, -EADDRINUSE);
    cons_entrance_close(&entrance);
    cons_entrance_open(&second, path);
    assert_true(second.fd >= 0);
    cons_entrance_close(&second);
    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    close(fd);
    cons_entrance_open(&entrance, path);
    assert_int_equal(entrance.fd, -EEXIST);
    /* Without one, consoles are served nevertheless. */
    cons_entrance_begin(&entrance, loop, &link_to_worker);
    cons_entrance_close(&entrance);
}

#define ENTRANCE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENTRANCE_TEST(root_is_let_in_once_all_is_ready),
        ENTRANCE_TEST(nobody_else_is_let_in),
        ENTRANCE_TEST(what_an_earlier_daemon_left_is_replaced_and_nothing_else),
    };
    int failed;

    if (mkdtemp(folder) == NULL || chmod(folder, 0755) < 0) {
        return 1;
    }
    snprintf(path, sizeof(path), "%s/console.sock", folder);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
