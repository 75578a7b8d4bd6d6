/*
 * What the sub-commands of duet-console share: their table, and options of several of them.
 */
#ifndef DUET_CONSOLE_TOOL_H
#define DUET_CONSOLE_TOOL_H

#include "cons_talk.h"
#include "xenbus.h"

extern const struct command cmd_attach, cmd_list, cmd_log, cmd_send;

#define SOCKET_HELP "  -s, --socket PATH   the daemon's (default " CONS_TALK_SOCKET ")\n"

#define SOCKET_OPTION                          \
    {                                          \
        "socket", required_argument, NULL, 's' \
    }

#endif
