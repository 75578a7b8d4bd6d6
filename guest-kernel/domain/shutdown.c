/*
 * shutdown.c - control/shutdown and the ends of the machine.
 *
 * The toolstack writes a word; we answer by writing the empty string in a transaction that makes
 * sure it is still there (docs/misc/xenstore-paths of Xen), then run the word's action in a thread
 * of its own, as the watch thread must go on for the devices that are being flushed.
 *
 * The machine ends in bounded time, whoever does not answer: each wait on the way has a deadline
 * (DISKS_TIME, CONSOLE_TIME). Who finds end_lock taken waits for the one that is ending already.
 *
 * Owns the list of actions. Locks: actions_lock (spinlock) for it, a leaf; end_lock (mutex), held
 * for good by the thread that ends the machine. Suspend: see shutdown.h.
 */
#include "domain/shutdown.h"

#include "domain/control.h"
#include "io/blk.h"
#include "io/xencons/xencons.h"
#include "kern/lock.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "kern/wait.h"
#include "os/hypercall.h"
#include "os/panic.h"
#include "psm/clock.h"
#include "xenbus/xs.h"

#define CONSOLE_TIME NSEC_PER_SEC        /* what the console's reader gets to take the last lines */
#define DISKS_TIME   (20 * NSEC_PER_SEC) /* what all disks together get to flush */
#define WORD_MAX     32

static spinlock_t actions_lock = SPINLOCK("shutdown-actions");
static XEN_TAILQ_HEAD(action_list,
                      struct shutdown_action) actions = XEN_TAILQ_HEAD_INITIALIZER(actions);
static struct mutex end_lock;
static void (*turn_off)(void); /* NULL: Xen does it */

void machine_sync(void)
{
    blk_flush_all(clock_now() + DISKS_TIME);
}

static __noreturn void shutdown_end(unsigned reason, const char *what)
{
    struct sched_shutdown how = {.reason = reason};

    mutex_lock(&end_lock);
    machine_sync();
    log_info("%s", what);
    xencons_flush(clock_now() + CONSOLE_TIME);
    if (reason == SHUTDOWN_poweroff && turn_off != NULL) {
        turn_off();
    }
    (void)HYPERVISOR_sched_op(SCHEDOP_shutdown, &how);
    panic("Xen did not end the domain");
}

void shutdown_set_poweroff(void (*off)(void))
{
    turn_off = off;
}

void machine_poweroff(void)
{
    shutdown_end(SHUTDOWN_poweroff, "Power off.");
}

void machine_reboot(void)
{
    shutdown_end(SHUTDOWN_reboot, "Rebooting.");
}

void machine_halt(void)
{
    shutdown_end(SHUTDOWN_poweroff, "Halted.");
}

static struct shutdown_action *shutdown_find(const char *word)
{
    upcall_state_t s = spin_lock(&actions_lock);
    struct shutdown_action *a;

    XEN_TAILQ_FOREACH (a, &actions, link) {
        if (strcmp(a->word, word) == 0) {
            break;
        }
    }
    spin_unlock(&actions_lock, s);
    return a;
}

static void run_action(void *arg)
{
    const struct shutdown_action *a = arg;

    a->run();
}

/* Watch callback. */
static void shutdown_asked(struct xs_watch *w __unused, const char *path __unused)
{
    char word[WORD_MAX];
    int rc = control_take("shutdown", word, sizeof(word));

    if (rc != 0) {
        log_err("control/shutdown: %s", errno_name(rc));
        return;
    }
    if (*word == '\0') {
        return;
    }
    struct shutdown_action *a = shutdown_find(word);
    if (a == NULL) {
        log_warn("control/shutdown: \"%s\" is not known here, nothing done", word);
        return;
    }
    log_info("control/shutdown: %s", word);
    struct thread *t = thread_create("shutdown", run_action, a, PRIO_HIGH);
    if (t == NULL) {
        log_err("control/shutdown: %s: no memory for a thread", word);
        return;
    }
    thread_detach(t);
}

static void advertise(const struct shutdown_action *action)
{
    char feature[WORD_MAX];

    if (!xs_available()) {
        return;
    }
    snprintf(feature, sizeof(feature), "feature-%s", action->word);
    int rc = xs_write(XS_NO_TXN, "control", feature, "1");
    if (rc != 0) {
        /* Toolstacks give a guest the nodes they know; the request works without. */
        log_debug("control/%s: %s", feature, errno_name(rc));
    }
}

void shutdown_add(struct shutdown_action *action)
{
    upcall_state_t s = spin_lock(&actions_lock);

    XEN_TAILQ_INSERT_TAIL(&actions, action, link);
    spin_unlock(&actions_lock, s);
    advertise(action);
}

void shutdown_resume(void)
{
    const struct shutdown_action *a;

    XEN_TAILQ_FOREACH (a, &actions, link) { /* actions are added at boot only */
        advertise(a);
    }
}

void shutdown_init(void)
{
    static struct shutdown_action ends[] = {
        {.word = "poweroff", .run = machine_poweroff},
        {.word = "reboot", .run = machine_reboot},
        {.word = "halt", .run = machine_halt},
    };
    static struct xs_watch watch = {.path = "control/shutdown", .fn = shutdown_asked};

    mutex_init(&end_lock, "shutdown");
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        shutdown_add(&ends[i]);
    }
    int rc = xs_available() ? xs_watch_add(&watch) : 0;
    if (rc != 0) {
        log_err("control/shutdown cannot be watched: %s", errno_name(rc));
    }
}
