/*
 * string.h - memory and string functions, and formatting into buffers.
 *
 * The compiler may call the mem* family by itself. The rest follows ISO C where it has the same
 * name. No state, any context.
 */
#ifndef KERN_STRING_H
#define KERN_STRING_H

#include "kern/types.h"

void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);

size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
char *strstr(const char *haystack, const char *needle);

/**
 * strlcpy() - copy a string into a buffer of a known size, always terminated
 * @dst: the buffer
 * @src: the string
 * @size: bytes in @dst, at least 1
 *
 * Return: strlen(src); a value >= @size means that it was cut.
 */
size_t strlcpy(char *dst, const char *src, size_t size);

/**
 * vsnprintf() - format into a buffer
 *
 * Knows %d %i %u %x %X %o %c %s %p %%, the flags '-', '0', '+', '#', ' ', width and precision
 * (also '*'), and the sizes hh, h, l, ll, z, t. No floating point.
 *
 * Return: the length the whole text has; a value >= @size means that it was cut.
 */
int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap) __printf_like(3, 0);
int snprintf(char *buf, size_t size, const char *fmt, ...) __printf_like(3, 4);

/**
 * parse_u64() - read one whole number
 * @s: text: decimal, or hexadecimal with 0x; the suffixes k, M, G multiply by 2^10, 2^20, 2^30
 * @out: the value, untouched on error
 *
 * Return: 0, -EINVAL if anything but a number stands there, -ERANGE if it does not fit.
 */
int parse_u64(const char *s, uint64_t *out) __must_check;

#endif /* KERN_STRING_H */
