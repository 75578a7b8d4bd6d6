/*
 * heap.h - the memory of the TCP/IP stack: the kernel's, within a quota.
 *
 * What peers can make the stack keep (connections, queued frames) is bounded by it, so that the
 * rest of the kernel always has memory. Locks: none of its own; any context. Suspend: nothing.
 */
#ifndef NET_HEAP_H
#define NET_HEAP_H

#include "kern/types.h"

/** heap_boot() - set the quota: a quarter of the memory that is free now. Before any other. */
void heap_boot(void);

/** heap_alloc() - as kmalloc(); NULL also when the quota is used up. */
void *heap_alloc(size_t size);
void *heap_calloc(size_t count, size_t size);
void heap_free(void *ptr);

/**
 * heap_users_may_take() - whether there is still more left than what programs leave alone
 *
 * What they send, and what they do not read, ends where a quarter of the quota is left.
 */
bool heap_users_may_take(void);

/** heap_used(), heap_quota() - bytes in use, and how many there may be. */
size_t heap_used(void);
size_t heap_quota(void);

#endif /* NET_HEAP_H */
