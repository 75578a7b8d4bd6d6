/*
 * What a daemon tells of its devices: the text, to the byte; names that mean ill; what a worker may
 * count, and what is done with one that lies; where a daemon may listen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "address.h"
#include "figures.h"
#include "kept.h"
#include "metrics.h"

enum { READS, WRITES, QUEUED, TIME, AFTER = TIME + METRIC_HISTOGRAM_FIGURES };

static const struct metric rows[] = {
    {.name = "duet_test_up",
     .help = "Whether it is.",
     .kind = METRIC_GAUGE,
     .series = {{"", METRIC_UP}}},
    {.name = "duet_test_requests_total",
     .help = "Requests.",
     .kind = METRIC_COUNTER,
     .series = {{"op=\"read\"", READS}, {"op=\"write\"", WRITES}}},
    {.name = "duet_test_queued",
     .help = "Those that wait.",
     .kind = METRIC_GAUGE,
     .most = 32,
     .series = {{"", QUEUED}}},
    {.name = "duet_test_duration_seconds",
     .help = "How long they take.",
     .kind = METRIC_HISTOGRAM,
     .series = {{"", TIME}}},
};
static const struct metric_table table = {.metrics = rows, .nr = 4};
static struct figures_bounds bounds;

static int setup(void **state)
{
    (void)state;
    metric_bounds(&table, &bounds);
    return 0;
}

/* The text of one device, from a line on. */
static char *text_of(const struct metric_row *row, const char *from)
{
    unsigned long len = 0;
    char *text = metrics_text(&table, row, 1, "duet-testd", 1700000000, &len);
    char *found, *rest;

    assert_non_null(text);
    assert_int_equal(strlen(text), len);
    found = strstr(text, from);
    assert_non_null(found);
    rest = strdup(found);
    free(text);
    return rest;
}

static void the_text_is_as_the_format_says(void **state)
{
    struct metric_row row = {.domid = 5, .domain = "web1", .device = "vbd/51712"};
    struct figures figures = {.value = {[READS] = 3, [QUEUED] = 2}};
    char *text;

    (void)state;
    metric_time(&figures, TIME, 50000);
    metric_time(&figures, TIME, 50001);
    metric_time(&figures, TIME, 2000000000);
    metric_time(&figures, TIME, 20000000000);
    metric_put(&row, &figures);
    row.value[METRIC_UP] = 1;
    text = text_of(&row, "# HELP duet_daemon_info");
#define L        "{domid=\"5\",domain=\"web1\",device=\"vbd/51712\""
#define B(le, n) "duet_test_duration_seconds_bucket" L ",le=\"" le "\"} " n "\n"
    assert_string_equal(
        text,
        "# HELP duet_daemon_info The daemon, by name and version.\n"
        "# TYPE duet_daemon_info gauge\n"
        "duet_daemon_info{daemon=\"duet-testd\",version=\"" DUET_VERSION "\"} 1\n"
        "# HELP duet_daemon_start_time_seconds When the daemon began to count, in seconds since "
        "1970.\n"
        "# TYPE duet_daemon_start_time_seconds gauge\n"
        "duet_daemon_start_time_seconds{daemon=\"duet-testd\"} 1700000000\n"
        "# HELP duet_test_up Whether it is.\n"
        "# TYPE duet_test_up gauge\n"
        "duet_test_up" L "} 1\n"
        "# HELP duet_test_requests_total Requests.\n"
        "# TYPE duet_test_requests_total counter\n"
        "duet_test_requests_total" L ",op=\"read\"} 3\n"
        "duet_test_requests_total" L ",op=\"write\"} 0\n"
        "# HELP duet_test_queued Those that wait.\n"
        "# TYPE duet_test_queued gauge\n"
        "duet_test_queued" L "} 2\n"
        "# HELP duet_test_duration_seconds How long they take.\n"
        "# TYPE duet_test_duration_seconds histogram\n" B("0.00005", "1") B("0.0001", "2")
            B("0.00025", "2") B("0.0005", "2") B("0.001", "2") B("0.0025", "2") B("0.005", "2")
                B("0.01", "2") B("0.025", "2") B("0.05", "2") B("0.1", "2") B("0.25", "2")
                    B("0.5", "2") B("1.0", "2") B("2.5", "3") B("10.0", "3")
                        B("+Inf", "4") "duet_test_duration_seconds_sum" L "} 22.000100001\n"
                                       "duet_test_duration_seconds_count" L "} 4\n");
    free(text);
}

static void a_name_cannot_leave_its_quotes(void **state)
{
    static const struct {
        const char *name, *shown;
    } cases[] = {
        {"a\"} 1\nduet_test_up{domid=\"0\"} 0", "a\\\"} 1\\\\x0aduet_test_up{domid=\\\"0\\\"} 0"},
        {"back\\slash", "back\\\\slash"},
        {"\x1b[2J", "\\\\x1b[2J"},
        {"\xff\xfe", "\\\\xff\\\\xfe"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"", ""},
        {NULL, ""},
    };

    (void)state;
    for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct metric_row row = {.domid = 5, .domain = cases[i].name, .device = "vif/0"};
        char *text = text_of(&row, "\nduet_test_up");
        char line[256];

        snprintf(line, sizeof(line),
                 "\nduet_test_up{domid=\"5\",domain=\"%s\",device=\"vif/0\"} 0\n", cases[i].shown);
        assert_memory_equal(text, line, strlen(line));
        free(text);
    }
}

/* What a worker has: the memory that its supervisor looks at. */
static struct figures *begin_worker(struct figures_view *view)
{
    int fd = figures_renew(view, &bounds);
    struct figures *figures;

    assert_true(fd >= 0);
    assert_true(kept_is_sealed(fd, sizeof(*figures)));
    figures = kept_map(fd, sizeof(*figures));
    assert_non_null(figures);
    close(fd);
    return figures;
}

static void totals_outlive_workers_and_gauges_do_not(void **state)
{
    struct figures_view view = {.memory = NULL};
    struct figures now, *worker;

    (void)state;
    figures_read(&view, &bounds, &now);
    assert_int_equal(now.value[READS], 0);
    worker = begin_worker(&view);
    figures_add(worker, READS, 7);
    figures_set(worker, QUEUED, 3);
    figures_read(&view, &bounds, &now);
    assert_int_equal(now.value[READS], 7);
    assert_int_equal(now.value[QUEUED], 3);
    figures_add(worker, READS, 1); /* its last, which nobody has looked at */
    worker = begin_worker(&view);
    figures_read(&view, &bounds, &now);
    assert_int_equal(now.value[READS], 8);
    assert_int_equal(now.value[QUEUED], 0);
    figures_add(worker, READS, 2);
    figures_release(&view);
    figures_read(&view, &bounds, &now);
    assert_int_equal(now.value[READS], 8); /* what nobody saw is lost */
}

static void nobodys_gauges_are_zero(void **state)
{
    struct metric_row row = {.domid = 5, .device = "vbd/51712"};
    const struct figures figures = {.value = {[READS] = 3, [QUEUED] = 2}};

    (void)state;
    metric_put(&row, &figures);
    row.value[METRIC_RESTARTS] = 4;
    metric_drop_gauges(&row, &bounds);
    assert_int_equal(row.value[READS], 3);
    assert_int_equal(row.value[QUEUED], 0);
    assert_int_equal(row.value[METRIC_RESTARTS], 4);
}

static void a_worker_that_lies_is_not_believed(void **state)
{
    static const struct {
        unsigned int at;
        uint64_t value;
    } lies[] = {
        {READS, 6},          /* back */
        {READS, UINT64_MAX}, /* and so a sum would wrap */
        {READS, FIGURE_MOST + 1},
        {QUEUED, 33}, /* beyond its bound */
        {QUEUED, UINT64_MAX},
        {TIME + 1, UINT64_MAX},
        {FIGURES_MAX - 1, UINT64_MAX}, /* which means nothing */
    };

    (void)state;
    for (unsigned int i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct figures_view view = {.memory = NULL};
        struct figures now, *worker = begin_worker(&view);

        figures_set(worker, READS, 7);
        figures_set(worker, WRITES, 4);
        figures_read(&view, &bounds, &now);
        assert_false(view.lies);
        figures_set(worker, WRITES, 5);
        figures_set(worker, lies[i].at, lies[i].value);
        figures_read(&view, &bounds, &now);
        assert_true(view.lies);
        assert_int_equal(now.value[READS], 7);
        assert_int_equal(now.value[WRITES], 4); /* of one that lies nothing is believed */
        figures_set(worker, READS, 8);
        figures_set(worker, lies[i].at, lies[i].at == READS ? 8 : 0);
        figures_read(&view, &bounds, &now);
        assert_true(view.lies); /* nor of one that has lied */
        assert_int_equal(now.value[READS], 7);
        worker = begin_worker(&view);
        figures_add(worker, WRITES, 1);
        figures_read(&view, &bounds, &now);
        assert_false(view.lies);
        assert_int_equal(now.value[WRITES], 5);
        figures_release(&view);
    }
}

/* A number behind what a line begins with. */
static uint64_t number_behind(const char *text, const char *begin)
{
    const char *line = strstr(text, begin);

    assert_non_null(line);
    line = strstr(line, "} ");
    assert_non_null(line);
    return strtoull(line + 2, NULL, 10);
}

/* A guest that discards a large disk again and again, and many workers: nobody lies, no sum wraps.
 */
static void totals_stop_at_the_most(void **state)
{
    struct figures_view view = {.memory = NULL};
    struct metric_row row = {.domid = 5, .device = "vbd/51712"};
    struct figures now, *worker;
    uint64_t last = 0;
    char *text, *line;

    (void)state;
    for (int w = 0; w < 40; w++) {
        worker = begin_worker(&view);
        figures_add(worker, READS, UINT64_MAX);
        figures_add(worker, READS, UINT64_MAX);
        for (unsigned int i = 0; i < METRIC_HISTOGRAM_FIGURES; i++) {
            figures_add(worker, TIME + i, FIGURE_MOST - 1);
            figures_add(worker, TIME + i, 2);
        }
        figures_read(&view, &bounds, &now);
        assert_false(view.lies);
        assert_int_equal(now.value[READS], FIGURE_MOST);
    }
    metric_put(&row, &now);
    text = text_of(&row, "\nduet_test_duration_seconds_bucket");
    line = text;
    for (unsigned int i = 0; i <= METRIC_BUCKETS; i++) {
        const uint64_t count = number_behind(line, "_bucket");

        assert_true(count > last);
        last = count;
        line = strchr(line + 1, '\n');
    }
    assert_int_equal(last, (METRIC_BUCKETS + 1) * FIGURE_MOST);
    assert_int_equal(number_behind(text, "_seconds_count"), last);
    free(text);
    figures_release(&view);
}

static void only_this_host_may_ask(void **state)
{
    static const char *const fine[] = {"/run/duet/block.metrics", "127.0.0.1:9731", "127.1.2.3:1",
                                       "[::1]:65535"};
    static const struct {
        const char *text, *why;
    } wrong[] = {
        {"0.0.0.0:9731", "others could reach it"},
        {"192.168.1.1:9731", "others could reach it"},
        {"128.0.0.1:9731", "others could reach it"},
        {"[::]:9731", "others could reach it"},
        {"[fe80::1]:9731", "others could reach it"},
        {"[::ffff:127.0.0.1]:9731", "others could reach it"},
        {"localhost:9731", "neither"},
        {"127.0.0.1", "neither"},
        {"127.0.0.1:", "neither"},
        {"127.0.0.1:0", "neither"},
        {"127.0.0.1:65536", "neither"},
        {"127.0.0.1:97x", "neither"},
        {"127.0.0.1:-1", "neither"},
        {"::1:9731", "neither"},
        {"[::1]", "neither"},
        {"[::1]9731", "neither"},
        {"[127.0.0.1]:9731x", "neither"},
        {"run/duet/block.metrics", "neither"},
        {"", "neither"},
        {":9731", "neither"},
        {"/a/path/of/much/more/than/a/hundred/and/eight/bytes/which/is/what/the/kernel/has/room/"
         "for/"
         "in/an/address/of/a/socket",
         "less than 108 bytes"},
    };
    struct address address;
    char why[256];

    (void)state;
    for (unsigned int i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        assert_true(address_read(fine[i], &address, why, sizeof(why)));
        assert_int_equal(address_is_path(&address), *fine[i] == '/');
    }
    for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(address_read(wrong[i].text, &address, why, sizeof(why)));
        assert_non_null(strstr(why, wrong[i].why));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_is_as_the_format_says),
        cmocka_unit_test(a_name_cannot_leave_its_quotes),
        cmocka_unit_test(totals_outlive_workers_and_gauges_do_not),
        cmocka_unit_test(nobodys_gauges_are_zero),
        cmocka_unit_test(a_worker_that_lies_is_not_believed),
        cmocka_unit_test(totals_stop_at_the_most),
        cmocka_unit_test(only_this_host_may_ask),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
