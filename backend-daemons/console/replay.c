/*
 * Dropping questions to the terminal: see replay.h.
 */
#include "replay.h"

#include <stdbool.h>
#include <string.h>

#define ENQ '\x05'
#define BEL '\x07'
#define ESC '\x1b'

static bool in_range(char c, char first, char last)
{
    return c >= first && c <= last;
}

/* Length of the UTF-8 character at @p, 1 for what is none: its later bytes are no controls. */
static size_t character(const char *p, size_t left)
{
    unsigned char lead = (unsigned char)p[0];
    size_t n = lead < 0xc2 || lead > 0xf4 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

    for (size_t i = 1; i < n; i++) {
        if (i == left || ((unsigned char)p[i] & 0xc0) != 0x80) {
            return 1;
        }
    }
    return n;
}

/*
 * A C1 control at @p in any of its three forms: ESC and a letter, one byte, that byte as UTF-8.
 * Returns its length, 0 when there is none, and its letter.
 */
static size_t c1_control(const char *p, size_t left, char *letter)
{
    size_t n = left > 1 && p[0] == '\xc2' ? 2 : 1;

    if (left > 1 && p[0] == ESC && in_range(p[1], '@', '_')) {
        *letter = p[1];
        return 2;
    }
    if (!in_range(p[n - 1], '\x80', '\x9f')) {
        return 0;
    }
    *letter = (char)(p[n - 1] - 0x40);
    return n;
}

/*
 * A control sequence at @p, behind its introducer: parameters, intermediates, one final byte.
 * Returns its length, 0 when the end cuts it off or it is none; *@asks: a terminal would answer.
 */
static size_t control_sequence(const char *p, size_t left, bool *asks)
{
    bool dollar = false, greater = left > 0 && p[0] == '>';
    size_t n = 0;

    while (n < left && in_range(p[n], '0', '?')) {
        n++;
    }
    for (; n < left && in_range(p[n], ' ', '/'); n++) {
        dollar = dollar || p[n] == '$';
    }
    if (n == left || !in_range(p[n], '@', '~')) {
        return 0;
    }
    *asks = strchr("cntx", p[n]) != NULL || (p[n] == 'p' && dollar) || (p[n] == 'q' && greater);
    return n + 1;
}

/*
 * A string up to BEL or ST (included). Returns its length, 0 when it is cut off by the end or by
 * another control, so that no byte is looked at twice however a guest nests them.
 */
static size_t control_string(const char *p, size_t left)
{
    for (size_t n = 0; n < left; n += character(p + n, left - n)) {
        char letter;
        size_t control = c1_control(p + n, left - n, &letter);

        if (p[n] == BEL) {
            return n + 1;
        }
        if (control > 0 || p[n] == ESC) {
            return control > 0 && letter == '\\' ? n + control : 0;
        }
    }
    return 0;
}

/* Length of what at @p makes a terminal answer; 0: nothing does. */
static size_t question(const char *p, size_t left)
{
    bool asks = true;
    char letter = 0;
    size_t intro = c1_control(p, left, &letter), n = 0;

    if (p[0] == ENQ) {
        return 1;
    }
    switch (letter) {
    case 'Z':
        return intro;
    case '[':
        n = control_sequence(p + intro, left - intro, &asks);
        break;
    case 'P':
    case ']':
    case '_':
    case '^':
        n = control_string(p + intro, left - intro);
        break;
    default:
        return 0;
    }
    return n > 0 && asks ? n + intro : 0;
}

size_t cons_replay_filter(const char *in, size_t len, char *out)
{
    size_t used = 0;

    for (size_t at = 0; at < len;) {
        size_t skip = question(in + at, len - at);

        if (skip == 0) {
            skip = character(in + at, len - at);
            memmove(out + used, in + at, skip);
            used += skip;
        }
        at += skip;
    }
    return used;
}
