/*
 * Fuzzes what a supervisor believes of its caged worker, by the example of a network device: a
 * device is connected only after a whole report said that its worker serves; what is no report has
 * the worker killed, and changes nothing; why a worker ends is told once, as an error number and a
 * sentence that hurts no terminal; and whatever worker, front end and clock do, whoever is waited
 * for has a deadline. With a log of what is in flight: a ring in use is not taken over without it
 * or the mark of a clean end, which only a worker leaves that did as it was told.
 *
 * Input: a byte of choices, then steps, each a byte and what it needs.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>
#include <xen/xen.h>

#include "device.h"
#include "notify.h"
#include "parts/fake_child.h"
#include "parts/fake_loop.h"
#include "parts/fake_store.h"
#include "parts/input.h"

#define FRONT "/local/domain/7/device/vif/0"
#define BACK  "/local/domain/0/backend/vif/7/0"
#define ERROR "/local/domain/0/error/backend/vif/7/0/error"

enum { STEPS = 150 };

#define MARK BACK "/duet-at-rest"

enum step {
    REPORT,
    RAW,
    CUT,
    EXIT,
    FIRE,
    STATE,
    ONLINE,
    TURN,
    FULL,
    LEAVE,
    GONE,
    YIELD,
    START_FAILS,
    NR_STEPS,
};

/* What a daemon may have left behind, and what its class is like. */
enum choice { LOGGED = 1, REFUSES = 2, IN_USE = 4, MARKED = 8, KEPT = 16, NO_MEMORY = 32 };

static struct netd netd;
static struct supervisor_ops ops; /* netd_ops, and what the choices say */
static bool well_ended;           /* the worker whose end is told ended as it was told to */
static bool no_memory;
static struct net_device *dev; /* NULL: freed */
static bool serves;            /* the worker at hand has said so */
static bool told;              /* why the worker at hand ends */
static bool given_up;          /* it was killed for what it said */
static bool killed, full;
static unsigned int errors; /* that were written */

void supervisor_remove(struct supervisor *sup, struct supervised *base)
{
    require(base == &dev->base);
    require(base->life.phase == LIFE_FREED || sup->stopping);
    sup->ops->release(base);
    supervised_release(base);
    free(dev);
    dev = NULL;
}

bool supervisor_exists(const struct supervisor *sup, const struct device_key *key)
{
    (void)sup;
    (void)key;
    return true;
}

void notify_keep_fd(const char *name, int fd)
{
    (void)name;
    (void)fd;
}

void notify_drop_fd(const char *name)
{
    (void)name;
}

static int create_log(void)
{
    return no_memory ? -ENOMEM : open("/dev/null", O_RDWR | O_CLOEXEC);
}

/* In place of tap.c: there is always one. */
int tap_open(struct tap *t, const char *name, const char *own, bool multi_queue, const char **stage)
{
    (void)own;
    (void)stage;
    *t = (struct tap){.multi_queue = multi_queue, .nr_fds = 1, .fds = {-1}};
    snprintf(t->name, sizeof(t->name), "%s", name);
    return 0;
}

bool tap_is_there(const struct tap *t)
{
    return t->nr_fds != 0;
}

int tap_set_queues(struct tap *t, unsigned int nr, const char **stage)
{
    (void)stage;
    t->nr_fds = nr;
    return 0;
}

int tap_set_offload(struct tap *t, unsigned int offload)
{
    (void)t;
    (void)offload;
    return 0;
}

int tap_set_link(struct tap *t, bool up)
{
    (void)t;
    (void)up;
    return 0;
}

void tap_close(struct tap *t, bool remove)
{
    (void)remove;
    t->nr_fds = 0;
}

void tap_remove_stale(const char *prefix, tap_wanted_fn *wanted, void *arg)
{
    (void)prefix;
    (void)wanted;
    (void)arg;
}

static int on_send(struct child *c, const void *msg, unsigned long len)
{
    (void)c;
    (void)msg;
    if (len == sizeof(struct net_wire_config)) {
        serves = told = given_up = killed = false; /* another worker */
    }
    return full ? -EAGAIN : 0;
}

static void on_signal(struct child *c, int signo)
{
    (void)c;
    killed = killed || signo == SIGKILL;
}

/* An error has a number that there is. */
static void on_write(const char *path, const char *value)
{
    if (strcmp(path, BACK "/state") == 0 && strcmp(value, "4") == 0) {
        require(serves);
    }
    require(strcmp(path, MARK) != 0 || well_ended);
    if (strcmp(path, ERROR) == 0) {
        long n = strtol(value, NULL, 10);

        require(n > 0 && n < 4096);
        errors++;
    }
}

/* A worker that cannot start for want of what the host may have again: another is tried. */
static bool may_pass(const struct wire_report *r)
{
    return r->kind == WIRE_FAILED && dev->base.life.phase == LIFE_STARTING &&
           (r->err == ENOMEM || r->err == EAGAIN || r->err == EMFILE || r->err == ENFILE ||
            r->err == EINTR);
}

/* A report of the envelope's form, whole unless `len` says otherwise. */
static void say(const void *msg, unsigned long len, uint32_t kind, bool whole)
{
    struct child *c = &dev->base.crew.child;
    enum life_phase before = dev->base.life.phase;
    unsigned int errors_before = errors;
    bool ends = whole && (kind == WIRE_FAILED || kind == WIRE_BROKEN) && !may_pass(msg);
    bool heard = !told && !given_up;

    serves = serves || (whole && kind == WIRE_READY && heard);
    fuzz_child_says(c, msg, len);
    require(dev->base.life.phase != LIFE_CONNECTED || serves);
    if (!heard || !whole) {
        require(dev->base.life.phase == before && errors == errors_before);
    }
    require(!heard || whole || killed);
    require(!ends || !heard || errors == errors_before + 1);
    told = told || (ends && heard);
    given_up = given_up || (!whole && heard);
}

static void say_report(struct input *in)
{
    static const uint32_t kinds[] = {WIRE_READY, WIRE_FAILED, WIRE_BROKEN, NET_WIRE_CARRIER};
    uint8_t what = input_u8(in);
    const bool says = (what & 0x70) == 0x70;
    struct wire_report r = {.kind = says ? WIRE_SAYS : kinds[what % 4],
                            .err = (what & 0x80) != 0 ? INT32_MIN : (int8_t)(what << 1)};

    memset(r.text, 'x', sizeof(r.text)); /* it does not end */
    input_bytes(in, r.text, 16);
    say(&r, sizeof(r), r.kind, !says || (r.err >= LOG_ERR && r.err <= LOG_DEBUG));
}

/* A report of the class's own, of any length up to its own. */
static void say_cut(struct input *in)
{
    struct wire_report r = {.kind = NET_WIRE_CARRIER};
    uint16_t cut = input_u16(in) % (sizeof(r) + 1);

    say(&r, cut == 0 ? sizeof(r) : cut, r.kind, cut == 0 || cut == sizeof(r));
}

/* Any bytes of any length: a report that starts like one may be too long. */
static void say_raw(struct input *in)
{
    static uint8_t bytes[CHILD_MESSAGE_MAX];
    uint8_t what = input_u8(in);
    unsigned long len = input_u16(in) % sizeof(bytes);
    uint32_t kind = what % 24;

    memset(bytes, what, sizeof(bytes));
    memcpy(bytes, &kind, sizeof(kind));
    if (len != sizeof(struct wire_report) && len != 0) {
        say(bytes, len, kind, false);
    }
}

static void set_text(const char *path, uint8_t digit)
{
    char text[] = {(char)('0' + digit), '\0'};

    fuzz_store_put_text(path, text);
    supervised_reconsider(&dev->base);
}

static void do_step(struct input *in, enum step step)
{
    bool has_worker = crew_has_worker(&dev->base.crew);

    switch (step) {
    case REPORT:
    case RAW:
    case CUT:
        if (has_worker) {
            (step == REPORT ? say_report : step == RAW ? say_raw : say_cut)(in);
        }
        break;
    case EXIT:
        if (has_worker) {
            uint8_t status = input_u8(in);

            well_ended =
                status == 0 && !told && !given_up &&
                (dev->base.life.phase == LIFE_STOPPING || dev->base.life.phase == LIFE_TERMINATED);
            fuzz_child_ends(&dev->base.crew.child, status);
            well_ended = false;
        }
        break;
    case YIELD:
        supervised_yield(&dev->base, "the guest goes on elsewhere");
        break;
    case START_FAILS:
        fuzz_child_fails = !fuzz_child_fails;
        break;
    case FIRE:
        (void)fuzz_loop_fire(input_u8(in));
        break;
    case STATE:
        set_text(FRONT "/state", input_u8(in) % 10);
        break;
    case ONLINE:
        set_text(BACK "/online", input_u8(in) % 2);
        break;
    case FULL:
        full = !full;
        break;
    case LEAVE:
        supervised_leave(&dev->base);
        break;
    case GONE:
        fuzz_store_put(BACK "/state", NULL, 0);
        supervised_reconsider(&dev->base);
        break;
    default:
        break;
    }
    fuzz_loop_turn();
}

/* Who is waited for, and by what. */
static void check(void)
{
    const struct supervised *base = &dev->base;
    enum life_phase phase = base->life.phase;
    bool waits = phase == LIFE_OPENING || phase == LIFE_CALLED || phase == LIFE_PAUSING ||
                 phase == LIFE_STARTING || phase == LIFE_STOPPING || phase == LIFE_TERMINATED;

    require(waits == base->life.deadline.armed);
    require(phase != LIFE_KILLED || killed);
    require(phase != LIFE_CONNECTED || serves);
    require(phase != LIFE_CLOSED || !crew_has_worker(&base->crew));
}

static void create(uint8_t choice)
{
    static const char *const front[] = {"request-rx-copy", "feature-sg", "tx-ring-ref",
                                        "rx-ring-ref", "event-channel"};
    char path[128];

    for (unsigned int i = 0; i < sizeof(front) / sizeof(front[0]); i++) {
        snprintf(path, sizeof(path), FRONT "/%s", front[i]);
        fuzz_store_put_text(path, "1");
    }
    fuzz_store_put_text(FRONT "/state", "4");
    fuzz_store_put_text(BACK "/state", (choice & IN_USE) != 0 ? "4" : "1");
    if ((choice & MARKED) != 0) {
        fuzz_store_put_text(MARK, "1");
    }
    fuzz_store_put_text(BACK "/online", "1");
    fuzz_store_put_text(BACK "/frontend", FRONT);
    fuzz_store_put_text(BACK "/frontend-id", "7");
    dev = calloc(1, sizeof(*dev));
    require(dev != NULL);
    dev->base.key = (struct device_key){.domid = 7};
    dev->base.sup = &netd.sup;
    dev->base.id = (struct log_id){.class = "vif", .domid = 7, .device = 0};
    dev->base.back = strdup(BACK);
    supervised_init(&dev->base);
    ops = netd_ops;
    ops.create_log = (choice & LOGGED) != 0 ? create_log : NULL;
    ops.refuses = (choice & REFUSES) != 0;
    ops.forgives = false; /* as a disk's */
    no_memory = (choice & NO_MEMORY) != 0;
    if ((choice & KEPT) != 0 && (choice & LOGGED) != 0) {
        dev->base.crew.log_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    }
}

/* What is found in use without knowing what is in flight is not served. */
static void check_found(uint8_t choice)
{
    if ((choice & LOGGED) != 0 && (choice & IN_USE) != 0 && (choice & (MARKED | KEPT)) == 0) {
        require(dev->base.life.phase == LIFE_CLOSED && errors == 1);
    } else if ((choice & LOGGED) == 0 || (choice & NO_MEMORY) == 0) {
        require(dev->base.life.phase == LIFE_STARTING);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    uint8_t choice = input_u8(&in);

    log_set_level(-1);
    fuzz_loop_reset();
    fuzz_store_reset();
    fuzz_child_on_send = on_send;
    fuzz_child_on_signal = on_signal;
    fuzz_store_on_write = on_write;
    serves = told = given_up = killed = full = well_ended = fuzz_child_fails = false;
    errors = 0;
    netd = (struct netd){.sup = {.ops = &ops, .loop = loop_new(), .worker_path = "worker"},
                         .tap_prefix = "vif",
                         .max_queues = 4,
                         .own_vcpus = 1,
                         .stall_seconds = 10};
    netd.sup.store = store_open(netd.sup.loop, NULL, NULL);
    require(netd.sup.store != NULL);
    create(choice);
    supervised_reconsider(&dev->base);
    fuzz_loop_turn();
    check_found(choice);
    for (unsigned int i = 0; i < STEPS && in.left != 0 && dev != NULL; i++) {
        do_step(&in, input_u8(&in) % NR_STEPS);
        if (dev != NULL) {
            check();
        }
    }
    if (dev != NULL) {
        netd.sup.stopping = true;
        supervisor_remove(&netd.sup, &dev->base);
    }
    store_close(netd.sup.store);
    return 0;
}
