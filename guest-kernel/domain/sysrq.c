/*
 * sysrq.c - `xl sysrq DOM LETTER`.
 *
 * The toolstack writes a letter into control/sysrq; we take it and look it up in a table. What may
 * sleep or take long runs in a thread of its own, for the watch thread must go on; the rest, which
 * stops or ends the machine, runs at once. Suspend: the watch is set anew by xenbus.
 */
#include "domain/sysrq.h"

#include "domain/control.h"
#include "domain/shutdown.h"
#include "kdi/kdi.h"
#include "kern/log.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "os/hypercall.h"
#include "os/panic.h"
#include "xenbus/xs.h"

#define LINE_MAX 128

struct sysrq {
    char letter;
    bool sleeps;
    const char *what;
    void (*run)(void);
};

static void help(void);

/* Output of the debugger's commands, gathered into lines for the log. */
static void log_text(const char *text, size_t len)
{
    static char line[LINE_MAX]; /* kdi_report() runs one report at a time */
    static size_t used;

    for (size_t i = 0; i < len; i++) {
        if (text[i] != '\n' && used < sizeof(line) - 1) {
            line[used++] = text[i];
        }
        if (text[i] == '\n') {
            line[used] = '\0';
            log_info("%s", line);
            used = 0;
        }
    }
}

static void show_threads(void)
{
    kdi_report("threads", log_text);
    kdi_report("locks", log_text);
}

static void show_memory(void)
{
    kdi_report("mem", log_text);
}

static void show_events(void)
{
    kdi_report("evtchn", log_text);
}

static void enter_debugger(void)
{
    kdi_break("sysrq d");
}

static void reboot(void)
{
    panic_shutdown(SHUTDOWN_reboot);
}

static void poweroff(void)
{
    panic_shutdown(SHUTDOWN_poweroff);
}

static void crash(void)
{
    panic("sysrq c: a crash was asked for");
}

static void sync(void)
{
    machine_sync();
    log_info("sysrq: disks are flushed");
}

static const struct sysrq table[] = {
    {'h', false, "this list", help},
    {'d', false, "enter the debugger", enter_debugger},
    {'t', true, "show threads and locks", show_threads},
    {'m', true, "show memory", show_memory},
    {'e', true, "show event channels", show_events},
    {'s', true, "sync: flush the disks", sync},
    {'b', false, "reboot at once, without flushing", reboot},
    {'o', false, "power off at once, without flushing", poweroff},
    {'c', false, "crash", crash},
};

static void help(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        log_info("sysrq %c: %s", table[i].letter, table[i].what);
    }
}

static void run_in_thread(void *arg)
{
    const struct sysrq *entry = arg;

    entry->run();
}

static void sysrq_run(const struct sysrq *entry)
{
    if (!entry->sleeps) {
        entry->run();
        return;
    }
    struct thread *t = thread_create("sysrq", run_in_thread, (void *)entry, PRIO_HIGH);
    if (t == NULL) {
        log_err("sysrq %c: no memory for a thread", entry->letter);
        return;
    }
    thread_detach(t);
}

/* Watch callback. */
static void sysrq_asked(struct xs_watch *w __unused, const char *path __unused)
{
    char word[4];
    int rc = control_take("sysrq", word, sizeof(word));

    if (rc != 0) {
        log_err("control/sysrq: %s", errno_name(rc));
        return;
    }
    if (word[0] == '\0') {
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        if (table[i].letter == word[0]) {
            log_info("sysrq %c: %s", word[0], table[i].what);
            sysrq_run(&table[i]);
            return;
        }
    }
    log_warn("sysrq '%s' is not known here", word);
    help();
}

void sysrq_init(void)
{
    static struct xs_watch watch = {.path = "control/sysrq", .fn = sysrq_asked};
    int rc = xs_available() ? xs_watch_add(&watch) : 0;

    if (rc != 0) {
        log_err("control/sysrq cannot be watched: %s", errno_name(rc));
    }
}
