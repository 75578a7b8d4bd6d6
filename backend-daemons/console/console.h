/*
 * The primary console of one domain as the store describes it (docs/misc/console.txt of Xen):
 * /local/domain/D/console with `type`, `ring-ref` and `port`. No handshake: the ring is there when
 * the two numbers are, and `tty` tells clients where to look.
 *
 * Types owned: struct console. One thread, no locks. A domain that resumes gets `ring-ref` or
 * `port` written again: the watch brings that here, and the stream is attached again.
 */
#ifndef DUET_CONSOLE_CONSOLE_H
#define DUET_CONSOLE_CONSOLE_H

#include <stdbool.h>
#include <uthash.h>

#include "stream.h"

struct console;

/* Tells the owner of the consoles: first look done (@gone false), or the domain has left the store,
 * and the console is the owner's to free, which it may do at once. */
typedef void console_fn(void *arg, struct console *console, bool gone);

struct console {
    unsigned int domid;
    struct stream stream;
    /* /local/domain/D and /local/domain/D/console */
    char home[32];
    char dir[40];
    char *name;
    struct store_watch dir_watch, name_watch;
    struct loop_work refresh;
    bool ring_changed;
    bool name_changed;
    bool attached;
    /* This terminal's path stands in the store. */
    bool tty_written;
    /* Was there before the daemon. */
    bool seed;
    console_fn *fn;
    void *arg;
    /* For the owner: its pass over all domains, and whether the first look is still due. */
    unsigned int pass;
    bool first_look_due;
    UT_hash_handle hh;
};

/* Starts to follow domain @domid. Returns NULL with errno set. The owner frees it with
 * console_free(). */
struct console *console_new(struct shared *shared, unsigned int domid, bool seed, console_fn *fn,
                            void *arg);

/* Lets go of the guest and frees it. */
void console_free(struct console *console);

#endif
