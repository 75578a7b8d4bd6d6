/*
 * Fuzzes what a supervisor believes of the processes that open images: whatever they report and
 * however they end, an image opens only after its lock was asked for; two guests that may not share
 * an image never have it both; a lock is asked for only when nobody has it, or is about to let it
 * go; a failure has an error number and a sentence; and who has closed hears nothing any more.
 *
 * Input: a byte that says what the users are, then steps, each a byte and what it needs.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "image.h"
#include "parts/fake_child.h"
#include "parts/fake_loop.h"
#include "parts/input.h"

enum { USERS = 4, OPENERS = 64, KEYS = 3, STEPS = 200 };

enum step { OPEN, CLOSE, TAKE, DROP, SAY, RAW, EXIT, FIRE, FULL, CHANGED, START_FAILS, NR_STEPS };

/* A process, as the test knows it. */
struct process {
    struct child *child; /* NULL: ended */
    int user;            /* negative: closed */
    int key;             /* which image it found first; negative: none */
    bool asked;          /* for the lock, since it found the image last */
    bool opened;         /* which it does once */
    bool killed;
};

static struct image_table table;
static struct image_user users[USERS];
static struct process processes[OPENERS];
static unsigned int nr_processes;
static int opening = -1; /* the user whose process is being started */
static bool full;

static struct process *process_of(const struct child *c)
{
    for (unsigned int i = 0; i < nr_processes; i++) {
        if (processes[i].child == c) {
            return &processes[i];
        }
    }
    return NULL;
}

static bool exclude(const struct image_user *a, const struct image_user *b)
{
    return a != b && !(a->read_only && b->read_only) && !a->forced && !b->forced;
}

static bool conflict(const struct image_user *a, const struct image_user *b)
{
    return exclude(a, b) &&
           (a->id.domid == b->id.domid || a->vm[0] == '\0' || strcmp(a->vm, b->vm) != 0);
}

/* Nobody else has the lock of the image, nor may still have it. */
static void check_lock(const struct process *p)
{
    for (unsigned int i = 0; i < nr_processes; i++) {
        const struct process *other = &processes[i];

        if (other != p && other->child != NULL && other->key == p->key) {
            require(other->user >= 0);
            require(!other->asked || !exclude(&users[p->user], &users[other->user]));
        }
    }
}

static int on_send(struct child *c, const void *msg, unsigned long len)
{
    struct image_order order;
    struct process *p = process_of(c);

    require(len >= sizeof(order));
    memcpy(&order, msg, sizeof(order));
    if (order.kind == IMAGE_ORDER_OPEN) {
        require(p == NULL && opening >= 0 && nr_processes < OPENERS);
        processes[nr_processes++] = (struct process){.child = c, .user = opening, .key = -1};
        return full ? -EAGAIN : 0;
    }
    require(p != NULL && p->user >= 0 && p->key >= 0);
    if (order.kind == IMAGE_ORDER_LOCK) {
        check_lock(p);
    }
    p->asked = p->asked || order.kind == IMAGE_ORDER_LOCK || order.kind == IMAGE_ORDER_JOIN;
    return full ? -EAGAIN : 0;
}

static void on_signal(struct child *c, int signo)
{
    require(process_of(c) != NULL && signo == SIGKILL);
    process_of(c)->killed = true;
}

static struct process *process_of_user(int user)
{
    for (unsigned int i = 0; i < nr_processes; i++) {
        if (processes[i].child != NULL && processes[i].user == user) {
            return &processes[i];
        }
    }
    return NULL;
}

static void on_event(struct image_user *user, enum image_event event, int err, const char *why)
{
    struct process *p = process_of_user((int)(user - users));

    require(p != NULL); /* who has closed hears nothing */
    switch (event) {
    case IMAGE_OPENED:
        require(p->asked && !p->opened && user->stage == IMAGE_OPEN);
        p->opened = true;
        break;
    case IMAGE_LOST:
    case IMAGE_FAILED:
        p->user = -1;
        require(user->stage == IMAGE_NONE && !user->taken);
        require(err < 0 && err >= -4095 && why != NULL);
        break;
    case IMAGE_LATE:
        require(err < 0 && why != NULL && user->stage != IMAGE_NONE && user->stage != IMAGE_OPEN);
        break;
    case IMAGE_RESIZED:
        require(user->stage == IMAGE_OPEN);
        break;
    }
}

/* Those who may not share an image do not have it both. */
static void check_users(void)
{
    for (int a = 0; a < USERS; a++) {
        for (int b = a + 1; b < USERS; b++) {
            const struct process *p = process_of_user(a), *q = process_of_user(b);

            if (p != NULL && q != NULL && p->key >= 0 && p->key == q->key) {
                require(!conflict(&users[a], &users[b]));
            }
        }
    }
}

static void say(struct input *in)
{
    uint8_t who = input_u8(in), what = input_u8(in), number = input_u8(in);
    struct process *p = nr_processes != 0 ? &processes[who % nr_processes] : NULL;
    struct image_report r = {.kind = what % 6,
                             .err = (what & 0x80) != 0 ? INT32_MIN : (int8_t)number};

    if (p == NULL || p->child == NULL) {
        return;
    }
    r.key.dev = number % KEYS;
    r.facts.sectors = number;
    memset(r.text, 'x', sizeof(r.text)); /* it does not end */
    input_bytes(in, r.text, 8);
    if (r.kind == IMAGE_REPORT_FOUND && p->user >= 0 && users[p->user].stage < IMAGE_OPEN) {
        p->key = p->key < 0 ? number % KEYS : p->key;
        p->asked = false;
    }
    fuzz_child_says(p->child, &r, sizeof(r));
}

/* What is no report changes nothing. */
static void say_raw(struct input *in)
{
    static uint8_t bytes[CHILD_MESSAGE_MAX];
    uint8_t who = input_u8(in);
    unsigned long len = 1 + input_u16(in) % (sizeof(bytes) - 1);
    struct process *p = nr_processes != 0 ? &processes[who % nr_processes] : NULL;
    enum image_stage stage;

    memset(bytes, 0, sizeof(bytes));
    bytes[0] = who % 6;
    if (p == NULL || p->child == NULL || len == sizeof(struct image_report)) {
        return;
    }
    stage = p->user >= 0 ? users[p->user].stage : IMAGE_NONE;
    fuzz_child_says(p->child, bytes, len);
    require(p->user < 0 || users[p->user].stage == stage);
}

static void end_process(struct process *p, uint8_t status)
{
    struct child *c = p->child;

    if (c != NULL) {
        p->key = -1; /* it has no lock any more; an event that is told meanwhile is still its own */
        fuzz_child_ends(c, status);
        p->child = NULL;
        p->user = -1;
    }
}

static void open_image(int user, const char *path)
{
    char why[256];

    if (users[user].stage == IMAGE_NONE && nr_processes < OPENERS) {
        opening = user;
        if (image_open(&table, path, &users[user], why, sizeof(why)) != 0) {
            require(strlen(why) != 0 && users[user].stage == IMAGE_NONE);
            if (process_of_user(user) != NULL) {
                process_of_user(user)->user = -1;
            }
        }
        opening = -1;
    }
}

static void close_image(int user)
{
    struct process *p = process_of_user(user);

    if (p != NULL) {
        p->user = -1;
    }
    image_close(&users[user]);
    require(users[user].stage == IMAGE_NONE && (p == NULL || p->killed));
}

static void is_rival(struct image_user *rival)
{
    require(rival >= users && rival < users + USERS && rival->stage != IMAGE_NONE);
}

static void take_image(int user)
{
    struct image_user *u = &users[user];
    const int log_fd = -1;
    char why[256];

    if (u->stage == IMAGE_OPEN && image_rival(u, true) == NULL) {
        (void)image_take(u, -1, "message", 8, &log_fd, 1, why, sizeof(why));
        require(strcmp(image_path(u), "/images/a") == 0);
    }
    image_each_rival(u, is_rival);
    require(u->stage != IMAGE_NONE || image_path(u)[0] == '\0');
    for (int i = 0; i < USERS; i++) { /* of those who exclude each other one has it */
        require(!u->taken || !users[i].taken || !exclude(u, &users[i]) ||
                process_of_user(i)->key != process_of_user(user)->key);
    }
}

static void do_step(struct input *in, enum step step)
{
    uint8_t n = step == FULL ? 0 : step == SAY || step == RAW ? 0 : input_u8(in);

    switch (step) {
    case OPEN:
        open_image(n % USERS, n < 0xf0 ? "/images/a" : "images/a");
        break;
    case CLOSE:
        close_image(n % USERS);
        break;
    case TAKE:
        take_image(n % USERS);
        break;
    case DROP:
        image_drop(&users[n % USERS]);
        break;
    case SAY:
        say(in);
        break;
    case RAW:
        say_raw(in);
        break;
    case EXIT:
        if (nr_processes != 0) {
            end_process(&processes[n % nr_processes], input_u8(in));
        }
        break;
    case FIRE:
        (void)fuzz_loop_fire(n);
        break;
    case START_FAILS:
        fuzz_child_fails = (n & 1) != 0;
        break;
    case CHANGED:
        image_device_changed(&table, n % KEYS);
        break;
    default:
        full = !full;
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    uint8_t kinds = input_u8(&in);

    log_set_level(-1);
    fuzz_loop_reset();
    fuzz_child_on_send = on_send;
    fuzz_child_on_signal = on_signal;
    memset(users, 0, sizeof(users));
    nr_processes = 0;
    full = fuzz_child_fails = false;
    table = (struct image_table){
        .loop = loop_new(), .opener_path = "opener", .on_event = on_event, .patience_ms = 9000};
    for (int i = 0; i < USERS; i++) {
        users[i].id = (struct log_id){.class = "vbd", .domid = 1 + i, .device = 51712};
        users[i].read_only = (kinds >> i & 1) != 0;
        users[i].forced = (kinds & 0x70) == 0x70 && i == 3;
        snprintf(users[i].vm, sizeof(users[i].vm), "%s",
                 (kinds & 0x80) != 0 || i < 2 ? "/vm/1" : "");
    }
    for (unsigned int i = 0; i < STEPS && in.left != 0; i++) {
        do_step(&in, input_u8(&in) % NR_STEPS);
        check_users();
    }
    for (int i = 0; i < USERS; i++) {
        close_image(i);
    }
    for (unsigned int i = 0; i < nr_processes; i++) {
        end_process(&processes[i], 9);
    }
    require(table.images == NULL);
    blk_trail_free(&table.trail);
    return 0;
}
