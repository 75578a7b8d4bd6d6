/*
 * One daemon of a kind on a host: the second of two processes is told about the first, and takes
 * its place once that is gone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "single.h"

static char dir[] = "/tmp/duet-test-single-XXXXXX";
static char why[512];

static int folder;

/* The first of its kind; says by a byte to `fd` that it is, and stays. */
static _Noreturn void be_the_first(int fd)
{
    if (single_claim(dir, "duet-testd", why, sizeof(why)) != 0 ||
        single_claim_folder(folder, "duet-testd", why, sizeof(why)) != 0 || write(fd, "", 1) != 1) {
        _exit(1);
    }
    for (;;) {
        pause();
    }
}

static void the_second_ends_and_names_the_first(void **state)
{
    char expected[256], byte;
    int fds[2];
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        be_the_first(fds[1]);
    }
    close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    close(fds[0]);
    assert_int_equal(single_claim(dir, "duet-testd", why, sizeof(why)), -EBUSY);
    snprintf(expected, sizeof(expected), "duet-testd runs already, as process %d", (int)pid);
    assert_string_equal(why, expected);
    assert_int_equal(single_claim_folder(folder, "duet-testd", why, sizeof(why)), -EBUSY);
    assert_string_equal(why, expected);
    assert_int_equal(single_claim(dir, "duet-otherd", why, sizeof(why)), 0);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(single_claim(dir, "duet-testd", why, sizeof(why)), 0);
    assert_int_equal(single_claim_folder(folder, "duet-testd", why, sizeof(why)), 0);
}

static void a_folder_that_is_not_there_is_explained(void **state)
{
    (void)state;
    assert_int_equal(single_claim("/nonexistent", "duet-testd", why, sizeof(why)), -ENOENT);
    assert_string_equal(why, "/nonexistent/duet-testd.lock: No such file or directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_ends_and_names_the_first),
        cmocka_unit_test(a_folder_that_is_not_there_is_explained),
    };
    static const char *const names[] = {"testd", "otherd"};
    char path[256];
    int failed;

    if (mkdtemp(dir) == NULL) {
        return 1;
    }
    folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/duet-%s.lock", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
    return failed;
}
