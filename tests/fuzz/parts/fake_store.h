/*
 * A store whose values are any bytes that a target puts there, in place of libxenstore. What is
 * written is required to hold nothing that hurts a terminal. Watches are taken and never fire: a
 * target calls what they would have called.
 */
#ifndef DUET_FUZZ_STORE_H
#define DUET_FUZZ_STORE_H

#include <stdbool.h>
#include <stddef.h>

/* Forgets all. */
void fuzz_store_reset(void);

/* Puts a value of `len` bytes; with `value` NULL removes the node. */
void fuzz_store_put(const char *path, const void *value, size_t len);
void fuzz_store_put_text(const char *path, const char *text);

/*
 * Puts what the input says, to its end: which of the `nr` paths, a length (from 0xfd on it is a
 * long one), the bytes of the value.
 */
struct input;
void fuzz_store_keys(struct input *in, const char *const *paths, unsigned int nr);

/* Whether a sentence says something, and hurts no terminal. */
bool fuzz_store_harmless(const char *sentence);

/* The value with its length; NULL: no such node. */
const char *fuzz_store_get(const char *path, size_t *len);

/* The next `n` transactions end with a conflict; and requests fail while `failing`. */
extern unsigned int fuzz_store_conflicts;
extern bool fuzz_store_failing;

/* Told of each write by the code under test. NULL: nobody is. */
extern void (*fuzz_store_on_write)(const char *path, const char *value);

/*
 * What store_read_uint() is to say of a node, by a reading of its own: 1 with *out, 0 when there is
 * none, -1 when its value is no number from 0 to `max`.
 */
int fuzz_store_number(const char *dir, const char *key, unsigned long long max,
                      unsigned long long *out);

#endif
