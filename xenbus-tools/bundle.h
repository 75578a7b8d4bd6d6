/*
 * A report on this host in one file: what programs say, what files hold, the store; without
 * secrets, each within a time and a size, with a list of what is there and what could not be had.
 *
 * Types owned: `struct bundle_item`, `struct bundle`.
 */
#ifndef DUET_XENBUS_BUNDLE_H
#define DUET_XENBUS_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <cjson/cJSON.h>

enum { BUNDLE_WORDS = 16 };

/* The program that makes the report, whatever PATH says. */
#define BUNDLE_SELF "/proc/self/exe"

/* One file of the report. */
struct bundle_item {
    const char *name;
    /* What is asked, or the file that is copied (its end, if it is too long). */
    const char *const argv[BUNDLE_WORDS];
    const char *path;
    /* Whether a host may do without it: then nobody is told that it is not there. */
    bool optional;
    /* How long it may be; 0: as all. */
    size_t most;
};

/* A report that is being made. */
struct bundle {
    char *dir;              /* where its files are meanwhile; its last part is the report's name */
    cJSON *items;           /* what is in it, for its list */
    unsigned long left_out; /* secrets */
    double seconds;         /* for each program */
    size_t most;            /* bytes of each file */
    int stop;               /* can be read when all is to end; negative: there is none */
};

/*
 * Begins a report of that name in a folder of its own, which nobody else may read.
 * Returns 0 or -errno. It is ended by bundle_remove().
 */
int bundle_begin(struct bundle *bundle, const char *name);

/* Adds an item. Returns 0, or -errno when there is no room (-EINTR: it is to end). */
int bundle_add(struct bundle *bundle, const struct bundle_item *item);

/*
 * Writes the list into it, and all of it as a compressed archive to @fd. Returns 0, or -1 with a
 * sentence in @why.
 */
int bundle_pack(struct bundle *bundle, int fd, char *why, size_t why_size);

/* Removes what is on the disk of it, but for the archive. */
void bundle_remove(struct bundle *bundle);

#endif
