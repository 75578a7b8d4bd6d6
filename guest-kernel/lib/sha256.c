/*
 * sha256.c - SHA-256 as FIPS 180-4 describes it; section numbers are that document's.
 *
 * The message schedule is kept as a ring of 16 words, made as the rounds need it, and eight rounds
 * are written out so that the eight working variables change names instead of moving.
 */
#include "lib/sha256.h"

#include "kern/string.h"

/* 4.2.2: the first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t rotr(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

/* 4.1.2 */
static inline uint32_t big_sigma0(uint32_t x)
{
    return rotr(x, 2) ^ rotr(x, 13) ^ rotr(x, 22);
}

static inline uint32_t big_sigma1(uint32_t x)
{
    return rotr(x, 6) ^ rotr(x, 11) ^ rotr(x, 25);
}

/* 6.2.2, step 1: word t of the schedule, in its place of the ring. */
static inline uint32_t sha256_schedule(uint32_t w[16], unsigned t)
{
    uint32_t a = w[(t + 1) & 15];
    uint32_t b = w[(t + 14) & 15];
    uint32_t s0 = rotr(a, 7) ^ rotr(a, 18) ^ a >> 3;
    uint32_t s1 = rotr(b, 17) ^ rotr(b, 19) ^ b >> 10;

    return w[t & 15] += s0 + s1 + w[(t + 9) & 15];
}

/* 6.2.2, step 3; Ch and Maj in the forms that need the fewest operations. */
#define ROUND(a, b, c, d, e, f, g, h, kw)                                       \
    do {                                                                        \
        uint32_t t1 = (h) + big_sigma1(e) + ((g) ^ ((e) & ((f) ^ (g)))) + (kw); \
        (d) += t1;                                                              \
        (h) = t1 + big_sigma0(a) + (((a) & (b)) | ((c) & ((a) | (b))));         \
    } while (0)

#define EIGHT_ROUNDS(t, W)                                      \
    do {                                                        \
        ROUND(a, b, c, d, e, f, g, h, k[(t) + 0] + W((t) + 0)); \
        ROUND(h, a, b, c, d, e, f, g, k[(t) + 1] + W((t) + 1)); \
        ROUND(g, h, a, b, c, d, e, f, k[(t) + 2] + W((t) + 2)); \
        ROUND(f, g, h, a, b, c, d, e, k[(t) + 3] + W((t) + 3)); \
        ROUND(e, f, g, h, a, b, c, d, k[(t) + 4] + W((t) + 4)); \
        ROUND(d, e, f, g, h, a, b, c, k[(t) + 5] + W((t) + 5)); \
        ROUND(c, d, e, f, g, h, a, b, k[(t) + 6] + W((t) + 6)); \
        ROUND(b, c, d, e, f, g, h, a, k[(t) + 7] + W((t) + 7)); \
    } while (0)

#define W_FIRST(t) w[t]
#define W_LATER(t) sha256_schedule(w, t)

static inline __attribute__((always_inline)) void one_block(uint32_t hash[8], const uint8_t *p)
{
    uint32_t w[16];
    uint32_t a = hash[0], b = hash[1], c = hash[2], d = hash[3];
    uint32_t e = hash[4], f = hash[5], g = hash[6], h = hash[7];

    for (unsigned i = 0; i < 16; i++) {
        uint32_t word;

        memcpy(&word, p + 4 * i, sizeof(word));
        w[i] = __builtin_bswap32(word);
    }
    EIGHT_ROUNDS(0, W_FIRST);
    EIGHT_ROUNDS(8, W_FIRST);
    for (unsigned t = 16; t < 64; t += 16) {
        EIGHT_ROUNDS(t, W_LATER);
        EIGHT_ROUNDS(t + 8, W_LATER);
    }
    hash[0] += a;
    hash[1] += b;
    hash[2] += c;
    hash[3] += d;
    hash[4] += e;
    hash[5] += f;
    hash[6] += g;
    hash[7] += h;
}

static void blocks_plain(uint32_t hash[8], const uint8_t *p, size_t n)
{
    for (; n != 0; n--, p += SHA256_BLOCK) {
        one_block(hash, p);
    }
}

/* The same with rotations that leave the flags alone: half as long again under emulation. */
static __attribute__((target("bmi,bmi2"))) void blocks_bmi2(uint32_t hash[8], const uint8_t *p,
                                                            size_t n)
{
    for (; n != 0; n--, p += SHA256_BLOCK) {
        one_block(hash, p);
    }
}

/* Asked each time, as a domain may move to another processor. */
static bool has_bmi2(void)
{
    uint32_t eax = 0;
    uint32_t ebx, ecx = 0, edx;

    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    if (eax < 7) {
        return false;
    }
    eax = 7;
    ecx = 0;
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return ebx >> 3 & ebx >> 8 & 1; /* BMI1 and BMI2 */
}

static void blocks(uint32_t hash[8], const uint8_t *p, size_t n)
{
    if (n > 16 && has_bmi2()) {
        blocks_bmi2(hash, p, n);
    } else {
        blocks_plain(hash, p, n);
    }
}

void sha256_init(struct sha256 *s)
{
    /* 5.3.3 */
    *s = (struct sha256){.h = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
                               0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void sha256_update(struct sha256 *s, const void *data, size_t len)
{
    const uint8_t *p = data;
    size_t have = s->bytes % SHA256_BLOCK;

    s->bytes += len;
    if (have != 0) {
        size_t n = MIN(len, SHA256_BLOCK - have);

        memcpy(s->tail + have, p, n);
        p += n;
        len -= n;
        if (have + n < SHA256_BLOCK) {
            return;
        }
        blocks(s->h, s->tail, 1);
    }
    blocks(s->h, p, len / SHA256_BLOCK);
    memcpy(s->tail, p + len / SHA256_BLOCK * SHA256_BLOCK, len % SHA256_BLOCK);
}

void sha256_final(struct sha256 *s, uint8_t digest[SHA256_SIZE])
{
    static const uint8_t padding[SHA256_BLOCK] = {0x80};
    uint64_t bits = __builtin_bswap64(s->bytes * 8);
    size_t have = s->bytes % SHA256_BLOCK;

    /* 5.1.1: a one bit, zeros up to 56 bytes of a block, the length in bits. */
    sha256_update(s, padding, (have < 56 ? 56 : 56 + SHA256_BLOCK) - have);
    sha256_update(s, &bits, sizeof(bits));
    for (unsigned i = 0; i < 8; i++) {
        uint32_t word = __builtin_bswap32(s->h[i]);

        memcpy(digest + 4 * i, &word, sizeof(word));
    }
}

void sha256_hex(const uint8_t digest[SHA256_SIZE], char out[2 * SHA256_SIZE + 1])
{
    static const char digits[] = "0123456789abcdef";

    for (unsigned i = 0; i < SHA256_SIZE; i++) {
        *out++ = digits[digest[i] >> 4];
        *out++ = digits[digest[i] & 15];
    }
    *out = '\0';
}
