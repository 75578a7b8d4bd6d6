/*
 * Fuzzes the console supervisor: whatever stands in a domain's store nodes, and whatever the caged
 * worker says or fails to say. A ring is offered exactly as the store names it, by numbers in their
 * range; the terminal is told to clients only after the worker said that it has this very ring; the
 * name of a log leads nowhere else; a channel is not lost; a worker that sends what is no report,
 * or does not answer in time, is given up, once, and not heard any more.
 *
 * Input: steps, each a byte and what it needs. Time stands still unless a timer is fired.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>
#include <xen/xen.h>

#include "console.h"
#include "parts/fake_child.h"
#include "parts/fake_loop.h"
#include "parts/fake_store.h"
#include "parts/input.h"

#define HOME "/local/domain/5"
#define DIR  HOME "/console"

enum { STEPS = 200, LOCAL = 77 };

enum step { KEY, NAME_KEY, TURN, REPORT, RAW, FIRE, FULL, ROOM, STOP, EXIT, FAIL, NR_STEPS };

static struct cons_host host;
static struct cons_console *console;
static unsigned int bound, ends;
static uint32_t remote; /* that was bound last */
static bool has_ring;   /* the worker says right now that it has the last ring */
static bool pinged;     /* and has not answered */
static bool full;       /* the socket */
static enum { NOTHING, BIND, GRANT, TERMINAL, WATCH, STORE } fails;
static int null_fd = -1;

int cons_bind(const struct cons_doors *doors, unsigned int domid, uint32_t port)
{
    (void)doors;
    require(domid == 5 && bound == 0);
    if (fails == BIND) {
        return -EINVAL;
    }
    bound++;
    remote = port;
    return LOCAL;
}

void cons_unbind(const struct cons_doors *doors, int local)
{
    (void)doors;
    require(local == LOCAL && bound == 1);
    bound--;
}

int cons_name_grant(const struct cons_doors *doors, unsigned int domid, uint64_t *index)
{
    (void)doors;
    (void)domid;
    *index = 4096;
    return fails == GRANT ? -EINVAL : 0;
}

int cons_pty_open(struct cons_pty *pty, char path[CONS_TTY_MAX])
{
    if (fails == TERMINAL) {
        return -ENOSPC;
    }
    snprintf(path, CONS_TTY_MAX, "/dev/pts/1");
    pty->master = fcntl(null_fd, F_DUPFD_CLOEXEC, 0);
    return pty->master < 0 ? -errno : 0;
}

void cons_pty_close(struct cons_pty *pty)
{
    close(pty->master);
}

int inotify_add_watch(int fd, const char *path, uint32_t mask)
{
    (void)fd;
    (void)path;
    (void)mask;
    errno = ENOSPC;
    return fails == WATCH ? -1 : 1;
}

/* The name of a file, of this directory. */
static void check_log_name(const char *name)
{
    require(memchr(name, '\0', CONS_FILE_MAX) != NULL && strchr(name, '/') == NULL);
    require(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
    for (const char *c = name; *c != '\0'; c++) {
        require((unsigned char)*c >= 0x20 && *c != 0x7f);
    }
}

/* The ring that is offered is what the store says. */
static void check_offer(const struct cons_order *order)
{
    unsigned long long frame = 0, port = 0;
    size_t len = 0;
    const char *type = fuzz_store_get(DIR "/type", &len);

    require(fuzz_store_number(DIR, "ring-ref", UINT64_MAX, &frame) > 0);
    require(fuzz_store_number(DIR, "port", UINT32_MAX, &port) > 0);
    require(type == NULL || strcmp(type, "xenconsoled") == 0);
    require(order->frame == frame && order->port == LOCAL && remote == port && bound == 1);
}

static int on_send(struct child *c, const void *msg, unsigned long len)
{
    struct cons_order order;

    (void)c;
    if (full) {
        return -EAGAIN;
    }
    if (len == sizeof(struct cons_wire_config)) {
        return 0;
    }
    require(len == sizeof(order));
    memcpy(&order, msg, sizeof(order));
    check_log_name(order.log);
    pinged = pinged || order.kind == CONS_PING;
    return 0;
}

static void on_tty(const char *path, const char *value)
{
    if (strcmp(path, DIR "/tty") == 0) {
        require(has_ring && strcmp(value, "/dev/pts/1") == 0);
    }
}

static void on_report(void *arg, const struct cons_report *r)
{
    (void)arg;
    require(ends == 0 && memchr(r->report.text, '\0', sizeof(r->report.text)) != NULL);
    if (r->report.kind == CONS_ATTACHED && r->domid == 5 && console != NULL) {
        has_ring = console->answer_due && r->serial == console->serial && r->report.err == 0;
        cons_answered(console, r);
        has_ring = false;
    }
}

static void on_end(void *arg, bool orderly)
{
    (void)arg;
    require(++ends == 1);
    require(!orderly || host.link.stopping);
}

static void on_looked(void *arg, struct cons_console *c, bool gone)
{
    size_t len;

    (void)arg;
    if (gone) {
        require(fuzz_store_get(HOME "/name", &len) == NULL);
        cons_free(c);
        console = NULL;
    }
}

static void say(struct input *in)
{
    static const uint32_t kinds[] = {WIRE_READY,    WIRE_FAILED, WIRE_BROKEN,
                                     CONS_ATTACHED, CONS_PONG,   CONS_SAYS};
    uint8_t what = input_u8(in), which = input_u8(in);
    struct cons_report r = {.report = {.kind = kinds[what % 6], .err = (int8_t)which}, .domid = 5};

    if (host.link.child.pid == 0) {
        return;
    }
    r.serial = console != NULL && (what & 0x20) == 0 ? console->serial : input_u32(in);
    r.domid = (what & 0x40) == 0 ? 5 : input_u8(in);
    memset(r.report.text, 'x', sizeof(r.report.text)); /* it does not end */
    input_bytes(in, r.report.text, 8);
    r.report.err = (what & 0x80) == 0 ? r.report.err : INT32_MIN;
    pinged = pinged && r.report.kind != CONS_PONG;
    fuzz_child_says(&host.link.child, &r, sizeof(r));
}

/* What is no report ends the link. */
static void say_raw(struct input *in)
{
    uint8_t bytes[sizeof(struct cons_report) + 64];
    unsigned long len = input_u16(in) % sizeof(bytes);

    input_bytes(in, bytes, len);
    if (host.link.child.pid == 0 || len == sizeof(struct cons_report) || len == 0) {
        return;
    }
    fuzz_child_says(&host.link.child, bytes, len);
    require(ends == 1);
}

static void fire(struct input *in)
{
    bool beats = host.link.beat.armed, was_pinged = pinged;
    uint64_t due = host.link.beat.deadline_ns;

    (void)fuzz_loop_fire(input_u8(in));
    if (beats && was_pinged && (!host.link.beat.armed || host.link.beat.deadline_ns != due)) {
        require(ends == 1); /* a ping without an answer */
    }
}

static void check_deadlines(void)
{
    require(ends == (host.link.ended ? 1U : 0U));
    require(ends != 0 || host.link.ready || host.link.deadline.armed);
    require(ends != 0 || !host.link.stopping || host.link.deadline.armed);
    require(ends != 0 || XEN_TAILQ_EMPTY(&host.link.waiting) || host.link.deadline.armed ||
            host.link.beat.armed);
    require(bound <= 1 && (console != NULL || bound == 0));
}

static void do_step(struct input *in, enum step step)
{
    static const char *const keys[] = {DIR "/ring-ref", DIR "/port", DIR "/type"};
    static const char *const names[] = {HOME "/name", DIR "/tty"};
    uint8_t n, value[600];
    size_t len;

    switch (step) {
    case KEY:
    case NAME_KEY:
        n = input_u8(in);
        len = input_u8(in);
        len = len >= 0xf0 ? sizeof(value) : len % 64;
        memset(value, 'n', sizeof(value));
        input_bytes(in, value, len < 64 ? len : 64);
        fuzz_store_put(step == KEY ? keys[n % 3] : names[n % 2], n >= 0xf0 ? NULL : value, len);
        if (console != NULL && step == KEY) {
            console->dir_watch.fn(console->dir_watch.arg, keys[n % 3]);
        } else if (console != NULL && n % 2 == 0) {
            console->name_watch.fn(console->name_watch.arg, names[0]);
        }
        break;
    case TURN:
        fuzz_loop_turn();
        break;
    case REPORT:
        say(in);
        break;
    case RAW:
        say_raw(in);
        break;
    case FIRE:
        fire(in);
        break;
    case FULL:
        full = !full;
        break;
    case ROOM:
        if (host.link.room.added) {
            host.link.room.fn(host.link.room.arg, EPOLLOUT);
        }
        break;
    case STOP:
        cons_link_stop(&host.link);
        break;
    case EXIT:
        if (host.link.child.pid != 0) {
            fuzz_child_ends(&host.link.child, input_u8(in));
            require(ends == 1);
        }
        break;
    default:
        fails = input_u8(in) % 6;
        fuzz_store_failing = fails == STORE;
        break;
    }
}

/* The console's orders are looked at when they are given, not when there is room for them. */
void __real_cons_link_send(struct cons_link *link, const struct cons_order *order, int fd);
void __wrap_cons_link_send(struct cons_link *link, const struct cons_order *order, int fd);
void __wrap_cons_link_send(struct cons_link *link, const struct cons_order *order, int fd)
{
    check_log_name(order->log);
    if (order->kind == CONS_ATTACH) {
        check_offer(order);
    }
    __real_cons_link_send(link, order, fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct cons_wire_config config = {.head = {.magic = CONS_WIRE_MAGIC}};
    static const int fds[CONS_NR_FDS];
    struct input in = {data, size};

    log_set_level(-1);
    fuzz_loop_reset();
    fuzz_store_reset();
    null_fd = null_fd < 0 ? open("/dev/null", O_RDWR | O_CLOEXEC) : null_fd;
    fuzz_child_on_send = on_send;
    fuzz_store_on_write = on_tty;
    bound = ends = 0;
    has_ring = pinged = full = false;
    fails = NOTHING;
    fuzz_store_put_text(HOME "/name", "g1");
    fuzz_store_put_text(DIR "/ring-ref", "77");
    fuzz_store_put_text(DIR "/port", "2");
    host = (struct cons_host){.loop = loop_new(), .readers = -1};
    host.store = store_open(host.loop, NULL, NULL);
    host.link.on_report = on_report;
    host.link.on_end = on_end;
    require(host.store != NULL);
    require(cons_link_start(&host.link, host.loop, "worker", &config, fds) == 0);
    console = cons_new(&host, 5, false, on_looked, NULL);
    require(console != NULL);
    console->dir_watch.fn(console->dir_watch.arg, DIR);
    for (unsigned int i = 0; i < STEPS && in.left != 0; i++) {
        do_step(&in, input_u8(&in) % NR_STEPS);
        check_deadlines();
    }
    if (console != NULL) {
        cons_free(console);
    }
    require(bound == 0);
    cons_link_close(&host.link);
    store_close(host.store);
    return 0;
}
