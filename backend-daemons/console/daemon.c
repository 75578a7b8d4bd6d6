/*
 * Domains that come and go: see daemon.h.
 */
#include "daemon.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xen/xen.h>

#define SECOND_NS UINT64_C(1000000000)

static void rescan(void *arg);

static void remove_console(struct cons_daemon *daemon, struct cons_console *console)
{
    HASH_DEL(daemon->consoles, console);
    cons_free(console);
}

static void ready_if_so(struct cons_daemon *daemon)
{
    if (daemon->started && daemon->worker_ready && daemon->first_looks == 0 &&
        !daemon->told_ready) {
        daemon->told_ready = true;
        daemon->ready(daemon->arg);
    }
}

/* The first look at one of the consoles that were there at the start is done. */
static void looked_at(struct cons_daemon *daemon, struct cons_console *console)
{
    if (!console->first_look_due) {
        return;
    }
    console->first_look_due = false;
    daemon->first_looks--;
    ready_if_so(daemon);
}

static void on_looked(void *arg, struct cons_console *console, bool gone)
{
    struct cons_daemon *daemon = arg;

    looked_at(daemon, console);
    if (gone) {
        remove_console(daemon, console);
    }
}

static void on_again(void *arg)
{
    rescan(arg);
}

/* This host lacks something that it may have in a second. */
static void scan_again(struct cons_daemon *daemon)
{
    loop_timer_set(daemon->host->loop, &daemon->again, SECOND_NS, on_again, daemon);
}

static void see_domain(struct cons_daemon *daemon, unsigned int domid)
{
    struct cons_console *console = NULL;

    HASH_FIND_INT(daemon->consoles, &domid, console);
    if (console == NULL) {
        console = cons_new(daemon->host, domid, !daemon->started, on_looked, daemon);
        if (console == NULL) {
            log_msg(LOG_ERR, NULL, "domain %u: cannot follow its console: %m; tries again", domid);
            scan_again(daemon);
            return;
        }
        console->first_look_due = !daemon->started;
        daemon->first_looks += console->first_look_due;
        HASH_ADD_INT(daemon->consoles, domid, console);
    }
    console->pass = daemon->pass;
}

static bool parse_domid(const char *text, unsigned int *domid)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    *domid = (unsigned int)value;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && value < DOMID_FIRST_RESERVED;
}

static int scan(struct cons_daemon *daemon)
{
    struct cons_console *console, *next;
    unsigned int n = 0, domid;
    char **names = store_list(daemon->host->store, STORE_NO_TX, "/local/domain", &n);

    if (names == NULL) {
        return -errno;
    }
    daemon->pass++;
    for (unsigned int i = 0; i < n; i++) {
        /* Our own domain's console is not ours to serve. */
        if (parse_domid(names[i], &domid) && domid != store_self_domid(daemon->host->store)) {
            see_domain(daemon, domid);
        }
    }
    free(names);
    HASH_ITER (hh, daemon->consoles, console, next) {
        if (console->pass != daemon->pass) {
            on_looked(daemon, console, true);
        }
    }
    return 0;
}

static void rescan(void *arg)
{
    struct cons_daemon *daemon = arg;
    int err = scan(daemon);

    if (err != 0) {
        log_msg(LOG_ERR, NULL, "/local/domain: cannot list the domains: %s; tries again",
                strerror(-err));
        scan_again(daemon);
    }
}

static void on_domains(void *arg, const char *path)
{
    struct cons_daemon *daemon = arg;

    (void)path;
    loop_defer(daemon->host->loop, &daemon->scan, rescan, daemon);
}

int cons_daemon_start(struct cons_daemon *daemon, struct cons_host *host, loop_fn *ready, void *arg)
{
    int err;

    daemon->host = host;
    daemon->ready = ready;
    daemon->arg = arg;
    daemon->began_s = time(NULL);
    daemon->says = (struct log_limit){.burst = 1000, .interval_ms = 5000};
    err = scan(daemon);
    daemon->started = true;
    if (err == 0) {
        err = store_watch_add(host->store, &daemon->introduced, "@introduceDomain", on_domains,
                              daemon);
    }
    if (err == 0) {
        err = store_watch_add(host->store, &daemon->released, "@releaseDomain", on_domains, daemon);
    }
    if (err == 0) {
        ready_if_so(daemon);
    }
    return err;
}

void cons_daemon_reconfigure(struct cons_daemon *daemon)
{
    struct cons_console *console, *next;

    HASH_ITER (hh, daemon->consoles, console, next) {
        cons_reconfigure(console);
    }
}

/* The worker's message about a console, which may have gone meanwhile. It is not trusted. */
static void hear(struct cons_daemon *daemon, const struct cons_report *report)
{
    const struct log_id nameless = {
        .class = CONS_WIRE_CLASS, .domid = (int)report->domid, .device = 0};
    const int priority = report->report.err;
    struct cons_console *console = NULL;

    HASH_FIND_INT(daemon->consoles, &report->domid, console);
    if (priority >= LOG_ERR && priority <= LOG_DEBUG && report->domid < DOMID_FIRST_RESERVED) {
        log_limited(&daemon->says, priority, console != NULL ? &console->id : &nameless, "%s",
                    report->report.text);
    }
}

void cons_daemon_report(struct cons_daemon *daemon, const struct cons_report *report)
{
    struct cons_console *console = NULL;

    if (report->report.kind == WIRE_READY) {
        daemon->worker_ready = true;
        ready_if_so(daemon);
    } else if (report->report.kind == CONS_SAYS) {
        hear(daemon, report);
    } else if (report->report.kind == CONS_ATTACHED) {
        HASH_FIND_INT(daemon->consoles, &report->domid, console);
        if (console != NULL) {
            cons_answered(console, report);
        }
    }
}

void cons_daemon_stop(struct cons_daemon *daemon)
{
    struct cons_console *next = daemon->consoles;

    HASH_CLEAR(hh, daemon->consoles);
    while (next != NULL) {
        struct cons_console *console = next;

        next = console->hh.next;
        cons_free(console);
    }
    if (daemon->host == NULL) {
        return;
    }
    loop_timer_cancel(daemon->host->loop, &daemon->again);
    loop_defer_cancel(daemon->host->loop, &daemon->scan);
    store_watch_del(daemon->host->store, &daemon->introduced);
    store_watch_del(daemon->host->store, &daemon->released);
}
