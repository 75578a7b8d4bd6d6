/*
 * Frames of GDB's remote protocol: see gdb_wire.h.
 */
#include "gdb_wire.h"

#define ESCAPE     '}'
#define ESCAPE_XOR 0x20
#define BREAK      0x03

int gdb_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static enum gdb_event between(struct gdb_reader *r, uint8_t byte)
{
    switch (byte) {
    case '$':
        r->state = GDB_DATA;
        r->len = 0;
        r->sum = 0;
        r->bad = false;
        return GDB_NOTHING;
    case '-':
        return GDB_AGAIN;
    case BREAK:
        return GDB_BREAK;
    default:
        return GDB_NOTHING; /* '+', or what is left of a packet that was none */
    }
}

static void keep(struct gdb_reader *r, uint8_t byte)
{
    if (r->len == GDB_PACKET_MAX) {
        r->bad = true;
    } else {
        r->data[r->len++] = (char)byte;
    }
}

static enum gdb_event in_sum(struct gdb_reader *r, uint8_t byte)
{
    int digit = gdb_digit((char)byte);

    r->bad = r->bad || digit < 0;
    r->told = (uint8_t)(r->told << 4 | (digit & 0xf));
    if (r->state == GDB_SUM_HIGH) {
        r->state = GDB_SUM_LOW;
        return GDB_NOTHING;
    }
    r->state = GDB_BETWEEN;
    r->data[r->len] = '\0';
    return r->bad || r->told != r->sum ? GDB_BAD : GDB_PACKET;
}

enum gdb_event gdb_feed(struct gdb_reader *r, uint8_t byte)
{
    switch (r->state) {
    case GDB_BETWEEN:
        return between(r, byte);
    case GDB_DATA:
        if (byte == '$') {
            return between(r, byte); /* the last one broke off */
        }
        if (byte == '#') {
            r->state = GDB_SUM_HIGH;
            return GDB_NOTHING;
        }
        r->sum = (uint8_t)(r->sum + byte);
        if (byte == ESCAPE) {
            r->state = GDB_ESCAPED;
        } else {
            keep(r, byte);
        }
        return GDB_NOTHING;
    case GDB_ESCAPED:
        r->sum = (uint8_t)(r->sum + byte);
        keep(r, byte ^ ESCAPE_XOR);
        r->state = GDB_DATA;
        return GDB_NOTHING;
    default:
        return in_sum(r, byte);
    }
}

size_t gdb_frame(const char *data, size_t len, char to[GDB_FRAME_MAX])
{
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;
    uint8_t sum = 0;

    to[at++] = '$';
    for (size_t i = 0; i < len; i++) {
        char c = data[i];

        if (c == '$' || c == '#' || c == '*' || c == ESCAPE) {
            to[at++] = ESCAPE;
            sum = (uint8_t)(sum + ESCAPE);
            c ^= ESCAPE_XOR;
        }
        to[at++] = c;
        sum = (uint8_t)(sum + (uint8_t)c);
    }
    to[at++] = '#';
    to[at++] = digits[sum >> 4];
    to[at++] = digits[sum & 0xf];
    return at;
}
