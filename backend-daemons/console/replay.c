/*
 * Dropping questions to the terminal, see replay.h.
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

/*
 * A control sequence at @p, behind its "ESC [": parameters, intermediates, one final byte.
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
 * A string up to BEL or ESC \ (included). Returns its length, 0 when it is cut off by the end or by
 * another escape, so that no byte is looked at twice however a guest nests them.
 */
static size_t control_string(const char *p, size_t left)
{
    for (size_t n = 0; n < left; n++) {
        if (p[n] == BEL) {
            return n + 1;
        }
        if (p[n] == ESC) {
            return n + 1 < left && p[n + 1] == '\\' ? n + 2 : 0;
        }
    }
    return 0;
}

/* Length of what at @p makes a terminal answer; 0: nothing does. */
static size_t question(const char *p, size_t left)
{
    bool asks = true;
    size_t n;

    if (p[0] == ENQ) {
        return 1;
    }
    if (p[0] != ESC || left < 2) {
        return 0;
    }
    switch (p[1]) {
    case 'Z':
        return 2;
    case '[':
        n = control_sequence(p + 2, left - 2, &asks);
        break;
    case 'P':
    case ']':
    case '_':
    case '^':
        n = control_string(p + 2, left - 2);
        break;
    default:
        return 0;
    }
    return n > 0 && asks ? n + 2 : 0;
}

size_t replay_filter(const char *in, size_t len, char *out)
{
    size_t used = 0;

    for (size_t at = 0; at < len;) {
        size_t skip = question(in + at, len - at);

        if (skip == 0) {
            out[used++] = in[at++];
        }
        at += skip;
    }
    return used;
}
