/*
 * The guest's console against the other end: what is typed arrives; one that types without pause,
 * or writes into the indices that are the guest's, keeps nobody and spoils nothing.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <xen/xen.h>
#include <xen/io/console.h>

#include "hat/p2m.h"
#include "io/xencons/cons_ops.h"
#include "io/xencons/xencons.h"
#include "kern/lock.h"
#include "kern/log.h"
#include "kern/wait.h"
#include "os/evtchn.h"
#include "os/hypercall.h"
#include "os/panic.h"
#include "os/start_info.h"
#include "psm/clock.h"

#define PORT   2u
#define ENOUGH 10000u /* reads: nobody may ask so often at once */

/* ---- a device at which somebody types without pause; it stands in for Xen's own console ---- */

static void (*device_event)(void);
static unsigned reads, again;
static char typed_text = '\x03'; /* what is typed all the while; '\0': nothing */
static size_t device_room;       /* for what is printed, which gets here: */
static char device_text[1U << 16];
static size_t device_len;

static int device_open(void (*event)(void))
{
    device_event = event;
    return 0;
}

static size_t device_write(const char *text, size_t len)
{
    size_t n = len < device_room ? len : device_room;

    memcpy(device_text + device_len, text, n);
    device_len += n;
    device_room -= n;
    return n;
}

static size_t device_read(char *buf, size_t size)
{
    if (typed_text == '\0' || ++reads > ENOUGH) {
        return 0;
    }
    memset(buf, typed_text, size);
    return size;
}

static void device_again(void)
{
    again++;
}

static void device_notify(void)
{
}

static bool device_drained(void)
{
    return true;
}

const struct cons_ops cons_dom0_ops = {
    .name = "device",
    .open = device_open,
    .write = device_write,
    .read = device_read,
    .again = device_again,
    .notify = device_notify,
    .drained = device_drained,
};

/* ---- the kernel around it ---- */

static struct start_info info = {.flags = SIF_INITDOMAIN, .console.domU = {.evtchn = PORT}};
struct start_info *start_info = &info;
char hypercall_page[4096]; /* not reached: nobody panics */

bool m2p_get(mfn_t mfn, pfn_t *pfn)
{
    *pfn = PFN(mfn.n);
    return true;
}

static evtchn_handler_t ring_handler;

int evtchn_bind_existing(evtchn_port_t port, const char *name, enum ipl ipl,
                         evtchn_handler_t handler, void *arg)
{
    (void)name;
    (void)ipl;
    (void)arg;
    assert_int_equal(port, PORT);
    ring_handler = handler;
    return 0;
}

void evtchn_notify(evtchn_port_t port)
{
    assert_int_equal(port, PORT);
}

void evtchn_again(evtchn_port_t port)
{
    assert_int_equal(port, PORT);
    again++;
}

void waitq_wake_all(struct waitq *wq)
{
    (void)wq;
}

void waitq_prepare(struct waitq *wq, struct waiter *w)
{
    (void)wq;
    (void)w;
    fail();
}

int waitq_sleep(struct waitq *wq, struct waiter *w, nsec_t deadline)
{
    (void)wq;
    (void)w;
    (void)deadline;
    return -ETIMEDOUT;
}

void waitq_finish(struct waitq *wq, struct waiter *w)
{
    (void)wq;
    (void)w;
}

nsec_t clock_now(void)
{
    return 0;
}

void klog(enum log_level level, const char *fmt, ...)
{
    (void)level;
    (void)fmt;
}

const char *errno_name(int err)
{
    (void)err;
    return "an error";
}

static const struct log_sink *console_log;

void log_set_sink(const struct log_sink *sink)
{
    assert_non_null(sink);
    console_log = sink;
}

void panic_set_console(const struct panic_console *console)
{
    assert_non_null(console);
}

/* ---- tests ---- */

/* Each ^C makes room for more; but an event, or a reader, comes to its end, and there is another.
 */
static void who_types_without_pause(void **state)
{
    char buf[16];

    (void)state;
    xencons_init();
    reads = again = 0;
    device_event();
    assert_in_range(reads, 1, ENOUGH);
    assert_int_equal(again, 1);
    assert_true(xencons_interrupted());
    reads = again = 0;
    assert_int_equal(xencons_read(buf, sizeof(buf), NSEC_FOREVER), 1); /* the last ^C */
    assert_in_range(reads, 1, ENOUGH);
    assert_int_equal(again, 1);
}

/* What fits no more stays in the device, and asks for nothing. */
static void what_does_not_fit_waits(void **state)
{
    (void)state;
    typed_text = 'x';
    device_event();
    reads = again = 0;
    device_event();
    assert_int_equal(again, 0);
    typed_text = '\0';
    xencons_clear_interrupt();
}

/* Nobody reads, and then somebody does: lines are missing, but none is in pieces. */
static void a_log_line_is_there_or_not(void **state)
{
    static const char line[] = "thirty bytes are in this line\n";
    const size_t size = sizeof(line); /* with a CR */
    size_t whole;

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        console_log->write(line, sizeof(line) - 1);
    }
    assert_int_equal(device_len, 0);
    device_room = sizeof(device_text);
    device_event();
    device_text[device_len] = '\0';
    whole = (size_t)(strchr(device_text, '[') - device_text);
    assert_in_range(whole / size, 500, 600);
    assert_int_equal(whole % size, 0);
    assert_non_null(strstr(device_text, "bytes of log not shown"));
    device_len = device_room = 0;
}

static unsigned told;

static void count_told(void)
{
    told++;
}

/* Who does not wait takes what is there, and is told when there is more, or room. */
static void who_does_not_wait_is_told(void **state)
{
    static char text[20000]; /* more than the buffer holds */
    char buf[4096];
    size_t there = 0, n;

    (void)state;
    memset(text, 'x', sizeof(text));
    while (xencons_take(buf, sizeof(buf)) != 0) {
    }
    xencons_tell(count_told);
    assert_true(xencons_writable());
    device_event();
    assert_int_equal(told, 0);
    typed_text = 'k';
    device_event();
    typed_text = '\0';
    assert_int_equal(told, 1);
    while ((n = xencons_take(buf, sizeof(buf))) != 0) {
        there += n;
    }
    assert_true(there != 0);

    n = xencons_put(text, sizeof(text));
    assert_in_range(n, 1, sizeof(text) - 1);
    assert_false(xencons_writable());
    device_room = 100; /* too little to be told of */
    device_event();
    assert_int_equal(told, 1);
    device_room = sizeof(device_text);
    device_event();
    assert_int_equal(told, 2);
    device_event();
    assert_int_equal(told, 2);
    device_len = 0;
    assert_int_equal(xencons_put(text, sizeof(text)), sizeof(text)); /* straight through */
    xencons_tell(NULL);
    device_len = device_room = 0;
}

/* Who looks before the event does has it all, but for what he was not given: he is told of that. */
static void who_looks_before_the_event_is_told(void **state)
{
    char c;

    (void)state;
    while (xencons_take(&c, 1) != 0) {
    }
    xencons_tell(count_told);
    told = 0;
    typed_text = 'k';
    assert_int_equal(xencons_take(&c, 1), 0);
    typed_text = '\0';
    device_event();
    assert_int_equal(told, 1);
    assert_int_equal(xencons_take(&c, 1), 1);
    xencons_tell(NULL);
}

static unsigned events;

static void count_event(void)
{
    events++;
}

static struct xencons_interface *open_ring(void)
{
    static struct xencons_interface *page;

    page = aligned_alloc(4096, 4096);
    assert_non_null(page);
    memset(page, 0, 4096);
    info.console.domU.mfn = ((uintptr_t)page - KPM_BASE) >> 12;
    assert_int_equal(cons_ring_ops.open(count_event), 0);
    return page;
}

static void daemon_types(struct xencons_interface *page, const char *text)
{
    for (; *text != '\0'; text++) {
        page->in[MASK_XENCONS_IDX(page->in_prod, page->in)] = *text;
        page->in_prod++;
    }
    ring_handler(PORT, NULL);
}

/* The daemon writes into the guest's indices: nothing is read twice, or written elsewhere. */
static void indices_of_ours_are_ours(void **state)
{
    struct xencons_interface *page = open_ring();
    char buf[16];

    (void)state;
    events = 0;
    daemon_types(page, "hello");
    assert_int_equal(events, 1);
    assert_int_equal(cons_ring_ops.read(buf, sizeof(buf)), 5);
    assert_memory_equal(buf, "hello", 5);
    assert_int_equal(cons_ring_ops.write("ab", 2), 2);
    page->in_cons = 2;
    page->out_prod = 1000;
    daemon_types(page, "!");
    assert_int_equal(cons_ring_ops.read(buf, sizeof(buf)), 1);
    assert_int_equal(buf[0], '!');
    assert_int_equal(page->in_cons, 6);
    assert_int_equal(cons_ring_ops.write("c", 1), 1);
    assert_int_equal(page->out_prod, 3);
    assert_memory_equal(page->out, "abc", 3);
    assert_false(cons_ring_ops.drained());
    page->out_cons = 3;
    assert_true(cons_ring_ops.drained());
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_types_without_pause),
        cmocka_unit_test(what_does_not_fit_waits),
        cmocka_unit_test(a_log_line_is_there_or_not),
        cmocka_unit_test(who_does_not_wait_is_told),
        cmocka_unit_test(who_looks_before_the_event_is_told),
        cmocka_unit_test(indices_of_ours_are_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
