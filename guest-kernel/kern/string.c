/*
 * string.c - memory and string functions.
 *
 * memcpy() and memset() use the string instructions, which are fast for the sizes that matter here
 * and small: for words and then for what is left of one, because not every processor, nor an
 * emulator, moves more than a byte at a time where it is told bytes.
 */
#include "kern/string.h"

void *memcpy(void *dst, const void *src, size_t n)
{
    void *to = dst;
    size_t words = n / sizeof(uint64_t);
    size_t rest = n % sizeof(uint64_t);

    __asm__ volatile("rep movsq" : "+D"(to), "+S"(src), "+c"(words) : : "memory");
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(src), "+c"(rest) : : "memory");
    return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
    unsigned char *to = dst;
    const unsigned char *from = src;

    if (to <= from || to >= from + n) {
        return memcpy(dst, src, n);
    }
    while (n-- > 0) {
        to[n] = from[n];
    }
    return dst;
}

void *memset(void *dst, int c, size_t n)
{
    void *to = dst;
    size_t words = n / sizeof(uint64_t);
    size_t rest = n % sizeof(uint64_t);
    uint64_t word = 0x0101010101010101 * (uint64_t)(unsigned char)c;

    __asm__ volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(word) : "memory");
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(rest) : "a"(word) : "memory");
    return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *x = a, *y = b;

    for (size_t i = 0; i < n; i++) {
        if (x[i] != y[i]) {
            return x[i] < y[i] ? -1 : 1;
        }
    }
    return 0;
}

void *memchr(const void *s, int c, size_t n)
{
    const unsigned char *p = s;

    for (size_t i = 0; i < n; i++) {
        if (p[i] == (unsigned char)c) {
            return (void *)(uintptr_t)(p + i);
        }
    }
    return NULL;
}

size_t strlen(const char *s)
{
    size_t n = 0;

    while (s[n] != '\0') {
        n++;
    }
    return n;
}

size_t strnlen(const char *s, size_t max)
{
    size_t n = 0;

    while (n < max && s[n] != '\0') {
        n++;
    }
    return n;
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char x = (unsigned char)a[i], y = (unsigned char)b[i];

        if (x != y) {
            return x < y ? -1 : 1;
        }
        if (x == '\0') {
            break;
        }
    }
    return 0;
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, SIZE_MAX);
}

char *strchr(const char *s, int c)
{
    return memchr(s, c, strlen(s) + 1);
}

char *strrchr(const char *s, int c)
{
    for (size_t i = strlen(s) + 1; i-- > 0;) {
        if (s[i] == (char)c) {
            return (char *)(uintptr_t)(s + i);
        }
    }
    return NULL;
}

char *strstr(const char *haystack, const char *needle)
{
    size_t n = strlen(needle);

    for (; strlen(haystack) >= n; haystack++) {
        if (strncmp(haystack, needle, n) == 0) {
            return (char *)(uintptr_t)haystack;
        }
        if (*haystack == '\0') {
            break;
        }
    }
    return NULL;
}

size_t strlcpy(char *dst, const char *src, size_t size)
{
    size_t len = strlen(src), n = MIN(len, size - 1);

    memcpy(dst, src, n);
    dst[n] = '\0';
    return len;
}

/* The value of a digit in any base up to 16, or 255. */
static unsigned digit_value(char c)
{
    if (c >= '0' && c <= '9') {
        return (unsigned)(c - '0');
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 255;
}

/* How far a size suffix shifts: -1 if @s is neither empty nor a suffix alone. */
static int suffix_shift(const char *s)
{
    if (s[0] == '\0') {
        return 0;
    }
    if (s[1] != '\0') {
        return -1;
    }
    switch (s[0]) {
    case 'k':
    case 'K':
        return 10;
    case 'm':
    case 'M':
        return 20;
    case 'g':
    case 'G':
        return 30;
    default:
        return -1;
    }
}

int parse_u64(const char *s, uint64_t *out)
{
    unsigned base = 10;
    uint64_t value = 0;

    if (s[0] == '0' && (s[1] | 0x20) == 'x') {
        base = 16;
        s += 2;
    }
    const char *digits = s;
    for (; digit_value(*s) < base; s++) {
        if (__builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, digit_value(*s), &value)) {
            return -ERANGE;
        }
    }
    int shift = suffix_shift(s);
    if (s == digits || shift < 0) {
        return -EINVAL;
    }
    if ((value << shift) >> shift != value) {
        return -ERANGE;
    }
    *out = value << shift;
    return 0;
}
