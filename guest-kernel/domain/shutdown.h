/*
 * shutdown.h - ending, as the toolstack asks for it or as somebody here does.
 *
 * Watches control/shutdown; what it may ask for is a table of actions, to which other rooms add
 * theirs (a suspend). Locks: see shutdown.c. Suspend: the watch is set anew by xenbus, the
 * features are advertised again by shutdown_resume().
 */
#ifndef DOMAIN_SHUTDOWN_H
#define DOMAIN_SHUTDOWN_H

#include <xen_list.h>

#include "kern/types.h"

/**
 * struct shutdown_action - one word that control/shutdown may hold
 * @word: "poweroff"; its feature node control/feature-WORD is advertised
 * @run: does it; called in a thread of its own, after the request was acknowledged. May sleep
 */
struct shutdown_action {
    const char *word;
    void (*run)(void);
    XEN_TAILQ_ENTRY(struct shutdown_action) link;
};

/** shutdown_init() - add the ends of the machine, advertise them, watch. Thread context, once. */
void shutdown_init(void);

/** shutdown_add() - let the toolstack ask for another thing. @action must stay. */
void shutdown_add(struct shutdown_action *action);

/** shutdown_resume() - advertise the actions in the store of a new domain. May sleep. */
void shutdown_resume(void);

/** machine_sync() - flush all disks, as far as that goes within twenty seconds. May sleep. */
void machine_sync(void);

/**
 * shutdown_set_poweroff() - how a dom0 turns the machine off, which Xen would only halt
 * @off: returns if it could not. Thread context
 */
void shutdown_set_poweroff(void (*off)(void));

/**
 * machine_poweroff(), machine_reboot(), machine_halt() - flush disks and console, then end
 *
 * To the toolstack a halt is a power off: a domain has no state between the two. Thread context.
 */
__noreturn void machine_poweroff(void);
__noreturn void machine_reboot(void);
__noreturn void machine_halt(void);

#endif /* DOMAIN_SHUTDOWN_H */
