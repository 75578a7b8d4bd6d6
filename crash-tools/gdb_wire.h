/*
 * GDB's remote protocol, the frame around a packet: "$DATA#SUM", with acknowledgements. What comes
 * in is anybody's: it is taken byte by byte into a buffer of fixed size.
 */
#ifndef DUET_CRASH_GDB_WIRE_H
#define DUET_CRASH_GDB_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GDB_PACKET_MAX 4096                     /* bytes of data, either way */
#define GDB_FRAME_MAX  (2 * GDB_PACKET_MAX + 4) /* of it in a frame, if each byte is escaped */

/* What the last byte has completed. */
enum gdb_event {
    GDB_NOTHING,
    GDB_PACKET, /* its data and length lie in the reader until the next byte */
    GDB_BAD,    /* a packet with a wrong sum, or one that is too long */
    GDB_AGAIN,  /* the other side wants the last frame again */
    GDB_BREAK,  /* it wants the program to stop */
};

struct gdb_reader {
    enum { GDB_BETWEEN, GDB_DATA, GDB_ESCAPED, GDB_SUM_HIGH, GDB_SUM_LOW } state;
    bool bad;
    uint8_t sum, told;
    size_t len;
    char data[GDB_PACKET_MAX + 1]; /* ended by NUL */
};

/* Takes a byte. Begin with a reader of zeros. */
enum gdb_event gdb_feed(struct gdb_reader *r, uint8_t byte);

/* Puts a frame around @len bytes, at most GDB_PACKET_MAX. Returns its length. */
size_t gdb_frame(const char *data, size_t len, char to[GDB_FRAME_MAX]);

/* The value of a hexadecimal digit, or -1. */
int gdb_digit(char c);

#endif
