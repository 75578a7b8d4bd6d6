/*
 * xencons.c - the primary console above its device: buffers, waiting, log sink, panic.
 *
 * Output is put into out[] and from there, as far as there is room, into the device; the device's
 * event moves the rest on. So nobody who logs ever waits, and an output thread is not needed. Input
 * is moved into in[] by the event, as far as there is room; what does not fit stays in the device.
 * A ^C makes room, so no more than IN_SIZE bytes are moved at once: a sender that does not pause
 * comes again by another event (os/evtchn.c), after threads had their share. A panic takes no lock:
 * it pushes out[] and its own text into the device, polling, and gives up when nobody reads for
 * PANIC_PATIENCE.
 *
 * Locks: cons_lock (spinlock): both buffers, the device; a leaf, taken under log_lock.
 * Suspend: the device is opened anew after a restore and out[] pushed into it; a cancelled suspend
 * leaves everything as it is.
 */
#include "io/xencons/xencons.h"

#include "io/xencons/cons_ops.h"
#include "kern/lock.h"
#include "kern/log.h"
#include "kern/string.h"
#include "kern/wait.h"
#include "os/hypercall.h"
#include "os/panic.h"
#include "os/start_info.h"
#include "psm/clock.h"

#define OUT_SIZE       16384u /* powers of two */
#define IN_SIZE        1024u
#define OUT_ENOUGH     (OUT_SIZE / 4) /* room that is worth telling of */
#define PANIC_PATIENCE (500 * NSEC_PER_MSEC)
#define CTRL_C         '\x03'

static spinlock_t cons_lock = SPINLOCK("xencons");
static const struct cons_ops *ops; /* NULL: no console */
static char out[OUT_SIZE];
static uint32_t out_prod, out_cons; /* free-running */
static char in[IN_SIZE];
static uint32_t in_prod, in_cons;
static bool interrupted;
static bool reading;     /* somebody waits in xencons_read(): a line is being typed */
static bool overrun;     /* log lines were written over it */
static uint64_t dropped; /* log bytes that found no room */
static bool wants_room;  /* somebody found too little who does not wait here */
static bool claimed;     /* by programs: ^C is a byte like any */
static void (*changed)(void);
static struct waitq out_wq = WAITQ(out_wq, "xencons-out");
static struct waitq in_wq = WAITQ(in_wq, "xencons-in");

static uint32_t out_room(void)
{
    return OUT_SIZE - (READ_ONCE(out_prod) - READ_ONCE(out_cons));
}

/* Moves out[] to the device; caller holds cons_lock or panics. True: the other end should know. */
static bool push_out(void)
{
    bool moved = false;

    while (out_cons != out_prod) {
        uint32_t at = out_cons % OUT_SIZE;
        size_t n = ops->write(out + at, MIN(out_prod - out_cons, OUT_SIZE - at));

        if (n == 0) {
            break;
        }
        out_cons += (uint32_t)n;
        moved = true;
    }
    return moved;
}

/* Takes a ^C note, and drops what was typed before it, but for programs; caller holds cons_lock. */
static void take_typed(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (text[i] == CTRL_C && !claimed) {
            interrupted = true;
            in_cons = in_prod;
        }
        in[in_prod++ % IN_SIZE] = text[i];
    }
}

/*
 * Moves the device's input to in[]; caller holds cons_lock. Return: whether there was any; *@more:
 * there may be more than was taken now.
 */
static bool pull_in(bool *more)
{
    size_t taken = 0, n;

    do {
        char text[64];

        n = ops->read(text, MIN(sizeof(text), IN_SIZE - (in_prod - in_cons)));
        take_typed(text, n);
        taken += n;
    } while (n != 0 && taken < IN_SIZE);
    *more = n != 0;
    return taken != 0;
}

/* Puts one character into out[], newlines as CR LF unless @raw; false when there is no room. */
static bool put_as(char c, bool raw)
{
    if (out_room() < 2) {
        return false;
    }
    if (c == '\n' && !ops->cooked && !raw) {
        out[out_prod++ % OUT_SIZE] = '\r';
    }
    out[out_prod++ % OUT_SIZE] = c;
    return true;
}

static bool put_char(char c)
{
    return put_as(c, false);
}

/* Says how much of the log is missing, once there is room again; caller holds cons_lock. */
static void confess_drops(void)
{
    char text[64];

    if (dropped != 0 && out_room() > OUT_SIZE / 2) {
        snprintf(text, sizeof(text), "[%lu bytes of log not shown: see dmesg]\n",
                 (unsigned long)dropped);
        dropped = 0;
        for (const char *p = text; *p != '\0'; p++) {
            (void)put_char(*p);
        }
    }
}

/* Who waits for input shall look. @elsewhere: also who does not wait here. */
static void wake_readers(bool elsewhere)
{
    waitq_wake_all(&in_wq);
    if (changed != NULL && elsewhere) {
        changed();
    }
}

/* The device has room or input. Event handler. */
static void on_event(void)
{
    upcall_state_t s = spin_lock(&cons_lock);
    bool moved = push_out(), more;

    confess_drops();
    moved = push_out() || moved;

    bool typed_now = pull_in(&more);
    if (moved || typed_now) {
        ops->notify();
    }
    bool roomy = wants_room && out_room() >= OUT_ENOUGH;
    wants_room = wants_room && !roomy;
    spin_unlock(&cons_lock, s);
    if (more) {
        ops->again();
    }
    waitq_wake_all(&out_wq);
    wake_readers(typed_now || roomy);
}

static size_t put_some(const char *text, size_t len, bool raw)
{
    size_t n = 0, before;
    bool moved = false;

    if (ops == NULL) {
        return len;
    }
    upcall_state_t s = spin_lock(&cons_lock);
    do { /* the device may have room that no event told of yet */
        before = n;
        while (n < len && put_as(text[n], raw)) {
            n++;
        }
        moved = push_out() || moved;
    } while (n < len && n != before);
    wants_room = wants_room || n < len;
    if (moved) {
        ops->notify();
    }
    spin_unlock(&cons_lock, s);
    return n;
}

size_t xencons_put(const char *text, size_t len)
{
    return put_some(text, len, false);
}

size_t xencons_put_raw(const char *text, size_t len)
{
    return put_some(text, len, true);
}

bool xencons_writable(void)
{
    upcall_state_t s = spin_lock(&cons_lock);
    bool enough = out_room() >= OUT_ENOUGH;

    wants_room = wants_room || !enough;
    spin_unlock(&cons_lock, s);
    return enough;
}

/* Puts a line, or counts it as dropped: half of one would run into what is printed next. */
static void put_line(const char *text, size_t len)
{
    if (out_room() < 2 * len) {
        dropped += len;
        return;
    }
    for (size_t i = 0; i < len; i++) {
        (void)put_char(text[i]);
    }
}

/* Puts the lines that fit, and starts them on their way. */
static void put_lines(const char *text, size_t len)
{
    upcall_state_t s = spin_lock(&cons_lock);
    bool moved = push_out();

    for (size_t at = 0, n; at < len; at += n) {
        const char *end = memchr(text + at, '\n', len - at);

        n = end != NULL ? (size_t)(end - text) + 1 - at : len - at;
        put_line(text + at, n);
        moved = push_out() || moved;
    }
    if (moved) {
        ops->notify();
    }
    spin_unlock(&cons_lock, s);
}

/* A log line takes the place of one that is being typed, which is shown again below it. */
static void log_write(const char *text, size_t len)
{
    static const char wipe[] = "\r\x1b[K";

    bool over = READ_ONCE(reading) && !__atomic_exchange_n(&overrun, true, __ATOMIC_SEQ_CST);
    if (over) {
        (void)xencons_put(wipe, sizeof(wipe) - 1);
    }
    put_lines(text, len);
    if (over) {
        waitq_wake_all(&in_wq);
    }
}

/* Pushes out[] until it is empty or nobody has read for a while. No locks: the panic's way. */
static void push_polling(void)
{
    nsec_t deadline = clock_now() + PANIC_PATIENCE;

    while (out_cons != out_prod && clock_now() < deadline) {
        if (push_out()) {
            ops->notify();
            deadline = clock_now() + PANIC_PATIENCE;
        } else {
            (void)HYPERVISOR_sched_op(SCHEDOP_yield, NULL);
        }
    }
    out_cons = out_prod;
}

static void panic_write(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!put_char(text[i])) {
            push_polling();
            (void)put_char(text[i]);
        }
    }
    push_polling();
}

/* Gives what was typed, without waiting. No locks: the debugger's way. */
static size_t panic_read(char *buf, size_t size)
{
    size_t n = 0;
    bool more; /* who polls comes again */

    if (pull_in(&more)) {
        ops->notify();
    }
    while (n < size && in_cons != in_prod) {
        buf[n++] = in[in_cons++ % IN_SIZE];
    }
    return n;
}

void xencons_write(const char *text, size_t len)
{
    while (len != 0) {
        size_t n = xencons_put(text, len);

        text += n;
        len -= n;
        if (len != 0) {
            wait_event(&out_wq, out_room() >= 2);
        }
    }
}

static bool typed(void)
{
    return xencons_typed() || READ_ONCE(overrun);
}

size_t xencons_take(char *buf, size_t size)
{
    size_t n = 0;
    bool more;

    if (ops == NULL) {
        return 0;
    }
    upcall_state_t s = spin_lock(&cons_lock);
    while (n < size && in_cons != in_prod) {
        buf[n++] = in[in_cons++ % IN_SIZE];
    }
    bool came = pull_in(&more);
    if (came) {
        ops->notify();
    }
    spin_unlock(&cons_lock, s);
    if (more) {
        ops->again();
    }
    if (came) { /* its event will find nothing */
        wake_readers(true);
    }
    return n;
}

size_t xencons_read(char *buf, size_t size, nsec_t deadline)
{
    WRITE_ONCE(reading, true);
    int rc = wait_event_until(&in_wq, typed(), deadline);
    WRITE_ONCE(reading, false);
    bool again = rc != 0 || __atomic_exchange_n(&overrun, false, __ATOMIC_SEQ_CST);
    return again ? 0 : xencons_take(buf, size);
}

void xencons_tell(void (*fn)(void))
{
    WRITE_ONCE(changed, fn);
}

bool xencons_interrupted(void)
{
    return READ_ONCE(interrupted);
}

void xencons_clear_interrupt(void)
{
    upcall_state_t s = spin_lock(&cons_lock);

    /* It dropped what was typed before it, so it is the first if it is there. */
    if (interrupted && in_cons != in_prod && in[in_cons % IN_SIZE] == CTRL_C) {
        in_cons++;
    }
    interrupted = false;
    spin_unlock(&cons_lock, s);
}

bool xencons_wait_interrupt(nsec_t deadline)
{
    return (wait_event_until(&in_wq, READ_ONCE(interrupted), deadline)) == 0;
}

void xencons_claim(bool by_programs)
{
    WRITE_ONCE(claimed, by_programs);
}

bool xencons_typed(void)
{
    return READ_ONCE(in_prod) != READ_ONCE(in_cons);
}

void xencons_wait_until(bool (*cond)(void *arg), void *arg)
{
    wait_event(&in_wq, cond(arg));
}

void xencons_give_back(const char *buf, size_t n)
{
    upcall_state_t s = spin_lock(&cons_lock);

    while (n != 0 && in_prod - in_cons < IN_SIZE) {
        in[--in_cons % IN_SIZE] = buf[--n];
    }
    spin_unlock(&cons_lock, s);
}

void xencons_look_again(void)
{
    waitq_wake_all(&in_wq);
}

static bool all_read(void)
{
    return READ_ONCE(out_cons) == READ_ONCE(out_prod) && ops->drained();
}

bool xencons_drained(void)
{
    upcall_state_t s = spin_lock(&cons_lock);
    bool drained = ops == NULL || all_read();

    wants_room = wants_room || !drained;
    spin_unlock(&cons_lock, s);
    return drained;
}

void xencons_flush(nsec_t deadline)
{
    if (ops != NULL) {
        (void)wait_event_until(&out_wq, all_read(), deadline);
    }
}

static const struct log_sink sink = {.write = log_write};
static const struct panic_console panic_cons = {.write = panic_write, .read = panic_read};

int xencons_resume(void)
{
    int rc = ops != NULL ? ops->open(on_event) : 0;

    if (ops != NULL && rc == 0) {
        on_event();
    }
    return rc;
}

void xencons_init(void)
{
    const struct cons_ops *device = is_dom0() ? &cons_dom0_ops : &cons_ring_ops;
    int rc = device->open(on_event);

    if (rc != 0) {
        log_err("xencons: no console on the %s: %s", device->name, errno_name(rc));
        return;
    }
    ops = device;
    panic_set_console(&panic_cons);
    log_set_sink(&sink);
}
