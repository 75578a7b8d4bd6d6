/*
 * main.h - the kernel after dboot.
 */
#ifndef BOOT_MAIN_H
#define BOOT_MAIN_H

#include "kern/types.h"

/** kernel_main() - start everything, in the order written there. Boot thread, never returns. */
__noreturn void kernel_main(void);

#endif /* BOOT_MAIN_H */
