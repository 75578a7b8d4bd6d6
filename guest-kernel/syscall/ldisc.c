/*
 * ldisc.c - keys, lines and modes of a terminal: see ldisc.h.
 *
 * What was typed is in a ring. `head`, `line` and `end` run freely: what is before `line` can be
 * read, the rest is the line that is edited, which is empty where there are no lines. An end of the
 * file is a NUL that is marked as a line's end.
 *
 * To erase a character, one has to know how many columns it takes: control characters take two, and
 * what takes none is part of the character before it (UTF-8). For a tab the columns up to it are
 * counted from the beginning of the line, whose column was noted.
 */
#include "syscall/ldisc.h"

#include "kern/string.h"
#include "proc/signal.h"

/* Modes. */
#define ISTRIP  0000040u
#define INLCR   0000100u
#define IGNCR   0000200u
#define ICRNL   0000400u
#define IXON    0002000u
#define IXANY   0004000u
#define IUTF8   0040000u
#define OPOST   0000001u
#define ONLCR   0000004u
#define OCRNL   0000010u
#define CS8     0000060u
#define CREAD   0000200u
#define HUPCL   0002000u
#define B38400  0000017u
#define ISIG    0000001u
#define ICANON  0000002u
#define ECHO    0000010u
#define ECHOE   0000020u
#define ECHOK   0000040u
#define ECHONL  0000100u
#define NOFLSH  0000200u
#define ECHOCTL 0001000u
#define ECHOKE  0004000u
#define IEXTEN  0100000u

#define CTRL(c)  ((c)&0x1f)
#define DELETE   0x7f
#define TAB_STOP 8u

void ldisc_init(struct ldisc *l, size_t (*out)(const char *text, size_t len))
{
    memset(l, 0, sizeof(*l));
    l->out = out;
    l->modes = (struct abi_termios){.iflag = ICRNL | IXON,
                                    .oflag = OPOST | ONLCR,
                                    .cflag = B38400 | CS8 | CREAD | HUPCL,
                                    .lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL |
                                             ECHOKE | IEXTEN,
                                    .cc = {[VINTR] = CTRL('C'),
                                           [VQUIT] = CTRL('\\'),
                                           [VERASE] = DELETE,
                                           [VKILL] = CTRL('U'),
                                           [VEOF] = CTRL('D'),
                                           [VMIN] = 1,
                                           [VSTART] = CTRL('Q'),
                                           [VSTOP] = CTRL('S'),
                                           [VSUSP] = CTRL('Z'),
                                           [VREPRINT] = CTRL('R'),
                                           [VDISCARD] = CTRL('O'),
                                           [VWERASE] = CTRL('W'),
                                           [VLNEXT] = CTRL('V')}};
}

static bool has_lines(const struct ldisc *l)
{
    return l->modes.lflag & ICANON;
}

/* ---- the ring ---- */

static char typed_at(const struct ldisc *l, uint32_t at)
{
    return l->text[at % LDISC_SIZE];
}

static bool ends_at(const struct ldisc *l, uint32_t at)
{
    return l->ends[at % LDISC_SIZE / 64] >> (at % 64) & 1;
}

static void mark_end(struct ldisc *l, uint32_t at, bool ends)
{
    uint64_t bit = 1ull << (at % 64), *word = &l->ends[at % LDISC_SIZE / 64];

    *word = ends ? *word | bit : *word & ~bit;
}

static void keep_key(struct ldisc *l, char c, bool ends)
{
    if (l->end - l->head == LDISC_SIZE) {
        return;
    }
    l->text[l->end % LDISC_SIZE] = c;
    mark_end(l, l->end++, ends);
    if (ends || !has_lines(l)) {
        l->line = l->end;
    }
}

/* Whether there is a place for a key beside that for the line's end. */
static bool has_place(const struct ldisc *l)
{
    return l->end - l->head < LDISC_SIZE - 1;
}

bool ldisc_takes(const struct ldisc *l)
{
    /* The last place is for the end of the line; a line that is longer is cut. */
    return has_place(l) || l->line == l->head;
}

void ldisc_flush(struct ldisc *l)
{
    l->head = l->line = l->end;
    l->literal = false;
}

/* ---- the screen ---- */

static bool is_control(char c)
{
    return (unsigned char)c < ' ' || c == DELETE;
}

/* Of UTF-8, where the terminal has it: a byte that is not a character's first. */
static bool is_rest(const struct ldisc *l, char c)
{
    return (l->modes.iflag & IUTF8) && ((unsigned char)c & 0xc0) == 0x80;
}

/* Where the cursor is after a byte is written at @column. */
static unsigned column_after(const struct ldisc *l, unsigned column, char c)
{
    switch (c) {
    case '\t':
        return (column | (TAB_STOP - 1)) + 1;
    case '\b':
        return column - (column != 0);
    case '\r':
        return 0;
    case '\n':
        return l->modes.oflag & ONLCR ? 0 : column;
    default:
        return column + !(is_control(c) || is_rest(l, c));
    }
}

/* One byte that may become another, or two. Return: whether there was room. */
static bool put_changed(struct ldisc *l, char c)
{
    if (c == '\n') {
        return l->out("\r\n", 2) == 2;
    }
    return l->out("\n", 1) == 1;
}

static bool is_changed(const struct ldisc *l, char c)
{
    return (l->modes.oflag & OPOST) &&
           ((c == '\n' && (l->modes.oflag & ONLCR)) || (c == '\r' && (l->modes.oflag & OCRNL)));
}

/* A piece of which nothing is changed, or one byte that is. Return: how many went. */
static size_t put_piece(struct ldisc *l, const char *text, size_t n)
{
    size_t len = 0, went;

    while (len < n && !is_changed(l, text[len])) {
        len++;
    }
    went = len != 0 ? l->out(text, len) : put_changed(l, *text);
    for (size_t i = 0; i < went; i++) {
        l->column = column_after(l, l->column, text[i]);
    }
    return went;
}

static size_t put_text(struct ldisc *l, const char *text, size_t n)
{
    size_t done = 0, went;

    do {
        went = done < n ? put_piece(l, text + done, n - done) : 0;
        done += went;
    } while (went != 0);
    return done;
}

size_t ldisc_write(struct ldisc *l, const char *text, size_t n)
{
    return l->halted ? 0 : put_text(l, text, n);
}

/* Whether a key is shown as ^ and a letter. */
static bool in_letters(const struct ldisc *l, char c)
{
    return (l->modes.lflag & ECHOCTL) && is_control(c) && c != '\t' && c != '\n';
}

/* Show a key. What there is no room for is not shown. */
static void echo_key(struct ldisc *l, char c)
{
    char letters[2] = {'^', (char)(c ^ 0x40)};

    if (in_letters(l, c)) {
        (void)put_text(l, letters, 2);
    } else {
        (void)put_text(l, &c, 1);
    }
}

static void echo_if(struct ldisc *l, uint32_t modes, char c)
{
    if (l->modes.lflag & modes) {
        echo_key(l, c);
    }
}

/* ---- editing ---- */

/* Where the cursor is after a key is shown at @column. */
static unsigned key_column(const struct ldisc *l, unsigned column, char c)
{
    return in_letters(l, c) ? column + 2 : column_after(l, column, c);
}

/* The column behind the first bytes of the line that is edited. */
static unsigned line_column(const struct ldisc *l, uint32_t to)
{
    unsigned column = l->line_column;

    for (uint32_t at = l->line; at != to; at++) {
        column = key_column(l, column, typed_at(l, at));
    }
    return column;
}

/* Take the last character off the line, which has one. @shown: and off the screen. */
static void erase_key(struct ldisc *l, bool shown)
{
    char c;

    do {
        c = typed_at(l, --l->end);
    } while (is_rest(l, c) && l->end != l->line);
    unsigned before = c == '\t' ? line_column(l, l->end) : 0;
    unsigned columns = key_column(l, before, c) - before;
    for (unsigned i = 0; shown && i < columns; i++) {
        (void)put_text(l, c == '\t' ? "\b" : "\b \b", c == '\t' ? 1 : 3);
    }
}

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (unsigned char)c >= 0x80;
}

/* Take the last word off the line, with what is behind it. */
static void erase_word(struct ldisc *l, bool shown)
{
    while (l->end != l->line && !is_word(typed_at(l, l->end - 1))) {
        erase_key(l, shown);
    }
    while (l->end != l->line && is_word(typed_at(l, l->end - 1))) {
        erase_key(l, shown);
    }
}

static void kill_line(struct ldisc *l)
{
    bool shown =
        (l->modes.lflag & (ECHO | ECHOK | ECHOKE | ECHOE)) == (ECHO | ECHOK | ECHOKE | ECHOE);

    while (l->end != l->line) {
        erase_key(l, shown);
    }
    if (!shown) {
        echo_if(l, ECHO, (char)l->modes.cc[VKILL]);
        if (l->modes.lflag & ECHOK) {
            (void)put_text(l, "\n", 1);
        }
    }
}

static void show_line_again(struct ldisc *l)
{
    echo_if(l, ECHO, (char)l->modes.cc[VREPRINT]);
    (void)put_text(l, "\n", 1);
    l->line_column = l->column;
    for (uint32_t at = l->line; at != l->end; at++) {
        echo_if(l, ECHO, typed_at(l, at));
    }
}

/* ---- keys ---- */

/* Whether a key is what the modes say; a NUL there means that no key is. */
static bool key_is(const struct ldisc *l, char c, unsigned which)
{
    return l->modes.cc[which] != 0 && (unsigned char)c == l->modes.cc[which];
}

static unsigned key_signal(const struct ldisc *l, char c)
{
    if (!(l->modes.lflag & ISIG)) {
        return 0;
    }
    return key_is(l, c, VINTR)   ? SIGNAL_INTERRUPT
           : key_is(l, c, VQUIT) ? SIGNAL_QUIT
           : key_is(l, c, VSUSP) ? SIGNAL_TTY_STOP
                                 : 0;
}

/* Keys that halt what is written, and let it go on. Return: it was one. */
static bool flow_key(struct ldisc *l, char c)
{
    if (!(l->modes.iflag & IXON)) {
        return false;
    }
    bool start = key_is(l, c, VSTART), stop = key_is(l, c, VSTOP);

    l->halted = stop || (l->halted && !start && !(l->modes.iflag & IXANY));
    return start || stop;
}

/* Keys that edit a line. Return: it was one. */
static bool edit_line(struct ldisc *l, char c)
{
    bool extended = l->modes.lflag & IEXTEN, shown = (l->modes.lflag & ECHO);
    bool word = extended && key_is(l, c, VWERASE);

    if (key_is(l, c, VERASE) || word) {
        shown = shown && (l->modes.lflag & ECHOE);
        if (!shown && l->end != l->line) {
            echo_if(l, ECHO, c);
        }
        if (word) {
            erase_word(l, shown);
        } else if (l->end != l->line) {
            erase_key(l, shown);
        }
    } else if (key_is(l, c, VKILL)) {
        kill_line(l);
    } else if (extended && key_is(l, c, VREPRINT)) {
        show_line_again(l);
    } else {
        return false;
    }
    return true;
}

/* A key that ends a line, or is part of it. */
static void line_key(struct ldisc *l, char c)
{
    bool newline = c == '\n';
    bool ends = newline || key_is(l, c, VEOL) || (key_is(l, c, VEOL2) && (l->modes.lflag & IEXTEN));

    if (key_is(l, c, VEOF)) {
        keep_key(l, '\0', true);
    } else if (ends || has_place(l)) {
        echo_if(l, newline ? ECHO | ECHONL : ECHO, c);
        keep_key(l, c, ends);
    }
}

static void literal_key(struct ldisc *l, char c)
{
    l->literal = false;
    if (has_place(l)) {
        echo_if(l, ECHO, c);
        keep_key(l, c, false);
    }
}

/* A key that is no signal. */
static void plain_key(struct ldisc *l, char c)
{
    bool lines = has_lines(l);

    if (lines && (l->modes.lflag & IEXTEN) && key_is(l, c, VLNEXT)) {
        l->literal = true;
        if (l->modes.lflag & ECHO) {
            (void)put_text(l, "^\b", 2);
        }
    } else if (lines && !edit_line(l, c)) {
        line_key(l, c);
    } else if (!lines) {
        echo_if(l, ECHO, c);
        keep_key(l, c, false);
    }
}

unsigned ldisc_key(struct ldisc *l, char c)
{
    c = l->modes.iflag & ISTRIP ? (char)(c & 0x7f) : c;
    l->line_column = l->end == l->line ? l->column : l->line_column;
    if (l->literal) {
        literal_key(l, c);
        return 0;
    }
    if (flow_key(l, c) || (c == '\r' && (l->modes.iflag & IGNCR))) {
        return 0;
    }
    unsigned number = key_signal(l, c);

    if (number != 0) {
        l->halted = false;
        if (!(l->modes.lflag & NOFLSH)) {
            ldisc_flush(l);
        }
        echo_if(l, ECHO, c);
        return number;
    }
    if (c == '\r' && (l->modes.iflag & ICRNL)) {
        c = '\n';
    } else if (c == '\n' && (l->modes.iflag & INLCR)) {
        c = '\r';
    }
    plain_key(l, c);
    return 0;
}

/* ---- reading ---- */

size_t ldisc_waiting(const struct ldisc *l)
{
    return l->line - l->head;
}

size_t ldisc_read(struct ldisc *l, char *buf, size_t n)
{
    size_t got = 0;
    bool over = false;

    while (got < n && l->head != l->line && !over) {
        char c = typed_at(l, l->head);

        over = has_lines(l) && ends_at(l, l->head);
        l->head++;
        if (!over || c != '\0') {
            buf[got++] = c;
        }
    }
    /* An end that comes right behind what was asked for belongs to it. */
    if (!over && got != 0 && has_lines(l) && l->head != l->line && ends_at(l, l->head) &&
        typed_at(l, l->head) == '\0') {
        l->head++;
    }
    return got;
}

size_t ldisc_unread(struct ldisc *l, char *buf, size_t n)
{
    size_t got = MIN(n, l->end - l->head);

    l->end -= (uint32_t)got;
    l->line = l->head;
    for (size_t i = 0; i < got; i++) {
        buf[i] = typed_at(l, l->end + (uint32_t)i);
    }
    return got;
}

void ldisc_set(struct ldisc *l, const struct abi_termios *modes)
{
    bool had = has_lines(l);

    l->modes = *modes;
    if (had != has_lines(l)) {
        /* What is there can be read, as one more line if there are lines now. */
        l->line = l->end;
        if (!had && l->end != l->head) {
            mark_end(l, l->end - 1, true);
        }
    }
    l->halted = l->halted && (l->modes.iflag & IXON);
}
