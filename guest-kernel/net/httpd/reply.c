/*
 * reply.c - answers: files, parts of them, folders, errors. See httpd.h.
 *
 * No state but the connection's; no locks.
 */
#include "kern/string.h"
#include "lwip/api.h"
#include "net/httpd/httpd.h"
#include "psm/clock.h"

#define INDEX     "index.html"
#define PATIENCE  (60 * NSEC_PER_SEC) /* for a peer to take some of what it asked for */
#define LOOK      500                 /* ms: how often a stop is looked for */
#define MOVED_MAX 600                 /* bytes of a path that a redirection takes */

static const struct {
    int status;
    const char *text;
} reasons[] = {
    {200, "OK"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {400, "Bad Request"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {414, "URI Too Long"},
    {416, "Range Not Satisfiable"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {505, "HTTP Version Not Supported"},
};

static const struct {
    const char *suffix, *type;
} types[] = {
    {".html", "text/html; charset=utf-8"},
    {".htm", "text/html; charset=utf-8"},
    {".txt", "text/plain; charset=utf-8"},
    {".css", "text/css"},
    {".js", "text/javascript"},
    {".json", "application/json"},
    {".png", "image/png"},
    {".jpg", "image/jpeg"},
    {".svg", "image/svg+xml"},
    {".xml", "application/xml"},
    {".pdf", "application/pdf"},
};

static const char *reason(int status)
{
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
        if (reasons[i].status == status) {
            return reasons[i].text;
        }
    }
    return "Error";
}

static const char *type_of(const char *path)
{
    size_t len = strlen(path);

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        size_t n = strlen(types[i].suffix);

        if (len >= n && strcmp(path + len - n, types[i].suffix) == 0) {
            return types[i].type;
        }
    }
    return "application/octet-stream";
}

/*
 * Sends @parts, a head and a body, in as few segments as can be. Gives up when the peer takes
 * nothing for PATIENCE, or when the server stops.
 */
static bool send_parts(struct httpd_conn *c, struct netvector *parts, unsigned n, bool more)
{
    nsec_t deadline = clock_now() + PATIENCE;
    err_t err = ERR_OK;

    while (n != 0 && (err == ERR_OK || err == ERR_WOULDBLOCK) && clock_now() < deadline &&
           !httpd_stopping()) {
        size_t written = 0;

        err = netconn_write_vectors_partly(c->nc, parts, (u16_t)n,
                                           NETCONN_COPY | (more ? NETCONN_MORE : 0), &written);
        if (written != 0) {
            deadline = clock_now() + PATIENCE;
            httpd_count(0, 0, written);
        }
        for (; n != 0 && written >= parts->len; n--, parts++) {
            written -= parts->len;
        }
        if (n != 0) {
            parts->ptr = (const char *)parts->ptr + written;
            parts->len -= written;
        }
    }
    httpd_count(0, n != 0, 0);
    return n == 0;
}

static bool reply_send(struct httpd_conn *c, const char *data, size_t len, bool more)
{
    struct netvector part = {.ptr = data, .len = len};

    return send_parts(c, &part, len != 0, more);
}

/* A date of RFC 9110: "Sun, 06 Nov 1994 08:49:37 GMT". */
static void date_text(nsec_t wall, char *text, size_t size)
{
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct date d;

    date_from_wall(wall, &d);
    snprintf(text, size, "%s, %02u %s %04d %02u:%02u:%02u GMT", d.weekday, d.day,
             months[(d.month - 1) % 12], d.year, d.hour, d.minute, d.second);
}

/* Starts the head of an answer in c->out. Return: its length. */
static int begin_head(struct httpd_conn *c, int status, const char *type)
{
    char now[32];

    date_text(clock_wall(), now, sizeof(now));
    return snprintf(c->out, sizeof(c->out),
                    "HTTP/1.1 %d %s\r\nServer: Duet/" DUET_VERSION "\r\nDate: %s\r\n"
                    "Content-Type: %s\r\nConnection: %s\r\n",
                    status, reason(status), now, type, c->req.keep ? "keep-alive" : "close");
}

/* An answer whose body says what the status is. @field: one more line of the head, or "". */
static bool answer_status(struct httpd_conn *c, int status, const char *field)
{
    char body[64];
    int len = snprintf(body, sizeof(body), "%d %s\n", status, reason(status));
    int n = begin_head(c, status, "text/plain");

    n += snprintf(c->out + n, sizeof(c->out) - (size_t)n, "Content-Length: %d\r\n%s\r\n%s", len,
                  field, c->req.head ? "" : body);
    return reply_send(c, c->out, (size_t)n, false) && c->req.keep;
}

/* Sends @n bytes of c->out, then @count of the file from @first on; or breaks off. */
static bool send_file(struct httpd_conn *c, int n, struct ext_file *f, uint64_t first,
                      uint64_t count)
{
    struct netvector parts[2] = {{.ptr = c->out, .len = (size_t)n}};
    unsigned heads = 1;
    size_t skip = first % f->fs->block_size;

    for (uint64_t at = first - skip; count != 0; heads = 0, skip = 0) {
        ssize_t got =
            ext_read(f, at, c->buf, MIN(HTTPD_BUF_SIZE, ROUND_UP(skip + count, PAGE_SIZE)));

        if (got <= (ssize_t)skip) {
            httpd_count(0, 1, 0);
            return false;
        }
        size_t len = MIN((uint64_t)got - skip, count);
        parts[heads] = (struct netvector){.ptr = c->buf + skip, .len = len};
        if (!send_parts(c, parts, heads + 1, count > len)) {
            return false;
        }
        at += (uint64_t)got;
        count -= len;
    }
    return true;
}

static bool answer_file(struct httpd_conn *c, struct ext_file *f, const char *path)
{
    uint64_t first, count;
    char modified[32], field[96];
    int status = http_range(&c->req, f->size, &first, &count);

    if (status == 416) {
        snprintf(field, sizeof(field), "Content-Range: bytes */%lu\r\n", (unsigned long)f->size);
        return answer_status(c, status, field);
    }
    date_text(f->mtime * NSEC_PER_SEC, modified, sizeof(modified));
    field[0] = '\0';
    if (status == 206) {
        snprintf(field, sizeof(field), "Content-Range: bytes %lu-%lu/%lu\r\n", (unsigned long)first,
                 (unsigned long)(first + count - 1), (unsigned long)f->size);
    }
    int n = begin_head(c, status, type_of(path));
    n += snprintf(c->out + n, sizeof(c->out) - (size_t)n,
                  "Last-Modified: %s\r\nAccept-Ranges: bytes\r\n%sContent-Length: %lu\r\n\r\n",
                  modified, field, (unsigned long)count);
    bool body = !c->req.head && count != 0;
    return ((body ? send_file(c, n, f, first, count) : reply_send(c, c->out, (size_t)n, false)) !=
            0) &&
           c->req.keep;
}

/* A folder's list: gathered in c->buf, sent when that is nearly full. */
struct listing {
    struct httpd_conn *c;
    size_t len;
};

#define ENTRY_MAX                                                                  \
    (EXT_NAME_MAX * 9 + 64) /* a name twice, each byte three and six times as long \
                             */

static void reply_put(struct listing *l, const char *text)
{
    size_t n = strlen(text);

    memcpy(l->c->buf + l->len, text, n);
    l->len += n;
}

static bool plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_' || c == '~';
}

static void put_name(struct listing *l, const char *name, size_t len, const char *format)
{
    for (size_t i = 0; i < len; i++) {
        char text[8] = {name[i]};

        if (!plain(name[i]) && (format[0] == '%' || strchr("<>&\"'", name[i]) != NULL)) {
            snprintf(text, sizeof(text), format, (uint8_t)name[i]);
        }
        reply_put(l, text);
    }
}

static int list_entry(void *arg, const char *name, size_t len, uint32_t inode)
{
    struct listing *l = arg;

    (void)inode;
    if (name[0] == '.' && len == 1) {
        return 0;
    }
    reply_put(l, "<li><a href=\"");
    put_name(l, name, len, "%%%02X");
    reply_put(l, "\">");
    put_name(l, name, len, "&#%u;");
    reply_put(l, "</a>\n");
    if (HTTPD_BUF_SIZE - l->len > ENTRY_MAX) {
        return 0;
    }
    bool ok = reply_send(l->c, l->c->buf, l->len, true);
    l->len = 0;
    return ok ? 0 : -EIO;
}

/* Its length is not known before its end, which is that of the connection. */
static bool answer_listing(struct httpd_conn *c, struct ext_file *dir)
{
    struct listing l = {.c = c};

    c->req.keep = false;
    int n = begin_head(c, 200, "text/html; charset=utf-8");
    n += snprintf(c->out + n, sizeof(c->out) - (size_t)n, "\r\n");
    if (!reply_send(c, c->out, (size_t)n, !c->req.head) || c->req.head) {
        return false;
    }
    reply_put(&l, "<!DOCTYPE html>\n<title>Files</title>\n<ul>\n");
    if (ext_each(dir, list_entry, &l) != 0) {
        httpd_count(0, 1, 0);
        return false;
    }
    reply_put(&l, "</ul>\n");
    (void)reply_send(c, c->buf, l.len, false);
    return false;
}

/* To the same path with a '/' behind it, so that a browser finds what is in the folder. */
static bool answer_moved(struct httpd_conn *c, const char *path, size_t len)
{
    struct listing l = {.c = c};

    reply_put(&l, "Location: ");
    for (size_t i = 0; i < len && l.len < MOVED_MAX; i++) {
        if (path[i] == '/') {
            reply_put(&l, "/");
        } else {
            put_name(&l, path + i, 1, "%%%02X");
        }
    }
    if (l.len >= MOVED_MAX) {
        return answer_status(c, 404, "");
    }
    reply_put(&l, "/\r\n");
    c->buf[l.len] = '\0';
    return answer_status(c, 301, c->buf);
}

static bool answer_folder(struct httpd_conn *c, struct ext_file *dir)
{
    struct ext_file index;
    char *path = c->req.path;
    size_t len = strlen(path);

    if (path[len - 1] != '/') {
        return answer_moved(c, path, len);
    }
    if (len + sizeof(INDEX) > sizeof(c->req.path)) {
        return answer_status(c, 414, "");
    }
    memcpy(path + len, INDEX, sizeof(INDEX));
    int rc = ext_find(c->fs, path, &index);
    path[len] = '\0';
    if (rc != 0) {
        return answer_listing(c, dir);
    }
    bool on = index.type == EXT_FILE ? answer_file(c, &index, INDEX) : answer_listing(c, dir);
    ext_put(&index);
    return on;
}

bool httpd_answer(struct httpd_conn *c, int status)
{
    struct ext_file f;

    httpd_count(1, 0, 0);
    netconn_set_sendtimeout(c->nc, LOOK);
    if (status != 0) {
        return answer_status(c, status, "");
    }
    int rc = ext_find(c->fs, c->req.path, &f);
    if (rc != 0) {
        bool missing = rc == -ENOENT || rc == -ENOTDIR;

        httpd_count(0, !missing, 0);
        return answer_status(c, missing ? 404 : 500, "");
    }
    bool on = f.type == EXT_FILE  ? answer_file(c, &f, c->req.path)
              : f.type == EXT_DIR ? answer_folder(c, &f)
                                  : answer_status(c, 403, "");
    ext_put(&f);
    return on;
}
