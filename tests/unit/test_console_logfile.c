/*
 * Logs of consoles: shared by name, rotated by size with nothing lost or torn, opened anew after a
 * rename, and unable to leave their directory.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "logfile.h"
#include "stamp.h"

static char base[] = "/tmp/duet-logfile-XXXXXX";

static int setup(void **state)
{
    (void)state;
    memset(base + sizeof(base) - 7, 'X', 6);
    return mkdtemp(base) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    (void)state;
    return nftw(base, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Contents of base/NAME; the caller frees. NULL when there is none. */
static char *contents(const char *name)
{
    char path[512], *text = NULL;
    size_t size = 0;
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", base, name);
    file = fopen(path, "r");
    if (!file) {
        return NULL;
    }
    if (getdelim(&text, &size, '\0', file) < 0) {
        text[0] = '\0';
    }
    fclose(file);
    return text;
}

static void expect(const char *name, const char *text)
{
    char *found = contents(name);

    if (text) {
        assert_non_null(found);
        assert_string_equal(found, text);
    } else {
        assert_null(found);
    }
    free(found);
}

static void put(struct cons_logs *dir, struct cons_log *log, const char *text)
{
    assert_int_equal(cons_log_write(dir, log, text, strlen(text)), 0);
}

static void a_log_continues_where_it_was(void **state)
{
    struct cons_logs dir;

    (void)state;
    for (int boot = 0; boot < 2; boot++) {
        struct cons_log *log;

        assert_int_equal(cons_logs_open(&dir, cons_logs_make(base), base, 0, 3), 0);
        log = cons_log_get(&dir, "g1");
        put(&dir, log, boot == 0 ? "first " : "second");
        cons_log_put(&dir, log);
        assert_null(dir.open);
        cons_logs_close(&dir);
    }
    expect("g1.log", "first second");
}

static void two_users_share_one_log(void **state)
{
    struct cons_logs dir;
    struct cons_log *one, *two;

    (void)state;
    cons_logs_open(&dir, cons_logs_make(base), base, 0, 3);
    one = cons_log_get(&dir, "g1");
    two = cons_log_get(&dir, "g1");
    assert_ptr_equal(one, two);
    cons_log_put(&dir, one);
    put(&dir, two, "still open");
    cons_log_put(&dir, two);
    cons_logs_close(&dir);
    expect("g1.log", "still open");
}

static void rotation_keeps_the_newest(void **state)
{
    struct cons_logs dir;
    struct cons_log *log;

    (void)state;
    cons_logs_open(&dir, cons_logs_make(base), base, 10, 2);
    log = cons_log_get(&dir, "g1");
    for (int i = 0; i < 5; i++) {
        char text[9];

        snprintf(text, sizeof(text), "line %d.\n", i);
        put(&dir, log, text);
    }
    cons_logs_close(&dir);
    expect("g1.log", "line 4.\n");
    expect("g1.log.1", "line 3.\n");
    expect("g1.log.2", "line 2.\n");
    expect("g1.log.3", NULL);
}

static void rotation_without_keeping_starts_over(void **state)
{
    struct cons_logs dir;
    struct cons_log *log;

    (void)state;
    cons_logs_open(&dir, cons_logs_make(base), base, 4, 0);
    log = cons_log_get(&dir, "g1");
    put(&dir, log, "1111");
    put(&dir, log, "2222");
    cons_logs_close(&dir);
    expect("g1.log", "2222");
    expect("g1.log.1", NULL);
}

static void a_renamed_log_is_left_alone_after_reopening(void **state)
{
    struct cons_logs dir;
    struct cons_log *log;
    char from[300], to[300];

    (void)state;
    cons_logs_open(&dir, cons_logs_make(base), base, 0, 3);
    log = cons_log_get(&dir, "g1");
    put(&dir, log, "old");
    snprintf(from, sizeof(from), "%s/g1.log", base);
    snprintf(to, sizeof(to), "%s/g1.log.gz-to-be", base);
    assert_int_equal(rename(from, to), 0);
    put(&dir, log, "er");
    cons_logs_reopen(&dir);
    put(&dir, log, "new");
    cons_logs_close(&dir);
    expect("g1.log.gz-to-be", "older");
    expect("g1.log", "new");
}

static void the_tail_is_read_back(void **state)
{
    struct cons_logs dir;
    struct cons_log *log;
    char tail[8];

    (void)state;
    cons_logs_open(&dir, cons_logs_make(base), base, 0, 3);
    log = cons_log_get(&dir, "g1");
    assert_int_equal(cons_log_tail(&dir, log, tail, sizeof(tail)), 0);
    put(&dir, log, "abc");
    assert_int_equal(cons_log_tail(&dir, log, tail, sizeof(tail)), 3);
    put(&dir, log, "defghijkl");
    assert_int_equal(cons_log_tail(&dir, log, tail, sizeof(tail)), sizeof(tail));
    assert_memory_equal(tail, "efghijkl", sizeof(tail));
    cons_logs_close(&dir);
}

static void a_name_cannot_leave_the_directory(void **state)
{
    struct cons_logs dir;
    struct cons_log *log;
    char file[CONS_FILE_MAX];

    (void)state;
    cons_logs_open(&dir, cons_logs_make(base), base, 0, 3);
    cons_name_to_file("../escape", file);
    log = cons_log_get(&dir, file);
    put(&dir, log, "caught");
    cons_logs_close(&dir);
    expect("%2E.%2Fescape.log", "caught");
}

static void a_link_is_not_followed(void **state)
{
    struct cons_logs dir;
    struct cons_log *log;
    char path[300];

    (void)state;
    snprintf(path, sizeof(path), "%s/g1.log", base);
    assert_int_equal(symlink("/dev/null", path), 0);
    cons_logs_open(&dir, cons_logs_make(base), base, 0, 3);
    log = cons_log_get(&dir, "g1");
    assert_non_null(log);
    assert_int_equal(cons_log_write(&dir, log, "x", 1), -EBADF);
    cons_logs_close(&dir);
}

static void missing_parents_are_made(void **state)
{
    struct cons_logs dir;
    char path[300];

    (void)state;
    snprintf(path, sizeof(path), "%s/a/b/c", base);
    assert_int_equal(cons_logs_open(&dir, cons_logs_make(path), path, 0, 3), 0);
    cons_logs_close(&dir);
    assert_int_equal(access(path, F_OK), 0);
    snprintf(path, sizeof(path), "%s/file", base);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    snprintf(path, sizeof(path), "%s/file/below", base);
    assert_int_equal(cons_logs_make(path), -ENOTDIR);
}

/* What the daemon says meanwhile. */
static int said_was = -1, said[2];

static void listen_to_log(void)
{
    said_was = dup(STDERR_FILENO);
    assert_int_equal(pipe2(said, O_NONBLOCK | O_CLOEXEC), 0);
    dup2(said[1], STDERR_FILENO);
}

/* How often it has said that; ends the listening. */
static int heard(const char *what)
{
    char text[8192] = "";
    int nr = 0;

    dup2(said_was, STDERR_FILENO);
    close(said_was);
    close(said[1]);
    assert_true(read(said[0], text, sizeof(text) - 1) >= 0);
    close(said[0]);
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++) {
        nr++;
    }
    return nr;
}

/* Longer than that no file may become: as good as a full disk. */
static void limit_files(rlim_t size)
{
    struct rlimit limit;

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A disk is full for a while: what is lost is counted and told once, and then it goes on. */
static void what_a_full_disk_loses_is_told(void **state)
{
    struct cons_logs dir;
    struct cons_log *log;

    (void)state;
    cons_logs_open(&dir, cons_logs_make(base), base, 0, 3);
    log = cons_log_get(&dir, "g1");
    put(&dir, log, "kept ");
    listen_to_log();
    limit_files(7);
    assert_int_equal(cons_log_write(&dir, log, "partly", 6), -EFBIG); /* two of six */
    for (int i = 0; i < 100; i++) {
        assert_int_equal(cons_log_write(&dir, log, "lost", 4), -EFBIG);
    }
    limit_files(RLIM_INFINITY);
    put(&dir, log, " again");
    assert_int_equal(heard("404 bytes of output are not in it"), 1);
    assert_int_equal(log->lost, 0);
    cons_logs_close(&dir);
    expect("g1.log", "kept pa again");
}

static void one_complaint_is_enough(void **state)
{
    struct cons_logs dir;
    struct cons_log *log;

    (void)state;
    cons_logs_open(&dir, cons_logs_make(base), base, 0, 3);
    log = cons_log_get(&dir, "g1");
    listen_to_log();
    limit_files(0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(cons_log_write(&dir, log, "lost", 4), -EFBIG);
    }
    limit_files(RLIM_INFINITY);
    assert_int_equal(heard("cannot write"), 1);
    cons_logs_close(&dir);
}

/* It could not even be opened: that is tried again. */
static void a_log_that_cannot_be_opened_is_opened_later(void **state)
{
    struct rlimit limit, none;
    struct cons_logs dir;
    struct cons_log *log;

    (void)state;
    cons_logs_open(&dir, cons_logs_make(base), base, 0, 3);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = (rlim_t)dir.fd + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    log = cons_log_get(&dir, "g1");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(cons_log_write(&dir, log, "lost", 4), -EBADF);
    log->again_ns = 0; /* a second later */
    put(&dir, log, "kept");
    assert_int_equal(log->lost, 0);
    cons_logs_close(&dir);
    expect("g1.log", "kept");
}

static void times_are_right(void **state)
{
    static const struct {
        uint64_t ms;
        const char *stamp;
    } cases[] = {
        {0, "[1970-01-01T00:00:00.000Z] "},
        {951782399999, "[2000-02-28T23:59:59.999Z] "},
        {951782400000, "[2000-02-29T00:00:00.000Z] "},
        {951868800000, "[2000-03-01T00:00:00.000Z] "},
        {1767225599000, "[2025-12-31T23:59:59.000Z] "},
        {1767225600000, "[2026-01-01T00:00:00.000Z] "},
        {1795876695123, "[2026-11-28T14:38:15.123Z] "},
        {4107542400000, "[2100-03-01T00:00:00.000Z] "},
        {253402300799999, "[9999-12-31T23:59:59.999Z] "},
    };
    char stamp[CONS_STAMP_LEN];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cons_stamp_put(stamp, cases[i].ms);
        assert_int_equal(strlen(cases[i].stamp), sizeof(stamp));
        assert_memory_equal(stamp, cases[i].stamp, sizeof(stamp));
    }
}

/* Each line has one, however it was written; who reads the end back has none. */
static void lines_have_times_if_wanted(void **state)
{
    struct cons_logs dir;
    struct cons_log *log;
    char *found, tail[64], much[3000];
    size_t stamped;

    (void)state;
    cons_logs_open(&dir, cons_logs_make(base), base, 0, 3);
    log = cons_log_get(&dir, "g1");
    put(&dir, log, "none\nbeg");
    dir.stamps = true;
    put(&dir, log, "un\r\nsec");
    put(&dir, log, "ond\n\nlast");
    found = contents("g1.log");
    assert_memory_equal(found, "none\nbegun\r\n[2", 14);
    stamped = strlen(found);
    assert_int_equal(stamped, strlen("none\nbegun\r\nsecond\n\nlast") + (size_t)3 * CONS_STAMP_LEN);
    free(found);
    assert_int_equal(cons_log_tail(&dir, log, tail, 60), 6);
    assert_memory_equal(tail, "\n\nlast", 6);
    /* Another one goes on within the line. */
    cons_logs_reopen(&dir);
    put(&dir, log, " words");
    found = contents("g1.log");
    assert_string_equal(found + stamped, " words");
    free(found);
    /* More than a buffer at once. */
    memset(much, '\n', sizeof(much));
    assert_int_equal(cons_log_write(&dir, log, much, sizeof(much)), 0);
    assert_int_equal(log->size, stamped + 6 + sizeof(much) + (sizeof(much) - 1) * CONS_STAMP_LEN);
    cons_logs_close(&dir);
}

#define LOG_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(a_log_continues_where_it_was),
        LOG_TEST(two_users_share_one_log),
        LOG_TEST(rotation_keeps_the_newest),
        LOG_TEST(rotation_without_keeping_starts_over),
        LOG_TEST(a_renamed_log_is_left_alone_after_reopening),
        LOG_TEST(the_tail_is_read_back),
        LOG_TEST(a_name_cannot_leave_the_directory),
        LOG_TEST(a_link_is_not_followed),
        LOG_TEST(missing_parents_are_made),
        LOG_TEST(what_a_full_disk_loses_is_told),
        LOG_TEST(one_complaint_is_enough),
        LOG_TEST(a_log_that_cannot_be_opened_is_opened_later),
        LOG_TEST(times_are_right),
        LOG_TEST(lines_have_times_if_wanted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
