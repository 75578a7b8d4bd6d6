/*
 * dev.h - the start of the devices; what they are is in file.h.
 */
#ifndef SYSCALL_DEV_H
#define SYSCALL_DEV_H

/** dev_boot() - the console can be read. Once. */
void dev_boot(void);

#endif /* SYSCALL_DEV_H */
