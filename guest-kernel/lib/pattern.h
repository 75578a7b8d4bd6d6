/*
 * pattern.h - known bytes for tests of disks.
 *
 * A disk filled with pattern SEED holds, at each byte offset that is a multiple of 32, the 32
 * characters "SSSSSSSS OOOOOOOOOOOOOOOO duet.\n": the seed and the offset in hexadecimal. So any
 * range can be checked by itself, and a block that went elsewhere tells where it belongs. Plain C;
 * compiles on the host for tests/unit.
 */
#ifndef LIB_PATTERN_H
#define LIB_PATTERN_H

#include "kern/types.h"

#define PATTERN_RECORD 32

/** pattern_fill() - the bytes for disk offset @offset; it and @len are multiples of 32. */
void pattern_fill(void *buf, size_t len, uint32_t seed, uint64_t offset);

/**
 * pattern_check() - compare bytes read from @offset with what pattern_fill() puts there
 *
 * Return: -1 when they are the same, else the index of the first byte that differs.
 */
ssize_t pattern_check(const void *buf, size_t len, uint32_t seed, uint64_t offset);

#endif /* LIB_PATTERN_H */
