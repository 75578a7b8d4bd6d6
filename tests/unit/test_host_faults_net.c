/*
 * Faults of the host in the life of an interface (host_faults.h), whose taps are real ones, in a
 * network of the test's own: it is offered and connected, by two queues; the toolstack's script
 * renames its tap; its worker is killed, its rate changes, the daemon is restarted; the guest
 * closes it and it is removed. One call fails on the way. The interface ends up served, on the same
 * tap, or closed with a sentence that says why; and one that is connected is closed by nothing that
 * passes. No tap is left.
 */
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xenstore.h>

#include "child.h"
#include "device.h"
#include "estate.h"
#include "fake_xenstore.h"
#include "host_faults_device.h"
#include "own_network.h"

#define FRONT "/local/domain/7/device/vif/0"
#define BACK  "/local/domain/0/backend/vif/7/0"
#define ERROR "/local/domain/0/error/backend/vif/7/0/error"
#define RATE  "1000,50000"

static struct netd netd;

/* The stand-in for duet-net-worker. A link that is down says that the new rate has come. */
static int act_as_worker(unsigned int nr_fds)
{
    struct wire_report report = {.kind = WIRE_READY};
    struct net_wire_config c;
    struct net_wire_order order;
    struct kept_head *head;
    int fds[NET_WIRE_MAX_QUEUES + 1 + WIRE_OWN_FDS];

    if (child_receive(CHILD_SOCKET_FD, &c, sizeof(c), fds, nr_fds + WIRE_OWN_FDS) != sizeof(c) ||
        c.nr_queues != 2) {
        return 0; /* the daemon has ended */
    }
    head = kept_map(fds[nr_fds - 1], sizeof(*head));
    if (head == NULL) {
        return 21;
    }
    head->state = KEPT_OPEN;
    head->magic = NET_ESTATE_MAGIC;
    head->version = NET_ESTATE_VERSION;
    do {
        send(CHILD_SOCKET_FD, &report, sizeof(report), MSG_NOSIGNAL);
        do {
            if (child_receive(CHILD_SOCKET_FD, &order, sizeof(order), NULL, 0) <= 0) {
                return 0;
            }
            head->turns++;
        } while (order.kind != NET_WIRE_SET && order.kind != WIRE_STOP);
        report = (struct wire_report){.kind = NET_WIRE_CARRIER,
                                      .err = order.settings.rate_bytes == 1000 ? ETIMEDOUT : 0};
    } while (order.kind != WIRE_STOP);
    return 0;
}

static void start_daemon(void)
{
    bool runs = false;

    while (!runs) { /* what fails once is started again */
        memset(&netd, 0, sizeof(netd));
        netd.sup.ops = &netd_ops;
        netd.sup.worker_path = "/proc/self/exe";
        netd.sup.uid_base = 0x70000000;
        netd.tap_prefix = "vif";
        netd.max_queues = 4;
        netd.own_vcpus = 1;
        netd.stall_seconds = 60;
        netd.sup.loop = loop_new();
        faults_live(true);
        runs = netd.sup.loop != NULL && supervisor_start(&netd.sup) == 0;
        faults_live(false);
        if (!runs) {
            supervisor_free(&netd.sup);
            loop_free(netd.sup.loop);
        }
    }
}

static void stop_daemon(void)
{
    faults_stop();
    supervisor_free(&netd.sup);
    loop_free(netd.sup.loop);
}

static bool has_rate(void)
{
    return faults_store_has(BACK "/carrier", "0") || faults_closed();
}

/* What libxl writes. */
static void create(void)
{
    fake_set("/local/domain/7/cpu/0/availability", "online");
    fake_set("/local/domain/7/cpu/1/availability", "online");
    fake_set(FRONT "/backend", BACK);
    fake_set(FRONT "/state", "1");
    fake_set(BACK "/frontend", FRONT);
    fake_set(BACK "/frontend-id", "7");
    fake_set(BACK "/script", "/etc/xen/scripts/vif-bridge");
    fake_set(BACK "/vifname", "web");
    fake_set(BACK "/online", "1");
    fake_set(BACK "/state", "1");
    faults_until(faults_offered, "the interface is offered");
}

/* What the toolstack's script does. */
static void run_script(void)
{
    struct ifreq ifr = {.ifr_name = "vif7.0", .ifr_newname = "web"};
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (ioctl(fd, SIOCSIFNAME, &ifr) != 0) {
        faults_fail("offered without a tap");
    }
    close(fd);
    fake_set(BACK "/hotplug-status", "connected");
}

static void connect_guest(void)
{
    fake_set(FRONT "/multi-queue-num-queues", "2");
    for (int i = 0; i < 2; i++) {
        static const char *const keys[] = {"tx-ring-ref", "rx-ring-ref", "event-channel"};

        for (int k = 0; k < 3; k++) {
            char path[96], value[8];

            snprintf(path, sizeof(path), FRONT "/queue-%d/%s", i, keys[k]);
            snprintf(value, sizeof(value), "%d", 10 * i + k);
            fake_set(path, value);
        }
    }
    fake_set(FRONT "/request-rx-copy", "1");
    fake_set(FRONT "/feature-rx-notify", "1");
    fake_set(FRONT "/state", "4");
    faults_until(faults_connected, "the guest is connected");
    faults_device.was_connected = faults_goes_on();
}

static void restart(void)
{
    const unsigned int tap = if_nametoindex("web");

    faults_forgive();
    faults_device.worker_before = 0;
    stop_daemon();
    start_daemon();
    faults_until(faults_served_anew, "the interface is taken over");
    if (faults_goes_on() && (tap != if_nametoindex("web") || if_nametoindex("vif7.0") != 0)) {
        faults_fail("taken over with another tap than the guest's");
    }
}

/* The connected guest's part of the life. */
static void live_on(void)
{
    faults_lose(netd.sup.devices->crew.child.pid, "its worker is replaced");
    if (faults_goes_on()) {
        fake_set(BACK "/rate", RATE);
        faults_until(has_rate, "its worker knows the new rate");
    }
    if (faults_goes_on()) {
        restart();
    }
    if (faults_goes_on()) {
        fake_set(FRONT "/state", "5");
        fake_set(FRONT "/state", "6");
        faults_until(faults_closed, "the interface is closed");
    }
}

static void play_interface(void)
{
    if (!own_network_enter()) {
        faults_fail("this host gives a life no network of its own");
    }
    xs_close(xs_open(0)); /* the store's pipe, which stays open */
    fake_reset();
    fake_set("domid", "0");
    faults_device =
        (struct faults_device){.sup = &netd.sup, .back_state = BACK "/state", .error = ERROR};
    faults_begin();
    start_daemon();
    create();
    if (faults_goes_on()) {
        run_script();
        connect_guest();
    }
    if (faults_goes_on()) {
        live_on();
    }
    fake_rm(BACK);
    fake_rm(FRONT);
    faults_until(faults_forgotten, "the interface is forgotten");
    stop_daemon();
    if (if_nametoindex("web") != 0 || if_nametoindex("vif7.0") != 0) {
        faults_fail("its tap is left");
    }
    faults_done();
}

int main(int argc, char **argv)
{
    if (getenv("DUET_FAULTS") != NULL) {
        _exit(act_as_worker((unsigned int)strtoul(argv[1], NULL, 10)));
    }
    if (!own_network_enter()) {
        printf("this host gives no network namespace with taps\n");
        return 77; /* ctest knows it as skipped */
    }
    setenv("DUET_FAULTS", "1", 1);
    return faults_main(play_interface, argc, argv);
}
