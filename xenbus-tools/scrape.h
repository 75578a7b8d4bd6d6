/*
 * A daemon's figures, fetched: HTTP over a socket in the file system. Whoever answers is given two
 * seconds and so much memory; what it answers is checked where it is read (top.h).
 */
#ifndef DUET_XENBUS_SCRAPE_H
#define DUET_XENBUS_SCRAPE_H

#include <stddef.h>

/*
 * Fetches /metrics from the socket at `path`. Returns the text, which the caller frees, or NULL
 * with errno set (EPROTO: the answer is none; ETIMEDOUT; EMSGSIZE).
 */
char *scrape(const char *path);

#endif
