/*
 * Domains that come and go, see daemon.h.
 */
#include "daemon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* DOMID_FIRST_RESERVED of xen/xen.h. */
#define DOMID_LIMIT 0x7ff0

static void remove_console(struct daemon *daemon, struct console *console)
{
    HASH_DEL(daemon->consoles, console);
    console_free(console);
}

/* The first look at one of the consoles that were there at the start is done. */
static void looked_at(struct daemon *daemon, struct console *console)
{
    if (!console->first_look_due) {
        return;
    }
    console->first_look_due = false;
    if (--daemon->first_looks == 0) {
        daemon->ready(daemon->arg);
    }
}

static void on_console(void *arg, struct console *console, bool gone)
{
    struct daemon *daemon = arg;

    looked_at(daemon, console);
    if (gone) {
        remove_console(daemon, console);
    }
}

static void see_domain(struct daemon *daemon, unsigned int domid)
{
    struct console *console = NULL;

    HASH_FIND_INT(daemon->consoles, &domid, console);
    if (console == NULL) {
        console = console_new(daemon->shared, domid, !daemon->started, on_console, daemon);
        if (console == NULL) {
            log_msg(LOG_ERR, NULL, "domain %u: cannot follow its console: %m", domid);
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
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && value < DOMID_LIMIT;
}

static int scan(struct daemon *daemon)
{
    struct console *console, *next;
    unsigned int n = 0, domid;
    char **names = store_list(daemon->shared->store, STORE_NO_TX, "/local/domain", &n);

    if (names == NULL) {
        return -errno;
    }
    daemon->pass++;
    for (unsigned int i = 0; i < n; i++) {
        /* Our own domain's console is not ours to serve. */
        if (parse_domid(names[i], &domid) && domid != store_self_domid(daemon->shared->store)) {
            see_domain(daemon, domid);
        }
    }
    free(names);
    HASH_ITER (hh, daemon->consoles, console, next) {
        if (console->pass != daemon->pass) {
            on_console(daemon, console, true);
        }
    }
    return 0;
}

static void rescan(void *arg)
{
    struct daemon *daemon = arg;
    int err = scan(daemon);

    if (err != 0) {
        log_msg(LOG_ERR, NULL, "/local/domain: cannot list the domains: %s", strerror(-err));
    }
}

static void on_domains(void *arg, const char *path)
{
    struct daemon *daemon = arg;

    (void)path;
    loop_defer(daemon->shared->loop, &daemon->scan, rescan, daemon);
}

int daemon_start(struct daemon *daemon, struct shared *shared, loop_fn *ready, void *arg)
{
    int err;

    *daemon = (struct daemon){.shared = shared, .ready = ready, .arg = arg};
    err = scan(daemon);
    daemon->started = true;
    if (err == 0) {
        err = store_watch_add(shared->store, &daemon->introduced, "@introduceDomain", on_domains,
                              daemon);
    }
    if (err == 0) {
        err =
            store_watch_add(shared->store, &daemon->released, "@releaseDomain", on_domains, daemon);
    }
    if (err == 0 && daemon->first_looks == 0) {
        ready(arg);
    }
    return err;
}

void daemon_stop(struct daemon *daemon)
{
    struct console *next = daemon->consoles;

    HASH_CLEAR(hh, daemon->consoles);
    while (next != NULL) {
        struct console *console = next;

        next = console->hh.next;
        console_free(console);
    }
    store_watch_del(daemon->shared->store, &daemon->introduced);
    store_watch_del(daemon->shared->store, &daemon->released);
}
