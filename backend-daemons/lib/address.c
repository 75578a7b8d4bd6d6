/*
 * Where a daemon may listen: see address.h.
 */
#include "address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define PORT_MAX 65535UL

static bool address_read_path(const char *text, struct address *address, char *why,
                              unsigned long why_size)
{
    struct sockaddr_un *name = (struct sockaddr_un *)&address->name;

    if (strlen(text) >= sizeof(name->sun_path)) {
        snprintf(why, why_size, "a socket's path has less than %zu bytes", sizeof(name->sun_path));
        return false;
    }
    name->sun_family = AF_UNIX;
    memcpy(name->sun_path, text, strlen(text) + 1);
    address->len = sizeof(*name);
    return true;
}

/* A port's number, or 0. */
static in_port_t address_port(const char *text)
{
    char *end;
    const unsigned long port = strtoul(text, &end, 10);

    return *text >= '0' && *text <= '9' && *end == '\0' && port <= PORT_MAX ? (in_port_t)port : 0;
}

/* Takes "HOST:PORT" or "[HOST]:PORT" apart. Returns false when it is neither. */
static bool address_split(const char *text, char host[INET6_ADDRSTRLEN], in_port_t *port)
{
    const bool bracket = *text == '[';
    const char *end = strchr(text, bracket ? ']' : ':');
    const char *colon = end != NULL && bracket ? end + 1 : end;
    const char *begin = text + (bracket ? 1 : 0);

    if (end == NULL || *colon != ':' || end - begin >= INET6_ADDRSTRLEN) {
        return false;
    }
    snprintf(host, INET6_ADDRSTRLEN, "%.*s", (int)(end - begin), begin);
    *port = address_port(colon + 1);
    return *port != 0;
}

static bool address_is_loopback(const struct address *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->name;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->name;

    return address->name.ss_family == AF_INET
               ? ntohl(v4->sin_addr.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET
               : IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) != 0;
}

bool address_read(const char *text, struct address *address, char *why, unsigned long why_size)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address->name;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address->name;
    char host[INET6_ADDRSTRLEN];
    in_port_t port = 0;

    memset(address, 0, sizeof(*address));
    if (*text == '/') {
        return address_read_path(text, address, why, why_size);
    }
    if (address_split(text, host, &port) && inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        address->len = sizeof(*v4);
    } else if (port != 0 && *text == '[' && inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        address->len = sizeof(*v6);
    } else {
        snprintf(why, why_size,
                 "neither the absolute path of a socket nor an address of this host alone with a "
                 "port (127.0.0.1:9731, [::1]:9731)");
        return false;
    }
    if (!address_is_loopback(address)) {
        snprintf(why, why_size,
                 "others could reach it, and nobody is asked for a password: only 127.0.0.1 and "
                 "[::1] may be listened at");
        return false;
    }
    return true;
}
