/*
 * rtc.h - the real-time clock's periodic interrupt.
 *
 * It proves that interrupts of the machine arrive; time comes from Xen. Off unless asked for.
 * Locks: see rtc.c. Suspend: a dom0 is not saved.
 */
#ifndef DOM0_RTC_H
#define DOM0_RTC_H

#include "kern/types.h"

#define RTC_HZ 64u

/** rtc_init() - once, before the others, after ACPI. Thread context. */
void rtc_init(void);

/** rtc_start() - RTC_HZ interrupts a second from here on. Return: 0 or -errno. Thread context. */
int rtc_start(void) __must_check;

/** rtc_stop() - and no more; nothing if it is off. Thread context. */
void rtc_stop(void);

#endif /* DOM0_RTC_H */
