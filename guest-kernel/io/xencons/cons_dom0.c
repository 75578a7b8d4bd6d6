/*
 * cons_dom0.c - Xen's own console (the serial line, the screen), which Xen lends to its dom0.
 *
 * Output is a hypercall that takes everything; Xen buffers it for the line. Input is what is typed
 * while the line's keyboard is switched to dom0 (three times Ctrl-a): Xen keeps it in a small
 * buffer and raises VIRQ_CONSOLE for each byte. See CONSOLEIO_* in xen/xen.h.
 * Owns the port. Locks: the caller's cons_lock. Suspend: a dom0 is not saved.
 */
#include "io/xencons/cons_ops.h"
#include "os/evtchn.h"
#include "os/hypercall.h"

#define WRITE_MAX 1024u /* per hypercall: bounds the time with upcalls masked */

static evtchn_port_t port;
static void (*on_event)(void);

static void virq_event(evtchn_port_t p __unused, void *arg __unused)
{
    on_event();
}

static int dom0_open(void (*event)(void))
{
    on_event = event;
    int rc = evtchn_bind_virq(VIRQ_CONSOLE, 0, "console", IPL_CONSOLE, virq_event, NULL);

    if (rc < 0) {
        return rc;
    }
    port = (evtchn_port_t)rc;
    return 0;
}

static size_t dom0_write(const char *text, size_t len)
{
    size_t n = MIN(len, WRITE_MAX);

    /* What Xen refuses is lost, as on any serial line: waiting would not make it take more. */
    (void)HYPERVISOR_console_io(CONSOLEIO_write, (unsigned)n, text);
    return n;
}

static size_t dom0_read(char *buf, size_t size)
{
    long n = size == 0 ? 0 : HYPERVISOR_console_io(CONSOLEIO_read, (unsigned)size, buf);

    return n > 0 ? MIN((size_t)n, size) : 0;
}

static void dom0_again(void)
{
    evtchn_again(port);
}

static void dom0_notify(void)
{
}

static bool dom0_drained(void)
{
    return true;
}

const struct cons_ops cons_dom0_ops = {
    .name = "console of Xen",
    .cooked = true,
    .open = dom0_open,
    .write = dom0_write,
    .read = dom0_read,
    .again = dom0_again,
    .notify = dom0_notify,
    .drained = dom0_drained,
};
