/*
 * How GDB comes to a stub: by a pipe, over TCP from this machine only, or by a socket.
 */
#ifndef DUET_CRASH_GDB_TALK_H
#define DUET_CRASH_GDB_TALK_H

#include "gdb_stub.h"

/*
 * Serves @target to one GDB until it goes: on "stdio", at a TCP port of the loopback address, or at
 * a path where there is nothing yet. Returns 0 or -errno.
 */
int gdb_talk(const struct gdb_target *target, const char *where);

#endif
