/*
 * request.c - requests; see request.h.
 */
#include "net/httpd/request.h"

#include "kern/string.h"

enum { BAD = 400, TOO_LONG = 414, NOT_IMPLEMENTED = 501, VERSION = 505 };

size_t http_head_length(const char *text, size_t len)
{
    for (size_t i = 0; i + 1 < len; i++) {
        if (text[i] == '\n' && text[i + 1] == '\n') {
            return i + 2;
        }
        if (i + 2 < len && text[i] == '\n' && text[i + 1] == '\r' && text[i + 2] == '\n') {
            return i + 3;
        }
    }
    return 0;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Whether @text begins with the lower-case @start, in any case; then what is behind it. */
static char *after(char *text, const char *start)
{
    for (; *start != '\0'; text++, start++) {
        if (lower(*text) != *start) {
            return NULL;
        }
    }
    return text;
}

static char *skip_blanks(char *text)
{
    while (*text == ' ' || *text == '\t') {
        text++;
    }
    return text;
}

static int hex_value(char c)
{
    c = lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The path of a request's target, decoded. */
static int take_path(const char *target, char *path)
{
    size_t n = 0;

    if (*target != '/') {
        return BAD;
    }
    for (; *target != '\0' && *target != '?' && *target != '#'; target++) {
        int c = (uint8_t)*target;

        if (c == '%') {
            int high = hex_value(target[1]);
            int low = high < 0 ? -1 : hex_value(target[2]);

            if (low < 0 || !(high != 0 || low != 0)) {
                return BAD;
            }
            c = high << 4 | low;
            target += 2;
        }
        if (n + 1 == HTTP_PATH_MAX) {
            return TOO_LONG;
        }
        path[n++] = (char)c;
    }
    path[n] = '\0';
    return 0;
}

/* "GET /path HTTP/1.1" */
static int take_request_line(char *line, struct http_request *req)
{
    char *target = strchr(line, ' ');
    char *version = target != NULL ? strchr(target + 1, ' ') : NULL;

    if (version == NULL) {
        return BAD;
    }
    *target++ = '\0';
    *version++ = '\0';
    if (strncmp(version, "HTTP/1.", 7) != 0) {
        return strncmp(version, "HTTP/", 5) != 0 ? BAD : VERSION;
    }
    req->keep = strcmp(version, "HTTP/1.0") != 0;
    req->head = strcmp(line, "HEAD") == 0;
    if (!req->head && strcmp(line, "GET") != 0) {
        return NOT_IMPLEMENTED;
    }
    return take_path(target, req->path);
}

/* A number of decimal digits; NULL if there is none or it is too large, else what is behind it. */
static char *take_number(char *text, uint64_t *value)
{
    char *start = text;

    for (*value = 0; *text >= '0' && *text <= '9'; text++) {
        if (*value > UINT64_MAX / 10 - 1) {
            return NULL;
        }
        *value = *value * 10 + (uint64_t)(*text - '0');
    }
    return text == start ? NULL : text;
}

/* "bytes=1-2", "bytes=1-", "bytes=-2"; anything else, and several parts, ask for all of it. */
static void take_range(char *text, struct http_request *req)
{
    text = after(skip_blanks(text), "bytes=");
    if (text == NULL) {
        return;
    }
    if (*text == '-') {
        text = take_number(text + 1, &req->last);
        req->range = text != NULL && *skip_blanks(text) == 0 ? RANGE_LAST : RANGE_NONE;
        return;
    }
    text = take_number(text, &req->first);
    if (text == NULL || *text != '-') {
        return;
    }
    if (*skip_blanks(++text) == 0) {
        req->range = RANGE_FROM;
        return;
    }
    text = take_number(text, &req->last);
    if (text != NULL && *skip_blanks(text) == 0 && req->first <= req->last) {
        req->range = RANGE_FROM_TO;
    }
}

static int request_take_field(char *line, struct http_request *req)
{
    char *value = after(line, "connection:");

    if (value != NULL) {
        value = skip_blanks(value);
        if (after(value, "close") != NULL) {
            req->keep = false;
        } else if (after(value, "keep-alive") != NULL) {
            req->keep = true;
        }
        return 0;
    }
    value = after(line, "range:");
    if (value != NULL) {
        take_range(value, req);
        return 0;
    }
    /* A body would be taken for the next request. */
    value = after(line, "content-length:");
    if (after(line, "transfer-encoding:") != NULL ||
        (value != NULL && strcmp(skip_blanks(value), "0") != 0)) {
        return NOT_IMPLEMENTED;
    }
    return strchr(line, ':') != NULL ? 0 : BAD;
}

/* The next line, terminated; NULL when no line ends in what is left. */
static char *next_line(char **text, const char *end)
{
    char *line = *text;
    char *stop = memchr(line, '\n', (size_t)(end - line));

    if (stop == NULL) {
        return NULL;
    }
    *text = stop + 1;
    stop -= stop > line && stop[-1] == '\r';
    *stop = '\0';
    return line;
}

int http_parse(char *text, size_t len, struct http_request *req)
{
    char *end = text + len;
    int status = 0;

    memset(req, 0, sizeof(*req));
    if (len == 0 || memchr(text, '\0', len) != NULL) {
        return BAD;
    }
    for (bool first = true; status == 0 && text < end; first = false) {
        char *line = next_line(&text, end);

        if (line == NULL) {
            status = BAD;
        } else if (first) {
            status = take_request_line(line, req);
        } else if (*line != '\0') {
            status = request_take_field(line, req);
        }
    }
    req->keep = req->keep && status == 0;
    return status;
}

int http_range(const struct http_request *req, uint64_t size, uint64_t *first, uint64_t *count)
{
    *first = 0;
    *count = size;
    if (req->range == RANGE_NONE) {
        return 200;
    }
    if (req->range == RANGE_LAST) {
        *first = size - MIN(req->last, size);
    } else {
        *first = req->first;
    }
    if (*first >= size) {
        return 416;
    }
    *count = size - *first;
    if (req->range == RANGE_FROM_TO) {
        *count = MIN(*count, req->last - req->first + 1);
    }
    return 206;
}

/* "HTTP/1.1 200 OK" */
static bool take_status_line(char *line, struct http_reply *reply)
{
    uint64_t status;
    char *at = after(line, "http/1.");

    at = at != NULL ? strchr(at, ' ') : NULL;
    at = at != NULL ? take_number(at + 1, &status) : NULL;
    reply->status = at != NULL && status < 1000 ? (int)status : 0;
    return reply->status >= 100 && (*at == ' ' || *at == '\0');
}

int http_parse_reply(char *text, size_t len, struct http_reply *reply)
{
    char *end = text + len;
    char *line;

    memset(reply, 0, sizeof(*reply));
    if (memchr(text, '\0', len) != NULL || !(line = next_line(&text, end)) ||
        !take_status_line(line, reply)) {
        return -EINVAL;
    }
    while ((line = next_line(&text, end))) {
        char *value = after(line, "content-length:");
        char *end_of_value = value != NULL ? take_number(skip_blanks(value), &reply->length) : NULL;

        reply->sized = reply->sized || end_of_value != NULL;
        if ((value != NULL && (end_of_value == NULL || *skip_blanks(end_of_value) != 0)) ||
            after(line, "transfer-encoding:") != NULL) {
            return -EINVAL;
        }
    }
    return 0;
}
