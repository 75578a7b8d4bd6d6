/*
 * duet-crash --gdb: a stub of GDB's over a core. vCPUs and threads of the kernel are GDB's threads.
 */
#ifndef DUET_CRASH_GDB_H
#define DUET_CRASH_GDB_H

#include "crash.h"

/*
 * Serves one GDB until it goes: @where is "stdio", a TCP port of the loopback address, or a path
 * for a socket. Returns CRASH_*, and unless CRASH_DONE has
 * written @why.
 */
int gdb_serve(struct session *s, const char *where, struct excuse *why);

#endif
