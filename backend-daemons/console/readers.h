/*
 * Who opens the terminals. A pty's master learns when the last reader has left (it hangs up), but
 * not when one comes: inotify tells, one descriptor for all consoles, one watch per terminal.
 * Events are hints only (the kernel merges equal ones): whether somebody is there says
 * pty_has_reader().
 *
 * Types owned: struct readers (one per daemon), struct reader_watch (in each console). No locks.
 */
#ifndef DUET_CONSOLE_READERS_H
#define DUET_CONSOLE_READERS_H

#include <uthash.h>

#include "loop.h"

struct reader_watch {
    int wd;
    bool watched;
    loop_fn *fn;
    void *arg;
    UT_hash_handle hh;
};

struct readers {
    int fd;
    struct loop_fd watch;
    struct reader_watch *watches;
};

/* Starts watching through @loop. Returns 0 or -errno. */
int readers_open(struct readers *readers, struct loop *loop);

void readers_close(struct readers *readers, struct loop *loop);

/* Calls fn(arg) after somebody may have opened @path. Returns 0 or -errno. */
int readers_add(struct readers *readers, struct reader_watch *watch, const char *path, loop_fn *fn,
                void *arg);

/* Stops that, before the terminal is closed; harmless when it never began. */
void readers_del(struct readers *readers, struct reader_watch *watch);

#endif
