/*
 * Faults of the host in the life of the console daemon (host_faults.h): it starts with one guest
 * there, whose console is served; the guest is renamed, and has another ring; a second guest comes,
 * and both go; the daemon ends in good order. One call fails on the way. Either the daemon ends,
 * and is started again, which no guest notices; or every console is served sooner or later, with a
 * terminal that the store names.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xenstore.h>

#include "child.h"
#include "daemon.h"
#include "fake_xenstore.h"
#include "host_faults.h"

#define HOME_5 "/local/domain/5"
#define HOME_6 "/local/domain/6"

static struct cons_host host;
static struct cons_daemon consoles;
static bool ready, ended;
static int bound;
static int marks[2]; /* a pipe: the stand-in tells of each log that it is to write */

/* In place of xen_supervisor.c. */

int cons_bind(const struct cons_doors *doors, unsigned int domid, uint32_t remote)
{
    (void)doors;
    (void)domid;
    bound++;
    return 100 + (int)remote;
}

void cons_unbind(const struct cons_doors *doors, int local)
{
    (void)doors;
    (void)local;
    bound--;
}

int cons_name_grant(const struct cons_doors *doors, unsigned int domid, uint64_t *index)
{
    (void)doors;
    (void)domid;
    *index = 0x4000;
    return 0;
}

static void report(uint32_t kind, const struct cons_order *order)
{
    const struct cons_report r = {
        .report = {.kind = kind}, .domid = order->domid, .serial = order->serial};

    send(CHILD_SOCKET_FD, &r, sizeof(r), MSG_NOSIGNAL);
}

/* The stand-in for duet-console-worker. */
static int act_as_worker(void)
{
    struct cons_order order = {.kind = 0};
    struct cons_wire_config c;
    int fds[CONS_NR_FDS], fd;
    unsigned int nr;

    if (child_receive(CHILD_SOCKET_FD, &c, sizeof(c), fds, CONS_NR_FDS) != sizeof(c)) {
        return 1;
    }
    report(WIRE_READY, &order);
    while (order.kind != WIRE_STOP &&
           child_receive_any(CHILD_SOCKET_FD, &order, sizeof(order), &fd, 1, &nr) > 0) {
        if (order.kind == CONS_ATTACH) {
            report(CONS_ATTACHED, &order);
        } else if (order.kind == CONS_PING) {
            report(CONS_PONG, &order);
        } else if (order.kind == CONS_LOG && strcmp(order.log, "renamed") == 0 &&
                   write(fds[CONS_FD_LOGS], "r", 1) != 1) {
            return 2;
        } else if (order.kind == CONS_OPEN && nr != 1) {
            return 3;
        }
    }
    return 0;
}

static void hurry(bool all)
{
    struct cons_console *console = NULL, *next = NULL;

    (void)all;
    faults_fire(host.loop, &consoles.again);
    HASH_ITER (hh, consoles.consoles, console, next) {
        faults_fire(host.loop, &console->later);
    }
}

static void run_until(bool (*reached)(void), const char *what)
{
    faults_run(host.loop, reached, hurry, what);
}

static void on_ready(void *arg)
{
    (void)arg;
    ready = true;
}

static void on_report(void *arg, const struct cons_report *r)
{
    (void)arg;
    cons_daemon_report(&consoles, r);
}

static void on_end(void *arg, bool orderly)
{
    (void)arg;
    ended = true;
    loop_stop(host.loop, orderly ? 0 : 1);
}

static void on_store_lost(void *arg)
{
    (void)arg;
    loop_stop(host.loop, 1);
}

/* As the daemon's main() does. Returns whether it runs. */
static bool start_daemon(void)
{
    const struct cons_wire_config config = {.gid = 1};
    int fds[CONS_NR_FDS];

    host.loop = loop_new();
    host.readers = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    for (int i = 0; i < CONS_NR_FDS; i++) {
        fds[i] = marks[1];
    }
    host.link = (struct cons_link){.on_report = on_report, .on_end = on_end};
    if (host.loop == NULL ||
        cons_link_start(&host.link, host.loop, "/proc/self/exe", &config, fds) != 0) {
        return false;
    }
    host.store = store_open(host.loop, on_store_lost, NULL);
    return host.store != NULL && cons_daemon_start(&consoles, &host, on_ready, NULL) == 0;
}

static bool has_key(const char *path)
{
    return fake_get(path) != NULL;
}

static bool is_ready(void)
{
    return ready;
}

static bool is_served(void)
{
    return has_key(HOME_5 "/console/tty");
}

static bool is_renamed(void)
{
    char mark;

    return read(marks[0], &mark, 1) == 1;
}

static bool has_another_ring(void)
{
    const struct cons_console *console = NULL;
    const unsigned int domid = 5;

    HASH_FIND_INT(consoles.consoles, &domid, console);
    return console != NULL && console->port == 103 && console->served && !console->answer_due;
}

static bool are_both_served(void)
{
    return has_key(HOME_6 "/console/tty");
}

static bool are_both_gone(void)
{
    return consoles.consoles == NULL && bound == 0;
}

static bool has_ended(void)
{
    return ended;
}

static void create(unsigned int domid, const char *name)
{
    const char *const keys[][2] = {
        {"console/ring-ref", "77"}, {"console/port", "2"}, {"console/type", "xenconsoled"}};
    char path[64];

    snprintf(path, sizeof(path), "/local/domain/%u/name", domid);
    fake_set(path, name);
    for (unsigned int i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        snprintf(path, sizeof(path), "/local/domain/%u/%s", domid, keys[i][0]);
        fake_set(path, keys[i][1]);
    }
}

static void play_consoles(void)
{
    bool runs;

    if (pipe2(marks, O_NONBLOCK | O_CLOEXEC) != 0) {
        faults_fail("no pipe");
    }
    xs_close(xs_open(0)); /* the store's pipe, which stays open */
    fake_reset();
    create(5, "first");
    faults_begin();
    faults_live(true);
    runs = start_daemon();
    faults_live(false);
    if (!runs) {
        _exit(FAULTS_ENDED);
    }
    run_until(is_ready, "the daemon is ready");
    run_until(is_served, "the console has a terminal");
    fake_set(HOME_5 "/name", "renamed");
    run_until(is_renamed, "its log has the new name");
    fake_set(HOME_5 "/console/port", "3");
    run_until(has_another_ring, "it has the new ring");
    create(6, "second");
    fake_set("@introduceDomain", "");
    run_until(are_both_served, "the second console has a terminal");
    fake_rm(HOME_5);
    fake_rm(HOME_6);
    fake_set("@releaseDomain", "");
    run_until(are_both_gone, "both are forgotten");
    faults_live(true);
    cons_link_stop(&host.link);
    faults_live(false);
    run_until(has_ended, "the worker ends");
    cons_daemon_stop(&consoles);
    cons_link_close(&host.link);
    store_close(host.store);
    loop_free(host.loop);
    close(host.readers);
    faults_done();
}

int main(int argc, char **argv)
{
    if (getenv("DUET_FAULTS") != NULL) {
        _exit(act_as_worker());
    }
    setenv("DUET_FAULTS", "1", 1);
    return faults_main(play_consoles, argc, argv);
}
