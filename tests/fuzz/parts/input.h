/*
 * How a target reads its input: piece by piece, zeros behind its end; and how it says what must
 * hold.
 */
#ifndef DUET_FUZZ_INPUT_H
#define DUET_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *at;
    size_t left;
};

/* Ends the run with a finding unless `condition` holds. */
#define require(condition)                                                  \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                        \
        }                                                                   \
    } while (0)

/* Copies the next `n` bytes; zeros stand in for those that are not there. */
static inline void input_bytes(struct input *in, void *to, size_t n)
{
    size_t have = n < in->left ? n : in->left;

    if (have != 0) {
        memcpy(to, in->at, have);
    }
    memset((uint8_t *)to + have, 0, n - have);
    in->at += have;
    in->left -= have;
}

static inline uint8_t input_u8(struct input *in)
{
    uint8_t v;

    input_bytes(in, &v, sizeof(v));
    return v;
}

static inline uint16_t input_u16(struct input *in)
{
    uint16_t v;

    input_bytes(in, &v, sizeof(v));
    return v;
}

static inline uint32_t input_u32(struct input *in)
{
    uint32_t v;

    input_bytes(in, &v, sizeof(v));
    return v;
}

#endif
