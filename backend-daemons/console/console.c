/*
 * Following one console through the store: see console.h.
 *
 * A guest may write some keys of its console directory. So the daemon looks again only when one of
 * the keys that matter has changed, which only the toolstack writes. What we write there is not
 * among them.
 */
#include "console.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "lacks.h"
#include "name.h"

/* Longest value of the key that is read. */
#define TYPE_MAX_LEN 32

/* Looks at the store: so many at once, and so many a second. A resume takes two. */
#define LOOKS_AT_ONCE UINT64_C(10)
#define LOOKS         UINT64_C(4)
#define SECOND_NS     UINT64_C(1000000000)

static void look(void *arg);

/* What this guest may, by the configuration. */
static struct cons_terms terms_of(const struct cons_console *console)
{
    const struct conf *conf = &console->host->conf;
    const struct cons_terms *general = &console->host->terms;

    return (struct cons_terms){
        .history = conf_of_guest(conf, "history", console->name, console->uuid, general->history),
        .rate = conf_of_guest(conf, "rate", console->name, console->uuid, general->rate),
    };
}

/* An order of @kind for the worker, with the name of the log and what the guest may. */
static struct cons_order order_of(const struct cons_console *console, uint32_t kind)
{
    struct cons_order order = {.kind = kind,
                               .domid = console->domid,
                               .serial = console->serial,
                               .wd = console->wd,
                               .terms = terms_of(console)};

    if (console->name != NULL) {
        cons_name_to_file(console->name, order.log);
    }
    return order;
}

static void give_order(struct cons_console *console, uint32_t kind)
{
    const struct cons_order order = order_of(console, kind);

    cons_link_send(&console->host->link, &order, -1);
}

/* Keeps @name, which becomes ours, and has the worker log under it. */
static void take_name(struct cons_console *console, char *name)
{
    if (console->name != NULL && strcmp(name, console->name) == 0) {
        free(name);
        return;
    }
    free(console->name);
    console->name = name;
    console->id.domain = name;
    if (console->wd >= 0) {
        give_order(console, CONS_LOG);
    }
}

/*
 * What did not work now may work in a second: a terminal, a channel, a word of the store that this
 * host lacked the means for. The whole is looked at again.
 */
static bool tries_again(struct cons_console *console, int err)
{
    if (!lacks_for_now(err) && !store_error_passes(err)) {
        return false;
    }
    console->ring_changed = console->name_changed = true;
    loop_timer_set(console->host->loop, &console->later, SECOND_NS, look, console);
    return true;
}

/* Reads the domain's name, which is one from end to end of a migration. Returns -ENOENT when the
 * domain has left the store, or another -errno when the store does not tell. */
static int look_at_name(struct cons_console *console)
{
    struct store *st = console->host->store;
    char *name = NULL;
    int err = store_read_str(st, STORE_NO_TX, console->home, "name", DOMNAME_MAX, &name);

    if (store_error_passes(err)) {
        return err;
    }
    if (err == -ENOENT) {
        err = store_has(st, STORE_NO_TX, console->dir, NULL);
        if (err <= 0) {
            return err == 0 ? -ENOENT : err;
        }
        err = 0;
    }
    if (err != 0) {
        log_limited(&console->complaints, LOG_WARNING, &console->id,
                    "%s; its log takes the number instead", store_error(st));
    }
    if (name == NULL && asprintf(&name, "domain-%u", console->domid) < 0) {
        return -ENOMEM;
    }
    domname_drop_role(name);
    domname_read_uuid(st, (int)console->domid, console->uuid);
    take_name(console, name);
    return 0;
}

/* Another type is somebody else's console (ioemu: QEMU's): -ENOENT. A missing one is ours: 0. Or
 * -errno when the store does not tell. */
static int look_at_type(struct cons_console *console)
{
    char *type = NULL;
    int err = store_read_str(console->host->store, STORE_NO_TX, console->dir, "type", TYPE_MAX_LEN,
                             &type);
    bool ours = err == -ENOENT || (err == 0 && strcmp(type, "xenconsoled") == 0);

    free(type);
    if (store_error_passes(err)) {
        return err;
    }
    return ours ? 0 : -ENOENT;
}

/* Writes the terminal's path where clients look for it, unless the console has gone meanwhile.
 *
 * A write makes attached clients open the terminal again: right for a new terminal, also when it
 * has the number of a killed daemon's, whose clients would wait for ever; needless otherwise. */
static int write_tty(struct store *st, xs_transaction_t t, void *arg)
{
    const struct cons_console *console = arg;
    char *tty = NULL;
    int err;

    if (!store_exists(st, t, console->dir, "ring-ref")) {
        return -ENOENT;
    }
    err = store_read_str(st, t, console->dir, "tty", CONS_TTY_MAX, &tty);
    if (!console->tty_written || err != 0 || strcmp(tty, console->tty) != 0) {
        err = store_write(st, t, console->dir, "tty", "%s", console->tty);
    }
    free(tty);
    return err;
}

void cons_reconfigure(struct cons_console *console)
{
    if (console->wd >= 0) {
        give_order(console, CONS_LOG);
    }
}

static void unbind(struct cons_console *console)
{
    if (console->port >= 0) {
        cons_unbind(&console->host->doors, console->port);
    }
    console->port = -1;
}

/* Takes the ring from the worker, whose answer to an offer does not matter any more. */
static void withdraw(struct cons_console *console)
{
    if (console->offered) {
        give_order(console, CONS_DETACH);
    }
    unbind(console);
    console->offered = console->answer_due = console->served = false;
}

/* Opens the terminal and hands it to the worker. Returns 0 or -errno. */
static int open_terminal(struct cons_console *console)
{
    struct cons_order order;
    struct cons_pty pty;
    int err;

    if (console->wd >= 0) {
        return 0;
    }
    err = cons_pty_open(&pty, console->tty);
    if (err != 0) {
        return err;
    }
    console->wd = inotify_add_watch(console->host->readers, console->tty, IN_OPEN);
    if (console->wd < 0) {
        err = -errno;
        cons_pty_close(&pty);
        return err;
    }
    order = order_of(console, CONS_OPEN);
    order.seed = console->seed ? 1 : 0;
    order.seat = console->seat;
    cons_link_send(&console->host->link, &order, pty.master);
    return 0;
}

static void failed_to_attach(struct cons_console *console, const char *what, int err)
{
    withdraw(console);
    log_limited(&console->complaints, LOG_ERR, &console->id,
                "console of \"%s\": %s failed: %s (ring-ref %llu, port %u); tried again %s",
                console->name, what, strerror(-err), (unsigned long long)console->frame,
                console->remote,
                tries_again(console, err) ? "in a second" : "when the store names another");
}

/* Gives channel and ring to the worker. */
static void offer(struct cons_console *console)
{
    const struct cons_doors *doors = &console->host->doors;
    struct cons_order order;
    uint64_t index = 0;
    const char *what = "opening a terminal";
    int err = open_terminal(console);

    if (err == 0) {
        what = "binding the event channel";
        /* Before it is bound again: the guest's end may be the same. */
        unbind(console);
        console->port = cons_bind(doors, console->domid, console->remote);
        err = console->port < 0 ? console->port : 0;
    }
    if (err == 0) {
        what = "naming the grant of the console page";
        err = cons_name_grant(doors, console->domid, &index);
    }
    if (err != 0) {
        failed_to_attach(console, what, err);
        return;
    }
    console->serial++;
    order = order_of(console, CONS_ATTACH);
    order.port = (uint32_t)console->port;
    order.index = index;
    order.frame = console->frame;
    cons_link_send(&console->host->link, &order, -1);
    console->offered = console->answer_due = true;
}

static void now_served(struct cons_console *console)
{
    int err = store_transaction(console->host->store, write_tty, console);

    console->tty_written = console->tty_written || err == 0;
    if (err != 0 && err != -ENOENT) {
        log_limited(&console->complaints, LOG_ERR, &console->id,
                    "%s/tty: cannot write: %s; xl console will not find it", console->dir,
                    strerror(-err));
        tries_again(console, err);
    }
    if (!console->served) {
        log_limited(&console->complaints, LOG_INFO, &console->id, "console of \"%s\" is on %s",
                    console->name, console->tty);
    }
    console->served = true;
}

void cons_answered(struct cons_console *console, const struct cons_report *report)
{
    const struct wire_report *answer = &report->report;

    if (!console->answer_due || report->serial != console->serial) {
        return;
    }
    console->answer_due = false;
    if (answer->err == 0) {
        console->figures.memory = cons_ledger_seat(&console->host->ledger, console->seat);
        now_served(console);
    } else {
        failed_to_attach(console, answer->text, wire_errno(answer->err));
    }
    console->fn(console->arg, console, false);
}

static void look_at_ring(struct cons_console *console)
{
    struct store *st = console->host->store;
    uint64_t frame = 0, port = 0;
    int err = store_read_uint(st, STORE_NO_TX, console->dir, "ring-ref", UINT64_MAX, &frame);

    if (err == 0) {
        err = store_read_uint(st, STORE_NO_TX, console->dir, "port", UINT32_MAX, &port);
    }
    if (err == 0) {
        err = look_at_type(console);
    }
    if (err == -ENOENT) {
        withdraw(console);
    } else if (tries_again(console, err)) {
        log_limited(&console->complaints, LOG_WARNING, &console->id, "looks again: %s",
                    store_error(st));
    } else if (err != 0) {
        log_limited(&console->complaints, LOG_ERR, &console->id,
                    "%s; the console of \"%s\" stays as it was", store_error(st), console->name);
    } else {
        console->frame = frame;
        console->remote = (uint32_t)port;
        offer(console);
    }
}

/* Whether this look has to wait; then it comes by itself. */
static bool too_soon(struct cons_console *console)
{
    uint64_t now = loop_now_ns();

    if (bucket_take(&console->looks, 1, now)) {
        return false;
    }
    log_limited(&console->complaints, LOG_WARNING, &console->id,
                "%s changes without end; looked at %llu times a second", console->dir,
                (unsigned long long)LOOKS);
    loop_timer_set(console->host->loop, &console->later, console->looks.next_ns - now, look,
                   console);
    return true;
}

static void look(void *arg)
{
    struct cons_console *console = arg;
    bool ring = console->ring_changed;
    int err = 0;

    if (too_soon(console)) {
        return;
    }
    console->ring_changed = false;
    if (console->name_changed || console->name == NULL) {
        err = look_at_name(console);
    }
    console->name_changed = false;
    if (err == -ENOENT) {
        console->fn(console->arg, console, true);
        return;
    }
    if (err != 0) {
        log_limited(&console->complaints, LOG_ERR, &console->id, "cannot follow the domain: %s",
                    strerror(-err));
        console->ring_changed = ring;
        tries_again(console, err);
    } else if (ring) {
        look_at_ring(console);
    }
    if (!console->answer_due) {
        console->fn(console->arg, console, false);
    }
}

static void look_soon(struct cons_console *console)
{
    loop_defer(console->host->loop, &console->refresh, look, console);
}

static void on_dir(void *arg, const char *path)
{
    struct cons_console *console = arg;
    size_t len = strlen(console->dir);
    const char *key =
        strncmp(path, console->dir, len) == 0 && path[len] == '/' ? path + len + 1 : NULL;

    if (key != NULL && strcmp(key, "ring-ref") != 0 && strcmp(key, "port") != 0 &&
        strcmp(key, "type") != 0) {
        return;
    }
    console->ring_changed = true;
    look_soon(console);
}

static void on_name(void *arg, const char *path)
{
    struct cons_console *console = arg;

    (void)path;
    console->name_changed = true;
    look_soon(console);
}

struct cons_console *cons_new(struct cons_host *host, unsigned int domid, bool seed, cons_fn *fn,
                              void *arg)
{
    struct cons_console *console = calloc(1, sizeof(*console));
    char name_path[48];
    int err;

    if (console == NULL) {
        return NULL;
    }
    console->domid = domid;
    console->id = (struct log_id){.class = CONS_WIRE_CLASS, .domid = (int)domid, .device = 0};
    console->host = host;
    console->figures.id = &console->id;
    console->complaints = (struct log_limit){.burst = 10, .interval_ms = 60000};
    console->port = console->wd = -1;
    console->seat = cons_ledger_take(&host->ledger);
    console->seed = seed;
    console->fn = fn;
    console->arg = arg;
    bucket_set(&console->looks, LOOKS, SECOND_NS, LOOKS_AT_ONCE, loop_now_ns());
    console->looks.tokens = LOOKS_AT_ONCE;
    snprintf(console->home, sizeof(console->home), "/local/domain/%u", domid);
    snprintf(console->dir, sizeof(console->dir), "%s/console", console->home);
    snprintf(name_path, sizeof(name_path), "%s/name", console->home);
    err = store_watch_add(host->store, &console->dir_watch, console->dir, on_dir, console);
    if (err == 0) {
        err = store_watch_add(host->store, &console->name_watch, name_path, on_name, console);
    }
    if (err == 0) {
        return console;
    }
    cons_free(console);
    errno = -err;
    return NULL;
}

void cons_free(struct cons_console *console)
{
    struct cons_host *host = console->host;

    if (console->wd >= 0) {
        give_order(console, CONS_CLOSE);
    }
    cons_ledger_give_back(&host->ledger, console->seat);
    unbind(console);
    store_watch_del(host->store, &console->dir_watch);
    store_watch_del(host->store, &console->name_watch);
    loop_defer_cancel(host->loop, &console->refresh);
    loop_timer_cancel(host->loop, &console->later);
    free(console->name);
    free(console);
}
