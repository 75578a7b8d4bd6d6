/*
 * A socket at which a daemon listens, made while it is root. One in the file system is root's alone
 * (mode 0600); one that an earlier daemon has left there is removed first.
 */
#ifndef DUET_LIB_LISTENER_H
#define DUET_LIB_LISTENER_H

#include "address.h"

/*
 * Listens at @address by a socket of @type (SOCK_STREAM, SOCK_SEQPACKET), non-blocking. Returns the
 * descriptor or -errno (-EEXIST: something that is no socket is there; -EADDRINUSE: somebody
 * listens there).
 */
int listener_open(const struct address *address, int type, int backlog);

#endif
