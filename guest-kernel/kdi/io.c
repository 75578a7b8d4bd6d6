/*
 * io.c - the debugger's console: polled, without locks or events.
 *
 * Output goes to the panic console (os/panic.h), or, for a live report, to a function of the
 * caller's. On the console it is paged, unless a script asked; ^C and q end the command that
 * writes. A command that writes more than any honest list holds is ended as well: it follows links
 * that go in circles. Owns the paging state and the keys that were typed ahead.
 */
#include "kdi/kdi_impl.h"

#include "kern/string.h"
#include "os/hypercall.h"
#include "os/panic.h"
#include "psm/clock.h"

#define PAGE_LINES    23
#define LINES_MAX     20000
#define POLL_INTERVAL (20 * NSEC_PER_MSEC)
#define CTRL_C        '\x03'
#define MORE          "--more-- (space: page, Enter: line, q: stop)"

static void (*live_write)(const char *text, size_t len);
static bool paged;
static unsigned lines;     /* since the last pause */
static unsigned all_lines; /* of this command */
static char keys[64];      /* typed ahead */
static size_t nkeys;

void kdi_io_live(void (*write)(const char *text, size_t len))
{
    live_write = write;
}

void kdi_io_raw(const char *text, size_t len)
{
    panic_console_write(text, len);
}

/* Take in up to @n keys that were typed. What is not taken is the shell's, after the session. */
static void poll_keys(size_t n)
{
    nkeys += panic_console_read(keys + nkeys, MIN(n, sizeof(keys) - nkeys));
}

char kdi_io_key(void)
{
    while (nkeys == 0) {
        struct sched_poll nap = {.timeout = clock_xen() + POLL_INTERVAL};

        poll_keys(1);
        if (nkeys == 0) {
            (void)HYPERVISOR_sched_op(SCHEDOP_poll, &nap);
        }
    }
    char key = keys[0];
    nkeys--;
    memmove(keys, keys + 1, nkeys);
    return key;
}

void kdi_io_command(bool want_paging)
{
    paged = want_paging;
    lines = all_lines = 0;
}

/* A page is full: ask how to go on. */
static void more(void)
{
    kdi_io_raw(MORE, strlen(MORE));
    char key = kdi_io_key();
    kdi_io_raw("\r\x1b[K", 4);
    if (key == 'q' || key == 'Q' || key == CTRL_C) {
        kdi_give_up("stopped");
    }
    lines = key == '\r' || key == '\n' ? PAGE_LINES - 1 : 0;
}

bool kdi_io_interrupted(void)
{
    poll_keys(sizeof(keys));
    bool found = memchr(keys, CTRL_C, nkeys) != NULL;
    if (found) {
        nkeys = 0;
    }
    return found;
}

/* One more line of a command was written to the console. */
static void line_done(void)
{
    if (kdi_io_interrupted()) {
        kdi_give_up("interrupted");
    }
    if (++all_lines > LINES_MAX) {
        kdi_give_up("more than %u lines: is this list a circle?", LINES_MAX);
    }
    if (paged && ++lines >= PAGE_LINES) {
        more();
    }
}

void kdi_printf(const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    int len = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    size_t n = MIN((size_t)len, sizeof(text) - 1);
    if (kdi.live) {
        live_write(text, n);
        return;
    }
    kdi_io_raw(text, n);
    if (n > 0 && text[n - 1] == '\n' && kdi_active_here()) {
        line_done();
    }
}
