/*
 * The life of a block device as the store shows it, played through with a store inside the program
 * (fake_xenstore.h) and a stand-in for the worker: this program starts itself in the worker's
 * place. The event channel that the front end publishes chooses what the stand-in does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "blk_figures.h"
#include "child.h"
#include "device.h"
#include "fake_xenstore.h"
#include "inflight.h"

#define FRONT "/local/domain/5/device/vbd/51712"
#define BACK  "/local/domain/0/backend/vbd/5/51712"
/* The new end of a migration of that guest. */
#define FRONT_6 "/local/domain/6/device/vbd/51712"
#define BACK_6  "/local/domain/0/backend/vbd/6/51712"
#define ERROR   "/local/domain/0/error/backend/vbd/5/51712/error"

enum {
    WORKER_SERVES = 10,
    WORKER_FAILS,
    WORKER_LACKS, /* memory */
    WORKER_CRASHES,
    WORKER_CRASHES_LATER,
    WORKER_CRASHES_AT_STOP,
    WORKER_STAYS,   /* says that the ring is broken, says so again and again, and does not end */
    WORKER_IS_DEAF, /* to orders and to SIGTERM */
    WORKER_IS_SLOW, /* it ends in good order, but not before SIGTERM */
    WORKER_COUNTS,  /* the first of a log ends by itself, later ones serve */
    WORKER_FAILS_AT_STOP, /* and ends as if it had not */
    WORKER_WORKS,         /* answers requests before it serves */
    WORKER_LIES,          /* about what it has counted */
    WORKER_HANGS,         /* the first of a log stops as soon as it serves, later ones go on */
};

static struct blockd blockd;
static const char *worker = "/proc/self/exe", *opener = DUET_TEST_OPENER;
static char image[] = "/tmp/duet-test-device-XXXXXX";
static int storage; /* a lease on it, while it hangs */

/* The only device there is. */
static const struct blk_device *the_device(void)
{
    return (const struct blk_device *)blockd.sup.devices;
}

static void report_error(enum wire_report_kind kind, int err)
{
    struct wire_report r = {.kind = kind, .err = err, .text = "as the test wants it"};

    send(CHILD_SOCKET_FD, &r, sizeof(r), MSG_NOSIGNAL);
}

static void report(enum wire_report_kind kind)
{
    report_error(kind, EINVAL);
}

/* Does not end before it is killed. */
static _Noreturn void stay(void)
{
    signal(SIGTERM, SIG_IGN);
    for (int i = 0; i < 500; i++) {
        report(WIRE_BROKEN);
    }
    for (;;) {
        pause();
    }
}

/* The first of a log's workers marks it; the others go on from it, or say that it is not theirs. */
static bool continues(int log_fd, unsigned char mark)
{
    unsigned char found = 0;

    if (pread(log_fd, &found, 1, 0) != 1 || pwrite(log_fd, &mark, 1, 0) != 1) {
        abort();
    }
    return found == mark;
}

/* Serves until an order to stop, or the end of the supervisor. Returns the exit status. */
static int serve_orders(struct kept_head *kept)
{
    struct blk_wire_order order;

    do {
        order.kind = 0;
        if (child_receive(CHILD_SOCKET_FD, &order, sizeof(order), NULL, 0) < 0) {
            return 21;
        }
        kept->turns++;
        if (order.kind == BLK_WIRE_PACE) {
            kept->progress = order.pace.iops;
        }
    } while (order.kind == BLK_WIRE_RESIZE || order.kind == BLK_WIRE_PACE ||
             order.kind == WIRE_BEAT);
    return 0;
}

static void end_in_good_order(int signo)
{
    (void)signo;
    _exit(0);
}

/* What a worker counts: three reads, and so many outstanding. */
static void count(int fd, uint64_t outstanding)
{
    struct figures *figures = kept_map(fd, sizeof(*figures));

    if (figures == NULL) {
        abort();
    }
    figures_add(figures, BLK_FIGURE_REQUESTS + BLK_READ, 3);
    figures_set(figures, BLK_FIGURE_OUTSTANDING, outstanding);
}

/* The stand-in for duet-block-worker. */
static int act_as_worker(void)
{
    struct blk_wire_config c;
    struct kept_head *kept;
    int fds[BLK_WIRE_NR_FDS + WIRE_OWN_FDS], status;

    if (child_receive(CHILD_SOCKET_FD, &c, sizeof(c), fds, BLK_WIRE_NR_FDS + WIRE_OWN_FDS) !=
            sizeof(c) ||
        c.head.magic != blk_wire_format.magic || c.head.domid < 5 || c.head.domid > 6 ||
        c.sectors != 16 || c.ring_refs[0] != 8) {
        return 20;
    }
    kept = kept_map(fds[BLK_WIRE_FD_LOG], sizeof(*kept));
    if (kept == NULL || c.event_channel == WORKER_CRASHES) {
        abort();
    }
    if (c.event_channel == WORKER_FAILS) {
        report(WIRE_FAILED);
        return 1;
    }
    if (c.event_channel == WORKER_WORKS) {
        kept->progress++;
    }
    count(fds[BLK_WIRE_NR_FDS], c.event_channel == WORKER_LIES ? INFLIGHT_SLOTS + 1 : 1);
    kept->progress += c.pace.iops;
    if (c.event_channel == WORKER_LACKS) {
        report_error(WIRE_FAILED, ENOMEM);
        return 1;
    }
    if (c.event_channel == WORKER_IS_DEAF) {
        signal(SIGTERM, SIG_IGN);
    }
    report(WIRE_READY);
    if (c.event_channel == WORKER_HANGS && !continues(fds[BLK_WIRE_FD_LOG], 'w')) {
        raise(SIGSTOP);
    }
    if (c.event_channel == WORKER_STAYS) {
        stay();
    }
    if (c.event_channel == WORKER_IS_DEAF) {
        for (;;) {
            pause();
        }
    }
    if (c.event_channel == WORKER_IS_SLOW) {
        signal(SIGTERM, end_in_good_order);
        for (;;) {
            pause();
        }
    }
    if (c.event_channel == WORKER_COUNTS && !continues(fds[BLK_WIRE_FD_LOG], 'w')) {
        abort(); /* but for the next one */
    }
    if (c.event_channel == WORKER_CRASHES_LATER) {
        abort();
    }
    status = serve_orders(kept);
    if (c.event_channel == WORKER_CRASHES_AT_STOP) {
        abort();
    }
    if (c.event_channel == WORKER_FAILS_AT_STOP) {
        signal(SIGTERM, SIG_IGN);
        report(WIRE_FAILED);
    }
    return status;
}

static void start_supervisor(void)
{
    memset(&blockd, 0, sizeof(blockd));
    blockd.sup.ops = &blockd_ops;
    blockd.sup.loop = loop_new();
    blockd.sup.worker_path = worker;
    blockd.images.opener_path = opener;
    blockd.images.patience_ms = 60000;
    blockd.hotplug_script = "/etc/xen/scripts/block-duet";
    blockd.sup.uid_base = 0x70000000;
    assert_int_equal(supervisor_start(&blockd.sup), 0);
}

static int setup(void **state)
{
    (void)state;
    fake_reset();
    fake_set("domid", "0");
    start_supervisor();
    return 0;
}

static void on_tick(void *arg)
{
    (void)arg;
    loop_stop(blockd.sup.loop, 0);
}

/* Runs the loop until the openers that were ended are gone. */
static void reap_openers(void)
{
    struct loop_timer tick = {0};

    for (int i = 0; i < 5000 && !XEN_LIST_EMPTY(&blockd.images.openers); i++) {
        loop_timer_set(blockd.sup.loop, &tick, 1000000, on_tick, NULL);
        loop_run(blockd.sup.loop);
    }
    assert_null(blockd.images.images);
}

/* Ends the supervisor in good order: its workers finish. */
static void stop_supervisor(void)
{
    supervisor_stop(&blockd.sup);
    if (blockd.sup.devices != NULL) {
        loop_run(blockd.sup.loop);
    }
    reap_openers();
    supervisor_free(&blockd.sup);
    loop_free(blockd.sup.loop);
}

static int teardown(void **state)
{
    (void)state;
    stop_supervisor();
    return 0;
}

/* What until() waits for: `path` has `value` (NULL: is gone). */
static struct {
    const char *path, *value;
    struct loop_timer tick;
    int ticks;
} wanted;

static void look(void *arg)
{
    const char *found = fake_get(wanted.path);

    (void)arg;
    if (wanted.value == NULL ? found == NULL : found != NULL && strcmp(found, wanted.value) == 0) {
        loop_stop(blockd.sup.loop, 0);
    } else if (++wanted.ticks == 5000) {
        loop_stop(blockd.sup.loop, 1);
    } else {
        loop_timer_set(blockd.sup.loop, &wanted.tick, 1000000, look, NULL);
    }
}

/* Runs the loop until the store says so; at most some seconds. */
static void until(const char *path, const char *value)
{
    wanted.path = path;
    wanted.value = value;
    wanted.ticks = 0;
    loop_timer_set(blockd.sup.loop, &wanted.tick, 1000000, look, NULL);
    if (loop_run(blockd.sup.loop) != 0) {
        fail_msg("%s is '%s', not '%s'", path, fake_get(path), value);
    }
}

/* Lets everything happen that is going to. */
static void settle(void)
{
    fake_set("/settled", "no");
    for (int i = 0; i < 20; i++) {
        fake_set("/settled", i == 19 ? "yes" : "no");
        until("/settled", i == 19 ? "yes" : "no");
    }
}

/* What libxl writes; `state` last, for the fake has no transactions across calls. */
static void create(const char *params, const char *mode, const char *script)
{
    fake_set(FRONT "/backend", BACK);
    fake_set(FRONT "/state", "1");
    fake_set(BACK "/frontend", FRONT);
    fake_set(BACK "/frontend-id", "5");
    fake_set(BACK "/params", params);
    fake_set(BACK "/mode", mode);
    fake_set(BACK "/device-type", "disk");
    fake_set(BACK "/script", script);
    fake_set(BACK "/online", "1");
    fake_set(BACK "/state", "1");
}

static void publish_ring(int event_channel)
{
    char text[16];

    snprintf(text, sizeof(text), "%d", event_channel);
    fake_set(FRONT "/ring-ref", "8");
    fake_set(FRONT "/event-channel", text);
    fake_set(FRONT "/protocol", "x86_64-abi");
    fake_set(FRONT "/state", "3");
}

static void connect_guest(void)
{
    create(image, "w", "/etc/xen/scripts/block");
    until(BACK "/state", "2");
    publish_ring(WORKER_SERVES);
    until(BACK "/state", "4");
    fake_set(FRONT "/state", "4");
    settle();
}

/* libxl takes the device out of the store once it is closed. */
static void vanish(void)
{
    fake_rm(BACK);
    fake_rm(FRONT);
    settle();
    assert_int_equal(blockd.sup.nr_devices, 0);
    reap_openers();
}

static void a_new_device_is_offered(void **state)
{
    (void)state;
    create(image, "w", "/etc/xen/scripts/block");
    until(BACK "/state", "2");
    assert_string_equal(fake_get(BACK "/feature-flush-cache"), "1");
    assert_string_equal(fake_get(BACK "/feature-max-indirect-segments"), "64");
    assert_string_equal(fake_get(BACK "/max-ring-page-order"), "4");
    assert_string_equal(fake_get(BACK "/feature-discard"), "1");
    assert_string_equal(fake_get(BACK "/hotplug-status"), "connected");
    assert_string_equal(fake_get(BACK "/script"), "/etc/xen/scripts/block-duet");
    assert_null(fake_get(BACK "/hotplug-error"));
    assert_null(fake_get(BACK "/sectors"));
}

static void a_connected_device_shows_its_size(void **state)
{
    (void)state;
    connect_guest();
    assert_string_equal(fake_get(BACK "/sectors"), "16");
    assert_string_equal(fake_get(BACK "/sector-size"), "512");
    assert_string_equal(fake_get(BACK "/info"), "0");
    assert_null(fake_get(ERROR));
}

static void a_read_only_device_says_so_and_offers_no_discard(void **state)
{
    (void)state;
    create(image, "r", "/etc/xen/scripts/block");
    until(BACK "/state", "2");
    assert_null(fake_get(BACK "/feature-discard"));
    publish_ring(WORKER_SERVES);
    until(BACK "/state", "4");
    assert_string_equal(fake_get(BACK "/info"), "4");
}

static void removal_waits_for_the_front_end(void **state)
{
    (void)state;
    connect_guest();
    fake_set(BACK "/online", "0");
    fake_set(BACK "/state", "5");
    settle();
    assert_string_equal(fake_get(BACK "/state"), "5"); /* the guest still writes back its cache */
    fake_set(FRONT "/state", "5");
    settle();
    assert_string_equal(fake_get(BACK "/state"), "5");
    fake_set(FRONT "/state", "6");
    until(BACK "/state", "6");
    vanish();
}

static void removal_of_an_unused_device_is_immediate(void **state)
{
    (void)state;
    create(image, "w", "/etc/xen/scripts/block");
    until(BACK "/state", "2");
    fake_set(BACK "/online", "0");
    fake_set(BACK "/state", "5");
    until(BACK "/state", "6");
    vanish();
}

/* The toolstack writes 5 just before the back end would write 4. */
static void a_detachment_is_not_overwritten(void **state)
{
    (void)state;
    create(image, "w", "/etc/xen/scripts/block");
    until(BACK "/state", "2");
    fake_set(BACK "/online", "0");
    settle();
    fake_set_before(2, BACK "/state", "5"); /* the first reads what the guest has published */
    publish_ring(WORKER_SERVES);
    until(BACK "/state", "6");
    vanish();
}

static void a_destroyed_guest_needs_no_farewell(void **state)
{
    (void)state;
    connect_guest();
    fake_set(BACK "/online", "0");
    fake_set(BACK "/state", "5");
    fake_rm(FRONT);
    until(BACK "/state", "6");
    vanish();
}

static void a_guest_destroyed_beside_a_driver_domain_is_gone(void **state)
{
    (void)state;
    connect_guest();
    fake_set(BACK "/online", "0");
    fake_set(BACK "/state", "5");
    fake_rm(FRONT);
    fake_forbid("/local/domain/5"); /* whose folder is nobody's any more */
    until(BACK "/state", "6");
    vanish();
}

static void a_device_whose_directory_vanishes_is_forgotten(void **state)
{
    (void)state;
    connect_guest();
    fake_rm("/local/domain/0/backend/vbd/5");
    fake_rm(FRONT);
    for (int i = 0; i < 100 && blockd.sup.nr_devices != 0; i++) {
        settle();
    }
    assert_int_equal(blockd.sup.nr_devices, 0);
    assert_null(fake_get(BACK "/state")); /* nothing was written back */
}

static void a_front_end_may_start_again(void **state)
{
    (void)state;
    connect_guest();
    fake_set(FRONT "/state", "5");
    until(BACK "/state", "5");
    fake_set(FRONT "/state", "6");
    until(BACK "/state", "6");
    assert_non_null(blockd.images.images); /* still the guest's */
    fake_set(FRONT "/state", "1");
    until(BACK "/state", "2");
    publish_ring(WORKER_SERVES);
    until(BACK "/state", "4");
}

static void a_bad_image_is_told_to_xl(void **state)
{
    (void)state;
    create("/nonexistent/disk.img", "w", "/etc/xen/scripts/block");
    until(BACK "/state", "2");
    assert_string_equal(fake_get(BACK "/hotplug-status"), "error");
    assert_string_equal(fake_get(BACK "/hotplug-error"),
                        "image /nonexistent/disk.img: No such file or directory");
    assert_string_equal(fake_get(BACK "/script"), "/etc/xen/scripts/block-duet");
    assert_string_equal(fake_get(ERROR),
                        "2 image /nonexistent/disk.img: No such file or directory");
    publish_ring(WORKER_SERVES); /* nobody told the guest */
    until(BACK "/state", "6");
}

static void params_that_are_no_path_are_explained(void **state)
{
    (void)state;
    create("vhd:/disk.vhd", "w", "/etc/xen/scripts/block-tap");
    until(BACK "/state", "2");
    assert_non_null(strstr(fake_get(BACK "/hotplug-error"), "format vhd is not supported"));
    vanish();
    create("", "w", "/etc/xen/scripts/block");
    until(BACK "/state", "2");
    assert_non_null(strstr(fake_get(BACK "/hotplug-error"), "no image is configured"));
}

/* A guest that is there before its image: what a script leaves is served, once it has ended. */
static void wait_for_script(void)
{
    publish_ring(WORKER_SERVES);
    settle();
    assert_string_equal(fake_get(BACK "/state"), "2");
    fake_set(BACK "/physical-device-path", image);
    fake_set(BACK "/hotplug-status", "connected");
    until(BACK "/state", "4");
    assert_string_equal(fake_get(BACK "/sectors"), "16");
}

/* As block-duet does for an image that is not raw: what it leaves is opened, not `params`. */
static void an_image_that_our_script_serves_is_opened_afterwards(void **state)
{
    static const char *const params[] = {"qcow2:/srv/a", "vhd:/srv/a", "vmdk:/srv/a"};

    (void)state;
    for (unsigned int i = 0; i < 3; i++) {
        create(params[i], "w", "/etc/xen/scripts/block-duet");
        until(BACK "/state", "2");
        settle();
        assert_null(fake_get(BACK "/hotplug-status"));
        wait_for_script();
        fake_set(FRONT "/state", "6");
        until(BACK "/state", "6");
        vanish();
    }
    create("qed:/srv/a", "w", "/etc/xen/scripts/block-duet");
    until(BACK "/state", "2");
    assert_non_null(strstr(fake_get(BACK "/hotplug-error"), "format qed is not supported"));
}

static void a_server_that_is_not_there_is_explained(void **state)
{
    (void)state;
    create("nbd+unix:///e?socket=/nonexistent/socket", "w", "/etc/xen/scripts/block-duet");
    until(BACK "/state", "2");
    assert_non_null(strstr(fake_get(BACK "/hotplug-error"),
                           "image nbd+unix:///e?socket=/nonexistent/socket: "));
    assert_non_null(strstr(fake_get(BACK "/hotplug-error"), "No such file or directory"));
}

static void a_format_before_the_path_is_understood(void **state)
{
    char params[64];

    (void)state;
    snprintf(params, sizeof(params), "aio:%s", image);
    create(params, "w", "/etc/xen/scripts/block-tap");
    until(BACK "/state", "2");
    assert_string_equal(fake_get(BACK "/hotplug-status"), "connected");
}

static void a_foreign_script_is_left_alone(void **state)
{
    (void)state;
    create("iqn=x,portal=y", "w", "/etc/xen/scripts/block-iscsi");
    until(BACK "/state", "2");
    assert_string_equal(fake_get(BACK "/script"), "/etc/xen/scripts/block-iscsi");
    assert_null(fake_get(BACK "/hotplug-status"));
    wait_for_script();
}

/* Of our own, and of the file; an open(2) of it waits until the descriptor is closed. */
static int lease(void)
{
    int fd = open(image, O_RDWR | O_CLOEXEC);

    assert_int_equal(fcntl(fd, F_SETLEASE, F_WRLCK), 0);
    return fd;
}

static void an_image_that_hangs_is_told_to_xl_in_time(void **state)
{
    int fd = lease();

    (void)state;
    blockd.images.patience_ms = 200;
    create(image, "w", "/etc/xen/scripts/block");
    until(BACK "/state", "2");
    assert_string_equal(fake_get(BACK "/hotplug-status"), "error");
    assert_non_null(strstr(fake_get(BACK "/hotplug-error"), "has not opened for"));
    fake_set(BACK "/online", "0"); /* xl gives up */
    fake_set(BACK "/state", "5");
    fake_rm(FRONT);
    until(BACK "/state", "6");
    fake_rm(BACK);
    settle();
    assert_int_equal(blockd.sup.nr_devices, 0);
    close(fd);
}

static void an_image_that_hangs_may_be_given_up_while_it_opens(void **state)
{
    int fd = lease();

    (void)state;
    create(image, "w", "/etc/xen/scripts/block");
    settle();
    fake_set(BACK "/online", "0");
    fake_set(BACK "/state", "5");
    fake_rm(FRONT);
    until(BACK "/state", "6");
    close(fd);
}

static void a_late_image_is_an_image(void **state)
{
    int fd = lease();

    (void)state;
    blockd.images.patience_ms = 200;
    create(image, "w", "/etc/xen/scripts/block");
    until(BACK "/state", "2");
    publish_ring(WORKER_SERVES);
    settle();
    assert_string_equal(fake_get(BACK "/state"), "2");
    close(fd);
    until(BACK "/state", "4");
    assert_string_equal(fake_get(BACK "/hotplug-status"), "connected");
    assert_null(fake_get(BACK "/hotplug-error"));
    assert_null(fake_get(ERROR));
}

/* How long the worker may make a file. */
static rlim_t file_limit(void)
{
    struct rlimit limit;

    assert_int_equal(prlimit(the_device()->base.crew.child.pid, RLIMIT_FSIZE, NULL, &limit), 0);
    assert_true(limit.rlim_cur == limit.rlim_max);
    return limit.rlim_cur;
}

static void an_image_that_grows_is_told_to_the_guest(void **state)
{
    struct blk_wire_config *config;

    (void)state;
    connect_guest();
    config = &((struct blk_device *)blockd.sup.devices)->config;
    config->block_device = true; /* which has an end of its own */
    assert_int_equal(truncate(image, 32L * 512), 0);
    until(BACK "/sectors", "32");
    assert_string_equal(fake_get(BACK "/state"), "4");
    assert_true(file_limit() == RLIM_INFINITY);
    config->block_device = false;
    assert_int_equal(truncate(image, 16L * 512), 0);
    until(BACK "/sectors", "16");
    assert_true(file_limit() == 16 * 512);
    fake_set(BACK "/online", "0");
    fake_set(BACK "/state", "5");
    settle();
    assert_int_equal(truncate(image, 24L * 512), 0); /* the guest is about to close it */
    for (int i = 0; i < 100 && the_device()->image.facts.sectors != 24; i++) {
        settle();
    }
    assert_string_equal(fake_get(BACK "/state"), "5");
    assert_string_equal(fake_get(BACK "/sectors"), "16");
    assert_int_equal(truncate(image, 16L * 512), 0);
}

/* The device's worker is stopped, and has as many orders as there is room for. */
static pid_t worker_stands_still(void)
{
    const struct blk_wire_order order = {.kind = BLK_WIRE_RESIZE, .sectors = 16};
    const pid_t pid = the_device()->base.crew.child.pid;
    siginfo_t info;

    kill(pid, SIGSTOP);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT), 0);
    while (crew_order(&blockd.sup.devices->crew, &order, sizeof(order)) == 0) {
    }
    return pid;
}

/* Its worker does not read its orders for a while. */
static void another_size_reaches_a_worker_that_was_slow(void **state)
{
    pid_t pid;

    (void)state;
    connect_guest();
    pid = worker_stands_still();
    assert_int_equal(truncate(image, 32L * 512), 0);
    for (int i = 0; i < 200 && the_device()->image.facts.sectors != 32; i++) {
        settle();
    }
    assert_string_equal(fake_get(BACK "/sectors"), "16"); /* the guest does not know yet, either */
    kill(pid, SIGCONT);
    until(BACK "/sectors", "32");
    assert_int_equal(truncate(image, 16L * 512), 0);
    until(BACK "/sectors", "16");
}

/* What its worker was told last: at its start, or since. */
static void expect_limit(uint32_t iops)
{
    for (int i = 0; i < 100 && the_device()->base.crew.kept->progress != iops; i++) {
        settle();
    }
    assert_int_equal(the_device()->base.crew.kept->progress, iops);
    assert_int_equal(the_device()->config.pace.iops, iops);
}

static void a_limit_is_told_to_the_worker_that_runs(void **state)
{
    const struct option_rule rule = {.name = "iops"};
    struct conf_line line = {.rule = &rule, .guest = "web2", .value = 70};
    pid_t pid;

    (void)state;
    blockd.iops = 50;
    blockd.burst_s = 1;
    fake_set("/local/domain/5/name", "web1");
    connect_guest();
    expect_limit(50);
    pid = the_device()->base.crew.child.pid;
    blockd.iops = 60;
    supervised_look_anew(blockd.sup.devices);
    expect_limit(60);
    blockd.sup.conf.lines = &line;
    supervised_look_anew(blockd.sup.devices);
    expect_limit(60); /* another guest's */
    fake_set("/local/domain/5/name", "web2");
    expect_limit(70);
    blockd.iops = 0;
    blockd.sup.conf.lines = NULL;
    supervised_look_anew(blockd.sup.devices);
    expect_limit(0);
    assert_int_equal(the_device()->config.pace.burst_s, 0);
    assert_int_equal(the_device()->base.crew.child.pid, pid);
}

/* Its orders are not read for a while. */
static void a_limit_reaches_a_worker_that_was_slow(void **state)
{
    pid_t pid;

    (void)state;
    connect_guest();
    pid = worker_stands_still();
    blockd.iops = 50;
    blockd.burst_s = 1;
    supervised_look_anew(blockd.sup.devices);
    settle();
    assert_int_equal(the_device()->config.pace.iops, 0);
    kill(pid, SIGCONT);
    expect_limit(50);
}

static void expect_refused(const char *key, const char *value, const char *error)
{
    char path[128];

    snprintf(path, sizeof(path), FRONT "/%s", key);
    create(image, "w", "/etc/xen/scripts/block");
    until(BACK "/state", "2");
    publish_ring(WORKER_SERVES);
    fake_set(path, value);
    until(BACK "/state", "6");
    assert_non_null(strstr(fake_get(ERROR), error));
    vanish();
}

static void nonsense_of_the_front_end_closes_the_device(void **state)
{
    (void)state;
    expect_refused("ring-ref", "x", FRONT "/ring-ref = \"x\": not a number");
    expect_refused("event-channel", "-1", FRONT "/event-channel = \"-1\": not a number");
    expect_refused("protocol", "vax", FRONT "/protocol = \"vax\": not one of");
    expect_refused("ring-page-order", "5",
                   FRONT "/ring-page-order = \"5\": not a number from 0 to 4");
    expect_refused("multi-queue-num-queues", "2", FRONT "/multi-queue-num-queues = \"2\"");
}

static void a_worker_that_cannot_start_closes_the_device(void **state)
{
    (void)state;
    create(image, "w", "/etc/xen/scripts/block");
    until(BACK "/state", "2");
    publish_ring(WORKER_FAILS);
    until(BACK "/state", "6");
    assert_string_equal(fake_get(ERROR), "22 " FRONT ": as the test wants it");
    fake_set(FRONT "/state", "1"); /* the guest may try again */
    until(BACK "/state", "2");
}

/* As if nothing had been started for long. */
static void forgive(void)
{
    blockd.sup.devices->crew.starts = (struct pace){.last_ns = loop_now_ns() - 1000000000};
}

static void wait_phase(enum life_phase phase)
{
    for (int i = 0; i < 200 && the_device()->base.life.phase != phase; i++) {
        settle();
    }
    assert_string_equal(life_phase_name(the_device()->base.life.phase), life_phase_name(phase));
}

/* Its deadline is over. */
static void hurry_deadline(enum life_phase phase)
{
    struct loop_timer *t = &blockd.sup.devices->life.deadline;

    wait_phase(phase);
    assert_true(t->armed);
    loop_timer_set(blockd.sup.loop, t, 0, t->fn, t->arg);
    settle();
}

/* The next lines of the log, until count_lines(). */
static int log_was = -1, log_is = -1;

static void keep_lines(void)
{
    log_was = dup(STDERR_FILENO);
    log_is = memfd_create("log", 0);
    dup2(log_is, STDERR_FILENO);
}

static int count_lines(void)
{
    char text[65536];
    ssize_t n = pread(log_is, text, sizeof(text), 0);
    int lines = 0;

    for (ssize_t i = 0; i < n; i++) {
        lines += text[i] == '\n' ? 1 : 0;
    }
    dup2(log_was, STDERR_FILENO);
    close(log_was);
    close(log_is);
    return lines;
}

/* Five in a row; then one that is to answer everything by an error; and when that one dies, too: */
static void a_worker_that_crashes_closes_its_device_only(void **state)
{
    (void)state;
    for (int how = WORKER_CRASHES; how <= WORKER_CRASHES_LATER; how++) {
        create(image, "w", "/etc/xen/scripts/block");
        until(BACK "/state", "2");
        publish_ring(how);
        for (unsigned int seen = 0; seen < 5;) { /* one turn of the loop may see two deaths */
            for (int k = 0; k < 200 && the_device()->base.crew.deaths == seen; k++) {
                settle();
            }
            assert_true(the_device()->base.crew.deaths > seen);
            seen = the_device()->base.crew.deaths;
            forgive();
            if (seen < 5) {
                assert_false(the_device()->base.crew.refusing);
            }
        }
        until(BACK "/state", "6");
        assert_non_null(strstr(fake_get(ERROR), "worker killed by signal 6"));
        assert_non_null(strstr(fake_get(ERROR), "in a row; the device is closed"));
        vanish();
    }
}

/* Kills the device's worker; returns when there is another. */
static void kill_worker(void)
{
    pid_t pid = the_device()->base.crew.child.pid;

    kill(pid, SIGKILL);
    for (int i = 0; i < 200 && the_device()->base.crew.child.pid == pid; i++) {
        settle();
    }
    forgive();
}

static void a_worker_that_is_killed_is_replaced_and_has_the_same_log(void **state)
{
    (void)state;
    create(image, "w", "/etc/xen/scripts/block");
    until(BACK "/state", "2");
    publish_ring(WORKER_COUNTS); /* whose first one ends by itself */
    for (int i = 0; i < 200 && the_device()->base.crew.deaths == 0; i++) {
        settle();
    }
    wait_phase(LIFE_CONNECTED);
    kill_worker();
    wait_phase(LIFE_CONNECTED);
    assert_int_equal(the_device()->base.crew.deaths, 2);
    assert_string_equal(fake_get(BACK "/state"), "4");
    assert_null(fake_get(ERROR));
}

static void wait_deaths(unsigned int nr)
{
    for (int i = 0; i < 200 && the_device()->base.crew.deaths < nr; i++) {
        settle();
    }
    assert_in_range(the_device()->base.crew.deaths, nr, nr + 1);
}

/* What this host lacks for a moment closes no disk that is in use. */
static void what_is_lacking_when_a_worker_starts_is_waited_for(void **state)
{
    struct rlimit limit, none;

    (void)state;
    connect_guest();
    fake_set(FRONT "/event-channel", "12");
    assert_int_equal(WORKER_LACKS, 12);
    kill(the_device()->base.crew.child.pid, SIGKILL);
    wait_deaths(2); /* the first was by the test's own hand */
    assert_string_equal(fake_get(BACK "/state"), "4");
    fake_set(FRONT "/event-channel", "10");
    wait_phase(LIFE_CONNECTED);
    blockd.sup.devices->crew.deaths = 0;
    forgive();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 3; /* not even the socket to a worker can be made */
    kill(the_device()->base.crew.child.pid, SIGKILL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    wait_deaths(2);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    wait_phase(LIFE_CONNECTED);
    assert_string_equal(fake_get(BACK "/state"), "4");
}

static void after_five_deaths_a_worker_says_no(void **state)
{
    (void)state;
    connect_guest();
    for (int i = 0; i < 5; i++) {
        wait_phase(LIFE_CONNECTED);
        assert_false(the_device()->config.refuse);
        kill_worker();
    }
    wait_phase(LIFE_CONNECTED);
    assert_true(the_device()->config.refuse);
    assert_string_equal(fake_get(BACK "/state"), "4"); /* the guest hears errors, and is not hung */
    assert_non_null(strstr(fake_get(ERROR), "every request is answered by an error"));
    fake_set(FRONT "/state", "6");
    until(BACK "/state", "6");
    fake_set(FRONT "/state", "1"); /* another life, another try */
    until(BACK "/state", "2");
    publish_ring(WORKER_SERVES);
    until(BACK "/state", "4");
    assert_false(the_device()->config.refuse);
}

/* From outside, or the OOM killer: that it did something between tells that no request was it. */
static void a_worker_that_works_may_be_killed_as_often_as_one_likes(void **state)
{
    (void)state;
    create(image, "w", "/etc/xen/scripts/block");
    until(BACK "/state", "2");
    publish_ring(WORKER_WORKS);
    for (int i = 0; i < 12; i++) {
        wait_phase(LIFE_CONNECTED);
        kill_worker();
        assert_int_equal(the_device()->base.crew.deaths, 1);
        assert_false(the_device()->base.crew.refusing);
    }
    wait_phase(LIFE_CONNECTED);
    assert_null(fake_get(ERROR));
}

static void what_workers_count_outlives_them(void **state)
{
    struct figures now;

    (void)state;
    create(image, "w", "/etc/xen/scripts/block");
    until(BACK "/state", "2");
    publish_ring(WORKER_WORKS);
    for (unsigned int i = 0; i < 3; i++) {
        struct crew *crew = (struct crew *)&the_device()->base.crew;

        wait_phase(LIFE_CONNECTED);
        assert_int_equal(crew->restarts, i);
        assert_true(crew_moves(crew));
        figures_read(&crew->figures, &blockd.sup.bounds, &now);
        assert_int_equal(now.value[BLK_FIGURE_REQUESTS + BLK_READ], 3 * (i + 1));
        assert_int_equal(now.value[BLK_FIGURE_OUTSTANDING], 1);
        kill_worker();
    }
}

static void a_worker_that_lies_is_not_believed(void **state)
{
    struct crew *crew;
    struct figures now;

    (void)state;
    create(image, "w", "/etc/xen/scripts/block");
    until(BACK "/state", "2");
    publish_ring(WORKER_LIES);
    wait_phase(LIFE_CONNECTED);
    crew = (struct crew *)&the_device()->base.crew;
    figures_read(&crew->figures, &blockd.sup.bounds, &now);
    assert_int_equal(now.value[BLK_FIGURE_REQUESTS + BLK_READ], 0);
    assert_int_equal(now.value[BLK_FIGURE_OUTSTANDING], 0);
    assert_true(crew_serves(crew));
    assert_false(crew_moves(crew));
}

/* Runs the loop for so many beats, about. */
static void beats(int nr)
{
    struct loop_timer tick = {0};

    for (int i = 0; i < nr; i++) {
        loop_timer_set(blockd.sup.loop, &tick, blockd.sup.beat_ms * UINT64_C(1000000), on_tick,
                       NULL);
        loop_run(blockd.sup.loop);
    }
}

static void a_worker_that_does_not_move_is_replaced(void **state)
{
    pid_t pid;

    (void)state;
    blockd.sup.beat_ms = 50;
    create(image, "w", "/etc/xen/scripts/block");
    until(BACK "/state", "2");
    publish_ring(WORKER_HANGS);
    until(BACK "/state", "4");
    pid = the_device()->base.crew.child.pid;
    for (int i = 0; i < 100 && the_device()->base.crew.deaths == 0; i++) {
        beats(1);
    }
    assert_int_equal(the_device()->base.crew.deaths, 1);
    forgive();
    wait_phase(LIFE_CONNECTED);
    assert_int_not_equal(the_device()->base.crew.child.pid, pid);
    assert_string_equal(fake_get(BACK "/state"), "4");
    pid = the_device()->base.crew.child.pid;
    beats(10); /* the other one moves, and stays */
    assert_int_equal(the_device()->base.crew.child.pid, pid);
    assert_int_equal(the_device()->base.crew.deaths, 1);
}

static void a_worker_that_breaks_and_stays_is_killed(void **state)
{
    (void)state;
    create(image, "w", "/etc/xen/scripts/block");
    until(BACK "/state", "2");
    keep_lines();
    publish_ring(WORKER_STAYS);
    hurry_deadline(LIFE_TERMINATED);
    until(BACK "/state", "6");
    assert_in_range(count_lines(), 2, 16); /* of hundreds of reports */
    assert_non_null(strstr(fake_get(ERROR), "as the test wants it"));
    vanish();
}

static void a_worker_that_does_not_stop_is_killed(void **state)
{
    (void)state;
    create(image, "w", "/etc/xen/scripts/block");
    until(BACK "/state", "2");
    publish_ring(WORKER_IS_DEAF);
    until(BACK "/state", "4");
    settle();
    fake_set(FRONT "/state", "6");
    hurry_deadline(LIFE_STOPPING);
    hurry_deadline(LIFE_TERMINATED);
    until(BACK "/state", "6");
}

static void a_device_created_again_while_its_worker_stops_is_served(void **state)
{
    (void)state;
    create(image, "w", "/etc/xen/scripts/block");
    until(BACK "/state", "2");
    publish_ring(WORKER_IS_DEAF);
    until(BACK "/state", "4");
    settle();
    fake_rm(BACK);
    fake_rm(FRONT);
    wait_phase(LIFE_STOPPING);
    create(image, "w", "/etc/xen/scripts/block");
    settle();
    hurry_deadline(LIFE_STOPPING);
    hurry_deadline(LIFE_TERMINATED);
    until(BACK "/state", "2");
}

static void a_guest_that_goes_and_comes_writes_few_lines(void **state)
{
    int lines, transactions = fake_transactions();

    (void)state;
    connect_guest();
    keep_lines();
    for (int i = 0; i < 400; i++) {
        fake_set(FRONT "/state", i % 2 == 0 ? "6" : "1");
        fake_set("/turned", "no");
        until("/turned", "no");
    }
    lines = count_lines();
    assert_in_range(lines, 1, 31);
    assert_in_range(fake_transactions() - transactions, 1, 450);
}

static void a_state_that_is_for_others_is_answered_once(void **state)
{
    static const char *const states[] = {"7", "8", "5", "7", "2"};
    int before;

    (void)state;
    connect_guest();
    for (unsigned int i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        fake_set(FRONT "/state", states[i]);
        settle();
        for (int k = 0; k < 200 && the_device()->base.life.phase == LIFE_STOPPING; k++) {
            settle(); /* its worker ends in its own time */
        }
        settle();
        before = fake_transactions();
        settle();
        assert_int_equal(fake_transactions(), before);
    }
}

static void a_state_that_is_none_is_taken_for_closing(void **state)
{
    (void)state;
    connect_guest();
    fake_set(FRONT "/state", "banana");
    until(BACK "/state", "5");
}

static void a_restart_does_not_touch_the_store(void **state)
{
    (void)state;
    connect_guest();
    stop_supervisor();
    assert_string_equal(fake_get(BACK "/state"), "4");
    fake_set(BACK "/sectors", "not to be written again");
    start_supervisor();
    settle();
    for (int i = 0;
         i < 100 && (blockd.sup.devices == NULL || the_device()->base.life.phase != LIFE_CONNECTED);
         i++) {
        settle();
    }
    assert_int_equal(the_device()->base.life.phase, LIFE_CONNECTED);
    assert_string_equal(fake_get(BACK "/state"), "4");
    assert_string_equal(fake_get(BACK "/sectors"), "not to be written again");
    fake_set(FRONT "/state", "6");
    until(BACK "/state", "6");
}

/* An adopted device whose image hangs, for more than a minute. */
static void adopt_while_the_storage_hangs(void)
{
    connect_guest();
    stop_supervisor();
    storage = lease();
    start_supervisor();
    settle();
    hurry_deadline(LIFE_OPENING);
    hurry_deadline(LIFE_CALLED);
    settle();
    assert_int_equal(the_device()->base.life.phase, LIFE_CALLED);
    assert_string_equal(fake_get(BACK "/state"), "4");
}

static void a_guest_in_use_waits_for_its_storage(void **state)
{
    (void)state;
    adopt_while_the_storage_hangs();
    close(storage);
    wait_phase(LIFE_CONNECTED);
    assert_string_equal(fake_get(BACK "/state"), "4");
}

static void a_guest_in_use_may_give_its_disk_back_when_the_storage_is_back(void **state)
{
    (void)state;
    adopt_while_the_storage_hangs();
    fake_set(BACK "/online", "0");
    fake_set(BACK "/state", "5");
    settle();
    assert_int_equal(the_device()->base.life.phase, LIFE_CALLED); /* it has something to write */
    close(storage);
    wait_phase(LIFE_CONNECTED);
    assert_string_equal(fake_get(BACK "/state"), "5");
    fake_set(FRONT "/state", "6");
    until(BACK "/state", "6");
    vanish();
}

/* As an opener of the last daemon does that the kernel has not ended yet. */
static void a_lock_that_is_about_to_go_is_waited_for(void **state)
{
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(image, O_RDWR | O_CLOEXEC);

    (void)state;
    connect_guest();
    stop_supervisor();
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &fl), 0);
    start_supervisor();
    blockd.images.patience_ms = 50;
    for (int i = 0; i < 2000 && (fake_get(ERROR) == NULL ||
                                 strstr(fake_get(ERROR), "in use by another program") == NULL);
         i++) {
        settle();
    }
    assert_non_null(strstr(fake_get(ERROR), "in use by another program of this host"));
    assert_string_equal(fake_get(BACK "/state"), "4");
    close(fd);
    wait_phase(LIFE_CONNECTED);
    assert_null(fake_get(ERROR));
}

/* While the package's files are replaced, those of the daemon that runs are started. */
static void an_upgrade_does_not_mix_programs(void **state)
{
    static char programs[2][64];
    char self[512];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    (void)state;
    assert_true(n > 0);
    self[n] = '\0';
    stop_supervisor();
    snprintf(programs[0], sizeof(programs[0]), "%s-worker", image);
    snprintf(programs[1], sizeof(programs[1]), "%s-opener", image);
    worker = programs[0];
    opener = programs[1];
    assert_int_equal(symlink(self, worker), 0);
    assert_int_equal(symlink(DUET_TEST_OPENER, opener), 0);
    start_supervisor();
    assert_int_equal(unlink(worker) | unlink(opener), 0);
    assert_int_equal(symlink("/bin/false", worker) | symlink("/bin/false", opener), 0);
    connect_guest();
    assert_int_equal(unlink(worker) | unlink(opener), 0);
    worker = "/proc/self/exe";
    opener = DUET_TEST_OPENER;
}

/* The disk's opener is killed: the image is locked anew, and the guest sees a pause. */
static void a_killed_opener_costs_no_disk(void **state)
{
    pid_t killed;

    (void)state;
    connect_guest();
    for (int i = 0; i < 3; i++) {
        killed = the_device()->base.crew.child.pid;
        forgive();
        kill(((const struct child *)the_device()->image.opener)->pid,
             SIGKILL); /* its first member */
        for (int k = 0; k < 200 && the_device()->base.crew.child.pid == killed; k++) {
            settle();
        }
        forgive();
        wait_phase(LIFE_CONNECTED);
        assert_true(the_device()->base.opened);
        assert_int_not_equal(the_device()->base.crew.child.pid, killed);
        assert_string_equal(fake_get(BACK "/state"), "4");
    }
    assert_null(fake_get(ERROR));
}

/* The guest was reset while nobody served it. */
static void a_front_end_that_began_anew_meanwhile_has_its_device_offered(void **state)
{
    (void)state;
    connect_guest();
    stop_supervisor();
    fake_set(FRONT "/state", "1");
    start_supervisor();
    until(BACK "/state", "2");
    publish_ring(WORKER_SERVES);
    until(BACK "/state", "4");
}

static void restart(void)
{
    stop_supervisor();
    start_supervisor();
    settle();
}

/* What a daemon leaves behind that did not end in good order. */
static void a_ring_in_use_without_its_log_is_not_taken_over(void **state)
{
    (void)state;
    connect_guest();
    stop_supervisor();
    assert_string_equal(fake_get(BACK "/duet-at-rest"), "1");
    fake_rm(BACK "/duet-at-rest");
    start_supervisor();
    until(BACK "/state", "6");
    assert_non_null(strstr(fake_get(ERROR), "nobody has kept what is in flight"));
}

static void a_mark_of_rest_does_not_outlive_the_rest(void **state)
{
    (void)state;
    connect_guest();
    restart();
    wait_phase(LIFE_CONNECTED);
    assert_null(fake_get(BACK "/duet-at-rest"));
}

static void a_worker_that_fails_while_it_stops_leaves_no_mark(void **state)
{
    (void)state;
    create(image, "w", "/etc/xen/scripts/block");
    until(BACK "/state", "2");
    publish_ring(WORKER_FAILS_AT_STOP);
    until(BACK "/state", "4");
    stop_supervisor();
    assert_null(fake_get(BACK "/duet-at-rest"));
    start_supervisor();
    until(BACK "/state", "6");
}

static void a_ring_that_was_closed_leaves_no_mark(void **state)
{
    (void)state;
    connect_guest();
    fake_set(FRONT "/state", "6");
    until(BACK "/state", "6");
    assert_null(fake_get(BACK "/duet-at-rest"));
}

/* The storage was slow, and all the same nothing is in flight. */
static void a_mark_of_rest_that_cannot_be_removed_lets_nobody_start(void **state)
{
    (void)state;
    connect_guest();
    stop_supervisor();
    fake_refuse_removal(1);
    start_supervisor();
    until(BACK "/state", "6");
    assert_non_null(strstr(fake_get(ERROR), "duet-at-rest: Permission denied"));
}

static void a_late_end_in_good_order_is_marked(void **state)
{
    struct loop_timer *deadline;

    (void)state;
    create(image, "w", "/etc/xen/scripts/block");
    until(BACK "/state", "2");
    publish_ring(WORKER_IS_SLOW);
    until(BACK "/state", "4");
    settle();
    supervisor_stop(&blockd.sup);
    deadline = &blockd.sup.devices->life.deadline;
    loop_timer_set(blockd.sup.loop, deadline, 0, deadline->fn, deadline->arg);
    stop_supervisor();
    assert_string_equal(fake_get(BACK "/duet-at-rest"), "1");
    start_supervisor();
}

static void a_log_that_was_kept_goes_to_the_next_worker(void **state)
{
    int fd = inflight_create();

    (void)state;
    assert_int_equal(pwrite(fd, "w", 1, 0), 1);
    connect_guest();
    fake_set(FRONT "/event-channel", "19");
    assert_int_equal(WORKER_COUNTS, 19);
    stop_supervisor();
    fake_rm(BACK "/duet-at-rest");
    start_supervisor();
    supervisor_keep(&blockd.sup, "vbd-5-51712", fd);
    supervisor_keep(&blockd.sup, "vbd-9-51712", dup(fd)); /* of one that is gone */
    for (int i = 0; i < 100 && blockd.sup.devices == NULL; i++) {
        settle();
    }
    wait_phase(LIFE_CONNECTED);
    assert_int_equal(the_device()->base.crew.deaths, 0);
    assert_null(blockd.sup.kept);
}

/* A daemon of another version, whose workers ended in good order or not, had this one kept. */
static void keep_log_of_another_version(bool at_rest)
{
    struct kept_head *head;
    int fd = kept_create("test", 12345);

    head = kept_map(fd, sizeof(*head));
    *head = (struct kept_head){
        .state = KEPT_CLEAN, .magic = INFLIGHT_MAGIC, .version = INFLIGHT_VERSION + 1};
    munmap(head, sizeof(*head));
    connect_guest();
    stop_supervisor();
    if (!at_rest) {
        fake_rm(BACK "/duet-at-rest");
    }
    start_supervisor();
    supervisor_keep(&blockd.sup, "vbd-5-51712", fd);
    for (int i = 0; i < 100 && blockd.sup.devices == NULL; i++) {
        settle();
    }
    wait_phase(LIFE_CONNECTED);
}

static void a_log_of_another_version_gives_way_when_nothing_is_in_flight(void **state)
{
    (void)state;
    keep_log_of_another_version(true);
    assert_true(kept_is_sealed(the_device()->base.crew.log_fd, sizeof(struct inflight_log)));
    assert_string_equal(fake_get(BACK "/state"), "4");
}

/* The worker gets it, which refuses it (test_block_inflight). */
static void a_log_of_another_version_is_not_thrown_away_otherwise(void **state)
{
    (void)state;
    keep_log_of_another_version(false);
    assert_true(kept_is_sealed(the_device()->base.crew.log_fd, 12345));
}

/* A disk that is slow must not keep all other guests waiting. */
static void who_leaves_does_not_wait_for_a_late_worker(void **state)
{
    pid_t late;

    (void)state;
    create(image, "w", "/etc/xen/scripts/block");
    until(BACK "/state", "2");
    publish_ring(WORKER_IS_DEAF);
    until(BACK "/state", "4");
    late = the_device()->base.crew.child.pid;
    blockd.sup.leave_ms = 50;
    supervisor_stop(&blockd.sup);
    assert_int_equal(loop_run(blockd.sup.loop), 0);
    assert_non_null(blockd.sup.devices);
    assert_int_equal(the_device()->base.life.phase, LIFE_STOPPING); /* neither late nor killed */
    assert_int_equal(kill(late, 0), 0);
    assert_string_equal(fake_get(BACK "/state"), "4");
    assert_null(fake_get(BACK "/duet-at-rest"));
    image_close(&((struct blk_device *)blockd.sup.devices)->image);
    reap_openers();
    supervisor_free(&blockd.sup);
    loop_free(blockd.sup.loop);
    kill(late, SIGKILL);
    waitpid(late, NULL, 0);
    start_supervisor();
}

static void a_restart_between_two_lives_misses_nothing(void **state)
{
    (void)state;
    connect_guest();
    fake_set(FRONT "/state", "6");
    until(BACK "/state", "6");
    restart();
    assert_string_equal(fake_get(BACK "/state"), "6");
    fake_set(FRONT "/state", "1");
    until(BACK "/state", "2");
    publish_ring(WORKER_SERVES);
    until(BACK "/state", "4");
}

static void a_restart_during_removal_serves_until_the_front_end_is_done(void **state)
{
    (void)state;
    connect_guest();
    fake_set(BACK "/online", "0");
    fake_set(BACK "/state", "5");
    restart();
    for (int i = 0; i < 100 && the_device()->base.life.phase != LIFE_CONNECTED; i++) {
        settle();
    }
    assert_int_equal(the_device()->base.life.phase, LIFE_CONNECTED);
    assert_string_equal(fake_get(BACK "/state"), "5");
    fake_set(FRONT "/state", "6");
    until(BACK "/state", "6");
    vanish();
}

static void a_restart_after_the_front_end_is_done_ends_the_removal(void **state)
{
    (void)state;
    connect_guest();
    stop_supervisor();
    fake_set(BACK "/online", "0");
    fake_set(BACK "/state", "5");
    fake_set(FRONT "/state", "6");
    start_supervisor();
    until(BACK "/state", "6");
    vanish();
}

/* The new end of a migration, as libxl and the restored guest write it. */
static void create_new_end(void)
{
    fake_set("/local/domain/6/vm", "/vm/u");
    fake_set(FRONT_6 "/state", "1");
    fake_set(BACK_6 "/frontend", FRONT_6);
    fake_set(BACK_6 "/frontend-id", "6");
    fake_set(BACK_6 "/params", image);
    fake_set(BACK_6 "/mode", "w");
    fake_set(BACK_6 "/script", "/etc/xen/scripts/block");
    fake_set(BACK_6 "/online", "1");
    fake_set(BACK_6 "/state", "1");
    until(BACK_6 "/state", "2");
    assert_string_equal(fake_get(BACK_6 "/hotplug-status"), "connected");
}

static void connect_new_end(void)
{
    fake_set(FRONT_6 "/ring-ref", "8");
    fake_set(FRONT_6 "/event-channel", "10");
    fake_set(FRONT_6 "/protocol", "x86_64-abi");
    fake_set(FRONT_6 "/state", "3");
    until(BACK_6 "/state", "4");
}

static bool log_has(const char *text)
{
    static char log[65536];
    ssize_t n = pread(log_is, log, sizeof(log) - 1, 0);

    log[n > 0 ? n : 0] = '\0';
    return strstr(log, text) != NULL;
}

/* The restored guest's device goes again, as at the next save. */
static void save_new_end(void)
{
    fake_set(BACK_6 "/online", "0");
    fake_set(BACK_6 "/state", "5");
    fake_rm(FRONT_6);
    until(BACK_6 "/state", "6");
    fake_rm(BACK_6);
    settle();
    reap_openers();
}

/* However many virtual machines there were, the daemon remembers the latest. */
static void only_the_latest_marks_are_kept(void **state)
{
    struct blk_trail trail = {.nr = 0};
    char vm[32];

    (void)state;
    for (unsigned int i = 0; i < BLK_TRAIL_MAX + 10; i++) {
        snprintf(vm, sizeof(vm), "/vm/%u", i);
        blk_trail_leave(&trail, vm, "/a.img");
    }
    assert_int_equal(trail.nr, BLK_TRAIL_MAX);
    assert_int_equal(blk_trail_left(&trail, "/vm/9", "/a.img"), 0);
    assert_true(blk_trail_left(&trail, "/vm/10", "/a.img") > 0);
    assert_true(blk_trail_left(&trail, vm, "/a.img") > 0);
    assert_int_equal(blk_trail_left(&trail, vm, "/b.img"), 0);
    blk_trail_return(&trail, vm, "/a.img");
    assert_int_equal(blk_trail_left(&trail, vm, "/a.img"), 0);
    blk_trail_leave(&trail, "", "/a.img"); /* of nobody known */
    assert_int_equal(trail.nr, BLK_TRAIL_MAX - 1);
    blk_trail_free(&trail);
    assert_int_equal(trail.nr, 0);
}

/* A guest that writes nonsense without end has a few lines, and not all there are: D6's kind. */
static void a_guest_that_toggles_does_not_fill_the_log(void **state)
{
    int lines;

    (void)state;
    connect_guest();
    keep_lines();
    for (int i = 0; i < 200; i++) {
        fake_set(FRONT "/state", i % 2 == 0 ? "junk" : "more junk");
        settle();
    }
    lines = count_lines();
    assert_in_range(lines, 5, 35);
}

static void write_to_image(void)
{
    struct timespec times[2];

    clock_gettime(CLOCK_REALTIME, &times[1]);
    times[1].tv_sec++;
    times[0] = times[1];
    assert_int_equal(utimensat(AT_FDCWD, image, times, 0), 0);
}

/* A guest is saved, its image is written to, and it is restored: nobody else would say so. */
static void an_image_written_while_its_guest_was_away_is_told(void **state)
{
    static const char *const sentence = "after this virtual machine had let go of it";
    struct timespec past[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

    (void)state;
    assert_int_equal(utimensat(AT_FDCWD, image, past, 0), 0);
    fake_set("/local/domain/5/vm", "/vm/u");
    connect_guest();
    fake_set(BACK "/online", "0");
    fake_set(BACK "/state", "5");
    fake_rm(FRONT);
    until(BACK "/state", "6");
    vanish();
    keep_lines();
    create_new_end();
    assert_false(log_has(sentence)); /* nobody has written */
    connect_new_end();
    write_to_image(); /* as its own worker does, */
    create(image, "w", "/etc/xen/scripts/block");
    until(BACK "/state", "2"); /* and it migrates to this very host */
    assert_false(log_has(sentence));
    fake_set(BACK "/online", "0");
    fake_set(BACK "/state", "5");
    fake_rm(FRONT);
    until(BACK "/state", "6");
    fake_rm(BACK);
    settle();
    save_new_end();
    assert_int_equal(utimensat(AT_FDCWD, image, past, 0), 0);
    create_new_end();
    assert_false(log_has(sentence));
    connect_new_end();
    save_new_end();
    write_to_image();
    create_new_end();
    assert_true(log_has(sentence));
    assert_true(count_lines() > 0);
    save_new_end();
    assert_int_equal(utimensat(AT_FDCWD, image, past, 0), 0);
}

static const struct blk_device *device_of_domain(int domid)
{
    struct supervised *dev = NULL;
    struct device_key key;

    memset(&key, 0, sizeof(key));
    key.domid = domid;
    key.device = 51712;
    HASH_FIND(hh, blockd.sup.devices, &key, sizeof(key), dev);
    assert_non_null(dev);
    return (const struct blk_device *)dev;
}

static void expect_phase(int domid, enum life_phase phase)
{
    for (int i = 0; i < 100 && device_of_domain(domid)->base.life.phase != phase; i++) {
        settle();
    }
    assert_int_equal(device_of_domain(domid)->base.life.phase, phase);
}

static void the_old_end_of_a_migration_makes_way(void **state)
{
    (void)state;
    fake_set("/local/domain/5/vm", "/vm/u");
    connect_guest();
    create_new_end();
    settle();
    expect_phase(5, LIFE_CONNECTED); /* nothing has happened yet */
    assert_false(device_of_domain(6)->image.taken);
    connect_new_end();
    expect_phase(5, LIFE_YIELDED);
    assert_false(device_of_domain(5)->image.taken);
    assert_true(device_of_domain(6)->image.taken);
    assert_string_equal(fake_get(BACK "/state"), "4");
    fake_set(BACK "/online", "0"); /* the old domain is destroyed */
    fake_set(BACK "/state", "5");
    fake_rm(FRONT);
    until(BACK "/state", "6");
    fake_rm(BACK);
    settle();
    assert_int_equal(blockd.sup.nr_devices, 1);
    expect_phase(6, LIFE_CONNECTED);
}

static void the_old_end_goes_on_when_the_new_one_is_gone(void **state)
{
    (void)state;
    fake_set("/local/domain/5/vm", "/vm/u");
    connect_guest();
    create_new_end();
    connect_new_end();
    expect_phase(5, LIFE_YIELDED);
    fake_set(BACK_6 "/online", "0"); /* the migration has failed */
    fake_set(BACK_6 "/state", "5");
    fake_rm(FRONT_6);
    until(BACK_6 "/state", "6");
    fake_rm(BACK_6);
    expect_phase(5, LIFE_CONNECTED);
    assert_true(device_of_domain(5)->image.taken);
    assert_string_equal(fake_get(BACK "/state"), "4");
}

static void a_migration_that_fails_early_is_not_noticed(void **state)
{
    (void)state;
    fake_set("/local/domain/5/vm", "/vm/u");
    connect_guest();
    create_new_end();
    fake_set(BACK_6 "/online", "0");
    fake_set(BACK_6 "/state", "5");
    fake_rm(FRONT_6);
    until(BACK_6 "/state", "6");
    fake_rm(BACK_6);
    settle();
    expect_phase(5, LIFE_CONNECTED);
    assert_int_equal(blockd.sup.nr_devices, 1);
}

static void a_guest_that_was_moved_away_lets_go_of_its_disk(void **state)
{
    (void)state;
    fake_set("/local/domain/5/name", "web");
    connect_guest();
    fake_set("/local/domain/5/name", "web--migratedaway");
    expect_phase(5, LIFE_YIELDED);
    settle();
    reap_openers(); /* not even locked */
    assert_string_equal(fake_get(BACK "/state"), "4");
    fake_set("/local/domain/5/name", "web"); /* it could not be started there */
    expect_phase(5, LIFE_CONNECTED);
    assert_true(device_of_domain(5)->image.taken);
    assert_string_equal(fake_get(BACK "/state"), "4");
    fake_set("/local/domain/5/name", "web--migratedaway");
    expect_phase(5, LIFE_YIELDED);
    fake_set(BACK "/online", "0"); /* and now it could */
    fake_set(BACK "/state", "5");
    fake_rm(FRONT);
    until(BACK "/state", "6");
    vanish();
}

static void a_restart_leaves_the_disk_of_a_guest_moved_away(void **state)
{
    (void)state;
    connect_guest();
    fake_set("/local/domain/5/name", "web--migratedaway");
    expect_phase(5, LIFE_YIELDED);
    restart();
    expect_phase(5, LIFE_YIELDED);
    settle();
    reap_openers();
}

static void an_old_end_that_crashes_is_closed(void **state)
{
    (void)state;
    fake_set("/local/domain/5/vm", "/vm/u");
    create(image, "w", "/etc/xen/scripts/block");
    until(BACK "/state", "2");
    publish_ring(WORKER_CRASHES_AT_STOP);
    until(BACK "/state", "4");
    fake_set(FRONT "/state", "4");
    create_new_end();
    connect_new_end();
    until(BACK "/state", "6");
}

static void a_yielded_device_closes_with_its_front_end(void **state)
{
    (void)state;
    fake_set("/local/domain/5/vm", "/vm/u");
    connect_guest();
    create_new_end();
    connect_new_end();
    expect_phase(5, LIFE_YIELDED);
    fake_set(FRONT "/state", "6");
    until(BACK "/state", "6");
    expect_phase(6, LIFE_CONNECTED);
}

static void strange_directories_are_ignored(void **state)
{
    (void)state;
    fake_set("/local/domain/0/backend/vbd/x/1/state", "1");
    fake_set("/local/domain/0/backend/vbd/5/y/state", "1");
    fake_set("/local/domain/0/backend/vbd/5/99999999999/state", "1");
    fake_set("/local/domain/0/backend/vbd/6/1/online", "1");
    settle();
    assert_int_equal(blockd.sup.nr_devices, 0);
}

static void a_device_of_another_domains_front_end_is_refused(void **state)
{
    (void)state;
    fake_set(FRONT "/state", "1");
    fake_set(BACK "/frontend", FRONT);
    fake_set(BACK "/frontend-id", "6");
    fake_set(BACK "/state", "1");
    until(BACK "/state", "6");
    assert_non_null(strstr(fake_get(ERROR), BACK "/frontend-id = \"6\": the path names another"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static const struct CMUnitTest tests[] = {
    TEST(a_new_device_is_offered),
    TEST(a_connected_device_shows_its_size),
    TEST(a_read_only_device_says_so_and_offers_no_discard),
    TEST(removal_waits_for_the_front_end),
    TEST(removal_of_an_unused_device_is_immediate),
    TEST(a_detachment_is_not_overwritten),
    TEST(a_destroyed_guest_needs_no_farewell),
    TEST(a_guest_destroyed_beside_a_driver_domain_is_gone),
    TEST(a_device_whose_directory_vanishes_is_forgotten),
    TEST(a_front_end_may_start_again),
    TEST(a_bad_image_is_told_to_xl),
    TEST(params_that_are_no_path_are_explained),
    TEST(an_image_that_our_script_serves_is_opened_afterwards),
    TEST(a_server_that_is_not_there_is_explained),
    TEST(a_format_before_the_path_is_understood),
    TEST(a_foreign_script_is_left_alone),
    TEST(an_image_that_hangs_is_told_to_xl_in_time),
    TEST(an_image_that_hangs_may_be_given_up_while_it_opens),
    TEST(a_late_image_is_an_image),
    TEST(an_image_that_grows_is_told_to_the_guest),
    TEST(another_size_reaches_a_worker_that_was_slow),
    TEST(a_limit_is_told_to_the_worker_that_runs),
    TEST(a_limit_reaches_a_worker_that_was_slow),
    TEST(nonsense_of_the_front_end_closes_the_device),
    TEST(a_worker_that_cannot_start_closes_the_device),
    TEST(a_worker_that_crashes_closes_its_device_only),
    TEST(a_state_that_is_none_is_taken_for_closing),
    TEST(a_worker_that_is_killed_is_replaced_and_has_the_same_log),
    TEST(what_is_lacking_when_a_worker_starts_is_waited_for),
    TEST(after_five_deaths_a_worker_says_no),
    TEST(a_worker_that_works_may_be_killed_as_often_as_one_likes),
    TEST(what_workers_count_outlives_them),
    TEST(a_worker_that_lies_is_not_believed),
    TEST(a_worker_that_does_not_move_is_replaced),
    TEST(a_worker_that_breaks_and_stays_is_killed),
    TEST(a_worker_that_does_not_stop_is_killed),
    TEST(a_device_created_again_while_its_worker_stops_is_served),
    TEST(a_guest_that_goes_and_comes_writes_few_lines),
    TEST(a_state_that_is_for_others_is_answered_once),
    TEST(a_ring_in_use_without_its_log_is_not_taken_over),
    TEST(a_mark_of_rest_does_not_outlive_the_rest),
    TEST(a_worker_that_fails_while_it_stops_leaves_no_mark),
    TEST(a_ring_that_was_closed_leaves_no_mark),
    TEST(a_log_that_was_kept_goes_to_the_next_worker),
    TEST(a_restart_does_not_touch_the_store),
    TEST(a_log_of_another_version_gives_way_when_nothing_is_in_flight),
    TEST(a_log_of_another_version_is_not_thrown_away_otherwise),
    TEST(who_leaves_does_not_wait_for_a_late_worker),
    TEST(a_mark_of_rest_that_cannot_be_removed_lets_nobody_start),
    TEST(a_late_end_in_good_order_is_marked),
    TEST(a_guest_in_use_waits_for_its_storage),
    TEST(a_guest_in_use_may_give_its_disk_back_when_the_storage_is_back),
    TEST(a_lock_that_is_about_to_go_is_waited_for),
    TEST(an_upgrade_does_not_mix_programs),
    TEST(a_killed_opener_costs_no_disk),
    TEST(a_front_end_that_began_anew_meanwhile_has_its_device_offered),
    TEST(a_restart_between_two_lives_misses_nothing),
    TEST(a_restart_during_removal_serves_until_the_front_end_is_done),
    TEST(a_restart_after_the_front_end_is_done_ends_the_removal),
    TEST(a_guest_that_toggles_does_not_fill_the_log),
    TEST(only_the_latest_marks_are_kept),
    TEST(an_image_written_while_its_guest_was_away_is_told),
    TEST(the_old_end_of_a_migration_makes_way),
    TEST(the_old_end_goes_on_when_the_new_one_is_gone),
    TEST(a_migration_that_fails_early_is_not_noticed),
    TEST(a_guest_that_was_moved_away_lets_go_of_its_disk),
    TEST(a_restart_leaves_the_disk_of_a_guest_moved_away),
    TEST(an_old_end_that_crashes_is_closed),
    TEST(a_yielded_device_closes_with_its_front_end),
    TEST(strange_directories_are_ignored),
    TEST(a_device_of_another_domains_front_end_is_refused),
};

int main(void)
{
    int fd, failed;

    if (getenv("TEST_WORKER") != NULL) {
        return act_as_worker();
    }
    setenv("TEST_WORKER", "1", 1);
    signal(SIGIO, SIG_IGN); /* the kernel asks for a lease back */
    fd = mkstemp(image);
    if (fd < 0 || ftruncate(fd, 16 * 512) != 0) {
        return 1;
    }
    close(fd);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(image);
    return failed;
}
