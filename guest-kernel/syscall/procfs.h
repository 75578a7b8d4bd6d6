/*
 * procfs.h - /proc: what is so now, as files.
 */
#ifndef SYSCALL_PROCFS_H
#define SYSCALL_PROCFS_H

#include "fs/tree.h"
#include "syscall/file.h"

/** procfs_boot() - once. */
void procfs_boot(void);

/** proc_folder - what /proc's node has as `own`. */
extern const struct folder proc_folder;

/** proc_ops - of a file in it: a text that is made when its beginning is read. */
extern const struct file_ops proc_ops;

#endif /* SYSCALL_PROCFS_H */
