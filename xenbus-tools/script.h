/*
 * The script of `xenbus transaction`: one operation a line, words parted by blanks. A word in
 * double quotes may have blanks and the escapes of xenbus' output; what stands behind a `#` that
 * begins a word is a remark. Read as a whole before anything of it is done. Pure.
 *
 * Types owned: `struct script_step`, `struct script`.
 */
#ifndef DUET_XENBUS_SCRIPT_H
#define DUET_XENBUS_SCRIPT_H

#include <stddef.h>
#include <stdio.h>
#include <xenstore.h>

enum script_op {
    SCRIPT_WRITE,
    SCRIPT_MKDIR,
    SCRIPT_RM,
    SCRIPT_RM_FORCE,
    SCRIPT_CHMOD,
    SCRIPT_EXISTS,
    SCRIPT_MISSING,
    SCRIPT_EQUALS,
};

/* The permissions that one line may give; xenstored's own limit is lower. */
enum { SCRIPT_PERMS_MAX = 32 };

struct script_step {
    enum script_op op;
    /* Of the script's text, counted from 1. */
    unsigned int line;
    char *path;
    char *value;
    size_t len;
    struct xs_permissions perms[SCRIPT_PERMS_MAX];
    unsigned int n_perms;
};

struct script {
    struct script_step *steps;
    size_t n;
};

/*
 * Reads a script from @in into @script, which the caller frees with script_free() in any case.
 * Returns 0, or the number of the line that is wrong with a sentence in @why.
 */
unsigned int script_read(FILE *in, struct script *script, char *why, size_t why_size);

void script_free(struct script *script);

#endif
