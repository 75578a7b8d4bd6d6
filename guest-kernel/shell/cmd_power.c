/*
 * cmd_power.c - commands about the machine's end and about waiting.
 */
#include "domain/shutdown.h"
#include "io/xencons/xencons.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "psm/clock.h"
#include "shell/commands.h"

static int cmd_end(struct shell *sh __unused, int argc, char **argv)
{
    if (argc != 1) {
        return SH_USAGE;
    }
    if (strcmp(argv[0], "reboot") == 0) {
        machine_reboot();
    } else if (strcmp(argv[0], "halt") == 0) {
        machine_halt();
    }
    machine_poweroff();
}

static int cmd_sleep(struct shell *sh, int argc, char **argv)
{
    bool wall = argc == 3 && strcmp(argv[1], "-w") == 0;
    uint64_t seconds;

    if (argc != 2 && !wall) {
        return SH_USAGE;
    }
    int rc = parse_u64(argv[argc - 1], &seconds);
    if (rc || seconds > UINT32_MAX) {
        return sh_error(sh, "%s: not a number of seconds", argv[argc - 1]);
    }
    if (wall) {
        thread_sleep_until_wall(clock_wall() + seconds * NSEC_PER_SEC);
        return SH_OK;
    }
    return xencons_wait_interrupt(clock_now() + seconds * NSEC_PER_SEC) ? SH_INTERRUPTED : SH_OK;
}

const struct sh_command power_commands[] = {
    {"sleep", "sleep [-w] SECONDS", "wait",
     "Time while the domain is saved does not count, but with -w, by the wall clock. That one is "
     "not\n"
     "ended by ^C.\n",
     ARGS_NONE, cmd_sleep},
    {"halt", "halt", "flush the disks and end the domain", NULL, ARGS_NONE, cmd_end},
    {"poweroff", "poweroff", "the same as halt", NULL, ARGS_NONE, cmd_end},
    {"reboot", "reboot", "flush the disks and have the domain started again", NULL, ARGS_NONE,
     cmd_end},
    {0},
};
