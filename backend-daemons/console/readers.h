/*
 * Who opens and closes the terminals. A pty's master learns of neither while the daemon holds the
 * slave open, so inotify tells: one descriptor for all consoles, one watch per terminal.
 *
 * Types owned: struct readers (one per daemon), struct reader_count (in each console). No locks.
 */
#ifndef DUET_CONSOLE_READERS_H
#define DUET_CONSOLE_READERS_H

#include <uthash.h>

#include "loop.h"

struct reader_count;

/* Called when the first reader has come (attached) or the last one has gone. */
typedef void reader_fn(void *arg, bool attached);

struct reader_count {
    int wd;
    unsigned int open;
    bool watched;
    reader_fn *fn;
    void *arg;
    UT_hash_handle hh;
};

struct readers {
    int fd;
    struct loop_fd watch;
    struct reader_count *counts;
};

/* Starts watching through @loop. Returns 0 or -errno. */
int readers_open(struct readers *readers, struct loop *loop);

void readers_close(struct readers *readers, struct loop *loop);

/* Counts who opens @path from now on. Returns 0 or -errno. */
int readers_add(struct readers *readers, struct reader_count *count, const char *path,
                reader_fn *fn, void *arg);

/* Stops counting, before the terminal is closed; harmless when it never began. */
void readers_del(struct readers *readers, struct reader_count *count);

#endif
