/*
 * duet-nbd-connect: connects to an NBD server by a URI, shakes hands, and hands the connection to
 * the opener that started it (nbd_connect.h). A process of its own, for a moment: libnbd and what
 * that needs is neither in the openers, of which there is one for each disk, nor in the workers,
 * and a server that means harm meets nobody here who has anything of a guest.
 *
 * libnbd does what is before the first request. Its handle is never closed: the connection is used
 * by others by then.
 */
#include "nbd_connect.h"

#include <errno.h>
#include <fcntl.h>
#include <libnbd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "child.h"
#include "gate.h"

#define REQUEST_BYTES_MAX (BLK_MAX_SEGMENTS * 4096U) /* the longest that a guest may ask for */
#define ANSWER_MS         30000                      /* until a host that is silent is given up */

/* Gives up: tells, and does not return. */
static _Noreturn void nbd_connect_fail(int err, const char *text)
{
    struct nbd_connect_report r = {.err = err != 0 ? err : EIO};

    snprintf(r.text, sizeof(r.text), "%s", text);
    child_send_over(CHILD_SOCKET_FD, &r, sizeof(r), NULL, 0);
    _exit(1);
}

static _Noreturn void nbd_connect_fail_by_library(void)
{
    nbd_connect_fail(nbd_get_errno(), nbd_get_error());
}

/* The same where it connects. The unit may forbid the network, which the library calls otherwise.
 */
static _Noreturn void nbd_connect_fail_at_once(const char *uri)
{
    const bool by_net = strncmp(uri, "nbd://", 6) == 0;

    if (by_net && socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EAFNOSUPPORT) {
        nbd_connect_fail(EAFNOSUPPORT, "the service has no network: see NBD in duet-blockd(8)");
    }
    nbd_connect_fail_by_library();
}

/* Whether the server can do it; that it does not say is a no. */
static bool nbd_connect_can(struct nbd_handle *nbd, int (*what)(struct nbd_handle *nbd))
{
    return what(nbd) > 0;
}

/* What the server wants of a request's place and length, or `def` where it does not say. */
static uint64_t nbd_connect_block_size(struct nbd_handle *nbd, int which, uint64_t def)
{
    int64_t bytes = nbd_get_block_size(nbd, which);

    return bytes > 0 ? (uint64_t)bytes : def;
}

/* The gate for what the server says of the export. */
static void nbd_connect_measure(struct nbd_handle *nbd, bool read_only, struct image_facts *facts)
{
    const int64_t bytes = nbd_get_size(nbd);
    const uint64_t smallest = nbd_connect_block_size(nbd, LIBNBD_SIZE_MINIMUM, 1);
    const uint64_t wanted = nbd_connect_block_size(nbd, LIBNBD_SIZE_PREFERRED, 4096);
    char text[160];

    if (bytes < (int64_t)BLK_SECTOR_BYTES) {
        nbd_connect_fail(ENODATA, "the export is smaller than one sector of 512 bytes");
    }
    if (!read_only && nbd_connect_can(nbd, nbd_is_read_only)) {
        nbd_connect_fail(EROFS, "the server offers the export for reading only");
    }
    if (smallest > BLK_SECTOR_BYTES ||
        nbd_connect_block_size(nbd, LIBNBD_SIZE_MAXIMUM, REQUEST_BYTES_MAX) < REQUEST_BYTES_MAX) {
        snprintf(text, sizeof(text),
                 "the server wants blocks of %llu bytes at least: sectors of 512 bytes and "
                 "requests of %u are needed",
                 (unsigned long long)smallest, REQUEST_BYTES_MAX);
        nbd_connect_fail(EINVAL, text);
    }
    facts->sectors = (uint64_t)bytes / BLK_SECTOR_BYTES;
    facts->nbd = true;
    facts->nbd_flush = nbd_connect_can(nbd, nbd_can_flush);
    facts->nbd_fua = nbd_connect_can(nbd, nbd_can_fua);
    facts->physical_sector_bytes = wanted == 4096 ? 4096 : BLK_SECTOR_BYTES;
    if (nbd_connect_can(nbd, nbd_can_trim)) {
        facts->discard_granularity = wanted <= UINT32_MAX ? (uint32_t)wanted : 4096;
    }
}

/*
 * The connection as its user wants it: one that waits, and that ends when its host does. Returns
 * the descriptor.
 */
static int nbd_connect_take(struct nbd_handle *nbd)
{
    const int yes = 1, idle_s = 10, interval_s = 5, count = 4, patience_ms = ANSWER_MS;
    int fd = nbd_aio_get_fd(nbd);

    if (fd < 0) {
        nbd_connect_fail_by_library();
    }
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0) {
        nbd_connect_fail(errno, strerror(errno));
    }
    /* a socket of another kind refuses all of these, and needs none */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms, sizeof(patience_ms));
    return fd;
}

int main(int argc, char **argv)
{
    struct nbd_connect_report r = {0};
    struct nbd_handle *nbd;
    int fd;

    if (argc != 3) {
        fprintf(stderr, "%s is started by duet-blockd(8), not by hand\n", argv[0]);
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(NBD_CONNECT_SECONDS);
    nbd = nbd_create();
    if (nbd == NULL || nbd_set_request_structured_replies(nbd, false) < 0 ||
        nbd_set_uri_allow_transports(nbd, LIBNBD_ALLOW_TRANSPORT_TCP |
                                              LIBNBD_ALLOW_TRANSPORT_UNIX) < 0 ||
        nbd_set_uri_allow_tls(nbd, LIBNBD_TLS_DISABLE) < 0) {
        nbd_connect_fail_by_library();
    }
    if (nbd_connect_uri(nbd, argv[1]) < 0) {
        nbd_connect_fail_at_once(argv[1]);
    }
    nbd_connect_measure(nbd, strcmp(argv[2], "ro") == 0, &r.facts);
    fd = nbd_connect_take(nbd);
    _exit(child_send_over(CHILD_SOCKET_FD, &r, sizeof(r), &fd, 1) == 0 ? 0 : 1);
}
