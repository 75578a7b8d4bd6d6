/*
 * The terminal, raw for a while: see terminal.h. What a handler of signals reads is set before the
 * handler is.
 */
#include "terminal.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

static const int ends[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGTSTP};
static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS};

#define N_ENDS   (sizeof(ends) / sizeof(ends[0]))
#define N_FAULTS (sizeof(faults) / sizeof(faults[0]))

static struct {
    int fd;
    volatile sig_atomic_t raw;
    struct termios before;
} terminal;

void terminal_close(void)
{
    if (terminal.raw) {
        terminal.raw = 0;
        /* Not TCSADRAIN: a terminal that is stopped would keep us for ever. */
        tcsetattr(terminal.fd, TCSANOW, &terminal.before);
    }
}

/* The handler is gone by then (SA_RESETHAND): the signal comes again and does what it does. */
static void on_fault(int signo)
{
    terminal_close();
    raise(signo);
}

static int make_raw(void)
{
    struct termios raw = terminal.before;

    cfmakeraw(&raw);
    terminal.raw = 1;
    if (tcsetattr(terminal.fd, TCSANOW, &raw) < 0) {
        terminal.raw = 0;
        return -errno;
    }
    return 0;
}

int terminal_open(int fd, int *signals)
{
    const struct sigaction fault = {.sa_handler = on_fault, .sa_flags = (int)SA_RESETHAND};
    sigset_t set;

    signal(SIGPIPE, SIG_IGN); /* who writes is told */
    sigemptyset(&set);
    for (size_t i = 0; i < N_ENDS; i++) {
        sigaddset(&set, ends[i]);
    }
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) {
        return -errno;
    }
    *signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (*signals < 0) {
        return -errno;
    }
    terminal.fd = fd;
    if (isatty(fd) == 0 || tcgetattr(fd, &terminal.before) < 0) {
        return 0;
    }
    for (size_t i = 0; i < N_FAULTS; i++) {
        sigaction(faults[i], &fault, NULL);
    }
    return make_raw();
}

bool terminal_is_raw(void)
{
    return terminal.raw != 0;
}

void terminal_obey(int signo)
{
    const bool raw = terminal_is_raw();
    sigset_t set;

    terminal_close();
    sigemptyset(&set);
    sigaddset(&set, signo);
    if (signo == SIGTSTP) {
        raise(SIGSTOP);
    } else {
        signal(signo, SIG_DFL);
        raise(signo);
        sigprocmask(SIG_UNBLOCK, &set, NULL); /* the end */
    }
    if (raw) {
        make_raw();
    }
}
