/*
 * edit.c - editing one line on a terminal; see edit.h.
 */
#include "lib/edit.h"

#include "kern/string.h"

#define CTRL(letter) ((char)((letter)&0x1f))
#define ESC          '\x1b'
#define BACKSPACE    '\x7f'

/* Where in an escape sequence we are: ESC, ESC [ or ESC O, then digits. */
enum { PLAIN, AFTER_ESC, IN_SEQUENCE };

static void edit_show(struct edit *e, const char *s)
{
    e->show(s, strlen(s), e->arg);
}

/* Characters of the line that fit behind the prompt. */
static size_t width(const struct edit *e)
{
    size_t prompt = strlen(e->prompt);

    return prompt + 8 < EDIT_COLUMNS ? EDIT_COLUMNS - 1 - prompt : EDIT_COLUMNS - 1;
}

void edit_refresh(struct edit *e)
{
    char move[16];
    size_t w = width(e);

    if (e->pos < e->left) {
        e->left = e->pos;
    } else if (e->pos > e->left + w) {
        e->left = e->pos - w;
    }
    size_t shown = MIN(e->len - e->left, w);
    edit_show(e, "\r");
    edit_show(e, e->prompt);
    e->show(e->text + e->left, shown, e->arg);
    edit_show(e, "\x1b[K");
    size_t back = e->left + shown - e->pos;
    if (back != 0) {
        snprintf(move, sizeof(move), "\x1b[%uD", (unsigned)back);
        edit_show(e, move);
    }
}

void edit_begin(struct edit *e)
{
    e->len = e->pos = e->left = 0;
    e->text[0] = '\0';
    e->browsing = 0;
    e->escape = PLAIN;
    edit_show(e, e->prompt);
}

void edit_insert(struct edit *e, const char *s, size_t n)
{
    n = MIN(n, EDIT_MAX - 1 - e->len);
    memmove(e->text + e->pos + n, e->text + e->pos, e->len - e->pos + 1);
    memcpy(e->text + e->pos, s, n);
    e->len += n;
    e->pos += n;
    /* Typing at the end is the common case: no need to paint the row again. */
    if (e->pos == e->len && e->len - e->left < width(e)) {
        e->show(s, n, e->arg);
    } else {
        edit_refresh(e);
    }
}

/* Erases from @from to @to; the cursor ends up at @from. */
static void erase(struct edit *e, size_t from, size_t to)
{
    if (from == to) {
        return;
    }
    memmove(e->text + from, e->text + to, e->len - to + 1);
    e->len -= to - from;
    e->pos = from;
    edit_refresh(e);
}

static void move_to(struct edit *e, size_t pos)
{
    e->pos = pos;
    edit_refresh(e);
}

/* Where the word before the cursor begins. */
static size_t word_start(const struct edit *e)
{
    size_t at = e->pos;

    while (at != 0 && e->text[at - 1] == ' ') {
        at--;
    }
    while (at != 0 && e->text[at - 1] != ' ') {
        at--;
    }
    return at;
}

const char *edit_history(const struct edit *e, unsigned back)
{
    if (back == 0 || back > e->added || back > EDIT_HISTORY) {
        return NULL;
    }
    return e->history[(e->added - back) % EDIT_HISTORY];
}

void edit_remember(struct edit *e, const char *line)
{
    const char *last = edit_history(e, 1);

    if (*line != '\0' && (last == NULL || strcmp(last, line) != 0)) {
        char *slot = e->history[e->added++ % EDIT_HISTORY];
        size_t n = strnlen(line, EDIT_MAX - 1);

        memcpy(slot, line, n);
        slot[n] = '\0';
    }
}

/* Shows the line @back lines ago, 0 being the one that was being typed. */
static void browse(struct edit *e, unsigned back)
{
    const char *line = back != 0 ? edit_history(e, back) : e->draft;

    if (line == NULL) {
        return;
    }
    if (e->browsing == 0) {
        memcpy(e->draft, e->text, e->len + 1);
    }
    e->browsing = back;
    e->len = e->pos = strlen(line);
    e->left = 0;
    memmove(e->text, line, e->len + 1);
    edit_refresh(e);
}

static void older(struct edit *e)
{
    browse(e, e->browsing + 1);
}

static void newer(struct edit *e)
{
    if (e->browsing != 0) {
        browse(e, e->browsing - 1);
    }
}

static void left_key(struct edit *e)
{
    if (e->pos != 0) {
        move_to(e, e->pos - 1);
    }
}

static void right_key(struct edit *e)
{
    if (e->pos < e->len) {
        move_to(e, e->pos + 1);
    }
}

static void delete_key(struct edit *e)
{
    if (e->pos < e->len) {
        erase(e, e->pos, e->pos + 1);
    }
}

/* The last byte of ESC [ ... or ESC O ... */
static void sequence_end(struct edit *e, char c)
{
    switch (c) {
    case 'A':
        older(e);
        break;
    case 'B':
        newer(e);
        break;
    case 'C':
        right_key(e);
        break;
    case 'D':
        left_key(e);
        break;
    case 'H':
        move_to(e, 0);
        break;
    case 'F':
        move_to(e, e->len);
        break;
    case '~':
        if (e->parameter == 3) {
            delete_key(e);
        } else if (e->parameter == 1 || e->parameter == 7) {
            move_to(e, 0);
        } else if (e->parameter == 4 || e->parameter == 8) {
            move_to(e, e->len);
        }
        break;
    default:
        break;
    }
}

/* A byte inside an escape sequence. */
static void escape_key(struct edit *e, char c)
{
    if (e->escape == AFTER_ESC) {
        e->escape = c == '[' || c == 'O' ? IN_SEQUENCE : PLAIN;
        e->parameter = 0;
    } else if (c >= '0' && c <= '9') {
        e->parameter = e->parameter % 100 * 10 + (unsigned)(c - '0');
    } else if (c != ';') {
        e->escape = PLAIN;
        sequence_end(e, c);
    }
}

/* Control characters that move or erase. */
static void control_key(struct edit *e, char c)
{
    switch (c) {
    case CTRL('A'):
        move_to(e, 0);
        break;
    case CTRL('E'):
        move_to(e, e->len);
        break;
    case CTRL('B'):
        left_key(e);
        break;
    case CTRL('F'):
        right_key(e);
        break;
    case CTRL('P'):
        older(e);
        break;
    case CTRL('N'):
        newer(e);
        break;
    case CTRL('D'):
        delete_key(e);
        break;
    case CTRL('K'):
        e->len = e->pos;
        e->text[e->len] = '\0';
        edit_refresh(e);
        break;
    case CTRL('U'):
        erase(e, 0, e->pos);
        break;
    case CTRL('W'):
        erase(e, word_start(e), e->pos);
        break;
    case CTRL('L'):
        edit_show(e, "\x1b[H\x1b[2J");
        edit_refresh(e);
        break;
    case BACKSPACE:
    case CTRL('H'):
        if (e->pos != 0) {
            erase(e, e->pos - 1, e->pos);
        }
        break;
    case ESC:
        e->escape = AFTER_ESC;
        break;
    default:
        break;
    }
}

enum edit_result edit_key(struct edit *e, char c)
{
    if (e->escape != PLAIN && c != CTRL('C')) {
        escape_key(e, c);
        return EDIT_MORE;
    }
    switch (c) {
    case '\r':
    case '\n':
        edit_show(e, "\n");
        return EDIT_LINE;
    case CTRL('C'):
        edit_show(e, "^C\n");
        return EDIT_ABORT;
    case '\t':
        return EDIT_TAB;
    default:
        break;
    }
    if ((unsigned char)c >= ' ' && c != BACKSPACE) {
        edit_insert(e, &c, 1);
    } else {
        control_key(e, c);
    }
    return EDIT_MORE;
}
