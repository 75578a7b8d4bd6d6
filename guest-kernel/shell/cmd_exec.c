/*
 * cmd_exec.c - exec: run a program of the ramdisk; status: how the last command ended.
 *
 * No state, no locks.
 */
#include "os/start_info.h"
#include "shell/commands.h"
#include "syscall/run.h"

static int cmd_exec(struct shell *sh, int argc, char **argv)
{
    const char *why;
    int status = SH_OK;

    if (argc < 2) {
        return SH_USAGE;
    }
    if (is_dom0()) {
        return sh_error(sh, "not in dom0, whose kernel's right to ports would be the program's");
    }
    int rc = program_run(argc - 1, argv + 1, &status, &why);

    return rc == 0 ? status : sh_error(sh, "%s: %s", argv[1], why != NULL ? why : errno_name(rc));
}

static int cmd_status(struct shell *sh, int argc, char **argv __unused)
{
    if (argc != 1) {
        return SH_USAGE;
    }
    sh_printf(sh, "status: %d\n", sh->status);
    return SH_OK;
}

const struct sh_command exec_commands[] = {
    {.name = "exec",
     .usage = "exec PATH [ARGUMENT]...",
     .summary = "run a Linux program of the ramdisk",
     .detail =
         "A static program for x86-64 in the cpio archive that `ramdisk =` of the domain's\n"
         "configuration names. Its exit status is the command's. The console is its terminal\n"
         "until it ends. docs/processes.md tells what it may call.\n",
     .run = cmd_exec},
    {.name = "status",
     .usage = "status",
     .summary = "show the exit status of the last command",
     .run = cmd_status},
    {.name = NULL},
};
