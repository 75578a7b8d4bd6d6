/*
 * peers.h - what the programs with sockets do with two ends of any kind. BIG is how many bytes are
 * more than a buffer holds.
 */
#ifndef TESTS_PROGRAMS_PEERS_H
#define TESTS_PROGRAMS_PEERS_H

#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "right.h"

static char big[BIG];

/* The last signal that note() heard of. */
static volatile int seen;

static inline void note(int number, siginfo_t *info, void *context)
{
    (void)info;
    (void)context;
    seen = number;
}

static inline int polled(int fd, short events, int timeout)
{
    struct pollfd p = {.fd = fd, .events = events};

    return poll(&p, 1, timeout) < 0 ? -1 : p.revents;
}

static inline void *send_big(void *fd)
{
    for (size_t done = 0; done < 10 * sizeof(big);) {
        ssize_t n = write((int)(intptr_t)fd, big, sizeof(big));

        if (n <= 0) {
            return (void *)1;
        }
        done += (size_t)n;
    }
    return NULL;
}

/* More than any buffer holds goes from one end to the other. */
static inline int much_passes(const int ends[2])
{
    static char in[BIG];
    pthread_t t;
    void *rc;

    for (size_t i = 0; i < sizeof(big); i++) {
        big[i] = (char)(i * i >> 5);
    }
    pthread_create(&t, NULL, send_big, (void *)(intptr_t)ends[0]);
    for (int i = 0; i < 10; i++) {
        RIGHT("recv", recv(ends[1], in, sizeof(in), MSG_WAITALL), sizeof(in));
        RIGHT("what", memcmp(in, big, sizeof(in)), 0);
    }
    pthread_join(t, &rc);
    RIGHT("sender", (long)rc, 0);
    return 0;
}

/* Eight processes take all that they get, and end. */
static inline int all_take(void (*take)(void))
{
    int status, alive = 0;

    for (int i = 0; i < 8; i++) {
        if (fork() == 0) {
            alarm(20);
            take();
            _exit(0);
        }
    }
    while (wait(&status) > 0) {
        alive++;
    }
    RIGHT("all ended", alive, 8);
    return 0;
}

#endif /* TESTS_PROGRAMS_PEERS_H */
