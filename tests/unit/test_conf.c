/*
 * The configuration file: what holds for whom, that a wrong line is told with its number and costs
 * no other, and that a file which cannot be read changes nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"
#include "log.h"

#define UUID "0123abcd-4567-89ef-0123-456789abcdef"

static struct conf conf;
static unsigned int queues, keep;
static const char *listens;
static uint64_t rate, bytes;
static char path[64];
static char told[4096]; /* sentences without the path, a line each */

static const struct option_rule rules[] = {
    {.letter = 'q',
     .name = "max-queues",
     .argument = "N",
     .type = OPTION_NUMBER,
     .to = &queues,
     .min = 1,
     .max = 8,
     .scope = OPTION_OF_GUEST},
    {.letter = 'r',
     .name = "rate",
     .argument = "KIB",
     .type = OPTION_KIB,
     .to = &rate,
     .max = 1000,
     .scope = OPTION_OF_GUEST},
    {.letter = 'k',
     .name = "keep",
     .argument = "N",
     .type = OPTION_NUMBER,
     .to = &keep,
     .max = 9,
     .scope = OPTION_OF_CLASS},
    {.letter = 'u', .name = "uid", .argument = "N", .type = OPTION_NUMBER, .to = &keep, .max = 9},
    OPTION_LOG_LEVEL,
    OPTION_METRICS(listens),
    {.name = "bytes",
     .argument = "BYTES",
     .type = OPTION_BYTES,
     .to = &bytes,
     .min = 2048,
     .max = UINT64_C(1) << 40,
     .scope = OPTION_OF_GUEST},
};

static void wrong(void *arg, const char *sentence)
{
    const unsigned long len = strlen(told);

    (void)arg;
    assert_memory_equal(sentence, path, strlen(path));
    snprintf(told + len, sizeof(told) - len, "%s\n", sentence + strlen(path) + 1);
}

static void put(const char *text, unsigned long len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_int_equal(write(fd, text, len), len);
    close(fd);
}

/* Reads the text as the file, and says how many lines are wrong. */
static int read_text(const char *text)
{
    put(text, strlen(text));
    told[0] = '\0';
    return conf_read(&conf, wrong, NULL);
}

static int setup(void **state)
{
    int fd;

    (void)state;
    snprintf(path, sizeof(path), "/tmp/duet-conf-XXXXXX");
    fd = mkstemp(path);
    close(fd);
    queues = 4;
    keep = 3;
    rate = 1024;
    log_set_level(LOG_INFO);
    conf = (struct conf){.class = "net", .path = path};
    options_add(&conf.options, rules, sizeof(rules) / sizeof(rules[0]));
    for (unsigned int i = 0; i < 3; i++) {
        conf.options.defaults[i] = (uint64_t[]){4, 1024, 3}[i];
    }
    conf.options.defaults[4] = LOG_INFO;
    return fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    conf_free(&conf);
    return unlink(path);
}

static void where_to_listen(void **state)
{
    (void)state;
    listens = NULL;
    assert_int_equal(read_text("[net]\nmetrics = /run/duet/net.metrics ; a socket\n"), 0);
    conf_apply(&conf);
    assert_string_equal(listens, "/run/duet/net.metrics");
    assert_int_equal(read_text("[net]\nmetrics = [::1]:9731\n"), 0);
    conf_apply(&conf);
    assert_string_equal(listens, "[::1]:9731");
    assert_int_equal(read_text("[net]\nmetrics = 0.0.0.0:9731\n[net web1]\nmetrics = /a\n"), 2);
    assert_non_null(strstr(told, "2: metrics = 0.0.0.0:9731: others could reach it"));
    assert_non_null(strstr(told, "4: metrics is for all guests, in [net]"));
    conf_apply(&conf);
    assert_null(listens);
}

static void a_class_and_its_guests(void **state)
{
    (void)state;
    assert_int_equal(read_text("# of this host\n"
                               "[net]\n"
                               "max-queues = 2   ; few\n"
                               "log-level=debug\n"
                               "[net web1]\n"
                               "  rate = 7\n"
                               "[net " UUID "]\n"
                               "rate = 8\n"
                               "[block]\n"
                               "whatever = 1\n"),
                     0);
    conf_apply(&conf);
    assert_int_equal(queues, 2);
    assert_int_equal(rate, 1024);
    assert_int_equal(keep, 3);
    assert_int_equal(log_level(), LOG_DEBUG);
    assert_int_equal(conf_of_guest(&conf, "rate", "web1", NULL, rate), 7 * 1024);
    assert_int_equal(conf_of_guest(&conf, "rate", "Web1", "", rate), 1024);
    assert_int_equal(conf_of_guest(&conf, "rate", NULL, NULL, rate), 1024);
    assert_int_equal(conf_of_guest(&conf, "rate", "web1", UUID, rate), 8 * 1024);
    assert_int_equal(
        conf_of_guest(&conf, "rate", "x", "0123ABCD-4567-89EF-0123-456789ABCDEF", rate), 8 * 1024);
    assert_int_equal(conf_of_guest(&conf, "max-queues", "web1", NULL, queues), 2);
}

static void bytes_may_be_counted_by_a_unit(void **state)
{
    static const struct {
        const char *text;
        uint64_t value; /* 0: refused */
    } cases[] = {{"4096", 4096},
                 {"0x1000", 4096},
                 {"4K", 4096},
                 {"20M", UINT64_C(20) << 20},
                 {"1024G", UINT64_C(1) << 40},
                 {"1025G", 0},
                 {"17179869188G", 0}, /* which is 4G and 2 to the 64th */
                 {"1K", 0},
                 {"2048", 2048},
                 {"2047", 0},
                 {"M", 0},
                 {"4k", 0},
                 {"4KB", 0},
                 {"4 K", 0},
                 {"4T", 0}};

    (void)state;
    for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[64];

        snprintf(text, sizeof(text), "[net]\nbytes = %s\n", cases[i].text);
        bytes = 1;
        assert_int_equal(read_text(text), cases[i].value == 0 ? 1 : 0);
        conf_apply(&conf);
        assert_int_equal(bytes, cases[i].value);
    }
    assert_int_equal(read_text("[net]\nrate = 4K\n[net web1]\nmax-queues = 1K\n"), 2);
}

static void what_is_gone_from_the_file_is_its_default_again(void **state)
{
    (void)state;
    read_text("[net]\nmax-queues = 2\nlog-level = error\n");
    conf_apply(&conf);
    assert_int_equal(queues, 2);
    assert_int_equal(read_text(""), 0);
    conf_apply(&conf);
    assert_int_equal(queues, 4);
    assert_int_equal(log_level(), LOG_INFO);
}

static void the_command_line_is_stronger_than_the_class(void **state)
{
    (void)state;
    queues = 7;
    conf.options.given[0] = true;
    read_text("[net]\nmax-queues = 2\n[net a]\nmax-queues = 1\n");
    conf_apply(&conf);
    assert_int_equal(queues, 7);
    assert_int_equal(conf_of_guest(&conf, "max-queues", "a", NULL, queues), 1);
}

static void a_wrong_line_is_told_and_costs_no_other(void **state)
{
    (void)state;
    assert_int_equal(read_text("max-queues = 2\n" /* before a section */
                               "[net]\n"
                               "max-queues = 9\n"   /* too many */
                               "nonsense = 1\n"     /* no such key */
                               "uid = 1\n"          /* not in the file */
                               "rate\n"             /* no value */
                               "rate = 5 KiB\n"     /* no number */
                               "log-level = loud\n" /* no level */
                               "keep = 1\n"
                               "keep = 2\n" /* twice */
                               "[net web1]\n"
                               "keep = 2\n" /* for all guests only */
                               "[nett]\n"
                               "keep = 2\n"  /* no such class */
                               "[net web2\n" /* no end */
                               "keep = 2\n"  /* of nobody's section */
                               "[net web3]\n"
                               "max-queues = 3\n"),
                     11);
    assert_string_equal(told,
                        "1: a key before the first section: [block], [console] or [net]\n"
                        "3: max-queues = 9: not a number from 1 to 8\n"
                        "4: there is no nonsense in [net]\n"
                        "5: there is no uid in [net]\n"
                        "6: neither a [section] nor KEY = VALUE\n"
                        "7: rate = 5 KiB: not a number from 0 to 1000\n"
                        "8: log-level = loud: there is no such level\n"
                        "10: keep was set in line 9\n"
                        "12: keep is for all guests, in [net]; one alone cannot have another\n"
                        "14: in [nett], which is not [block], [console] or [net], or one of these "
                        "with a guest: [net web1]\n"
                        "15: a title without its ]\n");
    conf_apply(&conf);
    assert_int_equal(queues, 4);
    assert_int_equal(keep, 1);
    assert_int_equal(conf_of_guest(&conf, "max-queues", "web3", NULL, queues), 3);
}

/* What the parser would cut without a word. */
static void nothing_is_cut_in_silence(void **state)
{
    static const char nul[] = "[net]\0\nrate = 3\n";
    char text[1024];

    (void)state;
    snprintf(text, sizeof(text), "[net %0*d]\nrate = 1\n[net]\nkeep = %0*d\nrate = 2\n# %0*d\n", 60,
             0, 300, 0, 300, 0);
    assert_int_equal(read_text(text), 2);
    assert_string_equal(told, "1: a title of more than 49 bytes; name the guest by its uuid. Its "
                              "lines are left out\n"
                              "4: longer than 198 bytes\n");
    conf_apply(&conf);
    assert_int_equal(rate, 2 * 1024);
    assert_int_equal(conf_of_guest(&conf, "rate", "0", NULL, rate), 2 * 1024);
    put(nul, sizeof(nul) - 1);
    told[0] = '\0';
    assert_int_equal(conf_read(&conf, wrong, NULL), 1);
    assert_string_equal(told, "1: a NUL; what follows it is not read\n");
}

/* What stands behind a title is not read, and a title that is none would give its lines to the
 * section before. */
static void a_title_is_a_line_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(read_text("[net] rate = 1\n"
                               "[net]\n"
                               "nonsense = 1\n"
                               "[net web1 ; it is slow]\n"
                               "rate = 2\n"
                               "rate ; = 3\n"
                               "[net web1 ] # remarks\n"
                               "rate = 4\n"
                               "[net web2]\t; may stand there\n"
                               "rate = 5\n"),
                     4);
    assert_string_equal(told, "1: a title with something behind it, which belongs on a line of its "
                              "own. The section's lines are left out\n"
                              "3: there is no nonsense in [net]\n"
                              "4: a title without its ]\n"
                              "6: neither a [section] nor KEY = VALUE\n");
    conf_apply(&conf);
    assert_int_equal(rate, 1024);
    assert_int_equal(conf_of_guest(&conf, "rate", "web1", NULL, rate), 4 * 1024);
    assert_int_equal(conf_of_guest(&conf, "rate", "web2", NULL, rate), 5 * 1024);
}

/* Its lines end with a carriage return, and it may begin with the mark of UTF-8. */
static void a_file_of_another_system_is_read(void **state)
{
    (void)state;
    assert_int_equal(read_text("\xef\xbb\xbf[net]\r\n\r\n; few\r\nmax-queues = 2\r\n"), 0);
    conf_apply(&conf);
    assert_int_equal(queues, 2);
}

static void the_longest_that_fits_is_whole(void **state)
{
    char text[256], guest[64];

    (void)state;
    snprintf(guest, sizeof(guest), "%045d", 1);
    snprintf(text, sizeof(text), "[net %s]\nrate = 5\n", guest);
    assert_int_equal(read_text(text), 0);
    assert_int_equal(conf_of_guest(&conf, "rate", guest, NULL, rate), 5 * 1024);
}

static void what_cannot_be_read_changes_nothing(void **state)
{
    static char much[70000];

    (void)state;
    read_text("[net]\nmax-queues = 2\n");
    memset(much, '#', sizeof(much));
    put(much, sizeof(much));
    assert_int_equal(conf_read(&conf, wrong, NULL), -EFBIG);
    unlink(path);
    assert_int_equal(conf_read(&conf, wrong, NULL), -ENOENT);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(conf_read(&conf, wrong, NULL), -EISDIR);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(conf_read(&conf, wrong, NULL), 0); /* nobody writes, and nobody waits */
    unlink(path);
    put("", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_class_and_its_guests, setup, teardown),
        cmocka_unit_test_setup_teardown(where_to_listen, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_may_be_counted_by_a_unit, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_gone_from_the_file_is_its_default_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_command_line_is_stronger_than_the_class, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_wrong_line_is_told_and_costs_no_other, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_cut_in_silence, setup, teardown),
        cmocka_unit_test_setup_teardown(a_title_is_a_line_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_of_another_system_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(the_longest_that_fits_is_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_changes_nothing, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
