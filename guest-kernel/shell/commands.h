/*
 * commands.h - the groups of commands, one per cmd_*.c file, which commands.c lists.
 */
#ifndef SHELL_COMMANDS_H
#define SHELL_COMMANDS_H

#include "shell/shell.h"

extern const struct sh_command info_commands[];
extern const struct sh_command store_commands[];
extern const struct sh_command disk_commands[];
extern const struct sh_command dd_commands[];
extern const struct sh_command machine_commands[];
extern const struct sh_command net_commands[];
extern const struct sh_command ping_commands[];
extern const struct sh_command fetch_commands[];
extern const struct sh_command iperf_commands[];
extern const struct sh_command httpd_commands[];
extern const struct sh_command netabuse_commands[];
extern const struct sh_command blkabuse_commands[];
extern const struct sh_command power_commands[];
extern const struct sh_command debug_commands[];
extern const struct sh_command test_commands[];
extern const struct sh_command exec_commands[];

#endif /* SHELL_COMMANDS_H */
