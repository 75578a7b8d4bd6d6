/*
 * The supervisor: see daemon.h. All of lib/supervisor.c and what stands on it is the real thing;
 * its event loop is here, on that of tests/fuzz/parts.
 */
#include "daemon.h"

#include <signal.h>
#include <stdio.h>

#include "device.h"
#include "notify.h"
#include "parts/fake_loop.h"
#include "store.h"

#define LEAVE_MS 2000U

struct process *daemon_process;
bool daemon_limits;
unsigned int daemon_failures;
static struct supervisor *supervisor;
static bool told_to_stop, stopped;
static int stop_status;
static int first_memory;
static enum life_phase shown; /* in the trace */

void daemon_set_clock(void)
{
    fuzz_now_ns = sim_now;
}

uint64_t daemon_next(void)
{
    unsigned int index;

    return daemon_process != NULL ? fuzz_loop_next(&index) : SIM_NEVER;
}

static bool timer_is_due(void)
{
    return daemon_next() <= sim_now;
}

static bool something_is_there(void *arg)
{
    (void)arg;
    return fuzz_loop_has_work() || timer_is_due() || peers_have_news() ||
           sim_store_has_event(CLIENT_SUPERVISOR) || (told_to_stop && !supervisor->stopping);
}

static void trace_phase(void)
{
    if (supervisor->devices != NULL && supervisor->devices->life.phase != shown) {
        shown = supervisor->devices->life.phase;
        sim_trace("the daemon: %s", life_phase_name(shown));
    }
}

/* One thing of those that are there, in any order; deferred work comes before each wait. */
static void handle_one(void)
{
    unsigned int index = 0;

    switch (sim_below(4)) {
    case 0:
        if (fuzz_loop_next(&index) <= sim_now) {
            fuzz_loop_fire(index);
        }
        break;
    case 1:
        if (peers_have_news()) {
            peers_deliver();
        }
        break;
    case 2:
        if (sim_store_has_event(CLIENT_SUPERVISOR)) {
            fuzz_loop_fd->fn(fuzz_loop_fd->arg, EPOLLIN);
        }
        break;
    default:
        if (told_to_stop && !supervisor->stopping) {
            notify_stopping();
            supervisor_stop(supervisor);
        }
        break;
    }
    fuzz_loop_turn();
    trace_phase();
}

int loop_run(struct loop *loop)
{
    (void)loop;
    first_memory = (int)daemon_process->heap->live;
    for (const struct supervisor_kept *k = supervisor->kept; k != NULL; k = k->next) {
        first_memory--;
    }
    fuzz_loop_turn();
    while (!stopped) {
        task_wait(something_is_there, NULL, SIM_NEVER);
        handle_one();
    }
    return stop_status;
}

void loop_stop(struct loop *loop, int status)
{
    (void)loop;
    stopped = true;
    stop_status = status;
}

int loop_signals(struct loop *loop, const struct loop_signal_rule *rules, unsigned int nr,
                 void *arg)
{
    (void)loop;
    (void)rules;
    (void)nr;
    (void)arg;
    return 0;
}

void loop_free(struct loop *loop)
{
    (void)loop;
}

/* This host's block devices do not change, and there is no QEMU. */
int uevent_watch_start(struct uevent_watch *w, struct loop *loop, uevent_changed_fn *changed,
                       void *arg)
{
    (void)w;
    (void)loop;
    (void)changed;
    (void)arg;
    return 0;
}

void uevent_watch_stop(struct uevent_watch *w)
{
    (void)w;
}

int qdisk_watch_start(struct qdisk_watch *w, struct loop *loop, struct store *store)
{
    (void)w;
    (void)loop;
    (void)store;
    return 0;
}

void qdisk_watch_stop(struct qdisk_watch *w)
{
    (void)w;
}

/* As supervisor_run() does, which is main()'s. */
static void run(void *arg)
{
    struct process *p = arg;
    struct blockd *d = heap_alloc(p->heap, sizeof(*d));
    int status = 1;

    *d = (struct blockd){.sup = {.ops = &blockd_ops, .worker_path = "worker", .uid_base = 1000},
                         .images = {.opener_path = "opener", .patience_ms = 8000},
                         .hotplug_script = "/etc/xen/scripts/block-duet"};
    if (daemon_limits) {
        d->iops = 300;
        d->bytes_per_second = 3000000;
        d->burst_s = 1;
    }
    d->sup.leave_ms = LEAVE_MS;
    d->sup.loop = loop_new();
    supervisor = &d->sup;
    if (supervisor_start(supervisor) == 0) {
        status = loop_run(supervisor->loop);
    }
    supervisor_free(supervisor);
    heap_free(d);
    sim_trace("the daemon ends, status %d", status);
    if (!told_to_stop) {
        daemon_failures++;
    }
    daemon_process = NULL;
    process_kill(p, status << 8);
}

void daemon_start(void)
{
    sim_trace("the daemon starts");
    fuzz_loop_reset();
    daemon_set_clock();
    told_to_stop = stopped = false;
    supervisor = NULL;
    shown = LIFE_NR_PHASES;
    daemon_process = process_start(PROCESS_SUPERVISOR, "daemon", run);
}

void daemon_stop(void)
{
    if (!told_to_stop) {
        sim_trace("the daemon is to stop");
    }
    told_to_stop = true;
}

void daemon_kill(void)
{
    struct process *p = daemon_process;

    daemon_process = NULL;
    sim_store_leave(CLIENT_SUPERVISOR);
    process_kill(p, SIGKILL);
}

/* What it remembers of images that were let go (trail.h) is bounded, and no leak. */
int daemon_memory(void)
{
    const struct blockd *d = (const struct blockd *)supervisor; /* its first member */

    return (int)daemon_process->heap->live - first_memory - (int)d->images.trail.nr;
}

bool daemon_has_devices(void)
{
    return supervisor != NULL && supervisor->devices != NULL;
}

const char *daemon_phase(void)
{
    return daemon_process != NULL && daemon_has_devices()
               ? life_phase_name(supervisor->devices->life.phase)
               : "none";
}

void daemon_reset(void)
{
    daemon_process = NULL;
    daemon_failures = 0;
    supervisor = NULL;
    told_to_stop = stopped = false;
    fuzz_loop_reset();
}
