/*
 * ldisc.h - a terminal's line discipline: what is between its keys and who reads, and between who
 * writes and its screen.
 *
 * In canonical mode (ICANON) keys make a line that can be edited until it is ended; otherwise each
 * can be read at once. Keys may be shown, and may be signals. What is written may be changed on its
 * way: a newline is CR LF. The modes are Linux' struct termios, of which programs set what they
 * like; those that mean nothing here are kept and change nothing.
 * It knows no device, no process and no lock: its owner has one around all of this.
 */
#ifndef SYSCALL_LDISC_H
#define SYSCALL_LDISC_H

#include "syscall/abi.h"

#define LDISC_SIZE 4096u /* bytes that nobody has read; a power of two */

/* Places in struct termios' `cc`. */
enum {
    VINTR,
    VQUIT,
    VERASE,
    VKILL,
    VEOF,
    VTIME,
    VMIN,
    VSWTC,
    VSTART,
    VSTOP,
    VSUSP,
    VEOL,
    VREPRINT,
    VDISCARD,
    VWERASE,
    VLNEXT,
    VEOL2
};

struct ldisc {
    struct abi_termios modes;
    size_t (*out)(const char *text,
                  size_t len); /* takes what there is room for; returns how much */
    uint32_t head, line, end; /* read up to head; the line that is edited is from `line` to `end` */
    unsigned column;          /* of the cursor */
    unsigned line_column;     /* where the line that is edited begins */
    bool literal;             /* the next key means itself */
    bool halted;              /* VSTOP was typed: nothing is written */
    char text[LDISC_SIZE];
    uint64_t ends[LDISC_SIZE / 64]; /* a line ends with the byte; of a NUL: before it */
};

/** ldisc_init() - nothing was typed, all modes are as a terminal's are at first. */
void ldisc_init(struct ldisc *l, size_t (*out)(const char *text, size_t len));

/** ldisc_takes() - whether there is room for a key, or no more would come of waiting for it. */
bool ldisc_takes(const struct ldisc *l);

/** ldisc_key() - a key was typed. Return: the signal that it is, 0: none. */
unsigned ldisc_key(struct ldisc *l, char c);

/** ldisc_waiting() - how many bytes can be read now; in canonical mode also 1 for an end. */
size_t ldisc_waiting(const struct ldisc *l);

/** ldisc_read() - take up to @n of them; in canonical mode a line's at most, 0 for an end. */
size_t ldisc_read(struct ldisc *l, char *buf, size_t n);

/** ldisc_unread() - take back the last ones, for somebody else to read. Return: how many. */
size_t ldisc_unread(struct ldisc *l, char *buf, size_t n);

/** ldisc_write() - write what there is room for. Return: how many of @text's bytes. */
size_t ldisc_write(struct ldisc *l, const char *text, size_t n);

/** ldisc_set() - other modes. */
void ldisc_set(struct ldisc *l, const struct abi_termios *modes);

/** ldisc_flush() - forget what was typed and not read. */
void ldisc_flush(struct ldisc *l);

#endif /* SYSCALL_LDISC_H */
