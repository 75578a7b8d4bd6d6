/*
 * Following one console through the store, see console.h.
 *
 * A guest may write some keys of its console directory: only changes of those that matter make the
 * daemon look again, and those only the toolstack writes.
 */
#include "console.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longest value of the keys that are read: a name of xl's is at most a store value. */
#define NAME_MAX_LEN 4096
#define TYPE_MAX_LEN 32

static struct store *store_of(const struct console *console)
{
    return console->stream.shared->store;
}

/* Reads the domain's name and logs under it, under one name from end to end of a migration. Returns
 * -ENOENT when the domain has left the store. */
static int refresh_name(struct console *console)
{
    char *name = NULL;
    int err =
        store_read_str(store_of(console), STORE_NO_TX, console->home, "name", NAME_MAX_LEN, &name);

    if (err == -ENOENT && store_exists(store_of(console), STORE_NO_TX, console->dir, NULL)) {
        err = 0;
    } else if (err == -ENOENT) {
        return err;
    }
    if (err != 0) {
        log_msg(LOG_WARNING, &console->stream.id, "%s; its log takes the number instead",
                store_error(store_of(console)));
    }
    if (name == NULL && asprintf(&name, "domain-%u", console->domid) < 0) {
        return -ENOMEM;
    }
    name_drop_role(name);
    if (console->name == NULL || strcmp(name, console->name) != 0) {
        err = stream_set_log(&console->stream, name);
        if (err != 0) {
            free(name);
            return err;
        }
        free(console->name);
        console->name = name;
        return 0;
    }
    free(name);
    return 0;
}

/* Another type is somebody else's console (ioemu: QEMU's). A missing one is ours. */
static bool type_is_ours(struct console *console)
{
    char *type = NULL;
    int err =
        store_read_str(store_of(console), STORE_NO_TX, console->dir, "type", TYPE_MAX_LEN, &type);
    bool ours = err == -ENOENT || (err == 0 && strcmp(type, "xenconsoled") == 0);

    free(type);
    return ours;
}

/* Writes the terminal's path where clients look for it, unless the console has gone meanwhile.
 *
 * A write makes attached clients open the terminal again: right for a new terminal, also when it
 * has the number of a killed daemon's, whose clients would wait for ever; needless otherwise. */
static int write_tty(struct store *st, xs_transaction_t t, void *arg)
{
    const struct console *console = arg;
    char *tty = NULL;
    int err;

    if (!store_exists(st, t, console->dir, "ring-ref")) {
        return -ENOENT;
    }
    err = store_read_str(st, t, console->dir, "tty", PTY_PATH_MAX, &tty);
    if (!console->tty_written || err != 0 || strcmp(tty, console->stream.pty.path) != 0) {
        err = store_write(st, t, console->dir, "tty", "%s", console->stream.pty.path);
    }
    free(tty);
    return err;
}

static void detach(struct console *console)
{
    if (!console->attached) {
        return;
    }
    console->attached = false;
    stream_detach(&console->stream);
    log_msg(LOG_DEBUG, &console->stream.id, "console of \"%s\" is no longer in the store",
            console->name);
}

static void attach(struct console *console, uint64_t frame, uint32_t port)
{
    struct stream *stream = &console->stream;
    const char *what = "opening a terminal";
    int err = stream_open(stream, console->seed);

    if (err == 0) {
        err = stream_attach(stream, frame, port, &what);
    }
    if (err != 0) {
        console->attached = false;
        log_msg(
            LOG_ERR, &stream->id,
            "console of \"%s\": %s failed: %s (ring-ref %llu, port %u); tried again when the store "
            "names another",
            console->name, what, strerror(-err), (unsigned long long)frame, port);
        return;
    }
    err = store_transaction(store_of(console), write_tty, console);
    console->tty_written = console->tty_written || err == 0;
    if (err != 0 && err != -ENOENT) {
        log_msg(LOG_ERR, &stream->id, "%s/tty: cannot write: %s; xl console will not find it",
                console->dir, strerror(-err));
    }
    if (!console->attached) {
        log_msg(LOG_INFO, &stream->id, "console of \"%s\" is on %s", console->name,
                stream->pty.path);
    }
    console->attached = true;
}

static void refresh_ring(struct console *console)
{
    struct store *st = store_of(console);
    uint64_t frame, port;
    int err = store_read_uint(st, STORE_NO_TX, console->dir, "ring-ref", UINT64_MAX, &frame);

    if (err == 0) {
        err = store_read_uint(st, STORE_NO_TX, console->dir, "port", UINT32_MAX, &port);
    }
    if (err == -ENOENT || (err == 0 && !type_is_ours(console))) {
        detach(console);
        return;
    }
    if (err != 0) {
        log_msg(LOG_ERR, &console->stream.id, "%s; the console of \"%s\" stays as it was",
                store_error(st), console->name);
        return;
    }
    attach(console, frame, (uint32_t)port);
}

static void refresh(void *arg)
{
    struct console *console = arg;
    bool ring = console->ring_changed;
    int err = 0;

    console->ring_changed = false;
    if (console->name_changed || console->name == NULL) {
        err = refresh_name(console);
    }
    console->name_changed = false;
    if (err == -ENOENT) {
        console->fn(console->arg, console, true);
        return;
    }
    if (err != 0) {
        log_msg(LOG_ERR, &console->stream.id, "cannot follow the domain: %s", strerror(-err));
    } else if (ring) {
        refresh_ring(console);
    }
    console->fn(console->arg, console, false);
}

static void on_dir(void *arg, const char *path)
{
    struct console *console = arg;
    size_t len = strlen(console->dir);
    const char *key =
        strncmp(path, console->dir, len) == 0 && path[len] == '/' ? path + len + 1 : NULL;

    if (key != NULL && strcmp(key, "ring-ref") != 0 && strcmp(key, "port") != 0 &&
        strcmp(key, "type") != 0) {
        return;
    }
    console->ring_changed = true;
    loop_defer(console->stream.shared->loop, &console->refresh, refresh, console);
}

static void on_name(void *arg, const char *path)
{
    struct console *console = arg;

    (void)path;
    console->name_changed = true;
    loop_defer(console->stream.shared->loop, &console->refresh, refresh, console);
}

struct console *console_new(struct shared *shared, unsigned int domid, bool seed, console_fn *fn,
                            void *arg)
{
    struct console *console = calloc(1, sizeof(*console));
    char name_path[48];
    int err;

    if (console == NULL) {
        return NULL;
    }
    console->domid = domid;
    console->seed = seed;
    console->fn = fn;
    console->arg = arg;
    snprintf(console->home, sizeof(console->home), "/local/domain/%u", domid);
    snprintf(console->dir, sizeof(console->dir), "%s/console", console->home);
    snprintf(name_path, sizeof(name_path), "%s/name", console->home);
    stream_init(&console->stream, shared, domid);
    err = store_watch_add(shared->store, &console->dir_watch, console->dir, on_dir, console);
    if (err == 0) {
        err = store_watch_add(shared->store, &console->name_watch, name_path, on_name, console);
    }
    if (err == 0) {
        return console;
    }
    console_free(console);
    errno = -err;
    return NULL;
}

void console_free(struct console *console)
{
    struct shared *shared = console->stream.shared;

    detach(console);
    store_watch_del(shared->store, &console->dir_watch);
    store_watch_del(shared->store, &console->name_watch);
    loop_defer_cancel(shared->loop, &console->refresh);
    stream_close(&console->stream);
    if (console->name != NULL) {
        log_msg(LOG_INFO, &console->stream.id, "let go of the console of \"%s\"", console->name);
    }
    free(console->name);
    free(console);
}
