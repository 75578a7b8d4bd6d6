/*
 * pattern.c - known bytes for tests of disks; see pattern.h.
 */
#include "lib/pattern.h"

#include "kern/string.h"

static void put_hex(char *out, unsigned digits, uint64_t value)
{
    static const char symbols[] = "0123456789abcdef";

    while (digits-- != 0) {
        out[digits] = symbols[value & 15];
        value >>= 4;
    }
}

static void record(char out[PATTERN_RECORD], uint32_t seed, uint64_t offset)
{
    static const char tail[] = {' ', 'd', 'u', 'e', 't', '.', '\n'};

    put_hex(out, 8, seed);
    out[8] = ' ';
    put_hex(out + 9, 16, offset);
    memcpy(out + 25, tail, sizeof(tail));
}

void pattern_fill(void *buf, size_t len, uint32_t seed, uint64_t offset)
{
    char *out = buf;

    for (size_t i = 0; i < len; i += PATTERN_RECORD) {
        record(out + i, seed, offset + i);
    }
}

ssize_t pattern_check(const void *buf, size_t len, uint32_t seed, uint64_t offset)
{
    const char *bytes = buf;
    char want[PATTERN_RECORD];

    for (size_t i = 0; i < len; i += PATTERN_RECORD) {
        record(want, seed, offset + i);
        if (memcmp(bytes + i, want, PATTERN_RECORD) == 0) {
            continue;
        }
        for (size_t j = 0; j < PATTERN_RECORD; j++) {
            if (bytes[i + j] != want[j]) {
                return (ssize_t)(i + j);
            }
        }
    }
    return -1;
}
