/*
 * request.h - a request of HTTP/1.1 (RFC 9110, RFC 9112), as a server of files understands it, and
 * the head of an answer, as a client does.
 *
 * Plain C; compiles on the host for tests/unit and tests/fuzz. The peer is hostile.
 */
#ifndef HTTPD_REQUEST_H
#define HTTPD_REQUEST_H

#include "kern/types.h"

#define HTTP_PATH_MAX 1024

enum http_range { RANGE_NONE, RANGE_FROM, RANGE_FROM_TO, RANGE_LAST };

struct http_request {
    bool head; /* HEAD, else GET */
    bool keep; /* the connection stays open */
    enum http_range range;
    uint64_t first, last;     /* of the range: bytes; for RANGE_LAST @last is how many */
    char path[HTTP_PATH_MAX]; /* decoded, without the query */
};

/**
 * http_head_length() - how long the head of a request is
 *
 * Return: bytes with the empty line at its end, 0 if that has not come yet.
 */
size_t http_head_length(const char *text, size_t len);

/**
 * http_parse() - understand a head
 * @text: @len bytes as http_head_length() found them; changed
 *
 * Return: 0, or the status to answer with: 400, 414, 501, 505. @req->keep is false then.
 */
int http_parse(char *text, size_t len, struct http_request *req);

/**
 * http_range() - the part of a file that a request asks for
 *
 * Return: 200 for all of it, 206 with *@first and *@count, 416 when there is no such part.
 */
int http_range(const struct http_request *req, uint64_t size, uint64_t *first, uint64_t *count);

/* The head of an answer, as a client sees it. */
struct http_reply {
    int status;
    bool sized; /* @length is known; else the end of the connection is that of the body */
    uint64_t length;
};

/** http_parse_reply() - understand it. @text as of http_parse(). Return: 0 or -EINVAL. */
int http_parse_reply(char *text, size_t len, struct http_reply *reply);

#endif /* HTTPD_REQUEST_H */
