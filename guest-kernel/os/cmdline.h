/*
 * cmdline.h - the kernel command line: what `extra=` of the xl configuration says.
 *
 * Words of the form key, key=value or key="value with spaces; and more". Read-only after boot.
 */
#ifndef OS_CMDLINE_H
#define OS_CMDLINE_H

#include "kern/types.h"

/** cmdline_get() - the value of the last @key=, "" for a bare @key, NULL if it is not there. */
const char *cmdline_get(const char *key);

/** cmdline_text() - the whole line as it was given. */
const char *cmdline_text(void);

/** cmdline_boot() - take over the line from start_info. Once. */
void cmdline_boot(void);

#endif /* OS_CMDLINE_H */
