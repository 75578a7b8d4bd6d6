/*
 * duet-console attach: a console at a terminal, or at standard input and output. Shows what was
 * printed before, then what is printed; what is typed goes to the guest, as long as nobody else
 * writes. A daemon that is started again is found again.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "domain.h"
#include "talk.h"
#include "terminal.h"
#include "text.h"

#define ESCAPE     '\x1d' /* ^], as with xl console */
#define PATIENCE_S 60.0   /* for a daemon that was there and is not: systemd starts it again */
#define AGAIN_MS   100

struct attached {
    const struct command *self;
    const char *socket;
    bool read_only, take, no_history;
    struct domain domain;
    int fd; /* the daemon; negative: it is waited for */
    int signals;
    long long deadline; /* for the daemon */
    bool writes;
    bool input_ended;
    uint32_t writer; /* its process; 0: nobody */
    bool told;       /* that another one writes */
    uint64_t sent, taken;
};

static bool handle(int option, const char *arg, void *context)
{
    struct attached *a = context;

    switch (option) {
    case 's':
        a->socket = arg;
        return *arg == '/';
    case 'r':
        a->read_only = true;
        return true;
    case 't':
        a->take = true;
        return true;
    default:
        a->no_history = true;
        return true;
    }
}

/* A sentence beside what the guest prints. */
static void notice(const struct attached *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void notice(const struct attached *a, const char *fmt, ...)
{
    const char *end = terminal_is_raw() ? "\r\n" : "\n";
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    fputs(terminal_is_raw() ? end : "", stderr);
    fprintf(stderr, "[%s: ", command_program());
    text_print(stderr, a->domain.name);
    fputs(": ", stderr);
    text_print(stderr, text);
    fprintf(stderr, "]%s", end);
}

/* Gives all of it to standard output. Returns false when nobody takes it. */
static bool show(const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, data, len);

        if (n < 0 && errno == EAGAIN) { /* somebody shares it who made it so */
            struct pollfd pfd = {.fd = STDOUT_FILENO, .events = POLLOUT};

            poll(&pfd, 1, -1);
        } else if (n < 0 && errno != EINTR) {
            return false;
        } else if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
    return true;
}

static uint32_t wishes(const struct attached *a)
{
    return CONS_TALK_READS | (a->no_history ? 0 : CONS_TALK_HISTORY) |
           (a->read_only ? 0 : CONS_TALK_WRITES) | (a->take ? CONS_TALK_TAKES : 0);
}

static void on_role(struct attached *a, const struct cons_talk_word *word)
{
    const bool wrote = a->writes;

    a->writes = word->code == CONS_TALK_WRITER;
    a->writer = (uint32_t)word->number;
    a->told = false;
    if (a->writes || a->read_only) {
        return;
    }
    a->sent = a->taken; /* what is not in the ring does not go there any more */
    if (wrote) {
        notice(a, "process %" PRIu32 " has taken over the writing; you read on", a->writer);
    } else if (a->writer != 0) {
        notice(a, "process %" PRIu32 " writes, you read; attach --take takes over", a->writer);
    } else {
        notice(a, "nobody writes any more: what you type goes to the guest");
    }
}

/* The daemon is gone, and another one will come. Returns -1 to go on. */
static int wait_for_daemon(struct attached *a)
{
    close(a->fd);
    a->fd = -1;
    a->writes = false;
    a->sent = a->taken = 0;
    a->take = false; /* was meant for once */
    a->deadline = deadline_after(PATIENCE_S);
    notice(a, "the console daemon has ended; waits for the next one");
    return -1;
}

static int on_end(struct attached *a, uint32_t reason)
{
    char *why;

    terminal_close();
    if (reason == CONS_TALK_GONE) {
        notice(a, "the domain has gone");
        return EXIT_FOUND;
    }
    why = talk_reason(&a->domain, reason);
    command_failed(a->self, "%s", why);
    free(why);
    return EXIT_FAILED;
}

/* Returns -1 to go on, or an exit code. */
static int on_daemon(struct attached *a)
{
    union talk_message message;
    int n = talk_hear(a->fd, &message);

    if (n == -EPIPE) {
        return wait_for_daemon(a);
    }
    if (n < 0) {
        terminal_close();
        return command_failed(a->self, "%s (domain %u): the daemon's answer: %s", a->domain.name,
                              a->domain.domid, strerror(-n));
    }
    switch (message.kind) {
    case CONS_TALK_OUTPUT:
        if (!show(message.bytes.data, (size_t)n)) {
            terminal_close();
            return command_failed(a->self, "standard output: %s", strerror(errno));
        }
        break;
    case CONS_TALK_MISSED:
        notice(a, "%" PRIu64 " bytes are missing here; duet-console log has them",
               message.word.number);
        break;
    case CONS_TALK_TAKEN:
        a->taken = message.word.number;
        break;
    case CONS_TALK_ROLE:
        on_role(a, &message.word);
        break;
    case CONS_TALK_END:
        return on_end(a, message.word.code);
    default:
        break;
    }
    return -1;
}

/* Whether what is typed would reach the guest. */
static bool may_type(struct attached *a)
{
    if (a->fd >= 0 && !a->read_only && (a->writes || a->writer == 0)) {
        return true;
    }
    if (a->fd >= 0 && !a->read_only && !a->told) {
        a->told = true;
        notice(a, "not sent: process %" PRIu32 " writes; attach --take takes over", a->writer);
    }
    return false;
}

/* A daemon that is gone is noticed where it is listened to. */
static void type(struct attached *a, const char *data, size_t len)
{
    int err = talk_type(a->fd, data, len);

    if (err == 0) {
        a->sent += len;
    } else if (err == -EAGAIN) {
        notice(a, "not sent: the guest has not read what was typed before");
    }
}

/* Returns -1 to go on, or an exit code. */
static int on_input(struct attached *a)
{
    char data[CONS_TALK_INPUT_MAX], *escape;
    ssize_t n = read(STDIN_FILENO, data, sizeof(data));
    size_t len = n > 0 ? (size_t)n : 0;

    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        return -1;
    }
    if (n <= 0) {
        a->input_ended = true;
        return terminal_is_raw() ? EXIT_FOUND : -1;
    }
    escape = terminal_is_raw() ? memchr(data, ESCAPE, len) : NULL;
    len = escape != NULL ? (size_t)(escape - data) : len;
    if (len > 0 && may_type(a)) {
        type(a, data, len);
    }
    return escape != NULL ? EXIT_FOUND : -1;
}

static void on_signal(const struct attached *a)
{
    struct signalfd_siginfo info;

    if (read(a->signals, &info, sizeof(info)) == sizeof(info)) {
        terminal_obey((int)info.ssi_signo);
    }
}

/* Connects and asks. Returns 0 or -errno. */
static int join(struct attached *a)
{
    int fd = talk_connect(a->socket), err;

    if (fd < 0) {
        return fd;
    }
    err = talk_ask(fd, CONS_TALK_ATTACH, a->domain.domid, wishes(a));
    if (err != 0) {
        close(fd);
        return err;
    }
    a->fd = fd;
    return 0;
}

/* Returns -1 to go on, or an exit code. */
static int try_again(struct attached *a)
{
    int err = join(a);

    if (err == 0) {
        notice(a, "the console daemon is back%s",
               a->no_history ? "" : "; it shows again what was printed before");
    } else if (now_ms() >= a->deadline) {
        terminal_close();
        return command_failed(a->self,
                              "%s (domain %u): the console daemon does not come back: %s; "
                              "'systemctl status duet-console' says why",
                              a->domain.name, a->domain.domid, strerror(-err));
    }
    return -1;
}

/* What comes from a file or a pipe waits until the guest has what came before. A terminal is always
 * listened to, for the escape. */
static bool wants_input(const struct attached *a)
{
    return !a->input_ended && (a->sent == a->taken || terminal_is_raw());
}

static int relay(struct attached *a)
{
    int status = -1;

    while (status < 0) {
        struct pollfd fds[] = {
            {.fd = a->signals, .events = POLLIN},
            {.fd = a->fd, .events = POLLIN},
            {.fd = wants_input(a) ? STDIN_FILENO : -1, .events = POLLIN},
        };
        int n = poll(fds, 3, a->fd < 0 ? AGAIN_MS : -1);

        if (n < 0 && errno != EINTR) {
            terminal_close();
            return command_failed(a->self, "%s", strerror(errno));
        }
        if (n > 0 && fds[0].revents != 0) {
            on_signal(a);
        }
        if (n > 0 && fds[2].revents != 0) {
            status = on_input(a);
        }
        if (status < 0 && n > 0 && fds[1].revents != 0) {
            status = on_daemon(a);
        }
        if (status < 0 && a->fd < 0) {
            status = try_again(a);
        }
    }
    return status;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct attached a = {.self = self, .socket = CONS_TALK_SOCKET};
    int status = command_options(self, argc, argv, NULL, handle, &a), err;

    if (status >= 0) {
        return status;
    }
    if (a.read_only && a.take) {
        return command_usage(self, "--take and --read-only contradict each other");
    }
    status = domain_want(self, argv[optind], &a.domain);
    if (status >= 0) {
        return status;
    }
    status = EXIT_FAILED;
    a.fd = talk_open(self, a.socket);
    if (a.fd >= 0) {
        err = talk_ask(a.fd, CONS_TALK_ATTACH, a.domain.domid, wishes(&a));
        err = err == 0 ? terminal_open(STDIN_FILENO, &a.signals) : err;
        status = err != 0 ? command_failed(self, "%s (domain %u): %s", a.domain.name,
                                           a.domain.domid, strerror(-err))
                          : relay(&a);
        terminal_close();
        if (a.fd >= 0) {
            close(a.fd);
        }
    }
    domain_free(&a.domain);
    return status;
}

static const struct option longs[] = {
    SOCKET_OPTION,
    {"read-only", no_argument, NULL, 'r'},
    {"take", no_argument, NULL, 't'},
    {"no-history", no_argument, NULL, 'n'},
    HELP_OPTION,
};

const struct command cmd_attach = {
    .name = "attach",
    .summary = "Attaches to the console of DOMAIN; ^] ends it",
    .synopsis = "[-r | -t] [-n] [-s PATH] DOMAIN",
    .options = "  -r, --read-only     never write\n"
               "  -t, --take          take the writing from whoever has it\n"
               "  -n, --no-history    only what is printed from now on\n" SOCKET_HELP,
    .shorts = "s:rtnh",
    .longs = longs,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
