/*
 * What the console daemon and a program that reads or writes a console (duet-console) say to each
 * other over the daemon's socket. It is a SOCK_SEQPACKET: a message is whole or not there.
 *
 * Who comes is root (the supervisor asks the kernel), and yet what comes is checked. What the
 * daemon's worker says was perhaps written by a guest that has taken it over: the program that
 * reads it checks it as well.
 *
 * Plain data. `kind` is the first word of each message.
 */
#ifndef DUET_CONSOLE_CONS_TALK_H
#define DUET_CONSOLE_CONS_TALK_H

#include <stdint.h>

#include "name.h"

#define CONS_TALK_SOCKET     "/run/duet/console.sock"
#define CONS_TALK_MAGIC      0x31746364U /* "dct1": changes with these structures */
#define CONS_TALK_INPUT_MAX  512U
#define CONS_TALK_OUTPUT_MAX 4096U

enum cons_talk_kind {
    /* To the daemon. The first message is one of the first two. */
    CONS_TALK_ATTACH = 1, /* struct cons_talk_ask */
    CONS_TALK_LOOK,       /* the same, as often as wanted; answered by CONS_TALK_STATE */
    CONS_TALK_INPUT,      /* struct cons_talk_bytes: for the guest */

    /* From the daemon. */
    CONS_TALK_ROLE = 16, /* struct cons_talk_word: enum cons_talk_role; the process that writes */
    CONS_TALK_OUTPUT,    /* struct cons_talk_bytes: the history, then what the guest prints */
    CONS_TALK_MISSED,    /* word: so many bytes are missing before what follows */
    CONS_TALK_TAKEN,     /* word: so many bytes of input are in the guest's ring, since the start */
    CONS_TALK_STATE,     /* struct cons_talk_state */
    CONS_TALK_END,       /* word: enum cons_talk_reason; the last message */
};

/* What who attaches wants. */
enum cons_talk_wish {
    CONS_TALK_WRITES = 1,  /* may write */
    CONS_TALK_TAKES = 2,   /* from another one, if there is one */
    CONS_TALK_READS = 4,   /* output */
    CONS_TALK_HISTORY = 8, /* and what was printed before */
};

enum cons_talk_role {
    CONS_TALK_READER,
    CONS_TALK_WRITER,
};

enum cons_talk_reason {
    CONS_TALK_GONE = 1, /* the domain */
    CONS_TALK_UNKNOWN,  /* no such console is served */
    CONS_TALK_FULL,     /* there are too many readers */
    CONS_TALK_WRONG,    /* what was sent is none of the above, or not allowed */
};

struct cons_talk_ask {
    uint32_t kind;
    uint32_t magic;
    uint32_t domid;
    uint32_t wishes; /* of CONS_TALK_ATTACH */
};

struct cons_talk_bytes {
    uint32_t kind;
    char data[CONS_TALK_OUTPUT_MAX];
};

/* The length of a message of @len bytes. */
#define CONS_TALK_BYTES(len) (sizeof(uint32_t) + (len))

struct cons_talk_word {
    uint32_t kind;
    uint32_t code;
    uint64_t number;
};

struct cons_talk_state {
    uint32_t kind;
    uint32_t domid;
    uint32_t served;    /* 0: there is no such console, and the rest means nothing */
    uint32_t connected; /* 1: the guest's ring is mapped */
    uint32_t terminal;  /* 1: somebody has the terminal open */
    uint32_t readers;   /* at the socket, the writer among them */
    uint32_t writer;    /* its process; 0: nobody */
    uint32_t reserved;
    uint64_t output, input;      /* bytes, since the daemon has the console */
    uint64_t missed;             /* bytes that readers missed */
    char log[CONS_LOG_NAME_MAX]; /* the file's name; empty: there is none */
};

#endif
