/*
 * What duet-nbd-connect tells the opener that started it, in one message over its socket
 * (CHILD_SOCKET_FD), with the connection if there is one. Its arguments are the URI, and `ro` for a
 * disk that is not to be written.
 *
 * The connection is one that has shaken hands, waits for the first request, and gets simple replies
 * (nbd.h).
 */
#ifndef DUET_BLOCK_NBD_CONNECT_H
#define DUET_BLOCK_NBD_CONNECT_H

#include "image_wire.h"

#define NBD_CONNECT_TEXT_MAX 400
#define NBD_CONNECT_SECONDS  5U /* that it takes at most */

struct nbd_connect_report {
    int32_t err; /* positive errno */
    struct image_facts facts;
    char text[NBD_CONNECT_TEXT_MAX]; /* a fragment that ends a sentence, if `err` is not 0 */
};

#endif
