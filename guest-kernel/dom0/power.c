/*
 * power.c - soft off and the power button, through ACPI's fixed registers.
 *
 * Soft off: the sleep types of the state S5 stand in the DSDT (or an SSDT); with them the values of
 * the PM1 control registers are made, and Xen writes those (XENPF_enter_acpi_sleep) after it
 * has stopped everything else. The button: once the machine is in ACPI mode, pressing it sets a bit
 * of the PM1 status register and raises the system control interrupt (SCI), a level-triggered
 * line, until that bit is cleared.
 *
 * Owns what was read of the FADT, constant after power_init(). Locks: none; events are enabled by
 * the boot thread and after it by the shell's alone; `pressed` is set by the
 * interrupt and taken by the button's thread. Suspend: a dom0 is not saved.
 */
#include "dom0/power.h"

#include "dom0/acpi.h"
#include "dom0/ioport.h"
#include "dom0/pirq.h"
#include "domain/shutdown.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "kern/wait.h"
#include "os/hypercall.h"
#include "psm/clock.h"

#define ACPI_S5          5u
#define PM1_TIMER        (1u << 0)
#define PM1_POWER_BUTTON (1u << 8)
#define PM1_SCI_ENABLED  (1u << 0)
#define PM1_SLEEP_SHIFT  10
#define PM1_SLEEP_MASK   (7u << PM1_SLEEP_SHIFT)
#define PM1_SLEEP_ENABLE (1u << 13)
#define PORT_LIMIT       0xffffu
#define SPURIOUS_MAX     1000u /* a second: interrupts that nobody here has an answer to */
#define ENABLE_TIME      (3 * NSEC_PER_SEC)

static struct acpi_fadt fadt;
static uint8_t s5_types[2];
static bool listening; /* the SCI is bound */
static bool pressed;
static unsigned spurious; /* since spurious_since */
static nsec_t spurious_since;
static struct waitq button_wq = WAITQ(button_wq, "power-button");

/* ---- soft off ---- */

static bool find_s5(void)
{
    const struct acpi_table *t;
    bool found = false;

    for (unsigned i = 0; !found && (t = acpi_table(i)) != NULL; i++) {
        size_t len;
        bool aml =
            strcmp(t->header.signature, "DSDT") == 0 || strcmp(t->header.signature, "SSDT") == 0;
        uint8_t *copy = aml ? acpi_copy(t, &len) : NULL;

        found = copy != NULL && acpi_find_s5(copy, len, s5_types) == 0;
        kfree(copy);
    }
    return found;
}

/* What a PM1 control register must get to go to sleep; 0 where there is no such register. */
static uint16_t sleep_value(uint32_t port, uint8_t type)
{
    if (port == 0 || port > PORT_LIMIT) {
        return 0;
    }
    unsigned value = ioport_read16((uint16_t)port) & ~(PM1_SLEEP_MASK | PM1_SLEEP_ENABLE);
    return (uint16_t)(value | (unsigned)type << PM1_SLEEP_SHIFT | PM1_SLEEP_ENABLE);
}

static void soft_off(void)
{
    struct xen_platform_op op = {
        .cmd = XENPF_enter_acpi_sleep,
        .u.enter_acpi_sleep = {.val_a = sleep_value(fadt.pm1a_control, s5_types[0]),
                               .val_b = sleep_value(fadt.pm1b_control, s5_types[1]),
                               .sleep_state = ACPI_S5},
    };
    long rc = HYPERVISOR_platform_op(&op);

    log_err("power: Xen did not turn the machine off: %s", errno_name((int)rc));
}

/* ---- the button ---- */

/* The enable half of an event register block, behind its status half. */
static uint16_t enable_port(void)
{
    return (uint16_t)(fadt.pm1a_event + fadt.pm1_event_size / 2);
}

/* Count an interrupt without a cause. Return: whether it is a storm. */
static bool is_storm(void)
{
    nsec_t now = clock_now();

    if (now - spurious_since > NSEC_PER_SEC) {
        spurious_since = now;
        spurious = 0;
    }
    return ++spurious == SPURIOUS_MAX;
}

/* SCI: what was enabled has happened, or it is an event that nobody here asked for. */
static void sci_interrupt(void *arg)
{
    uint16_t port = (uint16_t)fadt.pm1a_event;
    uint16_t events = ioport_read16(port) & ioport_read16(enable_port());

    ioport_write16(port, events); /* writing a one clears it */
    if (events & PM1_POWER_BUTTON) {
        WRITE_ONCE(pressed, true);
        waitq_wake_all(&button_wq);
    }
    if (events == 0 && is_storm()) {
        log_err("power: %u system control interrupts without a cause: no more are taken",
                SPURIOUS_MAX);
        pirq_mask(arg);
    }
}

static struct pirq sci = {.name = "acpi", .ipl = IPL_SOFT, .handler = sci_interrupt, .arg = &sci};

static void button_main(void *arg __unused)
{
    wait_event(&button_wq, READ_ONCE(pressed));
    log_info("power: button pressed");
    machine_poweroff();
}

/* Turn fixed events on and off; what had happened before does not count. */
static void enable_events(uint16_t on, uint16_t off)
{
    ioport_write16((uint16_t)fadt.pm1a_event, on);
    ioport_write16(enable_port(), (uint16_t)((ioport_read16(enable_port()) & ~off) | on));
}

int power_timer_start(void)
{
    if (!listening) {
        return -ENODEV;
    }
    enable_events(PM1_TIMER, 0);
    return 0;
}

void power_timer_stop(void)
{
    if (listening) {
        enable_events(0, PM1_TIMER);
    }
}

/* Has the firmware hand the fixed events over. */
static bool acpi_mode(void)
{
    uint16_t control = (uint16_t)fadt.pm1a_control;
    nsec_t deadline = clock_now() + ENABLE_TIME;

    if (ioport_read16(control) & PM1_SCI_ENABLED) {
        return true;
    }
    if (fadt.smi_port == 0 || fadt.smi_port > PORT_LIMIT || fadt.acpi_enable == 0) {
        return false;
    }
    ioport_write8((uint16_t)fadt.smi_port, fadt.acpi_enable);
    while ((ioport_read16(control) & PM1_SCI_ENABLED) == 0) {
        if (clock_now() > deadline) {
            return false;
        }
        thread_yield();
    }
    return true;
}

static void power_listen(void)
{
    int rc;

    if (!acpi_mode()) {
        log_warn("power: the firmware does not give ACPI to us: no events, no power button");
        return;
    }
    /* ACPI's default; the MADT may say other. */
    sci.line = (struct acpi_line){.gsi = fadt.sci, .level = true, .active_low = true};
    acpi_line(fadt.sci, &sci.line);
    rc = pirq_bind(&sci);
    if (rc != 0) {
        log_warn("power: irq %u: %s: no power button", sci.line.gsi, errno_name(rc));
        return;
    }
    listening = true;
    struct thread *t =
        fadt.power_button ? thread_create("power-button", button_main, NULL, PRIO_HIGH) : NULL;
    if (t != NULL) {
        thread_detach(t);
        enable_events(PM1_POWER_BUTTON, 0);
        log_info("power: the button is heard, irq %u", sci.line.gsi);
    }
}

/* Whether the FADT describes registers in ports that can be. */
static bool fixed_registers(void)
{
    return !fadt.hardware_reduced && fadt.pm1a_control != 0 && fadt.pm1a_control <= PORT_LIMIT &&
           fadt.pm1a_event != 0 && fadt.pm1_event_size >= 4 &&
           fadt.pm1a_event <= PORT_LIMIT - fadt.pm1_event_size;
}

void power_init(void)
{
    const struct acpi_table *t = acpi_find("FACP");
    size_t len;
    uint8_t *copy = t != NULL ? acpi_copy(t, &len) : NULL;
    int rc = copy != NULL ? acpi_parse_fadt(copy, len, &fadt) : -ENOENT;

    kfree(copy);
    if (rc != 0 || !fixed_registers()) {
        log_warn("power: no ACPI registers to turn the machine off by: it will halt");
        return;
    }
    if (find_s5()) {
        shutdown_set_poweroff(soft_off);
        log_info("power: soft off by ACPI, sleep types %u and %u", s5_types[0], s5_types[1]);
    } else {
        log_warn("power: ACPI does not tell how to turn the machine off: it will halt");
    }
    power_listen();
}
