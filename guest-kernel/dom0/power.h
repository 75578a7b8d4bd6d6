/*
 * power.h - turning the machine off.
 *
 * Xen's own shutdown of a dom0 only halts the processors; soft off is ACPI's, and dom0 has to say
 * how. The power button asks for the same. Suspend: a dom0 is not saved.
 */
#ifndef DOM0_POWER_H
#define DOM0_POWER_H

/** power_init() - find out how, and listen to the button. After ACPI and ports. Thread context. */
void power_init(void);

/**
 * power_timer_start() - have ACPI's timer interrupt, each time its highest bit changes: 2.3 s
 *
 * It proves that level-triggered interrupts arrive. Return: 0, or -ENODEV without ACPI's events.
 * The shell's thread.
 */
int power_timer_start(void);

/** power_timer_stop() - and no more. The shell's thread. */
void power_timer_stop(void);

#endif /* DOM0_POWER_H */
