/*
 * duet-console attach: a console at a terminal, or at standard input and output. Shows what was
 * printed before, then what is printed; what is typed goes to the guest, as long as nobody else
 * writes. A daemon that is started again is found again.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "domain.h"
#include "talk.h"
#include "terminal.h"
#include "text.h"

#define ESCAPE     '\x1d' /* ^], as with xl console */
#define PATIENCE_S 60.0   /* for a daemon that was there and is not: systemd starts it again */
#define NR_FDS     4
#define AGAIN_MS   100
/* A session that was as long ends no series of daemons that break at once. */
#define LASTED_MS 10000

struct attached {
    const struct command *self;
    const char *socket;
    bool read_only, take, no_history;
    struct domain domain;
    int fd; /* the daemon; negative: it is waited for */
    int signals;
    long long deadline; /* for the daemon; 0: it was there all the time */
    long long joined, again;
    bool placed; /* the daemon has said who writes */
    bool writes;
    bool input_ended;
    uint32_t writer; /* its process; 0: nobody */
    bool told;       /* that another one writes */
    uint64_t sent, taken;
    char input[CONS_TALK_INPUT_MAX]; /* read and not sent yet, from a file or a pipe */
    size_t input_len;
    int out; /* where output goes, without waiting */
    char output[CONS_TALK_OUTPUT_MAX];
    size_t output_len, output_done;
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

/*
 * Where output goes: standard output, opened once more where that may wait, so that whoever shares
 * it is not made to do without waiting. Where it cannot be opened it is what it is.
 */
static int open_output(void)
{
    struct stat st;
    int fd = -1;

    if (fstat(STDOUT_FILENO, &st) == 0 && (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode))) {
        fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    }
    return fd >= 0 ? fd : STDOUT_FILENO;
}

/* Gives standard output what it takes at once. Returns false when nobody takes it any more. */
static bool show(struct attached *a)
{
    while (a->output_done < a->output_len) {
        const char *data = a->output + a->output_done;
        const size_t len = a->output_len - a->output_done;
        ssize_t n = send(a->out, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == ENOTSOCK) {
            n = write(a->out, data, len);
        }
        if (n < 0 && errno != EINTR) {
            return errno == EAGAIN;
        }
        a->output_done += n > 0 ? (size_t)n : 0;
    }
    a->output_len = a->output_done = 0;
    return true;
}

/* Returns -1 to go on, or an exit code. */
static int show_on(struct attached *a)
{
    if (show(a)) {
        return -1;
    }
    terminal_close();
    return command_failed(a->self, "standard output: %s", strerror(errno));
}

static uint32_t wishes(const struct attached *a)
{
    return CONS_TALK_READS | (a->no_history ? 0 : CONS_TALK_HISTORY) |
           (a->read_only ? 0 : CONS_TALK_WRITES) | (a->take ? CONS_TALK_TAKES : 0);
}

/* What was sent and is not in the ring does not go there any more. */
static void mind_lost(struct attached *a)
{
    if (a->sent > a->taken) {
        notice(a, "the last %" PRIu64 " bytes that you typed may not have arrived",
               a->sent - a->taken);
    }
    a->sent = a->taken;
}

static void on_role(struct attached *a, const struct cons_talk_word *word)
{
    const bool wrote = a->writes;

    a->writes = word->code == CONS_TALK_WRITER;
    a->writer = (uint32_t)word->number;
    a->told = false;
    a->placed = true;
    if (a->writes || a->read_only) {
        return;
    }
    mind_lost(a);
    if (wrote) {
        notice(a, "process %" PRIu32 " has taken over the writing; you read on", a->writer);
    } else if (a->writer != 0) {
        notice(a, "process %" PRIu32 " writes, you read; attach --take takes over", a->writer);
    } else {
        notice(a, "nobody writes any more: what you type goes to the guest");
    }
}

/* The daemon is gone, and another one will come, but not for ever. Returns -1 to go on, or an exit
 * code. */
static int wait_for_daemon(struct attached *a)
{
    close(a->fd);
    a->fd = -1;
    a->writes = a->placed = false;
    mind_lost(a);
    a->sent = a->taken = 0;
    a->take = false; /* was meant for once */
    if (a->deadline == 0 || now_ms() - a->joined >= LASTED_MS) {
        a->deadline = deadline_after(PATIENCE_S);
    }
    if (now_ms() >= a->deadline) {
        terminal_close();
        return command_failed(a->self,
                              "%s (domain %u): the console daemon ends again and again; "
                              "'journalctl -u duet-console' may say why",
                              a->domain.name, a->domain.domid);
    }
    a->again = now_ms() + AGAIN_MS;
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
        memcpy(a->output, message.bytes.data, (size_t)n);
        a->output_len = (size_t)n;
        return show_on(a);
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

/* A daemon that is gone is noticed where it is listened to. Returns whether it was sent. */
static bool type(struct attached *a, const char *data, size_t len)
{
    int err = talk_type(a->fd, data, len);

    if (err == 0) {
        a->sent += len;
    } else if (err == -EAGAIN && terminal_is_raw()) {
        notice(a, "not sent: the guest has not read what was typed before");
    }
    return err == 0;
}

/* Whether input that is not typed by hand would arrive: it waits until the guest has what came
 * before, while another one writes, and for the next daemon. */
static bool may_send(const struct attached *a)
{
    return a->fd >= 0 && !a->read_only && a->placed && (a->writes || a->writer == 0) &&
           a->sent <= a->taken;
}

/* Sends what was read from a file or a pipe, once that arrives. */
static void send_input(struct attached *a)
{
    if (a->input_len > 0 && may_send(a) && type(a, a->input, a->input_len)) {
        a->input_len = 0;
    }
}

/* Returns -1 to go on, or an exit code. */
static int on_input(struct attached *a)
{
    char *data = a->input, *escape;
    ssize_t n = read(STDIN_FILENO, data, sizeof(a->input));
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
    if (!terminal_is_raw()) {
        a->input_len = len;
    } else if (len > 0 && may_type(a)) {
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
    a->joined = now_ms();
    return 0;
}

/* Somebody who looks sees what is there twice, a file would have it twice: it gets what is new.
 * Returns -1 to go on, or an exit code. */
static int try_again(struct attached *a)
{
    int err;

    a->again = now_ms() + AGAIN_MS;
    a->no_history = a->no_history || isatty(STDOUT_FILENO) == 0;
    err = join(a);
    if (err == 0) {
        notice(a, "the console daemon is back: what was printed %s",
               a->no_history ? "meanwhile may be missing" : "before follows again");
    } else if (now_ms() >= a->deadline) {
        terminal_close();
        return command_failed(a->self,
                              "%s (domain %u): the console daemon does not come back: %s; "
                              "'systemctl status duet-console' says why",
                              a->domain.name, a->domain.domid, strerror(-err));
    }
    return -1;
}

/* A terminal is always listened to, for the escape. */
static bool wants_input(const struct attached *a)
{
    return !a->input_ended && (terminal_is_raw() || (a->input_len == 0 && may_send(a)));
}

/* Who does not take the output is not given more, and keeps no signal waiting. Returns -1 to go on,
 * or an exit code. */
static int on_events(struct attached *a, const struct pollfd fds[NR_FDS])
{
    int status = -1;

    if (fds[0].revents != 0) {
        on_signal(a);
    }
    if (fds[2].revents != 0) {
        status = on_input(a);
    }
    if (status < 0 && fds[3].revents != 0) {
        status = show_on(a);
    }
    if (status < 0 && fds[1].revents != 0) {
        status = on_daemon(a);
    }
    return status;
}

static int relay(struct attached *a)
{
    int status = -1;

    while (status < 0) {
        struct pollfd fds[NR_FDS] = {
            {.fd = a->signals, .events = POLLIN},
            {.fd = a->output_len == 0 ? a->fd : -1, .events = POLLIN},
            {.fd = wants_input(a) ? STDIN_FILENO : -1, .events = POLLIN},
            {.fd = a->output_len > 0 ? a->out : -1, .events = POLLOUT},
        };
        int n = poll(fds, NR_FDS, a->fd < 0 ? AGAIN_MS : -1);

        if (n < 0 && errno != EINTR) {
            terminal_close();
            return command_failed(a->self, "%s", strerror(errno));
        }
        if (n > 0) {
            status = on_events(a, fds);
        }
        if (status < 0 && a->fd < 0 && now_ms() >= a->again) {
            status = try_again(a);
        }
        send_input(a);
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
    a.out = open_output();
    a.joined = now_ms();
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
    if (a.out != STDOUT_FILENO) {
        close(a.out);
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
