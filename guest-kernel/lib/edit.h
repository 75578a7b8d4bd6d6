/*
 * edit.h - editing one line on a terminal, with history.
 *
 * Keys go in one byte at a time; what the terminal has to show comes out through a function. The
 * line is shown in one row, scrolled sideways when it is longer than the terminal is wide.
 * Plain C, no state but the caller's; compiles on the host for tests/unit.
 *
 *   Left Right Home End ^A ^E ^B ^F    move         Backspace Delete ^D ^K ^U ^W   erase
 *   Up Down ^P ^N                      history      ^L  clear the screen     ^C  drop the line
 */
#ifndef LIB_EDIT_H
#define LIB_EDIT_H

#include "kern/types.h"

#define EDIT_MAX     384 /* bytes in a line, with its NUL */
#define EDIT_HISTORY 24
#define EDIT_COLUMNS 80

enum edit_result {
    EDIT_MORE,  /* go on typing */
    EDIT_LINE,  /* text[] is a whole line */
    EDIT_ABORT, /* ^C */
    EDIT_TAB,   /* the caller may complete the word before pos */
};

struct edit {
    char text[EDIT_MAX]; /* always NUL-terminated */
    size_t len, pos;
    const char *prompt;
    void (*show)(const char *s, size_t n, void *arg);
    void *arg;

    char history[EDIT_HISTORY][EDIT_MAX]; /* the rest belongs to edit.c */
    unsigned added, browsing;             /* lines ever added; how far back we are, 0: new line */
    char draft[EDIT_MAX];                 /* the new line, while browsing */
    unsigned escape;                      /* state of an escape sequence */
    unsigned parameter;
    size_t left; /* first character shown */
};

/** edit_begin() - start a new line and show the prompt. */
void edit_begin(struct edit *e);

/** edit_key() - one byte from the keyboard. */
enum edit_result edit_key(struct edit *e, char c);

/** edit_insert() - put text at the cursor, as if typed; what does not fit is left out. */
void edit_insert(struct edit *e, const char *s, size_t n);

/** edit_refresh() - show prompt and line anew, in the row where the cursor is. */
void edit_refresh(struct edit *e);

/** edit_remember() - add a line to the history, unless it is empty or the last one again. */
void edit_remember(struct edit *e, const char *line);

/** edit_history() - the line @back lines ago, 1 being the last; NULL where there is none. */
const char *edit_history(const struct edit *e, unsigned back);

#endif /* LIB_EDIT_H */
