/*
 * One schedule: see schedule.h.
 *
 * A plan, drawn first, says which faults there are in this schedule, so that each kind is seen
 * alone as well as with others. A step lets one of those run that can: a process of dom0, a thread
 * of the guest, an event, an operation of the disk. A process that runs may be interrupted at any
 * edge or store of its code: killed, or the guest runs there, or another process.
 */
#include "schedule.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "disk.h"
#include "guest.h"
#include "opener.h"
#include "store.h"
#include "tools.h"
#include "work.h"
#include "xen.h"

#define MANY_DEATHS  5U
#define REST_TIME    (600 * SIM_S)
#define REST_STEPS   60000U
#define DAEMON_PAUSE (100 * SIM_MS) /* RestartSec= */

struct schedule_counts schedule_counts;
bool schedule_spares = true;

static struct plan {
    unsigned int steps;
    unsigned int deaths;       /* that are left to happen to workers */
    unsigned int daemon_kills; /* to daemons */
    unsigned int opener_kills;
    unsigned int restarts, detaches, saves, spawn_failures, losses;
    bool interrupts, disturbs, stalls, jumps, drops_log;
    uint32_t interrupt; /* chance that a process is interrupted when it runs, in thousands */
    uint32_t load;      /* weight of the guest's requests */
    uint32_t fault;     /* weight of all faults */
} plan;

static struct {
    unsigned int worker_deaths, opener_deaths;
    bool excused; /* something failed that may end the device */
    bool was_connected;
    bool connected; /* this device has been */
    uint64_t daemon_due;
    bool resting;
} now;

static uint32_t usual_edges[2]; /* of a run, by the kind of process */
static enum { EDGE_KILL, EDGE_GUEST, EDGE_YIELD } edge_does;

/* ---- what must hold at any time ---- */

static bool is_leaving(void)
{
    int front = atoi(tools_front("state"));

    return front == 0 || front == 1 || front == 5 || front == 6 || tools_job != TOOLS_IDLE ||
           strcmp(tools_back("online"), "1") != 0;
}

/* A restart is not to be seen in the store. */
static void on_change(enum store_client c, const char *path, const char *value)
{
    if (value == NULL || !tools_is_back_state(path)) {
        return;
    }
    sim_trace("the back end's state: %s", value);
    if (c == CLIENT_SUPERVISOR && now.was_connected && strcmp(value, "4") != 0 && !is_leaving() &&
        !now.excused) {
        const char *error = tools_error();

        sim_found("the back end leaves a guest that is connected, for state %s (%s)", value,
                  error != NULL ? error : "it does not say why");
    }
    now.was_connected = strcmp(value, "4") == 0;
    now.connected = (now.connected && strcmp(value, "1") != 0) || now.was_connected;
}

/* ---- faults ---- */

static void count_death(void)
{
    if (++now.worker_deaths >= MANY_DEATHS) {
        now.excused = true; /* from now on it may say no */
        work_may_fail = true;
    }
}

static struct process *some_worker(void)
{
    unsigned int first = sim_below(PROCESSES);

    for (unsigned int n = 0; n < PROCESSES; n++) {
        struct process *p = &processes[(first + n) % PROCESSES];

        if (p->used && !p->dead && p->kind == PROCESS_WORKER) {
            return p;
        }
    }
    return NULL;
}

static void kill_worker(struct process *p)
{
    plan.deaths--;
    schedule_counts.kills++;
    count_death();
    process_kill(p, SIGKILL);
}

static void kill_daemon(void)
{
    plan.daemon_kills--;
    schedule_counts.daemon_kills++;
    now.daemon_due = sim_now + DAEMON_PAUSE;
    now.worker_deaths = 0;
    daemon_kill();
}

static void kill_opener(void)
{
    for (unsigned int i = 0; i < PEERS; i++) {
        if (peers[i].used && peers[i].kind == PEER_OPENER && !peers[i].exited) {
            sim_trace("the opener is killed");
            plan.opener_kills--;
            schedule_counts.opener_kills++;
            /* of a device that nobody uses yet, that is a failure like any other */
            if (++now.opener_deaths >= 5 || !now.connected) {
                now.excused = true;
            }
            opener_kill(&peers[i]);
            return;
        }
    }
}

static void lose_writes(void)
{
    int sector = disk_lose_something();

    if (sector >= 0) {
        work_lost((uint32_t)sector);
        plan.losses--;
        work_may_fail = true;
    }
}

static bool guest_may_run(void)
{
    return xen_guest != NULL && guest_runs() && !guest_is_suspended();
}

/* One of the faults that are left. */
static void fault(void)
{
    struct process *worker = some_worker();

    switch (sim_below(12)) {
    case 0:
    case 1:
        if (plan.deaths != 0 && worker != NULL) {
            kill_worker(worker);
        }
        break;
    case 2:
        if (plan.daemon_kills != 0 && daemon_process != NULL) {
            kill_daemon();
        }
        break;
    case 3:
        if (plan.daemon_kills != 0 && plan.deaths != 0 && worker != NULL &&
            daemon_process != NULL) {
            kill_daemon(); /* all at once */
            kill_worker(worker);
        }
        break;
    case 4:
        if (plan.opener_kills != 0) {
            kill_opener();
        }
        break;
    case 5:
        if (plan.restarts != 0 && daemon_process != NULL) {
            plan.restarts--;
            schedule_counts.restarts++;
            daemon_stop();
        }
        break;
    case 6:
        if (plan.stalls) {
            disk_stalls = !disk_stalls;
            sim_trace("the storage %s", disk_stalls ? "does not answer" : "answers again");
        }
        break;
    case 7:
        if (plan.losses != 0) {
            lose_writes();
        }
        disk_forget_something();
        break;
    case 8:
        if (plan.detaches != 0 && tools_job == TOOLS_IDLE && tools_has_device()) {
            plan.detaches--;
            schedule_counts.detaches++;
            work_may_fail = work_may_fail || !now.connected; /* nobody serves what waits for it */
            tools_detach();
        }
        break;
    case 9:
        if (plan.saves != 0 && tools_job == TOOLS_IDLE && tools_has_device() && guest_may_run() &&
            guest_may_suspend()) {
            plan.saves--;
            schedule_counts.saves++;
            tools_save(sim_chance(300));
        }
        break;
    case 10:
        if (plan.spawn_failures != 0 && !host_spawn_fails) {
            plan.spawn_failures--;
            now.excused = true;
            work_may_fail = true;
            host_spawn_fails = true;
        }
        break;
    default:
        if (plan.drops_log && daemon_process == NULL) {
            sim_trace("the service manager loses what it keeps");
            now.excused = true;
            manager_drop_all();
        }
        break;
    }
}

/* ---- in the middle of a process ---- */

static void guest_in_between(void)
{
    struct task *t = sim_task;

    sim_edges = 0;
    if (!guest_may_run()) {
        return;
    }
    sim_task = NULL;
    if (sim_chance(500)) {
        guest_interrupt();
    } else {
        (void)work_submit();
    }
    sim_task = t;
}

static void on_edge(void)
{
    struct process *p = process_current();

    if (edge_does == EDGE_GUEST) {
        guest_in_between();
    } else if (edge_does == EDGE_YIELD) {
        task_give_way(1000);
    } else if (p->kind == PROCESS_WORKER && plan.deaths != 0) {
        sim_trace("in the middle:");
        kill_worker(p);
    } else if (p->kind == PROCESS_SUPERVISOR && plan.daemon_kills != 0) {
        sim_trace("in the middle:");
        kill_daemon();
    }
}

static void run_task(struct task *t)
{
    unsigned int kind = t->process != NULL && t->process->kind == PROCESS_WORKER ? 1 : 0;

    if (t->process != NULL && !now.resting && sim_chance(plan.interrupt)) {
        uint32_t what = sim_below(10);

        edge_does = what < 4 ? EDGE_KILL : what < 8 ? EDGE_GUEST : EDGE_YIELD;
        /* anywhere in what it does as a rule, or soon */
        sim_edges = 1 + (sim_chance(700) ? sim_below(usual_edges[kind] + 50)
                                         : sim_below(2U << sim_below(8)));
    }
    sim_edges_seen = 0;
    task_resume(t);
    usual_edges[kind] = (usual_edges[kind] * 3 + sim_edges_seen) / 4;
}

/* ---- steps ---- */

#define CHOICES 40U

enum what {
    RUN_TASK,
    GUEST_INTERRUPT,
    GUEST_TIMER,
    GUEST_HEAR,
    DISK,
    OPENER,
    REMAINS,
    TOOLS,
    START_DAEMON,
    SUBMIT,
    FAULT,
    DISTURB,
    ATTACH,
};

static struct {
    enum what what;
    struct task *task;
    uint32_t weight;
} choices[CHOICES];
static unsigned int nr_choices;
static uint32_t total;

static void offer(enum what what, struct task *task, uint32_t weight)
{
    sim_require(nr_choices < CHOICES);
    choices[nr_choices].what = what;
    choices[nr_choices].task = task;
    choices[nr_choices++].weight = weight;
    total += weight;
}

static bool may_run(const struct task *t)
{
    return t->process != NULL || xen_guest != NULL || guest_is_suspended();
}

/* Who can do something. Returns false when everybody waits. */
static bool look_around(void)
{
    nr_choices = total = 0;
    for (unsigned int i = 0; i < SIM_TASKS; i++) {
        if (task_is_ready(&sim_tasks[i]) && may_run(&sim_tasks[i])) {
            offer(RUN_TASK, &sim_tasks[i], 6);
        }
    }
    if (guest_may_run()) {
        if (xen_ports_pending()) {
            offer(GUEST_INTERRUPT, NULL, 6);
        }
        if (guest_has_timer()) {
            offer(GUEST_TIMER, NULL, 4);
        }
    }
    if (xen_guest != NULL && sim_store_has_event(CLIENT_GUEST)) {
        offer(GUEST_HEAR, NULL, 4);
    }
    if (disk_has_work()) {
        offer(DISK, NULL, 5);
    }
    if (opener_has_work()) {
        offer(OPENER, NULL, 3);
    }
    if (remains_exist()) {
        offer(REMAINS, NULL, 2);
    }
    if (daemon_process == NULL && sim_now >= now.daemon_due) {
        offer(START_DAEMON, NULL, 4);
    }
    return nr_choices != 0;
}

/*
 * A device that its guest has never used says nothing by which the guest could tell it from the
 * next of its name, should that stand there before the guest has closed this one: see README.md.
 */
static bool may_attach(void)
{
    if (tools_job != TOOLS_IDLE || tools_has_device()) {
        return false;
    }
    for (unsigned int i = 0; i < SIM_TASKS && tools_was_unused(); i++) {
        if (sim_tasks[i].process == NULL && task_is_ready(&sim_tasks[i])) {
            return false;
        }
    }
    return !tools_was_unused() || !sim_store_has_event(CLIENT_GUEST);
}

static void look_for_trouble(void)
{
    if (guest_may_run() && work_has_disk()) {
        offer(SUBMIT, NULL, plan.load);
    }
    offer(FAULT, NULL, plan.fault);
    if (plan.disturbs) {
        offer(DISTURB, NULL, 1);
    }
    if (may_attach()) {
        offer(ATTACH, NULL, 1);
    }
}

static void take(enum what what, struct task *task)
{
    switch (what) {
    case RUN_TASK:
        run_task(task);
        break;
    case GUEST_INTERRUPT:
        guest_interrupt();
        break;
    case GUEST_TIMER:
        guest_timer();
        break;
    case GUEST_HEAR:
        guest_hear();
        break;
    case DISK:
        disk_step();
        break;
    case OPENER:
        opener_step();
        break;
    case REMAINS:
        (void)remains_step();
        break;
    case START_DAEMON:
        daemon_start();
        break;
    case SUBMIT:
        (void)work_submit();
        break;
    case FAULT:
        fault();
        break;
    case DISTURB:
        xen_port_disturb();
        break;
    case ATTACH:
        tools_attach();
        break;
    default:
        break;
    }
}

static void move_clock(uint64_t ns)
{
    sim_now += ns;
    daemon_set_clock();
}

/* To the next moment at which somebody wanted to go on. */
static void wait_for_time(void)
{
    uint64_t next = daemon_next();
    uint64_t guest = xen_guest != NULL ? guest_next() : SIM_NEVER;

    next = guest < next ? guest : next;
    if (daemon_process == NULL && now.daemon_due < next) {
        next = now.daemon_due;
    }
    for (unsigned int i = 0; i < SIM_TASKS; i++) {
        if (sim_tasks[i].used && sim_tasks[i].until != NULL && may_run(&sim_tasks[i]) &&
            sim_tasks[i].deadline < next) {
            next = sim_tasks[i].deadline;
        }
    }
    move_clock(next == SIM_NEVER || next <= sim_now ? SIM_S : next - sim_now);
    if (xen_guest != NULL) {
        guest_retry();
    }
}

/* Whether somebody waits for time, and for no longer than that. */
static bool someone_has_a_deadline(void)
{
    for (unsigned int i = 0; i < SIM_TASKS; i++) {
        if (sim_tasks[i].used && sim_tasks[i].until != NULL && sim_tasks[i].deadline != SIM_NEVER) {
            return true;
        }
    }
    return false;
}

/* Nobody can go on but by time: then no request may wait in a ring that is served, but for a limit.
 */
static void check_nobody_sleeps(void)
{
    if (daemon_limits && someone_has_a_deadline()) {
        return;
    }
    if (work_under_way() != 0 && disk_under_way() == 0 && tools_job == TOOLS_IDLE &&
        xen_guest != NULL && guest_may_suspend() && strcmp(daemon_phase(), "CONNECTED") == 0 &&
        strcmp(tools_back("state"), "4") == 0 && strcmp(tools_front("state"), "4") == 0) {
        sim_found("%u requests wait, and everybody sleeps", work_under_way());
    }
}

static bool daemon_ended_by_itself(void)
{
    return daemon_process == NULL && now.daemon_due == 0;
}

/* Returns false when there was nothing to do but to wait. */
static bool step(bool trouble)
{
    bool busy;
    uint32_t at;
    unsigned int i = 0;

    schedule_counts.steps++;
    if (daemon_ended_by_itself()) {
        now.daemon_due = sim_now + DAEMON_PAUSE;
        now.worker_deaths = 0;
    } else if (daemon_process != NULL) {
        now.daemon_due = 0;
    }
    work_let_go();
    if (tools_step()) {
        return true;
    }
    busy = look_around();
    if (!busy) {
        check_nobody_sleeps();
    }
    if (trouble) {
        look_for_trouble();
    }
    if (nr_choices == 0 || (!busy && sim_chance(trouble ? 200 : 1000))) {
        wait_for_time();
        return false;
    }
    at = sim_below(total);
    while (at >= choices[i].weight) {
        at -= choices[i++].weight;
    }
    take(choices[i].what, choices[i].task);
    move_clock(sim_below(20000));
    if (trouble && plan.jumps && sim_chance(5)) {
        move_clock(sim_below(3000) * SIM_MS);
    }
    return true;
}

/* ---- the plan ---- */

static bool sometimes(uint32_t per_thousand)
{
    return sim_chance(per_thousand);
}

/* What does not hold today is not asked for: see README.md. Draws nothing. */
static void spare_what_does_not_hold(void)
{
    if (plan.saves != 0 || plan.detaches != 0 || plan.daemon_kills != 0 || plan.opener_kills != 0 ||
        plan.drops_log) {
        plan.losses = 0; /* the news does not outlive the device, nor both its hearers: README.md */
    }
    if (plan.losses != 0 && plan.deaths != 0) {
        plan.deaths = 1;
        plan.restarts = 0;
    }
}

static void draw_plan(void)
{
    plan = (struct plan){.steps = 100 + sim_below(500), .load = 1 + sim_below(6), .fault = 1};
    plan.deaths = sometimes(700) ? 1 + sim_below(4) : 0;
    if (sometimes(30)) {
        plan.deaths = 12;
    }
    plan.daemon_kills = sometimes(400) ? 1 + sim_below(3) : 0;
    plan.opener_kills = sometimes(150) ? 1 + sim_below(2) : 0;
    plan.restarts = sometimes(250) ? 1 + sim_below(2) : 0;
    plan.detaches = sometimes(150) ? 1 + sim_below(2) : 0;
    plan.saves = sometimes(250) ? 1 + sim_below(2) : 0;
    plan.spawn_failures = sometimes(50) ? 1 : 0;
    plan.losses = sometimes(200) ? 1 + sim_below(3) : 0;
    plan.interrupt = sometimes(800) ? 20 + sim_below(300) : 0;
    plan.disturbs = sometimes(300);
    plan.stalls = sometimes(100);
    plan.jumps = sometimes(100);
    plan.drops_log = sometimes(20);
    if (schedule_spares) {
        spare_what_does_not_hold();
    }
    disk_errors = sometimes(200) ? 1 + sim_below(100) : 0;
    disk_shorts = sometimes(300) ? 1 + sim_below(300) : 0;
    disk_retries = sometimes(200) ? 1 + sim_below(200) : 0;
    sim_store_conflicts = sometimes(200) ? 1 + sim_below(300) : 0;
    sim_store_fails = sometimes(50) ? 1 + sim_below(30) : 0;
    guest_memory_fails = sometimes(100) ? 1 + sim_below(50) : 0;
    xen_copy_fails = sometimes(30) ? 1 + sim_below(50) : 0;
    sim_trace(
        "plan: %u steps, deaths %u, %u daemons, %u openers, restarts %u, detaches %u, saves %u, "
        "spawn %u, losses %u; interrupts %u, disk %u %u %u, store %u %u, memory %u, copies %u",
        plan.steps, plan.deaths, plan.daemon_kills, plan.opener_kills, plan.restarts, plan.detaches,
        plan.saves, plan.spawn_failures, plan.losses, plan.interrupt, disk_errors, disk_shorts,
        disk_retries, sim_store_conflicts, sim_store_fails, guest_memory_fails, xen_copy_fails);
    if (disk_errors != 0 || xen_copy_fails != 0) {
        work_may_fail = true;
    }
    if (sim_store_fails != 0) {
        now.excused = true;
        work_may_fail = true;
    }
}

static void nothing_fails_any_more(void)
{
    sim_trace("from here on nothing fails");
    now.resting = true;
    disk_stalls = false;
    disk_errors = disk_shorts = disk_retries = 0;
    sim_store_conflicts = sim_store_fails = 0;
    guest_memory_fails = 0;
    xen_copy_fails = 0;
    host_spawn_fails = false;
}

/* ---- the end ---- */

/* Everybody waits for everybody, and the device is as it should be. */
static bool is_at_rest(void)
{
    if (daemon_process == NULL || disk_under_way() != 0 || tools_job != TOOLS_IDLE) {
        return false;
    }
    if (!tools_has_device()) {
        return work_under_way() == 0;
    }
    if ((now.excused || !now.connected) && strcmp(tools_back("state"), "6") == 0 &&
        (tools_error() != NULL || sim_store_failed != 0)) {
        return true; /* it has said why */
    }
    return work_under_way() == 0 && strcmp(tools_back("state"), "4") == 0 &&
           strcmp(tools_front("state"), "4") == 0;
}

static void come_to_rest(bool (*at_rest)(void), const char *what)
{
    uint64_t end = sim_now + REST_TIME;
    unsigned int steps = 0;

    while (step(false) || !at_rest()) {
        if (sim_now > end || ++steps > REST_STEPS) {
            const char *error = tools_error();

            sim_found("%s: the daemon's phase %s, states %s and %s, %u requests of the guest, %u "
                      "of the disk, job %d, %s",
                      what, daemon_phase(), tools_back("state"), tools_front("state"),
                      work_under_way(), disk_under_way(), tools_job,
                      error != NULL ? error : "no error");
        }
    }
}

static bool device_is_gone(void)
{
    return !tools_has_device() && tools_job == TOOLS_IDLE && work_under_way() == 0 &&
           daemon_process != NULL && !daemon_has_devices() && some_worker() == NULL;
}

static bool daemon_is_gone(void)
{
    return daemon_process == NULL;
}

/* Nothing is left of a device that is gone. */
static void check_nothing_left(void)
{
    guest_retry();
    sim_require(!work_has_disk());
    sim_require(guest_memory_live() == 0);
    sim_require(xen_pages_used() == 0);
    sim_require(xen_held() == 0);
    sim_require(manager_kept() == 0);
    sim_require(daemon_memory() == 0);
}

static void finish(void)
{
    if (tools_has_device()) {
        tools_detach();
    }
    come_to_rest(device_is_gone, "the device does not go");
    check_nothing_left();
    daemon_stop();
    now.daemon_due = SIM_NEVER;
    while (!daemon_is_gone()) {
        if (daemon_process != NULL) {
            now.daemon_due = SIM_NEVER;
        }
        step(false);
    }
    sim_require(fds_open() == 0);
}

static void reset(void)
{
    tasks_reset();
    host_reset();
    disk_reset();
    xen_reset();
    opener_reset();
    store_reset();
    daemon_reset();
    guest_reset();
    work_reset();
    tools_reset();
    memset(&now, 0, sizeof(now));
    memset(usual_edges, 0, sizeof(usual_edges));
}

void schedule_run(void)
{
    reset();
    sim_on_edge = on_edge;
    sim_store_on_change = on_change;
    draw_plan();
    daemon_set_clock();
    now.daemon_due = 1;
    tools_create();
    for (unsigned int i = 0; i < plan.steps; i++) {
        step(true);
    }
    nothing_fails_any_more();
    come_to_rest(is_at_rest, "it does not come to rest");
    work_check();
    finish();
    schedule_counts.requests += work_done;
}
