/*
 * Reports on a host: which secrets are left out, what becomes of programs that do not end or say
 * too much, and what is in the archive.
 */
#include <stdarg.h>
#include <setjmp.h>
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

#include "bundle.h"
#include "probe.h"
#include "redact.h"
#include "xenbus.h"

enum { MOST = 100000 };

static char *redacted(const char *text)
{
    size_t len;

    return redact_text(text, strlen(text), &len);
}

static void secrets_are_left_out(void **state)
{
    static const struct {
        const char *text, *rest;
    } cases[] = {
        {"", ""},
        {"\n\n", "\n\n"},
        {"vncpasswd=abc\nvnc=1\n", "vncpasswd=(left out)\nvnc=1\n"},
        {"vfb = [ 'type=vnc,vncpasswd=a b,c', 1 ]", "vfb = [ 'type=vnc,vncpasswd=(left out)"},
        {"  Password : x y\n", "  Password : (left out)\n"},
        {"\"passwd\": \"x,\\\"y\", \"port\": 1", "\"passwd\": \"(left out)\", \"port\": 1"},
        {"{\"vncpasswd\":'x','token':'y','z':1}",
         "{\"vncpasswd\":'(left out)','token':'(left out)','z':1}"},
        {"nbd://me:pw@host:10809/x?socket=y", "nbd://(left out)@host:10809/x?socket=y"},
        {"a nbd://me@host b nbds://u:p@h", "a nbd://(left out)@host b nbds://(left out)@h"},
        {"nbd+unix:///x?socket=/a@b", "nbd+unix:///x?socket=/a@b"},
        {"see http://host/ and me@host", "see http://host/ and me@host"},
        {"rbd:pool/image:id=me:key=QUJD:conf=/x", "rbd:pool/image:id=me:key=(left out)"},
        {"vnc-pass = \"abc\"", "vnc-pass = \"(left out)\""},
        {"pwd=abc", "pwd=(left out)"},
        {"rd.luks.key=abc", "rd.luks.key=(left out)"},
        {"run --password hunter2 --port 1", "run --password (left out) --port 1"},
        {"nbd://u:p/w@h/x", "nbd://(left out)@h/x"},
        {"netroot=iscsi:me:pw@host::x", "netroot=iscsi:(left out)@host::x"},
        {"Started Forward Password Requests to Wall", "Started Forward Password Requests to Wall"},
        {"password_file = /etc/x", "password_file = (left out)"},
        {"passwd=", "passwd="},
        {"passwd='", "passwd='"},
        {"passwd", "passwd"},
        {"://", "://"},
        {"://@", "://@"},
        {"a://b@", "a://(left out)@"},
        {"feature-key = \"1\"", "feature-key = \"1\""},
    };

    (void)state;
    for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char *text = redacted(cases[i].text);

        assert_string_equal(text, cases[i].rest);
        free(text);
    }
}

static void every_byte_may_come(void **state)
{
    char bytes[1024], *text;
    size_t len;

    (void)state;
    for (unsigned int i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (char)(i * 7);
    }
    text = redact_text(bytes, sizeof(bytes), &len);
    assert_int_equal(len, sizeof(bytes));
    assert_memory_equal(text, bytes, len);
    free(text);
}

static void keys_tell_their_secrets(void **state)
{
    (void)state;
    assert_true(redact_names_secret("/local/domain/0/backend/vfb/1/0/vncpasswd"));
    assert_true(redact_names_secret("Password"));
    assert_true(redact_names_secret("/local/domain/5/console/vnc-pass"));
    assert_false(redact_names_secret("/vm/passwd/name"));
    assert_false(redact_names_secret("/local/domain/1/device/vbd/51712/ring-ref"));
}

/* A guest prints what it likes, without an end of the line: no work that grows with the square. */
static void no_line_is_too_long(void **state)
{
    static const char *const evil[] = {"://a@/", "token", "pass: '", "iscsi:"};
    enum { LONG = 4 << 20 };

    (void)state;
    for (unsigned int i = 0; i < sizeof(evil) / sizeof(*evil); i++) {
        size_t n = strlen(evil[i]), len;
        char *line = must_alloc(LONG);
        long long began = now_ms();

        for (size_t at = 0; at + n <= LONG; at += n) {
            memcpy(line + at, evil[i], n);
        }
        free(redact_text(line, LONG, &len));
        assert_true(now_ms() - began < 60000);
        free(line);
    }
}

/* ---- programs ---- */

static int stop = -1; /* can be read when no more is to be asked */

static int ask(struct probe *probe, double seconds, const char *script)
{
    char *const argv[] = {"sh", "-c", (char *)script, NULL};

    return probe_run(&(struct question){argv, seconds, MOST, stop}, probe);
}

static void an_answer_is_taken(void **state)
{
    struct probe probe;

    (void)state;
    assert_int_equal(ask(&probe, 60, "echo one; echo two >&2; exit 3"), 0);
    assert_int_equal(probe.len, 8);
    assert_memory_equal(probe.text, "one\ntwo\n", 8);
    assert_true(WIFEXITED(probe.status) && WEXITSTATUS(probe.status) == 3);
    assert_false(probe.late || probe.cut);
    probe_free(&probe);
}

static void a_program_that_is_not_there(void **state)
{
    char *const argv[] = {"duet-no-such-program", NULL};
    struct probe probe;

    (void)state;
    assert_int_equal(probe_run(&(struct question){argv, 60, MOST, -1}, &probe), -ENOENT);
    probe_free(&probe);
}

/* Whether a process of that id is there, and no zombie of ours. */
static bool lives(pid_t pid)
{
    return kill(pid, 0) == 0;
}

/* Late in three ways: it says nothing; it has closed its output; its child has the output. */
static void who_does_not_end_is_ended(void **state)
{
    static const char *const scripts[] = {
        "echo $$; exec sleep 1000",
        "echo $$; exec sleep 1000 > /dev/null 2>&1",
        "sleep 1000 & echo $!",
    };

    (void)state;
    for (unsigned int i = 0; i < sizeof(scripts) / sizeof(*scripts); i++) {
        struct probe probe;
        pid_t pid;

        assert_int_equal(ask(&probe, 0.5, scripts[i]), 0);
        assert_true(probe.late);
        assert_true(probe.took_ms >= 500);
        pid = (pid_t)strtol(probe.text, NULL, 10);
        assert_true(pid > 1);
        for (int tries = 0; tries < 1000 && lives(pid); tries++) {
            usleep(10000); /* somebody else reaps the child of a shell that is gone */
        }
        assert_false(lives(pid));
        probe_free(&probe);
    }
}

static void who_says_too_much_is_ended(void **state)
{
    struct probe probe;

    (void)state;
    assert_int_equal(ask(&probe, 600, "exec yes"), 0);
    assert_true(probe.cut);
    assert_int_equal(probe.len, MOST);
    assert_true(WIFSIGNALED(probe.status));
    probe_free(&probe);
}

static void who_is_to_stop_stops(void **state)
{
    struct probe probe;
    int ends[2];
    char script[64];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    stop = ends[0];
    snprintf(script, sizeof(script), "echo > /proc/%d/fd/%d; exec sleep 1000", getpid(), ends[1]);
    assert_int_equal(ask(&probe, 600, script), -EINTR);
    assert_true(WIFSIGNALED(probe.status));
    probe_free(&probe);
    stop = -1;
    close(ends[0]);
    close(ends[1]);
}

/* ---- the whole ---- */

/* What the archive says when tar is asked with these words. */
static char *from_archive(const char *archive, const char *how, const char *member)
{
    char *const argv[] = {"tar", (char *)how, (char *)archive, "--wildcards", (char *)member, NULL};
    struct probe probe;

    assert_int_equal(probe_run(&(struct question){argv, 60, MOST, -1}, &probe), 0);
    assert_int_equal(probe.status, 0);
    probe.text = probe.text != NULL ? probe.text : must_alloc(1);
    probe.text[probe.len] = '\0'; /* it has room for more */
    return probe.text;
}

static char *text_of(cJSON *list, const char *file, const char *key)
{
    const cJSON *item;

    cJSON_ArrayForEach (item, list) {
        if (strcmp(cJSON_GetObjectItem(item, "file")->valuestring, file) == 0) {
            return cJSON_GetStringValue(cJSON_GetObjectItem(item, key));
        }
    }
    fail_msg("%s is not in the list", file);
    return NULL;
}

static void a_report_is_packed(void **state)
{
    static const struct bundle_item items[] = {
        {"good.txt", .argv = {"echo", "passwd=x"}},
        {"hangs.txt", .argv = {"sleep", "1000"}},
        {"wrong.txt", .argv = {"sh", "-c", "echo no; exit 7"}},
        {"needed.txt", .argv = {"duet-no-such-program"}},
        {"spared.txt", .argv = {"duet-no-such-program"}, .optional = true},
        {"long.txt", .path = "/proc/self/maps"},
        {"folder.txt", .path = "/"},
    };
    struct bundle bundle = {.seconds = 1, .most = 4096, .stop = -1};
    char archive[] = "/tmp/test_bundle_XXXXXX", why[128], *parent, *text;
    int fd = mkstemp(archive);
    cJSON *list;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(bundle_begin(&bundle, "report"), 0);
    parent = must_strdup(bundle.dir);
    for (unsigned int i = 0; i < sizeof(items) / sizeof(*items); i++) {
        assert_int_equal(bundle_add(&bundle, &items[i]), 0);
    }
    assert_int_equal(bundle_add(&bundle, &items[0]), -EEXIST);
    assert_int_equal(bundle.left_out, 1);
    assert_int_equal(bundle_pack(&bundle, fd, why, sizeof(why)), 0);
    bundle_remove(&bundle);
    assert_int_not_equal(access(parent, F_OK), 0);

    text = from_archive(archive, "-xzOf", "report/good.txt");
    assert_string_equal(text, "passwd=(left out)\n");
    free(text);
    text = from_archive(archive, "-xzOf", "report/wrong.txt");
    assert_string_equal(text, "no\n\n[exit status 7]\n");
    free(text);
    text = from_archive(archive, "-tzf", "report/*");
    assert_null(strstr(text, "spared"));
    free(text);
    text = from_archive(archive, "-xzOf", "report/contents.json");
    list = cJSON_Parse(text);
    assert_non_null(list);
    assert_null(text_of(list, "good.txt", "lacks"));
    assert_string_equal(text_of(list, "good.txt", "what"), "echo passwd=x");
    assert_non_null(strstr(text_of(list, "hangs.txt", "lacks"), "did not end within"));
    assert_string_equal(text_of(list, "needed.txt", "lacks"), strerror(ENOENT));
    assert_string_equal(text_of(list, "folder.txt", "lacks"), strerror(EINVAL));
    cJSON_Delete(list);
    free(text);
    free(parent);
    close(fd);
    unlink(archive);
}

static void a_full_disk_is_told(void **state)
{
    struct bundle bundle = {.seconds = 1, .most = 4096, .stop = -1};
    const struct bundle_item item = {"good.txt", .argv = {"echo", "good"}};
    char why[128];
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

    (void)state;
    assert_int_equal(bundle_begin(&bundle, "report"), 0);
    assert_int_equal(bundle_add(&bundle, &item), 0);
    assert_int_equal(bundle_pack(&bundle, fd, why, sizeof(why)), -1);
    assert_non_null(strstr(why, "tar failed"));
    bundle_remove(&bundle);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_are_left_out),      cmocka_unit_test(every_byte_may_come),
        cmocka_unit_test(keys_tell_their_secrets),   cmocka_unit_test(no_line_is_too_long),
        cmocka_unit_test(an_answer_is_taken),        cmocka_unit_test(a_program_that_is_not_there),
        cmocka_unit_test(who_does_not_end_is_ended), cmocka_unit_test(who_says_too_much_is_ended),
        cmocka_unit_test(who_is_to_stop_stops),      cmocka_unit_test(a_report_is_packed),
        cmocka_unit_test(a_full_disk_is_told),
    };

    return cmocka_run_group_tests_name("xenbus_bundle", tests, NULL, NULL);
}
