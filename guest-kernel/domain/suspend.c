/*
 * suspend.c - going away and coming back: save, restore, checkpoint, migration.
 *
 * The toolstack asks by the word "suspend" in control/shutdown, or by an event on the port that we
 * offer in device/suspend/event-channel. A thread of its own then does, in this order:
 *
 *   threads run      watches held, so that no device comes, goes or changes state
 *                    the store's gate closed, open requests and transactions ended
 *                    devices give their back ends no more work; those end what they have
 *                    vCPUs but 0 parked; here we are on vCPU 0
 *                    no thread is preempted while it handles machine frames (frames_hold())
 *   upcalls masked   the clock stops
 *                    the frames in start_info become pfns
 *                    grant-table frames and shared_info unmapped: every entry in every page table
 *                    is now a page of ours, and in the p2m, as the toolstack demands
 *                    SCHEDOP_shutdown. The domain is saved, and goes on here: with 1 in the same
 *                    domain (cancelled), with 0 in another one
 *     cancelled        the reverse: start_info, shared_info, grant table, clock, timer
 *     restored         shared_info, the p2m's lists, vcpu_info and runstate areas, events, clock,
 *                      grant table, this vCPU's timer and IPIs, console
 *   threads run      the other vCPUs start
 *     cancelled        the gate opens, devices go on with what they had
 *     restored         watches on back ends forgotten, the store's ring attached, all other watches
 *                      set, gate open; devices by rank; features and event port offered again
 *                    watches released
 *
 * Nothing between upcalls masked and threads run needs memory, since there is nobody whom its want
 * could be told: what a way back takes is there before (gnttab.c's list of frames, evtchn.c's
 * records).
 *
 * A restore changes every machine frame and every event port, empties the grant table, and keeps
 * all memory, page tables (which the toolstack rewrites) and this vCPU's registers.
 *
 * Owns the suspend port. Locks: none; one thread does it all. Format: SCHEDOP_shutdown in
 * xen/sched.h, struct start_info in xen/xen.h, Xen's docs/misc/xenstore-paths.
 */
#include "domain/suspend.h"

#include "domain/shutdown.h"
#include "hat/p2m.h"
#include "io/xencons/xencons.h"
#include "kern/lock.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/thread.h"
#include "kern/wait.h"
#include "os/evtchn.h"
#include "os/gnttab.h"
#include "os/hypercall.h"
#include "os/panic.h"
#include "os/start_info.h"
#include "psm/clock.h"
#include "psm/cpu.h"
#include "psm/timer.h"
#include "xenbus/xs.h"
#include "xendev/xendev.h"

#define TOOLSTACK   0               /* the domain that may send the event */
#define HOLDER_WAIT (NSEC_PER_MSEC) /* between two looks for threads that hold frames */
#define HOLDER_MAX  (5 * NSEC_PER_SEC)

static struct waitq wake = WAITQ(wake, "suspend");
static bool asked;
static evtchn_port_t port = EVTCHN_NONE;
static struct suspend_stats stats;
static bool starving; /* a test's wish for the next suspend */

void suspend_starve(void)
{
    WRITE_ONCE(starving, true);
}

void suspend_get_stats(struct suspend_stats *out)
{
    *out = stats;
}

/* ---- upcalls masked ---- */

/* Everything of Xen's that the toolstack could not save goes. 0 or -errno: then all is as it was.
 */
static int let_go(void)
{
    struct gnttab_stats grants;

    gnttab_get_stats(&grants);
    if (grants.mapped != 0) {
        return -EBUSY; /* another domain's pages */
    }
    int rc = start_info_to_pfns();
    if (rc == 0) {
        clock_suspend();
        gnttab_suspend();
        shared_info_unmap();
    }
    return rc;
}

static void grants_again(void)
{
    int rc = gnttab_resume();

    if (rc != 0) {
        panic("the grant table cannot be mapped again: %s", errno_name(rc));
    }
}

static void take_back(void)
{
    start_info_to_mfns();
    shared_info_map();
    grants_again();
    stats.away = clock_resume();
    timer_resume(this_cpu());
    stats.cancelled++;
}

static void settle_in(void)
{
    shared_info_map();
    p2m_resume();
    cpus_resume();
    evtchn_resume();
    stats.away = clock_resume();
    grants_again();
    int rc = cpu_interrupts_init(this_cpu());
    if (rc != 0) {
        panic("vCPU 0: no interrupts after a restore: %s", errno_name(rc));
    }
    timer_resume(this_cpu());
    port = EVTCHN_NONE;
    stats.resumed++;
    rc = xencons_resume();
    if (rc != 0) {
        log_err("suspend: no console after the restore: %s", errno_name(rc));
    }
}

/* Go and come back. Return: 1 cancelled, 0 restored, or -errno if we did not even go. */
static int go(void)
{
    int rc = let_go();

    if (rc != 0) {
        return rc;
    }
    memory_refuse(starving);
    long how = HYPERVISOR_suspend(virt_to_mfn(start_info).n);
    if (how == 0) {
        settle_in();
    } else {
        take_back();
    }
    memory_refuse(false);
    starving = false;
    return how < 0 ? (int)how : how != 0;
}

/* ---- threads run ---- */

/*
 * Mask upcalls at a moment when no preempted thread holds frames. False, and nothing masked, when
 * that does not come.
 */
static bool mask_when_unheld(upcall_state_t *state)
{
    nsec_t deadline = clock_now() + HOLDER_MAX;

    for (;;) {
        *state = upcalls_save();
        if (!frames_held()) {
            return true;
        }
        upcalls_restore(*state);
        if (clock_now() > deadline) {
            return false;
        }
        thread_sleep_until(clock_now() + HOLDER_WAIT);
    }
}

/* An event asks, too. Event handler. */
static void port_event(evtchn_port_t p __unused, void *arg __unused)
{
    WRITE_ONCE(asked, true);
    waitq_wake_all(&wake);
}

/* Offer the port; without one the toolstack uses the word. */
static void offer_port(void)
{
    int rc = evtchn_alloc_unbound(TOOLSTACK, "suspend", IPL_STORE, port_event, NULL);

    if (rc < 0) {
        log_warn("suspend: no event channel for it: %s", errno_name(rc));
        return;
    }
    port = (evtchn_port_t)rc;
    rc = xs_writef(XS_NO_TXN, "device/suspend", "event-channel", "%u", port);
    if (rc != 0) {
        log_debug("device/suspend/event-channel: %s", errno_name(rc));
        evtchn_close(port);
        port = EVTCHN_NONE;
    }
}

static void suspend_say_where(void)
{
    char *domid = NULL;

    int rc = xs_read(XS_NO_TXN, "domid", NULL, &domid, NULL);
    log_info("suspend: away %lu ms, resumed as domain %s",
             (unsigned long)(stats.away / NSEC_PER_MSEC), rc == 0 ? domid : "?");
    kfree(domid);
}

static void come_back_elsewhere(void)
{
    xendev_forget();
    int rc = xenbus_resume();
    if (rc != 0) {
        log_err("suspend: the store does not work after the restore: %s", errno_name(rc));
    }
    xendev_resume();
    shutdown_resume();
    offer_port();
    suspend_say_where();
}

static void come_back_here(int how)
{
    xenbus_cancel();
    xendev_cancel();
    if (how > 0) {
        log_info("suspend: away %lu ms, cancelled", (unsigned long)(stats.away / NSEC_PER_MSEC));
    } else {
        log_err("suspend: not done: %s", errno_name(how));
    }
}

static void suspend(void)
{
    upcall_state_t state;
    int how = -EBUSY;

    xs_watches_hold();
    xenbus_suspend();
    xendev_suspend();
    cpus_park();
    if (mask_when_unheld(&state)) {
        how = go();
        upcalls_restore(state);
    }
    cpus_unpark();
    if (how == 0) {
        come_back_elsewhere();
    } else {
        come_back_here(how);
    }
    xs_watches_release();
}

static void suspender(void *arg __unused)
{
    for (;;) {
        wait_event(&wake, READ_ONCE(asked));
        WRITE_ONCE(asked, false);
        suspend();
    }
}

/* The action of control/shutdown. */
static void suspend_ask(void)
{
    port_event(EVTCHN_NONE, NULL);
}

void suspend_init(void)
{
    static struct shutdown_action action = {.word = "suspend", .run = suspend_ask};

    if (is_dom0()) {
        return;
    }
    struct thread *t = thread_create("suspend", suspender, NULL, PRIO_HIGH);
    if (t == NULL) {
        log_err("suspend: no memory for its thread: this domain cannot be saved");
        return;
    }
    thread_detach(t);
    shutdown_add(&action);
    offer_port();
}
