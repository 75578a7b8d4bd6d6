/*
 * Faults of the host in the life of a disk (host_faults.h): it is offered and connected; its worker
 * is killed, its image grows, its opener is killed, the daemon is restarted; the guest closes it
 * and it is removed. One call fails on the way. The device ends up served, or closed with a
 * sentence that says why; and one that is connected is closed by nothing that passes.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xenstore.h>

#include "child.h"
#include "device.h"
#include "fake_xenstore.h"
#include "host_faults_device.h"
#include "inflight.h"

#define FRONT "/local/domain/5/device/vbd/51712"
#define BACK  "/local/domain/0/backend/vbd/5/51712"
#define ERROR "/local/domain/0/error/backend/vbd/5/51712/error"

static struct blockd blockd;
static char image[] = "/tmp/duet-test-faults-XXXXXX";

/* The stand-in for duet-block-worker. */
static int act_as_worker(void)
{
    const struct wire_report ready = {.kind = WIRE_READY};
    struct blk_wire_config c;
    struct blk_wire_order order;
    struct kept_head *head;
    int fds[BLK_WIRE_NR_FDS + WIRE_OWN_FDS];

    if (child_receive(CHILD_SOCKET_FD, &c, sizeof(c), fds, BLK_WIRE_NR_FDS + WIRE_OWN_FDS) !=
        sizeof(c)) {
        return 0; /* the daemon has ended */
    }
    head = kept_map(fds[BLK_WIRE_FD_LOG], sizeof(*head));
    if (head == NULL || !kept_is_sealed(fds[BLK_WIRE_FD_LOG], sizeof(struct inflight_log))) {
        return 21;
    }
    head->magic = INFLIGHT_MAGIC;
    head->version = INFLIGHT_VERSION;
    head->progress++;
    send(CHILD_SOCKET_FD, &ready, sizeof(ready), MSG_NOSIGNAL);
    do {
        if (child_receive(CHILD_SOCKET_FD, &order, sizeof(order), NULL, 0) <= 0) {
            return 0;
        }
        head->turns++;
    } while (order.kind != WIRE_STOP);
    return 0;
}

static struct blk_device *the_device(void)
{
    return (struct blk_device *)blockd.sup.devices;
}

static void prepare(void)
{
    memset(&blockd, 0, sizeof(blockd));
    blockd.sup.ops = &blockd_ops;
    blockd.sup.worker_path = "/proc/self/exe";
    blockd.images.opener_path = DUET_TEST_OPENER;
    blockd.images.patience_ms = 60000;
    blockd.hotplug_script = "/etc/xen/scripts/block-duet";
    blockd.sup.uid_base = 0x70000000;
    blockd.sup.loop = loop_new();
}

static void start_daemon(void)
{
    bool runs = false;

    while (!runs) { /* what fails once is started again */
        prepare();
        faults_live(true);
        runs = blockd.sup.loop != NULL && supervisor_start(&blockd.sup) == 0;
        faults_live(false);
        if (!runs) {
            supervisor_free(&blockd.sup);
            loop_free(blockd.sup.loop);
        }
    }
}

static bool openers_are_gone(void)
{
    return XEN_LIST_EMPTY(&blockd.images.openers);
}

/* Openers see their socket close; they are not to be left as zombies. */
static void free_daemon(void)
{
    faults_until(openers_are_gone, "the openers end");
    supervisor_free(&blockd.sup);
    loop_free(blockd.sup.loop);
}

static bool has_grown(void)
{
    return faults_store_has(BACK "/sectors", "32") || faults_closed();
}

/* What libxl writes. */
static void create(void)
{
    fake_set(FRONT "/backend", BACK);
    fake_set(FRONT "/state", "1");
    fake_set(BACK "/frontend", FRONT);
    fake_set(BACK "/frontend-id", "5");
    fake_set(BACK "/params", image);
    fake_set(BACK "/mode", "w");
    fake_set(BACK "/device-type", "disk");
    fake_set(BACK "/script", "/etc/xen/scripts/block");
    fake_set(BACK "/online", "1");
    fake_set(BACK "/state", "1");
    faults_until(faults_offered, "the disk is offered");
}

static void connect_guest(void)
{
    fake_set(FRONT "/ring-ref", "8");
    fake_set(FRONT "/event-channel", "10");
    fake_set(FRONT "/protocol", "x86_64-abi");
    fake_set(FRONT "/state", "3");
    faults_until(faults_connected, "the guest is connected");
    if (faults_goes_on()) {
        fake_set(FRONT "/state", "4");
        faults_device.was_connected = true;
    }
}

static void restart(void)
{
    faults_forgive();
    faults_device.worker_before = 0;
    faults_stop();
    free_daemon();
    start_daemon();
    faults_until(faults_served_anew, "the disk is taken over");
}

/* The connected guest's part of the life. */
static void live_on(void)
{
    faults_lose(the_device()->base.crew.child.pid, "its worker is replaced");
    if (faults_goes_on() && truncate(image, 32L * 512) == 0) {
        faults_until(has_grown, "the disk has grown");
    }
    if (faults_goes_on()) {
        faults_lose(((const struct child *)the_device()->image.opener)->pid, /* its first member */
                    "its opener is replaced");
    }
    if (faults_goes_on()) {
        restart();
    }
    if (faults_goes_on()) {
        fake_set(FRONT "/state", "5");
        fake_set(FRONT "/state", "6");
        faults_until(faults_closed, "the disk is closed");
    }
}

static void play_disk(void)
{
    int fd = mkstemp(image);

    if (fd < 0 || ftruncate(fd, 16L * 512) != 0) {
        faults_fail("no image");
    }
    close(fd);
    xs_close(xs_open(0)); /* the store's pipe, which stays open */
    fake_reset();
    fake_set("domid", "0");
    faults_device =
        (struct faults_device){.sup = &blockd.sup, .back_state = BACK "/state", .error = ERROR};
    faults_begin();
    start_daemon();
    create();
    if (faults_goes_on()) {
        connect_guest();
    }
    if (faults_goes_on()) {
        live_on();
    }
    fake_rm(BACK);
    fake_rm(FRONT);
    faults_until(faults_forgotten, "the disk is forgotten");
    faults_stop();
    free_daemon();
    unlink(image);
    faults_done();
}

int main(int argc, char **argv)
{
    if (getenv("DUET_FAULTS") != NULL) {
        _exit(act_as_worker());
    }
    setenv("DUET_FAULTS", "1", 1);
    return faults_main(play_disk, argc, argv);
}
