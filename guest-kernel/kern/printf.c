/*
 * printf.c - formatting into buffers.
 *
 * A conversion is parsed into struct spec, rendered into a small buffer if it is a number, and
 * emitted with padding. All output passes through emit(), which alone knows the buffer's end.
 */
#include "kern/string.h"

struct out {
    char *buf;
    size_t size;
    size_t len; /* what the whole text takes, may exceed size */
};

struct spec {
    bool left, zero, plus, space, alt;
    int width;
    int precision; /* -1: not given */
    unsigned size; /* bytes of the integer argument */
};

static void emit(struct out *o, char c)
{
    if (o->len + 1 < o->size) {
        o->buf[o->len] = c;
    }
    o->len++;
}

static void emit_pad(struct out *o, char c, int count)
{
    while (count-- > 0) {
        emit(o, c);
    }
}

/* @prefix (sign, 0x), then zeros up to the precision, then the text; padded to the width. */
static void emit_field(struct out *o, const struct spec *s, const char *prefix, const char *text,
                       int len, int zeros)
{
    int plen = (int)strlen(prefix);
    int pad = s->width - plen - len - zeros;

    if (!s->left) {
        emit_pad(o, ' ', pad);
    }
    while (*prefix != '\0') {
        emit(o, *prefix++);
    }
    emit_pad(o, '0', zeros);
    for (int i = 0; i < len; i++) {
        emit(o, text[i]);
    }
    if (s->left) {
        emit_pad(o, ' ', pad);
    }
}

static void emit_number(struct out *o, const struct spec *s, uint64_t value, const char *prefix,
                        unsigned base, bool upper)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[24];
    int at = (int)sizeof(text), zeros = 0;

    for (uint64_t v = value; v != 0; v /= base) {
        text[--at] = digits[v % base];
    }
    int len = (int)sizeof(text) - at;
    int least = s->precision < 0 ? 1 : s->precision;
    if (s->zero && !s->left && s->precision < 0) {
        least = MAX(least, s->width - (int)strlen(prefix));
    }
    zeros = MAX(0, least - len);
    emit_field(o, s, prefix, text + at, len, zeros);
}

static uint64_t arg_unsigned(va_list *ap, unsigned size)
{
    switch (size) {
    case 1:
        return (unsigned char)va_arg(*ap, unsigned);
    case 2:
        return (unsigned short)va_arg(*ap, unsigned);
    case 4:
        return va_arg(*ap, unsigned);
    default:
        return va_arg(*ap, uint64_t);
    }
}

static int64_t arg_signed(va_list *ap, unsigned size)
{
    uint64_t raw = arg_unsigned(ap, size);
    unsigned shift = 64 - 8 * size;

    return (int64_t)(raw << shift) >> shift;
}

static const char *parse_flags(const char *f, struct spec *s)
{
    for (;; f++) {
        switch (*f) {
        case '-':
            s->left = true;
            break;
        case '0':
            s->zero = true;
            break;
        case '+':
            s->plus = true;
            break;
        case ' ':
            s->space = true;
            break;
        case '#':
            s->alt = true;
            break;
        default:
            return f;
        }
    }
}

static const char *parse_int(const char *f, int *value, va_list *ap)
{
    if (*f == '*') {
        *value = va_arg(*ap, int);
        return f + 1;
    }
    for (*value = 0; *f >= '0' && *f <= '9'; f++) {
        *value = *value * 10 + (*f - '0');
    }
    return f;
}

static const char *parse_size(const char *f, struct spec *s)
{
    s->size = sizeof(int);
    for (;; f++) {
        switch (*f) {
        case 'h':
            s->size /= 2;
            break;
        case 'l':
        case 'z':
        case 't':
            s->size = sizeof(long);
            break;
        default:
            return f;
        }
    }
}

static const char *parse_spec(const char *f, struct spec *s, va_list *ap)
{
    *s = (struct spec){.precision = -1};
    f = parse_flags(f, s);
    f = parse_int(f, &s->width, ap);
    if (s->width < 0) {
        s->left = true;
        s->width = -s->width;
    }
    if (*f == '.') {
        f = parse_int(f + 1, &s->precision, ap);
    }
    return parse_size(f, s);
}

static void emit_signed(struct out *o, const struct spec *s, int64_t value)
{
    const char *sign = value < 0 ? "-" : s->plus ? "+" : s->space ? " " : "";

    emit_number(o, s, value < 0 ? -(uint64_t)value : (uint64_t)value, sign, 10, false);
}

static void emit_string(struct out *o, const struct spec *s, const char *text)
{
    if (text == NULL) {
        text = "(null)";
    }
    size_t max = s->precision < 0 ? SIZE_MAX : (size_t)s->precision;

    emit_field(o, s, "", text, (int)strnlen(text, max), 0);
}

static void emit_conversion(struct out *o, struct spec *s, char conversion, va_list *ap)
{
    char c;

    switch (conversion) {
    case 'd':
    case 'i':
        emit_signed(o, s, arg_signed(ap, s->size));
        break;
    case 'u':
        emit_number(o, s, arg_unsigned(ap, s->size), "", 10, false);
        break;
    case 'o':
        emit_number(o, s, arg_unsigned(ap, s->size), s->alt ? "0" : "", 8, false);
        break;
    case 'x':
        emit_number(o, s, arg_unsigned(ap, s->size), s->alt ? "0x" : "", 16, false);
        break;
    case 'X':
        emit_number(o, s, arg_unsigned(ap, s->size), s->alt ? "0X" : "", 16, true);
        break;
    case 'p':
        emit_number(o, s, (uintptr_t)va_arg(*ap, void *), "0x", 16, false);
        break;
    case 'c':
        c = (char)va_arg(*ap, int);
        emit_field(o, s, "", &c, 1, 0);
        break;
    case 's':
        emit_string(o, s, va_arg(*ap, const char *));
        break;
    default:
        emit(o, conversion);
    }
}

int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
    struct out o = {.buf = buf, .size = size};
    struct spec spec;
    va_list args;

    va_copy(args, ap);
    for (; *fmt != '\0'; fmt++) {
        if (*fmt != '%') {
            emit(&o, *fmt);
            continue;
        }
        fmt = parse_spec(fmt + 1, &spec, &args);
        if (*fmt == '\0') {
            break;
        }
        emit_conversion(&o, &spec, *fmt, &args);
    }
    va_end(args);
    if (size > 0) {
        buf[MIN(o.len, size - 1)] = '\0';
    }
    return (int)o.len;
}

int snprintf(char *buf, size_t size, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int len = vsnprintf(buf, size, fmt, ap);
    va_end(ap);
    return len;
}
