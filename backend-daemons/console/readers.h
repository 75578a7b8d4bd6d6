/*
 * Who opens the terminals. A pty's master learns when the last reader has left (it hangs up), but
 * not when one comes. inotify tells that: one descriptor for all consoles, one watch per terminal.
 * Events are only hints, because the kernel merges equal ones; cons_pty_has_reader() says whether
 * somebody is there.
 *
 * Types: struct cons_readers (one per worker), struct cons_reader (in each console).
 */
#ifndef DUET_CONSOLE_READERS_H
#define DUET_CONSOLE_READERS_H

#include <uthash.h>

#include "loop.h"

struct cons_reader {
    int wd;
    bool watched;
    loop_fn *fn;
    void *arg;
    UT_hash_handle hh;
};

struct cons_readers {
    int fd;
    struct loop_fd watch;
    struct cons_reader *watches;
};

/* Listens to the inotify descriptor @fd through @loop. Returns 0 or -errno. */
int cons_readers_open(struct cons_readers *readers, struct loop *loop, int fd);

/*
 * Calls fn(arg) after somebody may have opened the terminal that the supervisor watches as @wd. A
 * reader who came before this call is not reported: the caller has to look.
 */
void cons_readers_add(struct cons_readers *readers, struct cons_reader *watch, int wd, loop_fn *fn,
                      void *arg);

/* Stops that, before the terminal is closed; harmless when it never began. */
void cons_readers_del(struct cons_readers *readers, struct cons_reader *watch);

#endif
