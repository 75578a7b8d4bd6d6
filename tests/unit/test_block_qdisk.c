/*
 * Disks that libxl gave to QEMU: those that nobody serves are reported and can be detached, and
 * those of a guest that has a QEMU are not touched. Also, which of the kernel's uevents say that a
 * block device has changed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "fake_xenstore.h"
#include "qdisk.h"
#include "uevent.h"

#define BACK  "/local/domain/0/backend/qdisk/5/51728"
#define ERROR "/local/domain/0/error/backend/qdisk/5/51728/error"
#define PID   "/local/domain/5/image/device-model-pid"

static struct qdisk_watch watch;
static struct store *store;
static struct loop *loop;

static int setup(void **state)
{
    (void)state;
    fake_reset();
    fake_set("domid", "0");
    loop = loop_new();
    store = store_open(loop, NULL, NULL);
    assert_non_null(store);
    memset(&watch, 0, sizeof(watch));
    watch.patience_ms = 100;
    assert_int_equal(qdisk_watch_start(&watch, loop, store), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    qdisk_watch_stop(&watch);
    store_close(store);
    loop_free(loop);
    return 0;
}

static void on_time(void *arg)
{
    (void)arg;
    loop_stop(loop, 0);
}

static void run_for(unsigned int ms)
{
    struct loop_timer t = {0};

    loop_timer_set(loop, &t, ms * UINT64_C(1000000), on_time, NULL);
    loop_run(loop);
}

static void attach_as(const char *params)
{
    fake_set(BACK "/params", params);
    fake_set(BACK "/state", "1");
    fake_settle(loop);
}

static void attach(void)
{
    attach_as("qcow2:/srv/a.qcow2");
}

/* Runs until the disk is no longer waited for. */
static void run_until_decided(void)
{
    for (int i = 0; i < 1000 && !XEN_LIST_EMPTY(&watch.waiting); i++) {
        run_for(10);
    }
    assert_true(XEN_LIST_EMPTY(&watch.waiting));
}

static void a_disk_that_nobody_serves_is_told_and_let_go(void **state)
{
    (void)state;
    attach();
    assert_false(XEN_LIST_EMPTY(&watch.waiting));
    assert_null(fake_get(ERROR)); /* a QEMU may yet take it */
    run_until_decided();
    assert_non_null(strstr(fake_get(ERROR), "\"qcow2:/srv/a.qcow2\" was given to QEMU by xl, and "
                                            "no QEMU serves domain 5: detach it, and attach it as "
                                            "format=raw, script=block-duet, "
                                            "target=qcow2:/srv/a.qcow2"));
    assert_string_equal(fake_get(BACK "/state"), "1"); /* libxl's, until it asks */
    fake_set(BACK "/state", "5");
    fake_settle(loop);
    assert_string_equal(fake_get(BACK "/state"), "6");
    assert_null(fake_get(ERROR));
}

/* QEMU has more formats than a server is started for. */
static void another_format_is_to_be_converted(void **state)
{
    (void)state;
    attach_as("qed:/srv/a.qed");
    run_until_decided();
    assert_non_null(strstr(fake_get(ERROR), "qemu-img convert -O raw"));
    fake_set(BACK "/state", "5");
    fake_settle(loop);
}

/* What libxl 4.17 makes of a cdrom without a target. */
static void an_empty_drive_is_told_for_what_it_is(void **state)
{
    static const char *const empty[] = {"aio:", ""};

    (void)state;
    for (unsigned int i = 0; i < 2; i++) {
        attach_as(empty[i]);
        run_until_decided();
        assert_non_null(strstr(fake_get(ERROR), "an empty drive was given to QEMU by xl, and no "
                                                "QEMU serves domain 5: give it an image"));
        fake_set(BACK "/state", "5");
        fake_settle(loop);
        assert_string_equal(fake_get(BACK "/state"), "6");
        fake_rm(BACK);
        fake_settle(loop);
    }
}

static void a_disk_that_is_taken_is_left_alone(void **state)
{
    (void)state;
    attach();
    fake_set(PID, "1234");
    fake_set(BACK "/state", "2");
    fake_settle(loop);
    assert_true(XEN_LIST_EMPTY(&watch.waiting));
    run_for(150);
    assert_null(fake_get(ERROR));
    fake_set(BACK "/state", "5");
    fake_settle(loop);
    assert_string_equal(fake_get(BACK "/state"), "5"); /* QEMU's to answer */
}

static void a_slow_qemu_is_not_disturbed(void **state)
{
    (void)state;
    fake_set(PID, "1234");
    attach();
    run_until_decided();
    assert_null(fake_get(ERROR));
    assert_string_equal(fake_get(BACK "/state"), "1");
}

static void a_disk_that_goes_is_forgotten(void **state)
{
    (void)state;
    attach();
    fake_rm("/local/domain/0/backend/qdisk/5");
    fake_settle(loop);
    assert_true(XEN_LIST_EMPTY(&watch.waiting));
    assert_null(fake_get(BACK "/state"));
}

#define UEVENT(text) text, sizeof(text) - 1

static void a_change_of_a_block_device_is_recognised(void **state)
{
    dev_t dev = 0;

    (void)state;
    assert_true(uevent_is_change(UEVENT("change@/devices/virtual/block/loop0\0ACTION=change\0"
                                        "SUBSYSTEM=block\0RESIZE=1\0MAJOR=7\0MINOR=3\0"),
                                 &dev));
    assert_int_equal(dev, makedev(7, 3));
    assert_false(uevent_is_change(UEVENT("add@/x\0ACTION=add\0SUBSYSTEM=block\0MAJOR=7\0"
                                         "MINOR=3\0"),
                                  &dev));
    assert_false(uevent_is_change(UEVENT("change@/x\0ACTION=change\0SUBSYSTEM=net\0MAJOR=7\0"
                                         "MINOR=3\0"),
                                  &dev));
    assert_false(uevent_is_change(UEVENT("change@/x\0ACTION=change\0SUBSYSTEM=block\0"), &dev));
    assert_false(uevent_is_change(UEVENT("change@/x\0ACTION=change\0SUBSYSTEM=block\0MAJOR=7\0"
                                         "MINOR=3"),
                                  &dev)); /* cut off */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(another_format_is_to_be_converted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_disk_that_nobody_serves_is_told_and_let_go, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_empty_drive_is_told_for_what_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(a_disk_that_is_taken_is_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slow_qemu_is_not_disturbed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_disk_that_goes_is_forgotten, setup, teardown),
        cmocka_unit_test(a_change_of_a_block_device_is_recognised),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
