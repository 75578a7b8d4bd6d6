/*
 * Reads a front end's side as supervised.c does, of a device that is nothing else: in one
 * transaction, and into a configuration that begins with zeros each time.
 */
#ifndef DUET_FUZZ_FAKE_FRONT_H
#define DUET_FUZZ_FAKE_FRONT_H

#include "supervised.h"
#include "supervisor.h"

/* Returns what the class's `read` returns, or what the transaction does; a sentence is in `why`. */
int fuzz_read_front(struct supervised *dev, int (*read)(const struct supervised_front *front),
                    void *config, unsigned long config_bytes, char *why, unsigned long why_size);

#endif
