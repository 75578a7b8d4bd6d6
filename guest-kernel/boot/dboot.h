/*
 * dboot.h - the C entry of the kernel, called by head.S alone.
 */
#ifndef BOOT_DBOOT_H
#define BOOT_DBOOT_H

#include "kern/types.h"

struct start_info;

/** dboot() - bring up memory and traps, then run the kernel. @info: what Xen passed in %rsi. */
__noreturn void dboot(struct start_info *info);

#endif /* BOOT_DBOOT_H */
