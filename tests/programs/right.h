/*
 * right.h - how the programs here say what is wrong. PROGRAM is the name that they say it by.
 */
#ifndef TESTS_PROGRAMS_RIGHT_H
#define TESTS_PROGRAMS_RIGHT_H

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#define PAGE 4096ul
#define MSEC 1000000L

#define RIGHT(what, is, should)                                                                 \
    do {                                                                                        \
        long is_ = (long)(is), should_ = (long)(should);                                        \
        if (is_ != should_) {                                                                   \
            printf(PROGRAM ": line %d: %s: is %ld (errno %d), should be %ld\n", __LINE__, what, \
                   is_, errno, should_);                                                        \
            return 1;                                                                           \
        }                                                                                       \
    } while (0)

static inline void act(int number, void (*fn)(int, siginfo_t *, void *), int flags)
{
    struct sigaction a = {.sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags};

    sigaction(number, &a, NULL);
}

/* Of the calling thread. */
static inline void block(int how, int number)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, number);
    sigprocmask(how, &set, NULL);
}

#endif /* TESTS_PROGRAMS_RIGHT_H */
