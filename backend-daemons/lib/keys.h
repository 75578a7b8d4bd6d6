/*
 * Tables of store keys: what is read from a directory into a structure, and what is written there.
 * A class says in one line per key what values it may have and what it means; reading checks it
 * all.
 *
 * Types: struct key_rule, key_value: constant tables of their users.
 */
#ifndef DUET_LIB_KEYS_H
#define DUET_LIB_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store.h"

enum key_type {
    KEY_BOOL, /* 0 or 1, into a bool */
    KEY_U32,
    KEY_U64,
};

/* A decimal number that is read. */
struct key_rule {
    const char *key;
    enum key_type type;
    uint64_t min, max;
    bool required; /* else `def` stands in for it */
    uint64_t def;
    size_t where; /* offset in the structure */
    const char *meaning;
};

/* What is written: a text, or without one a number. */
struct key_value {
    const char *key;
    const char *text;
    uint64_t number;
    bool removed; /* instead */
    bool omitted;
};

/*
 * Reads `nr` keys of `dir` into `out`. Returns 0, or -errno of the first that is missing or not
 * allowed, with a sentence in `why`.
 */
int keys_read(struct store *st, xs_transaction_t t, const char *dir, const struct key_rule *rules,
              unsigned int nr, void *out, char *why, unsigned long why_size);

/* Writes them to `dir`. Returns 0 or -errno. */
int keys_write(struct store *st, xs_transaction_t t, const char *dir,
               const struct key_value *values, unsigned int nr);

/*
 * Reads a text of at most `max_len` bytes; a missing one is NULL. Returns 0 or -errno with a
 * sentence in `why`; the caller frees *out.
 */
int keys_read_text(struct store *st, xs_transaction_t t, const char *dir, const char *key,
                   unsigned int max_len, char **out, char *why, unsigned long why_size);

#endif
