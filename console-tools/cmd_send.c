/*
 * duet-console send: types into a guest's console, and ends when the guest's ring has all of it.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "domain.h"
#include "talk.h"

struct sending {
    const struct command *self;
    const char *socket;
    bool take, no_newline;
    double patience_s;
    struct domain domain;
    int fd;
    char *text; /* of the command line; NULL: standard input */
    size_t text_len, text_done;
    uint64_t sent, taken;
};

static bool handle(int option, const char *arg, void *context)
{
    struct sending *s = context;

    switch (option) {
    case 's':
        s->socket = arg;
        return *arg == '/';
    case 'w':
        return parse_seconds(arg, &s->patience_s);
    case 't':
        s->take = true;
        return true;
    default:
        s->no_newline = true;
        return true;
    }
}

/* The words of the command line with blanks between them, and Enter behind them. */
static void join_words(struct sending *s, int argc, char **argv)
{
    size_t size = 2;

    for (int i = optind; i < argc; i++) {
        size += strlen(argv[i]) + 1;
    }
    s->text = must_alloc(size);
    for (int i = optind; i < argc; i++) {
        s->text_len += (size_t)snprintf(s->text + s->text_len, size - s->text_len, "%s%s",
                                        i > optind ? " " : "", argv[i]);
    }
    if (!s->no_newline) {
        s->text[s->text_len++] = '\r';
    }
}

/* The next piece. Returns its length, 0 at the end, or -errno. */
static ssize_t next_piece(struct sending *s, char data[CONS_TALK_INPUT_MAX])
{
    size_t left = s->text_len - s->text_done;
    ssize_t n;

    if (s->text == NULL) {
        do {
            n = read(STDIN_FILENO, data, CONS_TALK_INPUT_MAX);
        } while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
    }
    left = left < CONS_TALK_INPUT_MAX ? left : CONS_TALK_INPUT_MAX;
    memcpy(data, s->text + s->text_done, left);
    s->text_done += left;
    return (ssize_t)left;
}

static int lost(const struct sending *s, int err)
{
    return command_failed(s->self,
                          "%s (domain %u): lost the daemon (%s); the guest took %" PRIu64
                          " bytes, as far as is known",
                          s->domain.name, s->domain.domid,
                          err == -EPIPE ? "it has ended" : strerror(-err), s->taken);
}

/* Another one writes, or does now. */
static int refused(const struct sending *s, uint64_t writer)
{
    return command_failed(s->self,
                          "%s (domain %u): process %" PRIu64
                          " writes to this console; --take takes over. The guest took %" PRIu64
                          " bytes",
                          s->domain.name, s->domain.domid, writer, s->taken);
}

static int on_message(struct sending *s, bool *writes)
{
    union talk_message message;
    int err = talk_hear(s->fd, &message);

    if (err < 0) {
        return lost(s, err);
    }
    if (message.kind == CONS_TALK_TAKEN) {
        s->taken = message.word.number;
    } else if (message.kind == CONS_TALK_ROLE) {
        *writes = message.word.code == CONS_TALK_WRITER;
        if (!*writes && message.word.number != 0) {
            return refused(s, message.word.number);
        }
    } else if (message.kind == CONS_TALK_END) {
        char *why = talk_reason(&s->domain, message.word.code);
        int status = command_failed(s->self, "%s", why);

        free(why);
        return status;
    }
    return -1;
}

/* Waits until the daemon says something. Returns -1 to go on, or an exit code. */
static int await(struct sending *s, bool *writes)
{
    if (wait_for(s->fd, POLLIN, -1, deadline_after(s->patience_s)) > 0) {
        return on_message(s, writes);
    }
    command_failed(s->self,
                   "%s (domain %u): the guest took %" PRIu64 " of %" PRIu64
                   " bytes and no more for %g s; it does not read its console",
                   s->domain.name, s->domain.domid, s->taken, s->sent, s->patience_s);
    return EXIT_TIMEOUT;
}

/* One piece at a time: the next goes when the guest's ring has this one. */
static int send_all(struct sending *s)
{
    char data[CONS_TALK_INPUT_MAX];
    bool writes = false;
    int status = -1, err;
    ssize_t n;

    while (status < 0 && !writes) {
        status = await(s, &writes);
    }
    while (status < 0) {
        n = next_piece(s, data);
        if (n < 0) {
            return command_failed(s->self, "standard input: %s", strerror((int)-n));
        }
        if (n == 0) {
            return EXIT_FOUND;
        }
        err = talk_type(s->fd, data, (size_t)n);
        if (err != 0) {
            return lost(s, err);
        }
        s->sent += (uint64_t)n;
        while (status < 0 && s->taken < s->sent) {
            status = await(s, &writes);
        }
    }
    return status;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct sending s = {.self = self, .socket = CONS_TALK_SOCKET, .patience_s = 10};
    int status = command_options(self, argc, argv, NULL, handle, &s), err;

    if (status >= 0) {
        return status;
    }
    status = domain_want(self, argv[optind++], &s.domain);
    if (status >= 0) {
        return status;
    }
    if (optind < argc) {
        join_words(&s, argc, argv);
    }
    status = EXIT_FAILED;
    s.fd = talk_open(self, s.socket);
    if (s.fd >= 0) {
        err = talk_ask(s.fd, CONS_TALK_ATTACH, s.domain.domid,
                       CONS_TALK_WRITES | (s.take ? CONS_TALK_TAKES : 0));
        status = err != 0 ? lost(&s, err) : send_all(&s);
        close(s.fd);
    }
    domain_free(&s.domain);
    free(s.text);
    return status;
}

static const struct option longs[] = {
    SOCKET_OPTION,
    {"take", no_argument, NULL, 't'},
    {"no-newline", no_argument, NULL, 'n'},
    {"wait", required_argument, NULL, 'w'},
    HELP_OPTION,
};

const struct command cmd_send = {
    .name = "send",
    .summary = "Types TEXT and Enter, or what standard input has, and waits until the guest has it",
    .synopsis = "[-tn] [-w SECONDS] [-s PATH] DOMAIN [TEXT...]",
    .options = "  -t, --take          take the writing from whoever has it\n"
               "  -n, --no-newline    no Enter behind TEXT\n"
               "  -w, --wait SECONDS  for the guest to take some of it (default 10)\n" SOCKET_HELP,
    .shorts = "+s:tnw:h",
    .longs = longs,
    .min_args = 1,
    .max_args = -1,
    .run = run,
};
