/*
 * random.c - random numbers; see random.h.
 */
#include "psm/random.h"

#include "kern/string.h"
#include "psm/clock.h"

#define CPUID_1_ECX_RDRAND (1u << 30)
#define RDRAND_TRIES       10

static uint64_t key[2];
static uint64_t counter;

static uint64_t rotl(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

/* SipHash-2-4 (Aumasson, Bernstein) of whole words. */
uint64_t random_hash(const uint64_t *words, size_t n)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                     key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};

    for (size_t i = 0; i <= n; i++) {
        uint64_t word = i < n ? words[i] : (uint64_t)n * 8 << 56;

        v[3] ^= word;
        sip_round(v);
        sip_round(v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for (unsigned i = 0; i < 4; i++) {
        sip_round(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint64_t tsc(void)
{
    return __builtin_ia32_rdtsc();
}

/* The processor's own random number, 0 if it has none to give. */
static uint64_t rdrand(void)
{
    uint32_t eax = 1, ebx, ecx = 0, edx;
    uint64_t value = 0;
    bool ok = false;

    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    for (unsigned i = 0; (ecx & CPUID_1_ECX_RDRAND) && !ok && i < RDRAND_TRIES; i++) {
        __asm__ volatile("rdrand %0" : "=r"(value), "=@ccc"(ok));
    }
    return ok ? value : 0;
}

void random_boot(void)
{
    key[0] = rdrand() ^ tsc();
    key[1] = rdrand() ^ clock_wall() ^ rotl(clock_xen(), 32);
}

uint64_t random_u64(void)
{
    uint64_t words[2] = {__atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED), tsc()};

    return random_hash(words, ARRAY_SIZE(words));
}

uint32_t random_u32(void)
{
    return (uint32_t)random_u64();
}

void random_fill(void *buf, size_t n)
{
    for (size_t done = 0; done < n;) {
        uint64_t word = random_u64() ^ rdrand();
        size_t part = MIN(n - done, sizeof(word));

        memcpy((char *)buf + done, &word, part);
        done += part;
    }
}
