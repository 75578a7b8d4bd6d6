/*
 * Where programs come in that read or write consoles: a socket that was made while the daemon was
 * root, and that root alone may connect to. The supervisor accepts a connection, asks the kernel
 * who is at its other end, and hands it to the worker. It reads nothing that comes over it, and the
 * worker cannot have a connection that was not given to it.
 *
 * Types: struct cons_entrance, one per daemon.
 */
#ifndef DUET_CONSOLE_ENTRANCE_H
#define DUET_CONSOLE_ENTRANCE_H

#include "link.h"
#include "log.h"
#include "loop.h"

struct cons_entrance {
    int fd; /* listens; negative: there is none */
    struct loop *loop;
    struct cons_link *link;
    struct loop_fd watch;
    struct loop_timer rest; /* nobody can be let in for a moment */
    struct log_limit complaints;
};

/*
 * Makes the socket at @path. Without it consoles are served as well, so what is wrong is only
 * logged.
 */
void cons_entrance_open(struct cons_entrance *entrance, const char *path);

/* Lets people in from now on: all consoles that were there at the start are known to the worker. */
void cons_entrance_begin(struct cons_entrance *entrance, struct loop *loop, struct cons_link *link);

/* Closes it. The socket stays in its folder, where this user may remove nothing; the next daemon
 * does. */
void cons_entrance_close(struct cons_entrance *entrance);

#endif
