/*
 * Where a daemon may listen for who asks for its figures: a socket in the file system, or an
 * address that only this host can reach.
 *
 * Types: struct address.
 */
#ifndef DUET_LIB_ADDRESS_H
#define DUET_LIB_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

struct address {
    struct sockaddr_storage name;
    socklen_t len;
};

/*
 * Reads "/absolute/path", "127.0.0.1:PORT" or "[::1]:PORT". Returns false with the reason in `why`
 * for anything else, addresses that others reach among it.
 */
bool address_read(const char *text, struct address *address, char *why, unsigned long why_size);

static inline bool address_is_path(const struct address *address)
{
    return address->name.ss_family == AF_UNIX;
}

#endif
