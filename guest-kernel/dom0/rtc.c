/*
 * rtc.c - the MC146818's periodic interrupt, ISA line 8.
 *
 * Register A has the rate, bit 6 of register B turns it on, and reading register C acknowledges:
 * without that no further interrupt comes. Xen passes each access on, and keeps the index register
 * per domain.
 * Locks, in order: switch_lock (mutex): on or off; cmos_lock (spinlock): the index and data ports.
 * Suspend: a dom0 is not saved.
 */
#include "dom0/rtc.h"

#include "dom0/ioport.h"
#include "dom0/pirq.h"
#include "kern/lock.h"
#include "kern/wait.h"

#define PORT_INDEX 0x70
#define PORT_DATA  0x71

enum { REG_A = 10, REG_B = 11, REG_C = 12 };

#define RATE_MASK    0x0f
#define RATE_64HZ    0x0a /* 32768 Hz >> (10 - 1) */
#define PERIODIC     0x40 /* of register B */
#define RTC_ISA_LINE 8

_Static_assert(32768 >> (RATE_64HZ - 1) == RTC_HZ, "the rate's code and its name");

static struct mutex switch_lock;
static spinlock_t cmos_lock = SPINLOCK("cmos");
static bool on;

static uint8_t cmos_read(uint8_t reg)
{
    upcall_state_t state = spin_lock(&cmos_lock);

    ioport_write8(PORT_INDEX, reg);
    uint8_t value = ioport_read8(PORT_DATA);
    spin_unlock(&cmos_lock, state);
    return value;
}

/* Changes the bits of @mask to those of @value. */
static void cmos_change(uint8_t reg, uint8_t mask, uint8_t value)
{
    upcall_state_t state = spin_lock(&cmos_lock);

    ioport_write8(PORT_INDEX, reg);
    uint8_t old = ioport_read8(PORT_DATA);
    ioport_write8(PORT_DATA, (uint8_t)((old & ~mask) | value));
    spin_unlock(&cmos_lock, state);
}

static void rtc_interrupt(void *arg __unused)
{
    (void)cmos_read(REG_C);
}

static struct pirq interrupt = {
    .line = {.gsi = RTC_ISA_LINE}, .name = "rtc", .ipl = IPL_TIMER, .handler = rtc_interrupt};

int rtc_start(void)
{
    int rc = 0;

    mutex_lock(&switch_lock);
    if (!on) {
        rc = pirq_bind(&interrupt);
    }
    if (!on && rc == 0) {
        on = true;
        cmos_change(REG_A, RATE_MASK, RATE_64HZ);
        cmos_change(REG_B, PERIODIC, PERIODIC);
        (void)cmos_read(REG_C); /* one that was left pending would block the first */
    }
    mutex_unlock(&switch_lock);
    return rc;
}

void rtc_stop(void)
{
    mutex_lock(&switch_lock);
    if (on) {
        cmos_change(REG_B, PERIODIC, 0);
        pirq_unbind(&interrupt);
        on = false;
    }
    mutex_unlock(&switch_lock);
}

void rtc_init(void)
{
    mutex_init(&switch_lock, "rtc");
    acpi_line(RTC_ISA_LINE, &interrupt.line);
}
