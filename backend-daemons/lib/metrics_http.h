/*
 * Who asks for a daemon's figures, by HTTP: GET /metrics over a socket in the file system, which
 * only root may open, or a loopback address (address.h).
 *
 * It is libmicrohttpd that speaks HTTP, in the daemon's own loop and without threads. The library
 * is loaded when metrics are switched on: a daemon that tells none has nothing of it in its memory.
 *
 * Who asks is not trusted: there are at most METRICS_VISITORS_MAX connections, each for one
 * question, of a few KiB; one that has said nothing for METRICS_QUIET_S seconds
 * (METRICS_QUIET_OPEN_S at an address that every user can reach), or is not done
 * after METRICS_VISIT_NS, is closed. More than that wait for their turn outside. The text
 * is put together four times a second at most.
 *
 * Types: struct metrics_server, one per daemon. It takes no lock.
 */
#ifndef DUET_LIB_METRICS_HTTP_H
#define DUET_LIB_METRICS_HTTP_H

#include <stdbool.h>

#include "address.h"
#include "loop.h"

#define METRICS_VISITORS_MAX 8U
#define METRICS_QUIET_S      2U
#define METRICS_QUIET_OPEN_S 1U
#define METRICS_VISIT_NS     UINT64_C(5000000000)
#define METRICS_ADDRESS_MAX  128

struct MHD_Daemon;
struct MHD_Response;

/* Makes the text. Returns it, of *len bytes and to be freed, or NULL: there is no memory. */
typedef char *metrics_text_fn(void *arg, unsigned long *len);

struct metrics_visitor {
    bool here;
    int fd;
    uint64_t since_ns;
};

/* Zero-initialise. */
struct metrics_server {
    char address[METRICS_ADDRESS_MAX]; /* as it was given; "": nobody is listened to */
    /* private */
    struct loop *loop;
    struct MHD_Daemon *http;
    struct loop_fd ready;
    struct loop_timer timer;
    struct metrics_visitor visitors[METRICS_VISITORS_MAX];
    metrics_text_fn *text;
    void *arg;
    struct MHD_Response *told; /* what was answered last, at told_ns */
    uint64_t told_ns;
    bool is_path;
    bool any, moved; /* at the last turn: somebody was here; has come or left */
};

/*
 * Listens at `address`, and no longer where it did. A socket that a daemon left there before is
 * replaced, anything else is not. When it cannot be listened at, all stays as it was.
 * Returns 0, or -errno with a sentence in `why`.
 */
int metrics_open(struct metrics_server *s, struct loop *loop, const char *address,
                 metrics_text_fn *text, void *arg, char *why, unsigned long why_size);

/* Listens no more, and removes the socket. Harmless when it does not listen. */
void metrics_close(struct metrics_server *s);

/*
 * Listens at `address` (NULL: nowhere) from now on; nothing happens when it does already. What does
 * not work is logged, and changes nothing.
 */
void metrics_move(struct metrics_server *s, struct loop *loop, const char *address,
                  metrics_text_fn *text, void *arg);

#endif
