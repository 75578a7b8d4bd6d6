/*
 * The life of a network device as the store shows it, with a store inside the program
 * (fake_xenstore.h), taps that only count (in place of tap.c), and this program itself in the
 * worker's place. The event channel that the front end publishes chooses what that stand-in does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "device.h"
#include "estate.h"
#include "fake_xenstore.h"

#define FRONT "/local/domain/7/device/vif/0"
#define BACK  "/local/domain/0/backend/vif/7/0"
#define ERROR "/local/domain/0/error/backend/vif/7/0/error"

enum { SERVES = 10, FAILS, DIES, BREAKS, SPEAKS, RAVES, NOT_AS_EXPECTED = 20 };

static struct netd netd;
static struct {
    int opened, removed, error, stale;
    bool multi_queue, up;
    bool lost; /* somebody has removed the one that is open */
    unsigned int queues, offload;
    char name[16];
} taps;

/* The only device there is. */
static struct net_device *the_device(void)
{
    return (struct net_device *)netd.sup.devices;
}

/* In place of tap.c. */
int tap_open(struct tap *t, const char *name, const char *own, bool multi_queue, const char **stage)
{
    (void)own;
    *stage = "being a test";
    if (taps.error != 0) {
        return taps.error;
    }
    *t = (struct tap){.multi_queue = multi_queue, .nr_fds = 1};
    t->fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
    snprintf(t->name, sizeof(t->name), "%s", name);
    snprintf(taps.name, sizeof(taps.name), "%s", name);
    taps.multi_queue = multi_queue;
    taps.lost = false;
    taps.opened++;
    return 0;
}

bool tap_is_there(const struct tap *t)
{
    return t->nr_fds != 0 && !taps.lost;
}

int tap_set_queues(struct tap *t, unsigned int nr, const char **stage)
{
    *stage = "";
    taps.queues = nr;
    for (unsigned int i = t->nr_fds; i < nr; i++) {
        t->fds[i] = dup(t->fds[0]);
    }
    for (unsigned int i = nr; i < t->nr_fds; i++) {
        close(t->fds[i]);
    }
    t->nr_fds = nr;
    return 0;
}

int tap_set_offload(struct tap *t, unsigned int offload)
{
    (void)t;
    taps.offload = offload;
    return 0;
}

int tap_set_link(struct tap *t, bool up)
{
    (void)t;
    taps.up = up;
    return 0;
}

void tap_remove_stale(const char *prefix, tap_wanted_fn *wanted, void *arg)
{
    assert_string_equal(prefix, "vif");
    taps.stale = wanted(arg, 7, 0) ? 0 : 1;
}

void tap_close(struct tap *t, bool remove)
{
    taps.removed += remove && t->nr_fds != 0 ? 1 : 0;
    while (t->nr_fds > 0) {
        close(t->fds[--t->nr_fds]);
    }
}

static void tell(uint32_t kind, int err)
{
    struct wire_report r = {.kind = kind, .err = err, .text = "so the test wants"};

    send(CHILD_SOCKET_FD, &r, sizeof(r), MSG_NOSIGNAL);
}

/* The stand-in for duet-net-worker. It carries orders out by telling of them. */
static int act_as_worker(unsigned int nr_queues)
{
    int fds[NET_WIRE_MAX_QUEUES + 1 + WIRE_OWN_FDS];
    struct net_wire_config c;
    struct net_wire_order order;

    if (child_receive(CHILD_SOCKET_FD, &c, sizeof(c), fds, nr_queues + 1 + WIRE_OWN_FDS) !=
            sizeof(c) ||
        !kept_is_sealed(fds[nr_queues], sizeof(struct net_estate)) ||
        c.head.magic != net_wire_format.magic || c.head.domid != 7 || c.nr_queues != nr_queues ||
        c.queues[0].tx_ref != 8 || c.queues[nr_queues - 1].rx_ref != 9) {
        return NOT_AS_EXPECTED;
    }
    switch (c.queues[0].tx_port) {
    case DIES:
        abort();
    case FAILS:
        tell(WIRE_FAILED, EINVAL);
        return 1;
    default:
        tell(WIRE_READY, 0);
        break;
    }
    if (c.queues[0].tx_port == SPEAKS || c.queues[0].tx_port == RAVES) {
        tell(WIRE_SAYS, c.queues[0].tx_port == SPEAKS ? LOG_WARNING : LOG_ALERT);
    }
    if (c.queues[0].tx_port == BREAKS) {
        tell(WIRE_BROKEN, EPROTO);
        return 1;
    }
    while (child_receive(CHILD_SOCKET_FD, &order, sizeof(order), NULL, 0) > 0) {
        if (order.kind == WIRE_STOP) {
            return 0;
        }
        if (order.kind == NET_WIRE_SET) { /* a link that is down says that the settings came */
            tell(NET_WIRE_CARRIER,
                 order.settings.rate_bytes == 1000 && order.settings.headroom == 256 ? ETIMEDOUT
                                                                                     : 0);
        }
    }
    return 0;
}

static struct {
    const char *path, *value;
    int tries;
    struct loop_timer timer;
} goal;

static void check_goal(void *arg)
{
    const char *found = goal.path != NULL ? fake_get(goal.path) : NULL;

    (void)arg;
    if (goal.path != NULL &&
        (found == NULL ? goal.value == NULL
                       : goal.value != NULL && strcmp(found, goal.value) == 0)) {
        loop_stop(netd.sup.loop, 0);
    } else if (goal.tries-- == 0) {
        loop_stop(netd.sup.loop, goal.path == NULL ? 0 : 1);
    } else {
        loop_timer_set(netd.sup.loop, &goal.timer, 1000000, check_goal, NULL);
    }
}

/* Runs the daemon until the store's `path` has `value`. */
static void reach(const char *path, const char *value)
{
    goal.path = path;
    goal.value = value;
    goal.tries = 10000;
    loop_timer_set(netd.sup.loop, &goal.timer, 0, check_goal, NULL);
    if (loop_run(netd.sup.loop) != 0) {
        fail_msg("%s: '%s' instead of '%s'", path, fake_get(path), value);
    }
}

/* Lets happen what is going to. */
static void idle(void)
{
    goal.path = NULL;
    goal.tries = 30;
    check_goal(NULL);
    loop_run(netd.sup.loop);
}

static void start(void)
{
    memset(&netd, 0, sizeof(netd));
    netd.sup.ops = &netd_ops;
    netd.sup.loop = loop_new();
    netd.sup.worker_path = "/proc/self/exe";
    netd.tap_prefix = "vif";
    netd.sup.uid_base = 0x70000000;
    netd.max_queues = 4;
    netd.own_vcpus = 1;
    netd.stall_seconds = 60;
    assert_int_equal(supervisor_start(&netd.sup), 0);
}

static void stop(void)
{
    supervisor_stop(&netd.sup);
    if (netd.sup.devices != NULL) {
        loop_run(netd.sup.loop);
    }
    supervisor_free(&netd.sup);
    loop_free(netd.sup.loop);
}

static int setup(void **state)
{
    (void)state;
    memset(&taps, 0, sizeof(taps));
    memset(&goal, 0, sizeof(goal));
    fake_reset();
    fake_set("domid", "0");
    start();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stop();
    return 0;
}

/* What libxl writes. */
static void create(void)
{
    fake_set(FRONT "/backend", BACK);
    fake_set(FRONT "/state", "1");
    fake_set(BACK "/frontend", FRONT);
    fake_set(BACK "/frontend-id", "7");
    fake_set(BACK "/script", "/etc/xen/scripts/vif-bridge");
    fake_set(BACK "/online", "1");
    fake_set(BACK "/state", "1");
    reach(BACK "/state", "2");
    fake_set(BACK "/hotplug-status", "connected");
}

/* What the guest writes. */
static void publish(int port)
{
    char text[16];

    snprintf(text, sizeof(text), "%d", port);
    fake_set(FRONT "/tx-ring-ref", "8");
    fake_set(FRONT "/rx-ring-ref", "9");
    fake_set(FRONT "/event-channel", text);
    fake_set(FRONT "/request-rx-copy", "1");
    fake_set(FRONT "/feature-rx-notify", "1");
    fake_set(FRONT "/state", "4");
}

static void connect_guest(void)
{
    create();
    publish(SERVES);
    reach(BACK "/state", "4");
}

static void on_turn(void *arg)
{
    (void)arg;
    loop_stop(netd.sup.loop, 0);
}

/* Each of its states asks for an answer: 7 for 8, and 4 for 4. */
static void a_guest_that_toggles_costs_the_store_little(void **state)
{
    struct loop_work turn = {.queued = false};
    uint64_t begin = loop_now_ns();
    int before;

    (void)state;
    connect_guest();
    before = fake_transactions();
    for (int i = 0; i < 1000; i++) {
        fake_set(FRONT "/state", i % 2 == 0 ? "7" : "4");
        for (int k = 0; k < 2; k++) { /* the event comes in one turn, its evaluation in the next */
            loop_defer(netd.sup.loop, &turn, on_turn, NULL);
            loop_run(netd.sup.loop);
        }
    }
    assert_in_range(fake_transactions() - before, 1,
                    41 + 20 * ((loop_now_ns() - begin) / 1000000000 + 1));
    fake_set(FRONT "/state", "7");
    reach(BACK "/state", "8"); /* and its last state is seen */
}

static void the_tap_exists_before_the_script_runs(void **state)
{
    (void)state;
    create();
    assert_string_equal(taps.name, "vif7.0");
    assert_int_equal(taps.opened, 1);
    assert_false(taps.multi_queue);
    assert_string_equal(fake_get(BACK "/feature-rx-copy"), "1");
    assert_string_equal(fake_get(BACK "/feature-rx-flip"), "0");
    assert_string_equal(fake_get(BACK "/feature-gso-tcpv6"), "1");
    assert_string_equal(fake_get(BACK "/feature-ctrl-ring"), "1");
    assert_string_equal(fake_get(BACK "/multi-queue-max-queues"), "1");
}

static void a_lost_tap_is_made_again_for_the_next_life(void **state)
{
    (void)state;
    create();
    publish(BREAKS);
    reach(BACK "/state", "6");
    assert_int_equal(taps.opened, 1);
    taps.lost = true;
    fake_set(FRONT "/state", "1");
    reach(BACK "/state", "2");
    assert_int_equal(taps.opened, 2);
    publish(SERVES);
    reach(BACK "/state", "4");
}

/* By a worker of the last daemon. */
static void a_tap_that_is_still_in_use_is_waited_for(void **state)
{
    (void)state;
    connect_guest();
    stop();
    taps.error = -EBUSY;
    start();
    idle();
    idle();
    assert_string_equal(fake_get(BACK "/state"), "4");
    assert_int_not_equal(the_device()->base.life.phase, LIFE_CLOSED);
    taps.error = 0;
    for (int i = 0; i < 200 && the_device()->base.life.phase != LIFE_CONNECTED; i++) {
        idle();
    }
    assert_int_equal(the_device()->base.life.phase, LIFE_CONNECTED);
    assert_string_equal(fake_get(BACK "/state"), "4");
}

/* Its worker does not read its orders for a while. */
static void settings_reach_a_worker_that_was_slow(void **state)
{
    struct net_wire_order order = {.kind = WIRE_BEAT};
    siginfo_t info;
    pid_t pid;

    (void)state;
    connect_guest();
    pid = the_device()->base.crew.child.pid;
    kill(pid, SIGSTOP);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT), 0);
    while (crew_order(&the_device()->base.crew, &order, sizeof(order)) == 0) {
    }
    fake_set(FRONT "/xdp-headroom", "256");
    fake_set(BACK "/rate", "1000,50000");
    idle();
    kill(pid, SIGCONT);
    reach(BACK "/carrier", "0"); /* so does the stand-in tell that it has them */
}

static void connection_waits_for_the_script(void **state)
{
    (void)state;
    create();
    fake_set(BACK "/hotplug-status", "working on it");
    publish(SERVES);
    idle();
    assert_string_equal(fake_get(BACK "/state"), "2");
    fake_set(BACK "/hotplug-status", "connected");
    reach(BACK "/state", "4");
    assert_string_equal(fake_get(BACK "/carrier"), "1");
}

static void a_guest_of_several_cpus_gets_queues(void **state)
{
    (void)state;
    fake_set("/local/domain/7/cpu/0/availability", "online");
    fake_set("/local/domain/7/cpu/1/availability", "online");
    create();
    assert_true(taps.multi_queue);
    assert_string_equal(fake_get(BACK "/multi-queue-max-queues"), "2");
    fake_set(FRONT "/multi-queue-num-queues", "2");
    fake_set(FRONT "/queue-0/tx-ring-ref", "8");
    fake_set(FRONT "/queue-0/rx-ring-ref", "18");
    fake_set(FRONT "/queue-0/event-channel-tx", "10");
    fake_set(FRONT "/queue-0/event-channel-rx", "11");
    fake_set(FRONT "/queue-1/tx-ring-ref", "19");
    fake_set(FRONT "/queue-1/rx-ring-ref", "9");
    fake_set(FRONT "/queue-1/event-channel", "12");
    fake_set(FRONT "/request-rx-copy", "1");
    fake_set(FRONT "/state", "4");
    reach(BACK "/state", "4");
    assert_int_equal(taps.queues, 2);
}

/* Fewer are for its next device: this one has been offered more, and uses them. */
static void a_guest_keeps_its_queues_when_a_restart_allows_fewer(void **state)
{
    a_guest_of_several_cpus_gets_queues(state);
    stop();
    taps.queues = 0;
    start();
    netd.max_queues = 1;
    idle();
    assert_string_equal(fake_get(BACK "/state"), "4");
    assert_int_equal(taps.queues, 2);
    assert_string_equal(fake_get(BACK "/multi-queue-max-queues"), "2");
}

static void a_guest_whose_cpus_are_hidden_gets_as_many_queues_as_we_have_cpus(void **state)
{
    (void)state;
    netd.own_vcpus = 3;
    fake_set("/local/domain/7/cpu/0/availability", "online");
    fake_forbid("/local/domain/7/cpu");
    create();
    assert_string_equal(fake_get(BACK "/multi-queue-max-queues"), "3");
}

static void offloads_are_what_the_guest_can_take(void **state)
{
    (void)state;
    create();
    publish(SERVES);
    reach(BACK "/state", "4");
    assert_int_equal(taps.offload, TUN_F_CSUM); /* IPv4's is on unless it is refused */
    fake_set(FRONT "/state", "6");
    reach(BACK "/state", "6");
    fake_set(FRONT "/feature-sg", "1");
    fake_set(FRONT "/feature-gso-tcpv4", "1");
    fake_set(FRONT "/feature-gso-tcpv6", "1");
    fake_set(FRONT "/feature-ipv6-csum-offload", "1");
    fake_set(FRONT "/feature-no-csum-offload", "1");
    fake_set(FRONT "/state", "1");
    reach(BACK "/state", "2");
    publish(SERVES);
    reach(BACK "/state", "4");
    assert_int_equal(taps.offload, TUN_F_CSUM | TUN_F_TSO6);
    assert_int_equal(taps.opened, 1); /* the tap stayed */
}

static void removal_takes_the_tap_away(void **state)
{
    (void)state;
    connect_guest();
    fake_set(BACK "/online", "0");
    fake_set(BACK "/state", "5");
    idle();
    assert_string_equal(fake_get(BACK "/state"), "5");
    fake_set(FRONT "/state", "6");
    reach(BACK "/state", "6");
    assert_int_equal(taps.removed, 0); /* the script still wants it */
    fake_rm(BACK);
    fake_rm(FRONT);
    idle();
    assert_int_equal(taps.removed, 1);
    assert_int_equal(netd.sup.nr_devices, 0);
}

static void a_destroyed_guest_needs_no_goodbye(void **state)
{
    (void)state;
    connect_guest();
    fake_set(BACK "/online", "0");
    fake_set(BACK "/state", "5");
    fake_rm(FRONT);
    reach(BACK "/state", "6");
    fake_rm(BACK);
    idle();
    assert_int_equal(taps.removed, 1);
}

static void no_tap_no_device(void **state)
{
    (void)state;
    taps.error = -EBUSY;
    fake_set(FRONT "/state", "1");
    fake_set(BACK "/frontend", FRONT);
    fake_set(BACK "/frontend-id", "7");
    fake_set(BACK "/state", "1");
    reach(BACK "/state", "6");
    assert_string_equal(fake_get(ERROR),
                        "16 interface vif7.0: being a test: Device or resource busy");
}

static void refused(const char *key, const char *value, const char *error)
{
    char path[128];

    create();
    snprintf(path, sizeof(path), FRONT "/%s", key);
    publish(SERVES);
    fake_set(path, value);
    reach(BACK "/state", "6");
    assert_non_null(strstr(fake_get(ERROR), error));
    fake_rm(BACK);
    fake_rm(FRONT);
    idle();
}

static void nonsense_of_the_guest_closes_its_device(void **state)
{
    (void)state;
    refused("tx-ring-ref", "x", FRONT "/tx-ring-ref = \"x\": not a number");
    refused("rx-ring-ref", "99999999999", FRONT "/rx-ring-ref = \"99999999999\": not a number");
    refused("event-channel", "-1", FRONT "/event-channel = \"-1\": not a number");
    refused("request-rx-copy", "0", FRONT "/request-rx-copy is not 1");
    refused("multi-queue-num-queues", "0", "at least 1");
    refused("multi-queue-num-queues", "5", "not a number from 0 to 1");
    refused("feature-sg", "yes", FRONT "/feature-sg = \"yes\"");
    refused("ctrl-ring-ref", "no", FRONT "/ctrl-ring-ref = \"no\"");
}

static uint64_t *last_start(void)
{
    return &the_device()->base.crew.starts.last_ns;
}

/* Whether it breaks its rings or closes in good order. Ten seconds after the last it may at once.
 */
static void a_guest_that_keeps_coming_back_waits_longer_each_time(void **state)
{
    static const uint64_t wanted_ms[] = {0, 250, 500, 1000, 2000, 2000};
    uint64_t last = 0;

    (void)state;
    create();
    for (unsigned int i = 0; i < sizeof(wanted_ms) / sizeof(wanted_ms[0]); i++) {
        publish(i % 2 == 0 ? BREAKS : SERVES);
        if (i % 2 != 0) {
            reach(BACK "/state", "4");
            fake_set(FRONT "/state", "6");
        }
        reach(BACK "/state", "6");
        assert_true(*last_start() - last >= wanted_ms[i] * 1000000);
        last = *last_start();
        fake_set(FRONT "/state", "1");
        reach(BACK "/state", "2");
    }
    *last_start() -= 11000000000; /* as if that had been so long ago */
    last = loop_now_ns();
    publish(SERVES);
    reach(BACK "/state", "4");
    assert_true(*last_start() - last < 1000000000);
    assert_int_equal(the_device()->base.crew.starts.hurry, 0);
}

static void a_worker_that_reports_why_closes_the_device(void **state)
{
    (void)state;
    for (int how = FAILS; how <= BREAKS; how += BREAKS - FAILS) {
        create();
        publish(how);
        reach(BACK "/state", "6");
        assert_non_null(strstr(fake_get(ERROR), FRONT ": so the test wants"));
        fake_rm(BACK);
        fake_rm(FRONT);
        idle();
    }
}

static void a_worker_that_dies_again_and_again_closes_the_device(void **state)
{
    (void)state;
    create();
    publish(DIES);
    reach(BACK "/state", "6");
    assert_non_null(strstr(fake_get(ERROR), "killed by signal 6 (Aborted), 5 times in a row"));
}

static void a_worker_that_dies_once_is_replaced(void **state)
{
    pid_t first;

    (void)state;
    connect_guest();
    first = the_device()->base.crew.child.pid;
    child_signal(&the_device()->base.crew.child, SIGKILL);
    for (int i = 0; i < 100 && (the_device()->base.life.phase != LIFE_CONNECTED ||
                                the_device()->base.crew.child.pid == first);
         i++) {
        idle();
    }
    assert_int_equal(the_device()->base.life.phase, LIFE_CONNECTED);
    assert_int_not_equal(the_device()->base.crew.child.pid, first);
    assert_string_equal(fake_get(BACK "/state"), "4");
}

/* What the log has last had in a worker's words. */
static struct {
    int lines, priority;
    struct log_id id;
    char domain[32];
} heard;

static bool hear(int priority, const struct log_id *id, const char *text)
{
    if (strcmp(text, "so the test wants") == 0) {
        heard.lines++;
        heard.priority = priority;
        heard.id = *id;
        snprintf(heard.domain, sizeof(heard.domain), "%s", id->domain != NULL ? id->domain : "");
    }
    return true;
}

static void a_worker_speaks_in_its_own_guests_name(void **state)
{
    (void)state;
    memset(&heard, 0, sizeof(heard));
    log_set_sink(hear);
    fake_set("/local/domain/7/name", "web1--incoming");
    create();
    publish(SPEAKS);
    reach(BACK "/state", "4");
    for (int i = 0; i < 100 && heard.lines == 0; i++) {
        idle();
    }
    log_set_sink(NULL);
    assert_int_equal(heard.lines, 1);
    assert_int_equal(heard.priority, LOG_WARNING);
    assert_string_equal(heard.domain, "web1");
    assert_string_equal(heard.id.class, "vif");
    assert_int_equal(heard.id.domid, 7);
    assert_int_equal(heard.id.device, 0);
}

static void a_worker_that_raves_is_killed(void **state)
{
    (void)state;
    create();
    publish(RAVES);
    for (int i = 0; i < 1000 && the_device()->base.crew.deaths < 2; i++) {
        idle();
    }
    assert_true(the_device()->base.crew.deaths >= 2);
}

/* The configuration's word for this guest reaches a worker that serves. */
static void a_guests_stall_is_its_own(void **state)
{
    static const struct option_rule stall = {
        .name = "stall", .type = OPTION_NUMBER, .to = &netd.stall_seconds};
    struct conf_line line = {.rule = &stall, .guest = "web1", .value = 7};

    (void)state;
    fake_set("/local/domain/7/name", "web1");
    connect_guest();
    assert_int_equal(the_device()->config.settings.stall_seconds, 60);
    netd.sup.conf.lines = &line;
    supervised_reconsider(&the_device()->base);
    idle();
    assert_int_equal(the_device()->config.settings.stall_seconds, 7);
    fake_set("/local/domain/7/name", "web2"); /* and is another's with another name */
    supervised_look_anew(&the_device()->base);
    idle();
    assert_int_equal(the_device()->config.settings.stall_seconds, 60);
    assert_string_equal(the_device()->base.id.domain, "web2");
    netd.sup.conf.lines = NULL;
}

static void settings_change_under_way(void **state)
{
    (void)state;
    connect_guest();
    fake_set(BACK "/rate", "1000,50000");
    fake_set(FRONT "/xdp-headroom", "256");
    fake_set(FRONT "/state", "7");
    reach(BACK "/state", "8");
    fake_set(FRONT "/state", "4");
    reach(BACK "/state", "4");
    reach(BACK "/carrier", "0");
}

static void a_guest_that_stays_at_seven_is_answered_once(void **state)
{
    int before;

    (void)state;
    connect_guest();
    fake_set(FRONT "/state", "7");
    reach(BACK "/state", "8");
    idle();
    before = fake_transactions();
    idle();
    idle();
    assert_int_equal(fake_transactions(), before);
    fake_set(FRONT "/state", "4");
    reach(BACK "/state", "4");
}

static void a_restart_leaves_store_and_tap(void **state)
{
    (void)state;
    connect_guest();
    stop();
    assert_int_equal(taps.removed, 0);
    assert_string_equal(fake_get(BACK "/state"), "4");
    start();
    for (int i = 0;
         i < 100 && (netd.sup.devices == NULL || the_device()->base.life.phase != LIFE_CONNECTED);
         i++) {
        idle();
    }
    assert_int_equal(the_device()->base.life.phase, LIFE_CONNECTED);
    assert_int_equal(taps.opened, 2);
    assert_int_equal(taps.stale, 0);
}

static void a_restart_after_all_is_over_cleans_up(void **state)
{
    (void)state;
    connect_guest();
    stop();
    fake_rm(BACK);
    fake_rm(FRONT);
    start();
    assert_int_equal(taps.stale, 1);
}

/* What a worker of another version left is nothing that a network could not do without. */
static void an_estate_of_another_version_is_forgiven(void **state)
{
    const pid_t pid = (connect_guest(), the_device()->base.crew.child.pid);
    struct kept_head *head = kept_map(the_device()->base.crew.log_fd, sizeof(*head));

    (void)state;
    head->state = KEPT_OPEN;
    head->magic = NET_ESTATE_MAGIC;
    head->version = NET_ESTATE_VERSION + 1;
    kill(pid, SIGKILL);
    for (int i = 0; i < 200 && (the_device()->base.crew.child.pid == pid ||
                                the_device()->base.life.phase != LIFE_CONNECTED);
         i++) {
        idle();
    }
    assert_int_equal(the_device()->base.life.phase, LIFE_CONNECTED);
    assert_string_equal(fake_get(BACK "/state"), "4");
    assert_int_equal(the_device()->base.crew.kept->state, KEPT_FRESH); /* it has another */
    munmap(head, sizeof(*head));
}

static void a_restart_after_the_end_removes_the_tap(void **state)
{
    (void)state;
    connect_guest();
    fake_set(BACK "/online", "0");
    fake_set(BACK "/state", "5");
    stop();
    fake_rm(FRONT);
    start();
    reach(BACK "/state", "6");
    fake_rm(BACK);
    idle();
    assert_int_equal(taps.removed, 1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(the_tap_exists_before_the_script_runs),
        CASE(a_guest_that_toggles_costs_the_store_little),
        CASE(a_lost_tap_is_made_again_for_the_next_life),
        CASE(a_tap_that_is_still_in_use_is_waited_for),
        CASE(settings_reach_a_worker_that_was_slow),
        CASE(connection_waits_for_the_script),
        CASE(a_guest_of_several_cpus_gets_queues),
        CASE(a_guest_keeps_its_queues_when_a_restart_allows_fewer),
        CASE(a_guest_whose_cpus_are_hidden_gets_as_many_queues_as_we_have_cpus),
        CASE(offloads_are_what_the_guest_can_take),
        CASE(removal_takes_the_tap_away),
        CASE(a_destroyed_guest_needs_no_goodbye),
        CASE(no_tap_no_device),
        CASE(nonsense_of_the_guest_closes_its_device),
        CASE(a_guest_that_keeps_coming_back_waits_longer_each_time),
        CASE(a_worker_that_reports_why_closes_the_device),
        CASE(a_worker_that_dies_again_and_again_closes_the_device),
        CASE(a_worker_that_dies_once_is_replaced),
        CASE(a_worker_speaks_in_its_own_guests_name),
        CASE(a_worker_that_raves_is_killed),
        CASE(a_guests_stall_is_its_own),
        CASE(settings_change_under_way),
        CASE(a_guest_that_stays_at_seven_is_answered_once),
        CASE(a_restart_leaves_store_and_tap),
        CASE(an_estate_of_another_version_is_forgiven),
        CASE(a_restart_after_the_end_removes_the_tap),
        CASE(a_restart_after_all_is_over_cleans_up),
    };

    if (argc == 3 && fcntl(CHILD_SOCKET_FD, F_GETFD) >= 0) {
        return act_as_worker((unsigned int)strtoul(argv[1], NULL, 10) - 1);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
