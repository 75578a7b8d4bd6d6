/*
 * Who asks a daemon for its figures: the answer, who may ask, and that nobody who asks badly, or
 * says nothing, holds up the others or the daemon for long.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"
#include "metrics_http.h"

#define MS UINT64_C(1000000)

static struct loop *loop;
static struct metrics_server server;
static char path[64];
static char big[1 << 20];
static bool is_big;
static unsigned int texts;

static char *text(void *arg, unsigned long *len)
{
    (void)arg;
    texts++;
    *len = is_big ? sizeof(big) : 10;
    return is_big ? memset(malloc(sizeof(big)), 'x', sizeof(big)) : strdup("figures 1\n");
}

static int setup(void **state)
{
    char why[512];

    (void)state;
    snprintf(path, sizeof(path), "/tmp/duet-metrics-%d", (int)getpid());
    memset(&server, 0, sizeof(server));
    texts = 0;
    is_big = false;
    loop = loop_new();
    if (loop == NULL || metrics_open(&server, loop, path, text, NULL, why, sizeof(why)) != 0) {
        print_error("%s\n", why);
        return -1;
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    metrics_close(&server);
    loop_free(loop);
    unlink(path);
    return 0;
}

static void stop(void *arg)
{
    loop_stop(arg, 0);
}

/* Lets the daemon's loop run for so long. */
static void run(uint64_t ms)
{
    struct loop_timer timer = {.armed = false};

    loop_timer_set(loop, &timer, ms * MS, stop, loop);
    loop_run(loop);
}

static int visit(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
    assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
    return fd;
}

/* Reads to the end of the connection, for at most so long. Returns whether the end has come. */
static bool reads_to_end(int fd, char *out, size_t size, uint64_t ms)
{
    const uint64_t until = loop_now_ns() + ms * MS;
    size_t used = 0;

    for (;;) {
        ssize_t n = read(fd, out + used, size - 1 - used);

        if (n > 0) {
            used += (size_t)n;
        }
        out[used] = '\0';
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            return true;
        }
        if (loop_now_ns() > until) {
            return false;
        }
        run(2);
    }
}

/* What is answered to a question. */
static void ask(const char *question, char *out, size_t size)
{
    int fd = visit();

    assert_int_equal(send(fd, question, strlen(question), MSG_NOSIGNAL), strlen(question));
    assert_true(reads_to_end(fd, out, size, 2000));
    close(fd);
}

static void figures_are_told(void **state)
{
    char answer[2048];
    struct stat st;

    (void)state;
    ask("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", answer, sizeof(answer));
    assert_memory_equal(answer, "HTTP/1.1 200 OK\r\n", 17);
    assert_non_null(strstr(answer, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert_non_null(strstr(answer, "\r\n\r\nfigures 1\n"));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    ask("HEAD /metrics HTTP/1.0\r\n\r\n", answer, sizeof(answer));
    assert_non_null(strstr(answer, " 200 OK\r\n"));
    assert_null(strstr(answer, "figures"));
    assert_int_equal(texts, 1); /* it is the same for all who ask at once */
    run(300);
    ask("GET /metrics HTTP/1.0\r\n\r\n", answer, sizeof(answer));
    assert_non_null(strstr(answer, "figures 1"));
    assert_int_equal(texts, 2);
}

static void other_questions_are_not_answered(void **state)
{
    char answer[2048], *question = malloc(70000);

    (void)state;
    ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n", answer, sizeof(answer));
    assert_non_null(strstr(answer, " 404 "));
    ask("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd", answer,
        sizeof(answer));
    assert_non_null(strstr(answer, " 405 "));
    ask("nonsense\r\n\r\n", answer, sizeof(answer));
    assert_null(strstr(answer, " 200 "));
    memset(question, 'x', 70000);
    memcpy(question, "GET /metrics HTTP/1.1\r\nA: ", 26);
    question[30000] = '\0';
    ask(question, answer, sizeof(answer));
    assert_null(strstr(answer, " 200 "));
    free(question);
    assert_int_equal(texts, 0);
}

static void who_says_nothing_holds_up_nobody_for_long(void **state)
{
    int silent[METRICS_VISITORS_MAX + 4];
    const uint64_t begin = loop_now_ns();
    char answer[2048];
    unsigned int nr = sizeof(silent) / sizeof(silent[0]);
    int fd;

    (void)state;
    for (unsigned int i = 0; i < METRICS_VISITORS_MAX - 1; i++) {
        silent[i] = visit();
    }
    ask("GET /metrics HTTP/1.0\r\n\r\n", answer, sizeof(answer)); /* there is one place left */
    assert_non_null(strstr(answer, "figures 1"));
    assert_true(loop_now_ns() - begin < 1000 * MS);
    for (unsigned int i = METRICS_VISITORS_MAX - 1; i < nr; i++) {
        silent[i] = visit();
    }
    fd = visit(); /* and now none, until the first ones are sent away */
    assert_int_equal(send(fd, "GET /metrics HTTP/1.0\r\n\r\n", 25, MSG_NOSIGNAL), 25);
    assert_true(reads_to_end(fd, answer, sizeof(answer), 12000));
    assert_non_null(strstr(answer, "figures 1"));
    close(fd);
    for (unsigned int i = 0; i < nr; i++) {
        close(silent[i]);
    }
}

/* Each byte is a sign of life, so that only the length of the visit ends it. */
static void who_speaks_slowly_is_seen_off(void **state)
{
    const char question[] = "GET /metrics HTTP/1.0\r\nA: ";
    const uint64_t begin = loop_now_ns();
    int fd = visit();

    (void)state;
    assert_int_equal(send(fd, question, strlen(question), MSG_NOSIGNAL), strlen(question));
    while (send(fd, "x", 1, MSG_NOSIGNAL) == 1) {
        assert_true(loop_now_ns() - begin < METRICS_VISIT_NS + 5000 * MS);
        run(200);
    }
    assert_true(loop_now_ns() - begin >= METRICS_VISIT_NS / 2);
    assert_int_equal(texts, 0);
    close(fd);
}

static void who_does_not_read_is_seen_off(void **state)
{
    const uint64_t begin = loop_now_ns();
    int fd = visit();
    char answer[2048];

    (void)state;
    is_big = true;
    assert_int_equal(send(fd, "GET /metrics HTTP/1.0\r\n\r\n", 25, MSG_NOSIGNAL), 25);
    run(100);
    assert_int_equal(texts, 1);
    is_big = false;
    run(300); /* no longer the same text */
    ask("GET /metrics HTTP/1.0\r\n\r\n", answer, sizeof(answer));
    assert_non_null(strstr(answer, "figures 1"));
    while (server.visitors[0].here) {
        assert_true(loop_now_ns() - begin < METRICS_VISIT_NS + 5000 * MS);
        run(200);
    }
    close(fd);
}

static void a_socket_of_a_daemon_that_is_gone_is_replaced(void **state)
{
    static struct metrics_server other;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    char why[512], answer[2048];
    int fd;

    (void)state;
    assert_int_equal(metrics_open(&other, loop, path, text, NULL, why, sizeof(why)), -EADDRINUSE);
    metrics_close(&server);
    assert_int_equal(access(path, F_OK), -1);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
    close(fd);
    assert_int_equal(metrics_open(&server, loop, path, text, NULL, why, sizeof(why)), 0);
    ask("GET /metrics HTTP/1.0\r\n\r\n", answer, sizeof(answer));
    assert_non_null(strstr(answer, "figures 1"));
    metrics_close(&server);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    close(fd);
    assert_int_equal(metrics_open(&server, loop, path, text, NULL, why, sizeof(why)), -EEXIST);
    assert_int_equal(access(path, F_OK), 0); /* no socket: it is not ours to remove */
}

/* There is no descriptor for who comes: he is let in when there is one, and nobody is busy. */
static void who_cannot_be_let_in_keeps_nobody_busy(void **state)
{
    char answer[2048];
    struct rlimit limit, less;
    struct timespec begin, end;
    int fd = visit();

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    less = (struct rlimit){.rlim_cur = (rlim_t)fd + 1, .rlim_max = limit.rlim_max};
    assert_int_equal(send(fd, "GET /metrics HTTP/1.0\r\n\r\n", 25, MSG_NOSIGNAL), 25);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin), 0);
    run(1000);
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end), 0);
    assert_true((end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000 < 300);
    assert_int_equal(texts, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(reads_to_end(fd, answer, sizeof(answer), 2000));
    assert_non_null(strstr(answer, "figures 1"));
    close(fd);
}

/* A port of loopback that nobody has, and a socket to it by which to connect. */
static int free_port(struct sockaddr_in *name)
{
    socklen_t len = sizeof(*name);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *name = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)name, sizeof(*name)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)name, &len), 0);
    close(fd);
    return socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static void a_loopback_address_is_listened_at(void **state)
{
    static const char question[] = "GET /metrics HTTP/1.0\r\n\r\n";
    char address[32], answer[1024];
    struct sockaddr_in name;
    int fd = free_port(&name);

    (void)state;
    snprintf(address, sizeof(address), "127.0.0.1:%u", ntohs(name.sin_port));
    metrics_move(&server, loop, address, text, NULL);
    assert_string_equal(server.address, address);
    assert_true(connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0 || errno == EINPROGRESS);
    assert_int_equal(send(fd, question, strlen(question), MSG_NOSIGNAL), strlen(question));
    assert_true(reads_to_end(fd, answer, sizeof(answer), 2000));
    assert_non_null(strstr(answer, "figures 1"));
    close(fd);
}

static void it_moves_when_it_is_told_to(void **state)
{
    char other[80];

    (void)state;
    snprintf(other, sizeof(other), "%s.other", path);
    metrics_move(&server, loop, path, text, NULL);
    assert_int_equal(access(path, F_OK), 0);
    metrics_move(&server, loop, other, text, NULL);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(access(other, F_OK), 0);
    metrics_move(&server, loop, "0.0.0.0:9731", text, NULL);
    assert_string_equal(server.address, other); /* which works on */
    assert_int_equal(access(other, F_OK), 0);
    metrics_move(&server, loop, NULL, text, NULL);
    assert_int_equal(access(other, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(figures_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(other_questions_are_not_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(who_says_nothing_holds_up_nobody_for_long, setup, teardown),
        cmocka_unit_test_setup_teardown(who_speaks_slowly_is_seen_off, setup, teardown),
        cmocka_unit_test_setup_teardown(who_does_not_read_is_seen_off, setup, teardown),
        cmocka_unit_test_setup_teardown(a_socket_of_a_daemon_that_is_gone_is_replaced, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(who_cannot_be_let_in_keeps_nobody_busy, setup, teardown),
        cmocka_unit_test_setup_teardown(a_loopback_address_is_listened_at, setup, teardown),
        cmocka_unit_test_setup_teardown(it_moves_when_it_is_told_to, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
