/*
 * Messages in the journal, whose socket is the test's: what is about a device has its fields, and
 * nobody's name forges one. What the journal does not take is on standard error.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "journal.h"
#include "log.h"

static char dir[64], path[96];
static int journal;     /* where the daemon's entries arrive */
static int stream;      /* what it writes to standard error */
static int real_stderr; /* the test's own */

/* Makes standard error a pipe, which systemd would have made the journal's if `is_journal`. */
static void redirect(bool is_journal)
{
    char text[64];
    struct stat st;
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(fstat(ends[1], &st), 0);
    snprintf(text, sizeof(text), "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino + (is_journal ? 0 : 1));
    setenv("JOURNAL_STREAM", text, 1);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    close(ends[1]);
    stream = ends[0];
}

static int setup(void **state)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/duet-journal-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/socket", dir);
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(journal, (struct sockaddr *)&addr, sizeof(addr)), 0);
    real_stderr = dup(STDERR_FILENO);
    redirect(true);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    journal_end();
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(journal);
    close(stream);
    unlink(path);
    return rmdir(dir);
}

static void expect_entry(const char *entry)
{
    char got[8192];
    ssize_t n = recv(journal, got, sizeof(got) - 1, 0);

    if (entry == NULL) {
        assert_true(n < 0);
        return;
    }
    assert_true(n > 0);
    got[n] = '\0';
    assert_string_equal(got, entry);
}

static void expect_line(const char *line)
{
    char got[4096];
    ssize_t n = read(stream, got, sizeof(got) - 1);

    if (line == NULL) {
        assert_true(n < 0);
        return;
    }
    assert_true(n > 0);
    got[n] = '\0';
    assert_string_equal(got, line);
}

static struct log_id disk_of(const char *domain)
{
    return (struct log_id){.class = "vbd", .domid = 5, .device = 51712, .domain = domain};
}

#define FIELDS "PRIORITY=4\nSYSLOG_IDENTIFIER=test_journal\nDUET_DOMID=5\nDUET_DEVICE=vbd/51712\n"

static void a_message_about_a_device_has_fields(void **state)
{
    const struct log_id named = disk_of("web1"), nameless = disk_of(NULL);

    (void)state;
    journal_begin(path);
    log_msg(LOG_WARNING, &named, "hot: %d", 7);
    expect_entry(FIELDS "MESSAGE=vbd 5/51712: hot: 7\nDUET_DOMAIN=web1\n");
    log_msg(LOG_WARNING, &nameless, "hot");
    expect_entry(FIELDS "MESSAGE=vbd 5/51712: hot\n");
    expect_line(NULL);
}

static void nobody_forges_a_field(void **state)
{
    const struct log_id id = disk_of("a\nDUET_DOMID=0\n\x1b");

    (void)state;
    journal_begin(path);
    log_msg(LOG_WARNING, &id, "%s", "x\nPRIORITY=0\n");
    expect_entry(FIELDS "MESSAGE=vbd 5/51712: x\\x0aPRIORITY=0\\x0a\n"
                        "DUET_DOMAIN=a\\x0aDUET_DOMID=0\\x0a\\x1b\n");
}

static void the_longest_of_all_is_one_entry(void **state)
{
    static char name[5000], text[5000];
    const struct log_id id = disk_of(name);
    char got[16384];
    ssize_t n;

    (void)state;
    memset(name, 1, sizeof(name) - 1);
    memset(text, 1, sizeof(text) - 1);
    journal_begin(path);
    log_msg(LOG_WARNING, &id, "%s", text);
    n = recv(journal, got, sizeof(got), 0);
    assert_true(n > 4000 && n < (ssize_t)sizeof(got));
    assert_int_equal(got[n - 1], '\n');
}

static void the_daemon_itself_is_on_standard_error(void **state)
{
    (void)state;
    journal_begin(path);
    log_msg(LOG_WARNING, NULL, "ready");
    expect_entry(NULL);
    expect_line("<4>ready\n");
}

static void what_the_journal_does_not_take_is_on_standard_error(void **state)
{
    const struct log_id id = disk_of("web1");

    (void)state;
    journal_begin(path);
    for (unsigned int i = 0; i < 10000 && read(stream, (char[1]){0}, 1) < 0; i++) {
        log_msg(LOG_WARNING, &id, "n"); /* until its queue is full */
    }
    while (read(stream, (char[64]){0}, 64) > 0) {
    }
    log_msg(LOG_WARNING, &id, "lost?");
    expect_line("<4>vbd 5/51712: lost?\n");
}

static void the_last_words_are_on_standard_error(void **state)
{
    const struct log_id id = disk_of("web1");

    (void)state;
    journal_begin(path);
    journal_end();
    log_msg(LOG_WARNING, &id, "removed");
    expect_entry(NULL);
    expect_line("<4>vbd 5/51712: removed\n");
}

static void elsewhere_nothing_changes(void **state)
{
    const struct log_id id = disk_of("web1");

    (void)state;
    close(stream);
    redirect(false);
    journal_begin(path);
    log_msg(LOG_WARNING, &id, "hot");
    expect_entry(NULL);
    expect_line("<4>vbd 5/51712: hot\n");
}

static void without_a_journal_that_is_said_once(void **state)
{
    const struct log_id id = disk_of("web1");

    (void)state;
    journal_begin("/nonexistent/socket");
    expect_line("<5>/nonexistent/socket: messages have no fields: No such file or directory\n");
    log_msg(LOG_WARNING, &id, "hot");
    expect_line("<4>vbd 5/51712: hot\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_message_about_a_device_has_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_forges_a_field, setup, teardown),
        cmocka_unit_test_setup_teardown(the_longest_of_all_is_one_entry, setup, teardown),
        cmocka_unit_test_setup_teardown(the_daemon_itself_is_on_standard_error, setup, teardown),
        cmocka_unit_test_setup_teardown(what_the_journal_does_not_take_is_on_standard_error, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_last_words_are_on_standard_error, setup, teardown),
        cmocka_unit_test_setup_teardown(elsewhere_nothing_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_journal_that_is_said_once, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
