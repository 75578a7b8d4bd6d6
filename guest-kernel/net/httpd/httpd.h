/*
 * httpd.h - the web server. There is one.
 *
 * Locks: httpd_lock (mutex: starting and stopping). Suspend: connections live on.
 */
#ifndef HTTPD_HTTPD_H
#define HTTPD_HTTPD_H

#include "fs/ext.h"
#include "lwip/err.h"
#include "net/httpd/request.h"

#define HTTPD_CONNECTIONS 64

/* What `httpd status` shows; counters are atomic. */
struct httpd_stats {
    bool running;
    char disk[BLK_NAME_MAX];
    uint16_t port;
    unsigned connections;                       /* now */
    uint64_t accepted, requests, errors, bytes; /* @errors: disk, memory, connections that broke */
};

/**
 * httpd_start() - serve the file system of a disk
 * @disk: the caller's reference is taken over if this succeeds, and stays the caller's if not
 * @why: for messages when it does not
 *
 * Return: 0 or -errno. May sleep.
 */
int httpd_start(struct blk_dev *disk, uint16_t port, const char **why);

/** httpd_stop() - end all connections and let go of the disk. -ENOENT: it does not run. */
int httpd_stop(void);

void httpd_get_stats(struct httpd_stats *stats);

/* ---- between httpd.c and reply.c ---- */

#define HTTPD_HEAD_MAX  4096
#define HTTPD_BUF_ORDER 3
#define HTTPD_BUF_SIZE  ((size_t)PAGE_SIZE << HTTPD_BUF_ORDER)

struct netconn;

/* A connection, owned by its thread. */
struct httpd_conn {
    struct netconn *nc;
    const struct ext_fs *fs;
    struct http_request req;
    char *buf; /* HTTPD_BUF_SIZE, pages */
    size_t have;
    char head[HTTPD_HEAD_MAX]; /* what has come and was not answered yet: @have bytes */
    char out[1024];            /* the head of an answer */
};

/**
 * httpd_answer() - answer c->req, or the error that it is
 * @status: 0, or what http_parse() found
 *
 * Return: whether the connection goes on.
 */
bool httpd_answer(struct httpd_conn *c, int status);

/** httpd_stopping() - whether connections shall end. */
bool httpd_stopping(void);

/** httpd_count() - add to the statistics. */
void httpd_count(uint64_t requests, uint64_t errors, uint64_t bytes);

#endif /* HTTPD_HTTPD_H */
