/*
 * The socket of the console daemon, from a program's side: a message whole or none, and each that
 * comes is checked before anything looks at it.
 *
 * Types: union talk_message.
 */
#ifndef DUET_CONSOLE_TOOL_TALK_H
#define DUET_CONSOLE_TOOL_TALK_H

#include <stdbool.h>
#include <stddef.h>

#include "cons_talk.h"
#include "domain.h"

union talk_message {
    uint32_t kind;
    struct cons_talk_word word;
    struct cons_talk_state state;
    struct cons_talk_bytes bytes;
};

/* Connects, if somebody listens. Returns a descriptor or -errno. */
int talk_connect(const char *path);

/* The same, with a message that says what to do. Returns a descriptor, or -1. */
int talk_open(const struct command *self, const char *path);

/* Says what is wanted of a domain (enum cons_talk_kind and cons_talk_wish). Returns 0 or -errno. */
int talk_ask(int fd, uint32_t kind, unsigned int domid, uint32_t wishes);

/* Sends input, at most CONS_TALK_INPUT_MAX bytes. Returns 0 or -errno (-EAGAIN: what was sent
 * before fills the socket). */
int talk_type(int fd, const char *data, size_t len);

/*
 * Waits for the next message. Returns the number of bytes of output in it (0: it is another one, of
 * the right length and with its texts terminated), -EPIPE when the daemon is gone, -EPROTO when it
 * was none that a program expects, or another -errno.
 */
int talk_hear(int fd, union talk_message *message);

/* Why the daemon ended the connection, in words that name the domain and what to do. The caller
 * frees it. */
char *talk_reason(const struct domain *domain, uint32_t reason);

#endif
