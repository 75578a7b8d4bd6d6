/*
 * sha256.h - SHA-256 (FIPS 180-4), streaming.
 *
 * Plain C, no state but the caller's; compiles on the host for tests/unit. Any context.
 */
#ifndef LIB_SHA256_H
#define LIB_SHA256_H

#include "kern/types.h"

#define SHA256_SIZE  32
#define SHA256_BLOCK 64

struct sha256 {
    uint32_t h[8];
    uint64_t bytes;
    uint8_t tail[SHA256_BLOCK]; /* the bytes % 64 last ones */
};

void sha256_init(struct sha256 *s);
void sha256_update(struct sha256 *s, const void *data, size_t len);

/** sha256_final() - the digest of all bytes so far; @s is of no use afterwards. */
void sha256_final(struct sha256 *s, uint8_t digest[SHA256_SIZE]);

/** sha256_hex() - a digest as 64 hexadecimal digits and a NUL. */
void sha256_hex(const uint8_t digest[SHA256_SIZE], char out[2 * SHA256_SIZE + 1]);

#endif /* LIB_SHA256_H */
