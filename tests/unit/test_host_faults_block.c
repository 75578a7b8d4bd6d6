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
#include "host_faults.h"
#include "inflight.h"

#define FRONT "/local/domain/5/device/vbd/51712"
#define BACK  "/local/domain/0/backend/vbd/5/51712"
#define ERROR "/local/domain/0/error/backend/vbd/5/51712/error"

static struct blockd blockd;
static char image[] = "/tmp/duet-test-faults-XXXXXX";
static pid_t worker_before;
static bool was_connected;

/* The stand-in for duet-block-worker. */
static int act_as_worker(void)
{
    const struct wire_report ready = {.kind = WIRE_READY};
    struct blk_wire_config c;
    struct blk_wire_order order;
    struct kept_head *head;
    int fds[BLK_WIRE_NR_FDS];

    if (child_receive(CHILD_SOCKET_FD, &c, sizeof(c), fds, BLK_WIRE_NR_FDS) != sizeof(c)) {
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

static void hurry(bool all)
{
    struct blk_device *dev = the_device();

    for (unsigned int i = 0; i < SUPERVISOR_CLASSES_MAX; i++) {
        faults_fire(blockd.sup.loop, &blockd.sup.classes[i].watch.again);
    }
    if (dev == NULL) {
        return;
    }
    faults_fire(blockd.sup.loop, &dev->base.later);
    faults_fire(blockd.sup.loop, &dev->base.retry);
    if (all || dev->base.life.phase == LIFE_PAUSING) {
        faults_fire(blockd.sup.loop, &dev->base.life.deadline);
    }
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
    faults_run(blockd.sup.loop, openers_are_gone, hurry, "the openers end");
    supervisor_free(&blockd.sup);
    loop_free(blockd.sup.loop);
}

static void run_until(bool (*reached)(void), const char *what)
{
    faults_run(blockd.sup.loop, reached, hurry, what);
}

static bool is(const char *path, const char *value)
{
    const char *found = fake_get(path);

    return found != NULL && strcmp(found, value) == 0;
}

static bool is_closed(void)
{
    return is(BACK "/state", "6");
}

static bool is_offered(void)
{
    return is(BACK "/state", "2") || is_closed();
}

static bool is_connected(void)
{
    return (is(BACK "/state", "4") && the_device() != NULL &&
            the_device()->base.life.phase == LIFE_CONNECTED) ||
           is_closed();
}

static bool is_served_anew(void)
{
    return (is_connected() && the_device()->base.crew.child.pid != worker_before) || is_closed();
}

static bool has_grown(void)
{
    return is(BACK "/sectors", "32") || is_closed();
}

static bool is_forgotten(void)
{
    return blockd.sup.nr_devices == 0;
}

static bool is_stopped(void)
{
    return blockd.sup.devices == NULL;
}

/* Whether the life goes on. A device that is closed is so for a reason that stands in the store. */
static bool goes_on(void)
{
    if (!is_closed()) {
        return true;
    }
    if (fake_get(ERROR) == NULL) {
        faults_fail("closed, and the store does not say why");
    }
    if (was_connected && faults_pass()) {
        faults_fail("a guest that was connected lost its disk by what passes: %s", fake_get(ERROR));
    }
    return false;
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
    run_until(is_offered, "the disk is offered");
}

static void connect_guest(void)
{
    fake_set(FRONT "/ring-ref", "8");
    fake_set(FRONT "/event-channel", "10");
    fake_set(FRONT "/protocol", "x86_64-abi");
    fake_set(FRONT "/state", "3");
    run_until(is_connected, "the guest is connected");
    if (goes_on()) {
        fake_set(FRONT "/state", "4");
        was_connected = true;
    }
}

/* As if nothing had been started, or died, for long. */
static void forgive(void)
{
    the_device()->base.crew.starts = (struct pace){.last_ns = 0};
    the_device()->base.crew.deaths = 0;
}

static void lose_process(pid_t pid, const char *what)
{
    forgive();
    worker_before = the_device()->base.crew.child.pid;
    kill(pid, SIGKILL);
    run_until(is_served_anew, what);
}

static void restart(void)
{
    forgive();
    worker_before = 0;
    faults_live(true);
    supervisor_stop(&blockd.sup);
    faults_live(false);
    if (blockd.sup.devices != NULL) {
        run_until(is_stopped, "the daemon stops");
    }
    free_daemon();
    start_daemon();
    run_until(is_served_anew, "the disk is taken over");
}

/* The connected guest's part of the life. */
static void live_on(void)
{
    lose_process(the_device()->base.crew.child.pid, "its worker is replaced");
    if (goes_on() && truncate(image, 32L * 512) == 0) {
        run_until(has_grown, "the disk has grown");
    }
    if (goes_on()) {
        lose_process(((const struct child *)the_device()->image.opener)->pid, /* its first member */
                     "its opener is replaced");
    }
    if (goes_on()) {
        restart();
    }
    if (goes_on()) {
        fake_set(FRONT "/state", "5");
        fake_set(FRONT "/state", "6");
        run_until(is_closed, "the disk is closed");
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
    faults_begin();
    start_daemon();
    create();
    if (goes_on()) {
        connect_guest();
    }
    if (goes_on()) {
        live_on();
    }
    fake_rm(BACK);
    fake_rm(FRONT);
    run_until(is_forgotten, "the disk is forgotten");
    supervisor_stop(&blockd.sup);
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
