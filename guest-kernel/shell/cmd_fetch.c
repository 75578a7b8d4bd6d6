/*
 * cmd_fetch.c - asking the network for something: dig for an address, wget for a file.
 *
 * wget speaks HTTP/1.0, so that the answer's body is the file as it is. The server is hostile: it
 * decides what the disk holds afterwards, and nothing else. No state but the running command's.
 * Suspend: the connection goes on.
 */
#include "kern/mem.h"
#include "kern/string.h"
#include "lib/sha256.h"
#include "lwip/api.h"
#include "lwip/dns.h"
#include "net/httpd/request.h"
#include "net/stack.h"
#include "psm/clock.h"
#include "shell/commands.h"
#include "shell/range.h"
#include "shell/stream.h"

#define HTTP_PORT 80
#define HEAD_MAX  4096
#define HOST_MAX  256
#define LOOK      200 /* ms: how often ^C is looked for */
#define PATIENCE  (60 * NSEC_PER_SEC)

typedef unsigned long ul;

struct wget {
    struct shell *sh;
    char host[HOST_MAX];
    const char *path;
    uint64_t port;
    struct netconn *conn;
    struct http_reply reply;
    char head[HEAD_MAX];
    size_t have; /* in @head */
    struct sha256 hash;
    uint64_t bytes; /* of the body, so far */

    struct range disk; /* dev NULL: the file is thrown away */
    struct sink sink;
    uint8_t *chunk; /* being filled, NULL: none */
    size_t filled;
    uint64_t written; /* sectors */
    struct sh_progress progress;
};

static bool fetch_interrupted(void *arg)
{
    return sh_interrupted(arg);
}

/* "http://host[:port]/path"; an address of IPv6 stands in brackets. */
static int parse_url(struct wget *w, const char *url)
{
    if (strncmp(url, "http://", 7) != 0) {
        return sh_error(w->sh, "%s: a URL that begins with http:// is wanted", url);
    }
    const char *host = url + 7;
    const char *path = strchr(host, '/');
    size_t len = path != NULL ? (size_t)(path - host) : strlen(host);
    if (len >= sizeof(w->host)) {
        return sh_error(w->sh, "%s: the host's name is too long", url);
    }
    memcpy(w->host, host, len);
    w->path = path != NULL ? path : "/";
    w->port = HTTP_PORT;
    char *end = strchr(w->host, ']');
    char *colon = strrchr(end != NULL ? end : w->host, ':');
    if (colon != NULL) {
        *colon = '\0';
        if (parse_u64(colon + 1, &w->port) != 0 || w->port == 0 || w->port > UINT16_MAX) {
            return sh_error(w->sh, "%s: its port is no number", url);
        }
    }
    if (end != NULL && w->host[0] == '[') {
        *end = '\0';
        memmove(w->host, w->host + 1, (size_t)(end - w->host));
    }
    return w->host[0] != '\0' ? SH_OK : sh_error(w->sh, "%s: there is no host in it", url);
}

static int failed(struct wget *w, err_t err)
{
    return sh_error(w->sh, "%s: %s", w->host, net_strerror(err));
}

static int fetch_ask(struct wget *w)
{
    static const char *const start = "GET ", *const middle = " HTTP/1.0\r\nHost: ",
                             *const end = "\r\nUser-Agent: Duet/" DUET_VERSION "\r\n\r\n";
    struct netvector parts[] = {{start, strlen(start)},
                                {w->path, strlen(w->path)},
                                {middle, strlen(middle)},
                                {w->host, strlen(w->host)},
                                {end, strlen(end)}};
    ip_addr_t to;
    int rc = net_resolve(w->host, LWIP_DNS_ADDRTYPE_IPV4_IPV6, fetch_interrupted, w->sh, &to);

    if (rc != 0) {
        return rc == -EAGAIN ? SH_INTERRUPTED : sh_error(w->sh, "%s: no such host", w->host);
    }
    w->conn = netconn_new(IP_IS_V6(&to) ? NETCONN_TCP_IPV6 : NETCONN_TCP);
    if (w->conn == NULL) {
        return sh_error(w->sh, "no memory");
    }
    err_t err = netconn_connect(w->conn, &to, (u16_t)w->port);
    if (err == 0) {
        netconn_set_recvtimeout(w->conn, LOOK);
        err = netconn_write_vectors_partly(w->conn, parts, ARRAY_SIZE(parts), NETCONN_COPY, NULL);
    }
    return err != 0 ? failed(w, err) : SH_OK;
}

/* Writes what was filled, whole sectors, the rest of the last one being zeros. */
static int flush_chunk(struct wget *w)
{
    size_t bytes = ROUND_UP(w->filled, w->disk.info.sector_size);
    uint64_t sector = w->written;

    memset(w->chunk + w->filled, 0, bytes - w->filled);
    w->chunk = NULL;
    w->filled = 0;
    w->written += bytes >> BLK_SECTOR_SHIFT;
    int rc = sink_write(&w->sink, sector, bytes);
    return rc != 0 ? sh_error(w->sh, "%s: write at byte %lu: %s", w->disk.dev->name,
                              (ul)(sector << BLK_SECTOR_SHIFT), errno_name(rc))
                   : SH_OK;
}

static int to_disk(struct wget *w, const uint8_t *data, size_t len)
{
    int status = SH_OK;

    while (len != 0 && status == 0) {
        if (w->chunk == NULL) {
            uint64_t sector = 0;
            void *buf;
            int rc = sink_buffer(&w->sink, &buf, &sector);

            if (rc != 0) {
                return sh_error(w->sh, "%s: write at byte %lu: %s", w->disk.dev->name,
                                (ul)(sector << BLK_SECTOR_SHIFT), errno_name(rc));
            }
            w->chunk = buf;
        }
        size_t n = MIN(len, STREAM_CHUNK_MAX - w->filled);
        memcpy(w->chunk + w->filled, data, n);
        w->filled += n;
        data += n;
        len -= n;
        if (w->filled == STREAM_CHUNK_MAX) {
            status = flush_chunk(w);
        }
    }
    return status;
}

static int take_body(struct wget *w, const uint8_t *data, size_t len)
{
    if (w->reply.sized) {
        len = MIN(len, w->reply.length - w->bytes);
    }
    w->bytes += len;
    if (w->disk.dev != NULL && w->bytes > w->disk.info.sectors << BLK_SECTOR_SHIFT) {
        return sh_error(w->sh, "%s: the file is larger than the disk", w->disk.dev->name);
    }
    sha256_update(&w->hash, data, len);
    sh_progress(w->sh, &w->progress, w->bytes, w->reply.length);
    return w->disk.dev != NULL ? to_disk(w, data, len) : SH_OK;
}

/* The head is gathered until it is complete; what came with its end begins the body. */
static int take_head(struct wget *w, const uint8_t *data, size_t len)
{
    size_t n = MIN(len, sizeof(w->head) - w->have);

    memcpy(w->head + w->have, data, n);
    w->have += n;
    size_t head = http_head_length(w->head, w->have);
    if (head == 0) {
        return n < len ? sh_error(w->sh, "%s: its answer has no end of a head", w->host) : SH_OK;
    }
    size_t body = w->have - head;
    if (http_parse_reply(w->head, head, &w->reply) != 0) {
        return sh_error(w->sh, "%s: its answer is not understood", w->host);
    }
    if (w->reply.status != 200) {
        return sh_error(w->sh, "%s: %s: status %d", w->host, w->path, w->reply.status);
    }
    int status = take_body(w, (const uint8_t *)w->head + head, body);
    return status != 0 ? status : take_body(w, data + n, len - n);
}

static int take_pbuf(struct wget *w, const struct pbuf *p)
{
    int status = SH_OK;

    for (; p != NULL && status == 0; p = p->next) {
        status = w->reply.status != 0 ? take_body(w, p->payload, p->len)
                                      : take_head(w, p->payload, p->len);
    }
    return status;
}

/* Until the body is complete. */
static int fetch_receive(struct wget *w)
{
    nsec_t deadline = clock_now() + PATIENCE;
    int status = SH_OK;

    while (status == 0 &&
           !(w->reply.status != 0 && w->reply.sized && w->bytes == w->reply.length)) {
        struct pbuf *p;
        err_t err = netconn_recv_tcp_pbuf(w->conn, &p);

        if (err == ERR_OK) {
            status = take_pbuf(w, p);
            pbuf_free(p);
            deadline = clock_now() + PATIENCE;
        } else if (err == ERR_CLSD && w->reply.status != 0 && !w->reply.sized) {
            break;
        } else if (err != ERR_TIMEOUT || clock_now() > deadline) {
            status = sh_error(w->sh, "%s: broke off after %lu bytes: %s", w->host, (ul)w->bytes,
                              net_strerror(err));
        }
        if (sh_interrupted(w->sh)) {
            status = SH_INTERRUPTED;
        }
    }
    return status;
}

static int fetch_finish(struct wget *w)
{
    uint8_t digest[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1];
    uint64_t sector = 0;
    int status = w->filled != 0 ? flush_chunk(w) : SH_OK;

    if (status == 0 && w->disk.dev != NULL) {
        int rc = sink_drain(&w->sink, &sector);

        rc = rc != 0 ? rc : w->disk.info.flush ? blk_flush(w->disk.dev) : 0;
        if (rc != 0) {
            status = sh_error(w->sh, "%s: write at byte %lu: %s", w->disk.dev->name,
                              (ul)(sector << BLK_SECTOR_SHIFT), errno_name(rc));
        }
    }
    if (status == 0) {
        sha256_final(&w->hash, digest);
        sha256_hex(digest, hex);
        sh_printf(w->sh, "%lu bytes, sha256 %s\n", (ul)w->bytes, hex);
    }
    return status;
}

static int fetch_run(struct wget *w)
{
    if (w->disk.dev != NULL && w->disk.info.readonly) {
        return sh_error(w->sh, "%s is read-only", w->disk.dev->name);
    }
    if (w->disk.dev != NULL && sink_open(&w->sink, w->disk.dev, STREAM_CHUNK_MAX) != 0) {
        return sh_error(w->sh, "no memory to write with");
    }
    sha256_init(&w->hash);
    sh_progress_begin(&w->progress);
    int status = fetch_ask(w);
    if (status == 0) {
        status = fetch_receive(w);
    }
    sh_progress_end(w->sh, &w->progress);
    if (status == 0) {
        status = fetch_finish(w);
    }
    if (w->conn != NULL) {
        netconn_delete(w->conn);
    }
    if (w->disk.dev != NULL) {
        sink_close(&w->sink);
    }
    return status;
}

static int cmd_wget(struct shell *sh, int argc, char **argv)
{
    bool to = argc == 4 && strcmp(argv[2], "-O") == 0;

    if (argc != 2 && !to) {
        return SH_USAGE;
    }
    struct wget *w = kzalloc(sizeof(*w));
    if (w == NULL || net_stack_start() != 0) {
        kfree(w);
        return sh_error(sh, "no memory for the network");
    }
    w->sh = sh;
    int status = parse_url(w, argv[1]);
    if (status == 0 && to && range_get(sh, argv[3], &w->disk) != 0) {
        status = SH_FAIL;
    }
    if (status == 0) {
        status = fetch_run(w);
    }
    if (w->disk.dev != NULL) {
        blk_put(w->disk.dev);
    }
    kfree(w);
    return status;
}

static int cmd_dig(struct shell *sh, int argc, char **argv)
{
    char text[NET_ADDR_TEXT];
    bool v6 = argc == 3 && strcmp(argv[2], "AAAA") == 0;
    ip_addr_t addr;

    if (argc != 2 && !v6 && !(argc == 3 && strcmp(argv[2], "A") == 0)) {
        return SH_USAGE;
    }
    if (net_stack_start() != 0) {
        return sh_error(sh, "no memory for the network");
    }
    int rc = net_resolve(argv[1], v6 ? LWIP_DNS_ADDRTYPE_IPV6 : LWIP_DNS_ADDRTYPE_IPV4,
                         fetch_interrupted, sh, &addr);
    if (rc != 0) {
        return rc == -EAGAIN ? SH_INTERRUPTED
                             : sh_error(sh, "%s: no such name, or no answer", argv[1]);
    }
    net_addr_text(&addr, text, sizeof(text));
    sh_printf(sh, "%s %s %s\n", argv[1], IP_IS_V6(&addr) ? "AAAA" : "A", text);
    return SH_OK;
}

const struct sh_command fetch_commands[] = {
    {"dig", "dig NAME [A|AAAA]", "ask DNS for an address of a name",
     "The servers are those of dns= and of DHCP; `ifconfig` shows them.\n", ARGS_NONE, cmd_dig},
    {"wget", "wget URL [-O DISK]", "fetch a file over HTTP, to a disk from its start",
     "Prints the file's size and SHA-256. Without -O it is thrown away. The last sector's rest is\n"
     "filled with zeros; what stands behind it stays.\n",
     ARGS_NONE, cmd_wget},
    {0},
};
