/*
 * An image that is an NBD server's export, in the hands of its opener: what imagefile.h is for
 * files. Nobody is asked who else uses it, and nothing is locked: that is the server's business.
 *
 * Each connection is of one worker. A worker that was killed leaves one in the middle of something;
 * it is ended before another is made.
 */
#ifndef DUET_BLOCK_REMOTE_H
#define DUET_BLOCK_REMOTE_H

#include <stdbool.h>

#include "image_wire.h"

/* Fills in what it is known by: its URI, as it is written. */
void remote_find(const char *uri, struct image_key *key);

/*
 * Connects and shakes hands, within a few seconds. Returns the connection, with *facts filled, or
 * -errno with a sentence in `why`.
 */
int remote_connect(const char *uri, bool read_only, struct image_facts *facts, char *why,
                   unsigned long why_size);

/*
 * Ends a connection whose worker has ended: the server gets no more of it. Waits for the server to
 * have closed its end, too, which it does when it has finished with what it got; for a few seconds.
 * Returns whether it has: if not, what it got may yet be carried out.
 */
bool remote_end(int fd);

#endif
