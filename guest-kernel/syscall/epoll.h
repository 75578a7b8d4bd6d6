/*
 * epoll.h - a set of files that is watched, as a file itself.
 *
 * A watch is of a descriptor and its file. It holds no reference: it ends when the file does. One
 * with EPOLLET tells only of what file_changed() has told since it told the last time. The watches
 * are told of in turn. Epolls cannot watch epolls.
 * Locks: "epoll" (a mutex), one for all of them; a file is asked whether it is ready with it held.
 */
#ifndef SYSCALL_EPOLL_H
#define SYSCALL_EPOLL_H

#include "syscall/file.h"

#define WATCHES_MAX FD_MAX /* of one: a file may be watched by several descriptors */

/** epoll_boot() - once. */
void epoll_boot(void);

/** epoll_create() - NULL: no memory. */
struct file *epoll_create(void);

/** epoll_is() - whether a file is one. */
bool epoll_is(const struct file *f);

/* What is done with a watch. */
enum epoll_do { EPOLL_ADD = 1, EPOLL_DEL, EPOLL_MOD };

/**
 * epoll_control() - add, remove or change a watch
 * @fd, @f: which
 *
 * Return: 0, -EEXIST, -ENOENT, -ENOMEM, -ENOSPC: there are too many.
 */
int epoll_control(struct file *epoll, enum epoll_do what, int fd, struct file *f,
                  const struct abi_epoll_event *event) __must_check;

/** epoll_collect() - what can be told now: at most @max. Return: how many. */
unsigned epoll_collect(struct file *epoll, struct abi_epoll_event *events, unsigned max);

#endif /* SYSCALL_EPOLL_H */
