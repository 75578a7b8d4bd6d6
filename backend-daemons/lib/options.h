/*
 * Values of command-line options that more than one daemon has: read, or refused with a sentence
 * on standard error that names the program, the option and the value.
 *
 * No state, no locks, nothing to suspend.
 */
#ifndef DUET_LIB_OPTIONS_H
#define DUET_LIB_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define OPTIONS_EXIT_USAGE 2 /* exit status for wrong usage */

/* A number from `min` to `max`, in C's notation. Returns false after the sentence. */
bool options_number(const char *option, const char *text, uint64_t min, uint64_t max,
                    uint64_t *out);

/* --uid-base: room for every domain id above it, and never root. As options_number(). */
bool options_uid_base(const char *text, uid_t *out);

/* --log-level, which takes effect. Returns false after the sentence. */
bool options_log_level(const char *text);

#endif
