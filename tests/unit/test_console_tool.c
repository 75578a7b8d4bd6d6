/*
 * duet-console's parts: logs made fit for a terminal, a terminal that is put right however the
 * program ends, what comes from the daemon checked, and the commands against a daemon that this
 * program plays.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "domain.h"
#include "fake_xenstore.h"
#include "logview.h"
#include "pty.h"
#include "talk.h"
#include "terminal.h"

#define WEB  "/local/domain/5"
#define ARGS 8

static char folder[] = "/tmp/duet-console-tool-XXXXXX";
static char socket_path[64], out_path[64], err_path[64];

/* Logs. */

/* What is shown of a log that comes in pieces of @piece bytes; the caller frees it. */
static char *shown(const char *data, size_t len, size_t piece)
{
    static struct logview view;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    view = (struct logview){.raw = false};
    for (size_t at = 0; at < len; at += piece) {
        logview_print(&view, out, data + at, len - at < piece ? len - at : piece);
    }
    logview_flush(&view, out);
    fclose(out);
    return text;
}

static void a_log_is_harmless_to_a_terminal(void **state)
{
    static const struct {
        const char *in;
        size_t len;
        const char *out;
    } cases[] = {
#define CASE(in, out) {in, sizeof(in) - 1, out}
        CASE("plain\r\ntext\n", "plain\ntext\n"),
        CASE("a\tb\n\n", "a\tb\n\n"),
        CASE("over\rwritten\n", "over\\x0dwritten\n"),
        CASE("\x1b[31mred\x1b[0m\x07\n", "\\x1b[31mred\\x1b[0m\\x07\n"),
        CASE("\xc2\x9b"
             "2J \x9b\n",
             "\\xc2\\x9b2J \\x9b\n"),
        CASE("gr\xc3\xbc\xc3\x9f\n", "gr\xc3\xbc\xc3\x9f\n"),
        CASE("\xe2\x80\xae"
             "evil\n",
             "\\xe2\\x80\\xae"
             "evil\n"),
        CASE("zero\0zero\t\0\n", "zero\\x00zero\t\\x00\n"),
        CASE("unfinished \x1b", "unfinished \\x1b"),
#undef CASE
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t piece = 1; piece < 8; piece++) {
            char *text = shown(cases[i].in, cases[i].len, piece);

            assert_string_equal(text, cases[i].out);
            free(text);
        }
    }
}

static void a_line_without_an_end_is_shown(void **state)
{
    const size_t len = 3 * LOGVIEW_LINE_MAX + 7;
    char *line = malloc(len), *text;

    (void)state;
    memset(line, '\x1b', len);
    text = shown(line, len, 1000);
    assert_int_equal(strlen(text), 4 * len);
    assert_null(strchr(text, '\x1b'));
    free(text);
    free(line);
}

static void the_last_lines_are_found(void **state)
{
    static const char text[] = "one\ntwo\nthree\nfour";
    char path[96];
    int fd;

    (void)state;
    snprintf(path, sizeof(path), "%s/last", folder);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
    assert_int_equal(logview_last(fd, 18, 0), 18);
    assert_int_equal(logview_last(fd, 18, 1), 14);
    assert_int_equal(logview_last(fd, 18, 2), 8);
    assert_int_equal(logview_last(fd, 18, 4), 0);
    assert_int_equal(logview_last(fd, 18, 99), 0);
    assert_int_equal(logview_last(fd, 14, 1), 8); /* with its end */
    assert_int_equal(logview_last(fd, 0, 5), 0);
    assert_int_equal(logview_last(fd, 30, 5), -EIO); /* it was cut short */
    close(fd);
    unlink(path);
}

/* The terminal. */

static void be_raw(int slave)
{
    int signals;

    if (terminal_open(slave, &signals) != 0 || !terminal_is_raw()) {
        _exit(99);
    }
}

static void end_by_itself(int slave)
{
    be_raw(slave);
    terminal_close();
    _exit(0);
}

static void end_by_fault(int slave)
{
    be_raw(slave);
    raise(SIGABRT);
    _exit(98);
}

static void end_by_signal(int slave)
{
    be_raw(slave);
    terminal_obey(SIGHUP);
    _exit(98);
}

static void write_to_nobody(int slave)
{
    int nobody[2];

    be_raw(slave);
    if (pipe(nobody) == 0) {
        close(nobody[0]);
        if (write(nobody[1], "x", 1) < 0 && errno == EPIPE) {
            terminal_close();
            _exit(0);
        }
    }
    _exit(98);
}

/* Stopped, it leaves the terminal right; when it goes on it is raw again. */
static void stop_and_go_on(int slave)
{
    be_raw(slave);
    terminal_obey(SIGTSTP);
    _exit(terminal_is_raw() ? 7 : 98);
}

static void expect_same(int slave, const struct termios *before)
{
    struct termios now;

    assert_int_equal(tcgetattr(slave, &now), 0);
    assert_int_equal(now.c_iflag, before->c_iflag);
    assert_int_equal(now.c_oflag, before->c_oflag);
    assert_int_equal(now.c_lflag, before->c_lflag);
    assert_int_equal(now.c_cflag, before->c_cflag);
}

static void the_terminal_is_put_right(void **state)
{
    static const struct {
        void (*end)(int slave);
        int status;
    } ends[] = {
        {end_by_itself, 0},   {end_by_fault, SIGABRT}, {end_by_signal, SIGHUP},
        {write_to_nobody, 0}, {stop_and_go_on, 0},
    };
    struct termios before;
    char path[CONS_TTY_MAX];
    struct cons_pty pty;
    int slave, status;

    (void)state;
    assert_int_equal(cons_pty_open(&pty, path), 0);
    slave = open(path, O_RDWR | O_NOCTTY);
    assert_int_equal(tcgetattr(slave, &before), 0);
    assert_true((before.c_lflag & ECHO) != 0);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        pid_t pid = fork();

        if (pid == 0) {
            ends[i].end(slave);
        }
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        expect_same(slave, &before);
        if (WIFSTOPPED(status)) {
            kill(pid, SIGCONT);
            assert_int_equal(waitpid(pid, &status, 0), pid);
            assert_int_equal(WEXITSTATUS(status), 7);
            tcsetattr(slave, TCSANOW, &before);
        } else {
            assert_int_equal(status, ends[i].status);
        }
    }
    close(slave);
    cons_pty_close(&pty);
}

/* Messages. */

static void what_the_daemon_says_is_checked(void **state)
{
    union talk_message good = {.kind = CONS_TALK_OUTPUT}, got;
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    send(ends[1], &good, CONS_TALK_BYTES(5), 0);
    assert_int_equal(talk_hear(ends[0], &got), 5);
    send(ends[1], &good, CONS_TALK_BYTES(CONS_TALK_OUTPUT_MAX), 0);
    assert_int_equal(talk_hear(ends[0], &got), CONS_TALK_OUTPUT_MAX);
    send(ends[1], &good, CONS_TALK_BYTES(0), 0);
    assert_int_equal(talk_hear(ends[0], &got), -EPROTO);
    send(ends[1], &good, 3, 0);
    assert_int_equal(talk_hear(ends[0], &got), -EPROTO);
    for (uint32_t kind = 0; kind < 30; kind++) {
        const bool word = kind == CONS_TALK_ROLE || kind == CONS_TALK_MISSED ||
                          kind == CONS_TALK_TAKEN || kind == CONS_TALK_END;

        if (kind == CONS_TALK_OUTPUT) {
            continue;
        }
        good.kind = kind;
        send(ends[1], &good, sizeof(good.word), 0);
        assert_int_equal(talk_hear(ends[0], &got), word ? 0 : -EPROTO);
        send(ends[1], &good, sizeof(good.word) - 1, 0);
        assert_int_equal(talk_hear(ends[0], &got), -EPROTO);
    }
    memset(&good, 'x', sizeof(good));
    good.kind = CONS_TALK_STATE;
    send(ends[1], &good, sizeof(good.state), 0);
    assert_int_equal(talk_hear(ends[0], &got), 0);
    assert_int_equal(strlen(got.state.log), sizeof(got.state.log) - 1);
    close(ends[1]);
    assert_int_equal(talk_hear(ends[0], &got), -EPIPE);
    close(ends[0]);
}

/* Commands, and a daemon. */

static int daemon_fd; /* listens */

static void daemon_says(int fd, uint32_t kind, uint32_t code, uint64_t number)
{
    const struct cons_talk_word word = {.kind = kind, .code = code, .number = number};

    send(fd, &word, sizeof(word), MSG_NOSIGNAL);
}

typedef void daemon_fn(int fd, const struct cons_talk_ask *ask);

/* Plays the daemon for one connection in a child. */
static pid_t play(daemon_fn *fn)
{
    struct cons_talk_ask ask;
    pid_t pid = fork();
    int fd;

    if (pid != 0) {
        return pid;
    }
    alarm(60);
    fd = accept(daemon_fd, NULL, NULL);
    if (recv(fd, &ask, sizeof(ask), 0) != sizeof(ask) || ask.magic != CONS_TALK_MAGIC) {
        _exit(1);
    }
    fn(fd, &ask);
    _exit(0);
}

/* Runs a command with standard output and error in files; returns its exit code. */
static int run_words(const struct command *command, const char *const *words)
{
    char *argv[ARGS + 1] = {must_strdup(command->name)};
    int argc = 1, status, out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);

    for (; *words != NULL; words++) {
        argv[argc++] = must_strdup(*words);
    }
    fflush(stdout);
    dup2(open(out_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), STDOUT_FILENO);
    dup2(open(err_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), STDERR_FILENO);
    status = command->run(command, argc, argv);
    fflush(stdout);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    close(out);
    close(err);
    while (argc > 0) {
        free(argv[--argc]);
    }
    return status;
}

#define run_command(command, ...) run_words(command, (const char *const[]){__VA_ARGS__, NULL})

/* What is in a file, as text; valid until the next call. */
static const char *text_of(const char *path)
{
    static char text[8192];
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, text, sizeof(text) - 1);

    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

#define expect_said(text) assert_non_null(strstr(text_of(err_path), text))

static void expect_played(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* Takes input and says so, a part of each message first. */
static void take_all(int fd, const struct cons_talk_ask *ask)
{
    struct cons_talk_bytes message;
    uint64_t taken = 0;
    ssize_t n;

    if (ask->domid != 5 || ask->wishes != CONS_TALK_WRITES) {
        _exit(2);
    }
    daemon_says(fd, CONS_TALK_ROLE, CONS_TALK_WRITER, 77);
    while ((n = recv(fd, &message, sizeof(message), 0)) > 0) {
        n -= (ssize_t)CONS_TALK_BYTES(0);
        if (taken == 0 && memcmp(message.data, "two words\r", 10) != 0) {
            _exit(3);
        }
        daemon_says(fd, CONS_TALK_TAKEN, 0, taken + (uint64_t)n / 2);
        taken += (uint64_t)n;
        daemon_says(fd, CONS_TALK_TAKEN, 0, taken);
    }
    if (taken != 10) {
        _exit(4);
    }
}

static void take_nothing(int fd, const struct cons_talk_ask *ask)
{
    struct cons_talk_bytes message;

    (void)ask;
    daemon_says(fd, CONS_TALK_ROLE, CONS_TALK_WRITER, 77);
    while (recv(fd, &message, sizeof(message), 0) > 0) {
    }
}

static void another_writes(int fd, const struct cons_talk_ask *ask)
{
    (void)ask;
    daemon_says(fd, CONS_TALK_ROLE, CONS_TALK_READER, 4711);
}

/* Takes the writing away after the first message. */
static void take_it_away(int fd, const struct cons_talk_ask *ask)
{
    struct cons_talk_bytes message;

    (void)ask;
    daemon_says(fd, CONS_TALK_ROLE, CONS_TALK_WRITER, 77);
    recv(fd, &message, sizeof(message), 0);
    daemon_says(fd, CONS_TALK_TAKEN, 0, 3);
    daemon_says(fd, CONS_TALK_ROLE, CONS_TALK_READER, 4712);
}

static void no_such_console(int fd, const struct cons_talk_ask *ask)
{
    (void)ask;
    daemon_says(fd, CONS_TALK_END, CONS_TALK_UNKNOWN, 0);
}

static void talk_nonsense(int fd, const struct cons_talk_ask *ask)
{
    (void)ask;
    send(fd, "nonsense", 8, 0);
}

static void sending_ends_when_the_guest_has_it(void **state)
{
    pid_t pid = play(take_all);

    (void)state;
    assert_int_equal(run_command(&cmd_send, "-s", socket_path, "web", "two", "words"), 0);
    expect_played(pid);
    pid = play(take_nothing);
    assert_int_equal(run_command(&cmd_send, "-s", socket_path, "-w", "0.2", "5", "text"), 124);
    expect_said("web (domain 5): the guest took 0 of 5 bytes and no more for 0.2 s");
    expect_played(pid);
    pid = play(another_writes);
    assert_int_equal(run_command(&cmd_send, "-s", socket_path, "web", "text"), 1);
    expect_said("process 4711 writes to this console; --take takes over");
    expect_played(pid);
    pid = play(take_it_away);
    assert_int_equal(run_command(&cmd_send, "-s", socket_path, "web", "text"), 1);
    expect_said("process 4712 writes to this console; --take takes over. The guest took 3 bytes");
    expect_played(pid);
    pid = play(no_such_console);
    assert_int_equal(run_command(&cmd_send, "-s", socket_path, "hvm", "text"), 1);
    expect_said("hvm (domain 6): its console is not duet-consoled's but QEMU's");
    expect_played(pid);
    pid = play(talk_nonsense);
    assert_int_equal(run_command(&cmd_send, "-s", socket_path, "web", "text"), 1);
    expect_said("lost the daemon (Protocol error)");
    expect_played(pid);
}

static void show_and_go(int fd, const struct cons_talk_ask *ask)
{
    struct cons_talk_bytes message = {.kind = CONS_TALK_OUTPUT, .data = "shown"};

    if (ask->wishes != (CONS_TALK_READS | CONS_TALK_HISTORY)) {
        _exit(2);
    }
    daemon_says(fd, CONS_TALK_ROLE, CONS_TALK_READER, 0);
    send(fd, &message, CONS_TALK_BYTES(5), 0);
    daemon_says(fd, CONS_TALK_MISSED, 0, 1234);
    send(fd, &message, CONS_TALK_BYTES(5), 0);
    daemon_says(fd, CONS_TALK_END, CONS_TALK_GONE, 0);
}

static void who_attaches_is_told_what_is_missing(void **state)
{
    pid_t pid = play(show_and_go);

    (void)state;
    assert_int_equal(run_command(&cmd_attach, "-r", "-s", socket_path, "web"), 0);
    assert_string_equal(text_of(out_path), "shownshown");
    expect_said("web: 1234 bytes are missing here");
    expect_said("web: the domain has gone");
    expect_played(pid);
    assert_int_equal(run_command(&cmd_attach, "-rt", "web"), 2);
}

static void tell_states(int fd, const struct cons_talk_ask *first)
{
    struct cons_talk_ask ask = *first;

    do {
        struct cons_talk_state state = {.kind = CONS_TALK_STATE, .domid = ask.domid};

        if (ask.kind != CONS_TALK_LOOK) {
            _exit(2);
        }
        if (ask.domid == 5) {
            state.served = state.connected = 1;
            state.readers = 2;
            state.writer = 99;
            state.output = 12345;
            snprintf(state.log, sizeof(state.log), "web.log");
        }
        send(fd, &state, sizeof(state), 0);
    } while (recv(fd, &ask, sizeof(ask), 0) == sizeof(ask));
}

static void consoles_are_listed(void **state)
{
    pid_t pid = play(tell_states);

    (void)state;
    assert_int_equal(run_command(&cmd_list, "-s", socket_path), 0);
    assert_non_null(strstr(text_of(out_path),
                           "5 yes    free              2       99        12345         0 web\n"));
    assert_non_null(strstr(text_of(out_path), "6 QEMU "));
    assert_null(strstr(text_of(out_path), "bare"));
    expect_played(pid);
    pid = play(tell_states);
    assert_int_equal(run_command(&cmd_list, "-j", "-s", socket_path), 0);
    assert_non_null(strstr(text_of(out_path), "\"writer\":\t99"));
    expect_played(pid);
    assert_int_equal(run_command(&cmd_list, "-s", "/nowhere/socket"), 1);
    expect_said("duet-consoled does not listen there");
    assert_int_equal(run_command(&cmd_list, "-s", "relative"), 2);
}

/* Another one writes, then nobody: what was to be typed waits for that. Ends without a word. */
static void let_write_later(int fd, const struct cons_talk_ask *ask)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    struct cons_talk_bytes message;

    (void)ask;
    daemon_says(fd, CONS_TALK_ROLE, CONS_TALK_READER, 4711);
    if (poll(&pfd, 1, 200) != 0) {
        _exit(2);
    }
    daemon_says(fd, CONS_TALK_ROLE, CONS_TALK_READER, 0);
    if (recv(fd, &message, sizeof(message), 0) != CONS_TALK_BYTES(5) ||
        memcmp(message.data, "typed", 5) != 0) {
        _exit(3);
    }
    daemon_says(fd, CONS_TALK_ROLE, CONS_TALK_WRITER, 77);
    daemon_says(fd, CONS_TALK_TAKEN, 0, 5);
    daemon_says(fd, CONS_TALK_END, CONS_TALK_GONE, 0);
}

/* Attaches with five bytes in a pipe that stays open, to a daemon that does what the test says. */
static void attach_with_input(daemon_fn *fn)
{
    pid_t pid = play(fn);
    int in = dup(STDIN_FILENO), ends[2];

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "typed", 5), 5);
    dup2(ends[0], STDIN_FILENO);
    assert_int_equal(run_command(&cmd_attach, "-s", socket_path, "web"), 0);
    expect_played(pid);
    dup2(in, STDIN_FILENO);
    close(in);
    close(ends[0]);
    close(ends[1]);
}

static void input_of_a_file_waits_until_it_arrives(void **state)
{
    (void)state;
    attach_with_input(let_write_later);
}

/* Breaks off with input that it has not put into the ring, and is another one then. */
static void break_off_and_come_back(int fd, const struct cons_talk_ask *first)
{
    struct cons_talk_bytes message = {.kind = CONS_TALK_OUTPUT, .data = "shown"};
    struct cons_talk_ask ask = *first;

    if (ask.wishes != (CONS_TALK_READS | CONS_TALK_HISTORY | CONS_TALK_WRITES)) {
        _exit(2);
    }
    daemon_says(fd, CONS_TALK_ROLE, CONS_TALK_WRITER, 77);
    send(fd, &message, CONS_TALK_BYTES(5), 0);
    recv(fd, &message, sizeof(message), 0);
    close(fd);
    fd = accept(daemon_fd, NULL, NULL);
    if (recv(fd, &ask, sizeof(ask), 0) != sizeof(ask) ||
        ask.wishes != (CONS_TALK_READS | CONS_TALK_WRITES)) {
        _exit(3);
    }
    daemon_says(fd, CONS_TALK_END, CONS_TALK_GONE, 0);
}

/* A file has nothing twice, and its reader is told what may be missing. */
static void the_next_daemon_shows_nothing_again(void **state)
{
    (void)state;
    attach_with_input(break_off_and_come_back);
    assert_string_equal(text_of(out_path), "shown");
    expect_said("the last 5 bytes that you typed may not have arrived");
    expect_said("the console daemon is back: what was printed meanwhile may be missing");
}

static void print_once(int fd, const struct cons_talk_ask *ask)
{
    struct cons_talk_bytes message = {.kind = CONS_TALK_OUTPUT, .data = "shown"};

    (void)ask;
    daemon_says(fd, CONS_TALK_ROLE, CONS_TALK_WRITER, 77);
    send(fd, &message, sizeof(message), 0);
    recv(fd, &message, sizeof(message), 0);
}

/* Makes a pipe that takes nothing more. */
static void make_full_pipe(int ends[2])
{
    static const char filling[4096];

    assert_int_equal(pipe(ends), 0);
    assert_true(fcntl(ends[1], F_SETPIPE_SZ, sizeof(filling)) >= (int)sizeof(filling));
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    while (write(ends[1], filling, sizeof(filling)) > 0) {
    }
    fcntl(ends[1], F_SETFL, 0);
}

/* The daemon is asked and left before anything is printed: a pager may take its time. */
static void a_list_that_waits_for_its_pager_keeps_no_daemon(void **state)
{
    pid_t played = play(tell_states), pid;
    int ends[2];

    (void)state;
    make_full_pipe(ends);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        setvbuf(stdout, NULL, _IONBF, 0);
        cmd_list.run(&cmd_list, 3, (char *[]){"list", "-s", socket_path, NULL});
        _exit(0);
    }
    expect_played(played);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(ends[0]);
    close(ends[1]);
}

/* Standard output takes nothing: a signal ends it all the same, and the terminal is put right. */
static void who_waits_for_its_output_obeys_signals(void **state)
{
    pid_t played = play(print_once), pid;
    char path[CONS_TTY_MAX];
    struct termios before, now;
    struct cons_pty pty;
    int ends[2], slave, status;

    (void)state;
    make_full_pipe(ends);
    assert_int_equal(cons_pty_open(&pty, path), 0);
    slave = open(path, O_RDWR | O_NOCTTY);
    assert_int_equal(tcgetattr(slave, &before), 0);
    pid = fork();
    if (pid == 0) {
        dup2(slave, STDIN_FILENO);
        dup2(ends[1], STDOUT_FILENO);
        cmd_attach.run(&cmd_attach, 4, (char *[]){"attach", "-s", socket_path, "web", NULL});
        _exit(99);
    }
    do {
        poll(NULL, 0, 5);
        assert_int_equal(tcgetattr(slave, &now), 0);
    } while (now.c_lflag == before.c_lflag);
    poll(NULL, 0, 100); /* and waits for its output, if it is to fail */
    kill(pid, SIGTERM);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, SIGTERM);
    expect_same(slave, &before);
    expect_played(played);
    close(slave);
    close(ends[0]);
    close(ends[1]);
    cons_pty_close(&pty);
}

static void domains_are_found(void **state)
{
    struct xs_handle *xs = xs_open(0);
    struct domain domain;

    (void)state;
    assert_int_equal(domain_find(xs, "web", &domain), 0);
    assert_int_equal(domain.domid, 5);
    assert_string_equal(domain.tty, "/dev/pts/1");
    domain_free(&domain);
    assert_int_equal(domain_find(xs, "6", &domain), 0);
    assert_string_equal(domain.name, "hvm");
    domain_free(&domain);
    assert_int_equal(domain_find(xs, "we", &domain), -ENOENT);
    assert_int_equal(domain_find(xs, "99", &domain), -ENOENT);
    assert_int_equal(domain_find(xs, "5x", &domain), -ENOENT);
    xs_close(xs);
    assert_int_equal(run_command(&cmd_attach, "nobody"), 1);
    expect_said("nobody: there is no such domain; 'duet-console list' shows them");
}

static void write_log(const char *text, int flags)
{
    char path[96];
    int fd;

    snprintf(path, sizeof(path), "%s/web.log", folder);
    fd = open(path, O_WRONLY | O_CREAT | flags, 0600);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void a_log_is_shown_by_name_and_number(void **state)
{
    char link[96];

    (void)state;
    write_log("one\r\n\x1b[2Jtwo\nthree", O_TRUNC);
    assert_int_equal(run_command(&cmd_log, "-d", folder, "web"), 0);
    assert_string_equal(text_of(out_path), "one\n\\x1b[2Jtwo\nthree\n");
    assert_int_equal(run_command(&cmd_log, "-d", folder, "-n", "2", "5"), 0);
    assert_string_equal(text_of(out_path), "\\x1b[2Jtwo\nthree\n");
    assert_int_equal(run_command(&cmd_log, "-d", folder, "-r", "web"), 0);
    assert_string_equal(text_of(out_path), "one\r\n\x1b[2Jtwo\nthree");
    assert_int_equal(run_command(&cmd_log, "-d", folder, "gone"), 1);
    expect_said("gone.log: there is no such log");
    assert_int_equal(run_command(&cmd_log, "-n", "-1", "web"), 2);
    /* Whoever has the folder cannot have another file shown. */
    snprintf(link, sizeof(link), "%s/evil.log", folder);
    assert_int_equal(symlink("/etc/passwd", link), 0);
    assert_int_equal(run_command(&cmd_log, "-d", folder, "evil"), 1);
    expect_said("is no file");
    unlink(link);
    assert_int_equal(mkfifo(link, 0600), 0);
    assert_int_equal(run_command(&cmd_log, "-d", folder, "evil"), 1);
    expect_said("is no file");
    unlink(link);
}

/* Waits until the follower has printed @text. */
static void expect_follows(const char *text)
{
    while (strcmp(text_of(out_path), text) != 0) {
        poll(NULL, 0, 5);
    }
}

/* Also over a rotation, and when it is cut short. A test that waits in vain ends by ctest's limit.
 */
static void a_log_is_followed_over_its_rotation(void **state)
{
    char path[96], old[96];
    pid_t pid;

    (void)state;
    snprintf(path, sizeof(path), "%s/web.log", folder);
    snprintf(old, sizeof(old), "%s/web.log.1", folder);
    write_log("one\ntwo\n", O_TRUNC);
    unlink(out_path);
    write_log("", O_APPEND);
    pid = fork();
    if (pid == 0) {
        run_command(&cmd_log, "-d", folder, "-f", "-n", "1", "web");
        _exit(1);
    }
    while (access(out_path, R_OK) < 0) {
        poll(NULL, 0, 5);
    }
    expect_follows("two\n");
    write_log("three\n", O_APPEND);
    expect_follows("two\nthree\n");
    write_log("four\n", O_APPEND);
    assert_int_equal(rename(path, old), 0);
    write_log("five\n", O_EXCL);
    expect_follows("two\nthree\nfour\nfive\n");
    write_log("6\n", O_TRUNC);
    expect_follows("two\nthree\nfour\nfive\n6\n");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    unlink(old);
}

static int setup(void **state)
{
    (void)state;
    fake_reset();
    fake_set(WEB, "");
    fake_set("/local/domain/6", "");
    fake_set("/local/domain/7", "");
    fake_set(WEB "/name", "web");
    fake_set(WEB "/console/type", "xenconsoled");
    fake_set(WEB "/console/tty", "/dev/pts/1");
    fake_set("/local/domain/6/name", "hvm");
    fake_set("/local/domain/6/console/type", "ioemu");
    fake_set("/local/domain/7/name", "bare");
    return 0;
}

static int listen_here(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

    snprintf(name.sun_path, sizeof(name.sun_path), "%s", socket_path);
    return bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0 && listen(fd, 4) == 0 ? fd : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_is_harmless_to_a_terminal),
        cmocka_unit_test(a_line_without_an_end_is_shown),
        cmocka_unit_test(the_last_lines_are_found),
        cmocka_unit_test(the_terminal_is_put_right),
        cmocka_unit_test(what_the_daemon_says_is_checked),
        cmocka_unit_test_setup(domains_are_found, setup),
        cmocka_unit_test_setup(consoles_are_listed, setup),
        cmocka_unit_test_setup(a_list_that_waits_for_its_pager_keeps_no_daemon, setup),
        cmocka_unit_test_setup(sending_ends_when_the_guest_has_it, setup),
        cmocka_unit_test_setup(who_attaches_is_told_what_is_missing, setup),
        cmocka_unit_test_setup(input_of_a_file_waits_until_it_arrives, setup),
        cmocka_unit_test_setup(the_next_daemon_shows_nothing_again, setup),
        cmocka_unit_test_setup(who_waits_for_its_output_obeys_signals, setup),
        cmocka_unit_test_setup(a_log_is_shown_by_name_and_number, setup),
        cmocka_unit_test_setup(a_log_is_followed_over_its_rotation, setup),
    };
    char command[96];
    int failed;

    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    snprintf(socket_path, sizeof(socket_path), "%s/socket", folder);
    snprintf(out_path, sizeof(out_path), "%s/out", folder);
    snprintf(err_path, sizeof(err_path), "%s/err", folder);
    daemon_fd = listen_here();
    if (daemon_fd < 0) {
        return 1;
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command) == 0 ? failed : 1;
}
