/*
 * jobs.c - what a program may expect of process groups, of being stopped, and of its terminal.
 *
 * usage: jobs groups    setpgid, setsid, and whom kill() means
 *        jobs stops     SIGSTOP and its kin, SIGCONT, waiting for both, threads, orphans
 *        jobs terminal  standard input, which is a terminal: who reads, writes and sets it
 *        jobs keys      the same: shows each key as a number, until q; ^C is one of them
 * It says what is wrong, and exits with 1; or "jobs WHAT: right", and exits with 0. All is right on
 * Linux as well, where the test runs it, too: that tells what is right.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM "jobs"
#include "right.h"

static volatile sig_atomic_t count;
static volatile siginfo_t told;

static void note(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    told = *info;
    count++;
}

/* Whether handlers have run so often, soon. */
static int counted(int n)
{
    for (int i = 0; i < 1000 && count < n; i++) {
        usleep(1000);
    }
    return count == n;
}

static int status_of(pid_t pid, int options)
{
    int status = -1;
    pid_t found = waitpid(pid, &status, options);

    return found == pid ? status : found == 0 ? -2 : -errno;
}

/* A child that waits for signals. */
static pid_t begin_waiter(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        for (;;) {
            pause();
        }
    }
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* ---- groups ---- */

static int sessions(void)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        pid_t self = getpid(), session = setsid();
        _exit(session == self && getsid(0) == self && getpgrp() == self && setsid() == -1 &&
                      errno == EPERM && setpgid(0, 0) == -1 && errno == EPERM &&
                      setpgid(0, getppid()) == -1 && errno == EPERM
                  ? 7
                  : 1);
    }
    waitpid(child, &status, 0);
    RIGHT("setsid", status, 7 << 8);
    child = fork();
    if (child == 0) {
        _exit(setpgid(getppid(), 0) == -1 ? errno : 0);
    }
    waitpid(child, &status, 0);
    RIGHT("group of who is no child", status, ESRCH << 8);
    return 0;
}

static int rules(void)
{
    pid_t a = begin_waiter(), b = begin_waiter();

    RIGHT("group of a child", getpgid(a), getpgrp());
    RIGHT("no such group", setpgid(a, b) == -1 ? errno : 0, EPERM);
    RIGHT("a group of its own", setpgid(a, 0), 0);
    RIGHT("which is", getpgid(a), a);
    RIGHT("joined", setpgid(b, a), 0);
    RIGHT("which is", getpgid(b), a);
    RIGHT("same session", getsid(a), getsid(0));
    RIGHT("nobody", getpgid(0x3ffffe) == -1 ? errno : 0, ESRCH);
    RIGHT("negative", setpgid(a, -1) == -1 ? errno : 0, EINVAL);
    RIGHT("kill of nobody", kill(-0x3ffffe, SIGTERM) == -1 ? errno : 0, ESRCH);
    RIGHT("kill of a group", kill(-a, SIGTERM), 0);
    RIGHT("ends it", status_of(-a, 0) == -ECHILD, 0); /* some of it */
    waitpid(-a, NULL, 0);
    RIGHT("all of it", waitpid(-a, NULL, 0) == -1 ? errno : 0, ECHILD);
    return 0;
}

/* kill(0) reaches who is in the group, and wait4(0) waits for those. */
static int own_group(void)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        setpgid(0, 0);
        pid_t inside = begin_waiter(), outside = begin_waiter();
        setpgid(outside, 0);
        signal(SIGTERM, SIG_IGN);
        kill(0, SIGTERM);
        int right = waitpid(0, &status, 0) == inside && status == SIGTERM &&
                    waitpid(0, NULL, 0) == -1 && errno == ECHILD &&
                    waitpid(outside, &status, WNOHANG) == 0;
        end(outside);
        _exit(right ? 7 : 1);
    }
    waitpid(child, &status, 0);
    RIGHT("kill(0)", status, 7 << 8);
    return 0;
}

static int after_exec(char *self)
{
    int ends[2];
    char c;

    RIGHT("pipe", pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 1);
        execl(self, self, "waits", NULL);
        _exit(1);
    }
    RIGHT("it runs", read(ends[0], &c, 1), 1);
    RIGHT("setpgid of a child that runs another program", setpgid(child, 0) == -1 ? errno : 0,
          EACCES);
    end(child);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/* ---- stops ---- */

static int stop_and_go(void)
{
    siginfo_t info;
    pid_t child = begin_waiter();

    act(SIGCHLD, note, SA_RESTART);
    count = 0;
    RIGHT("nothing yet", status_of(child, WUNTRACED | WNOHANG), -2);
    kill(child, SIGSTOP);
    memset(&info, 1, sizeof(info));
    RIGHT("waitid", waitid(P_PID, (id_t)child, &info, WSTOPPED | WNOWAIT), 0);
    RIGHT("its code", info.si_code, CLD_STOPPED);
    RIGHT("its signal", info.si_status, SIGSTOP);
    RIGHT("its pid", info.si_pid, child);
    RIGHT("SIGCHLD", counted(1) && told.si_code == CLD_STOPPED && told.si_status == SIGSTOP, 1);
    RIGHT("not its end", status_of(child, WNOHANG), -2);
    RIGHT("stopped", status_of(child, WUNTRACED), SIGSTOP << 8 | 0x7f);
    RIGHT("told once", status_of(child, WUNTRACED | WNOHANG), -2);
    kill(child, SIGCONT);
    RIGHT("goes on", status_of(child, WCONTINUED), 0xffff);
    RIGHT("SIGCHLD", counted(2) && told.si_code == CLD_CONTINUED && told.si_status == SIGCONT, 1);
    RIGHT("told once", status_of(child, WCONTINUED | WNOHANG), -2);
    memset(&info, 1, sizeof(info));
    RIGHT("nothing", waitid(P_ALL, 0, &info, WEXITED | WNOHANG), 0);
    RIGHT("is told as", info.si_pid, 0);
    kill(child, SIGSTOP);
    RIGHT("again", status_of(child, WUNTRACED), SIGSTOP << 8 | 0x7f);
    kill(child, SIGTERM); /* waits until it goes on */
    RIGHT("still stopped", status_of(child, WNOHANG), -2);
    kill(child, SIGCONT);
    RIGHT("ends then", status_of(child, 0), SIGTERM);
    return 0;
}

static int stopped_and_killed(void)
{
    pid_t child = begin_waiter();

    act(SIGCHLD, note, SA_RESTART | SA_NOCLDSTOP);
    count = 0;
    kill(child, SIGSTOP);
    RIGHT("stopped", status_of(child, WUNTRACED), SIGSTOP << 8 | 0x7f);
    RIGHT("SA_NOCLDSTOP", count, 0);
    kill(child, SIGKILL);
    RIGHT("killed", status_of(child, 0), SIGKILL);
    RIGHT("told of its end", counted(1) && told.si_code == CLD_KILLED, 1);
    signal(SIGCHLD, SIG_DFL);
    return 0;
}

/* What was stopped by each, and SIGCONT with a handler, which ends a sleep and tells so. */
static int each_kind(void)
{
    static const int kinds[] = {SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU};
    int handled[2];
    sigset_t none;
    char byte;

    RIGHT("pipe", pipe(handled), 0);
    pid_t child = fork();
    if (child == 0) {
        act(SIGCONT, note, 0);
        block(SIG_BLOCK, SIGCONT); /* but for the sleep */
        sigemptyset(&none);
        while (write(handled[1], "", 1) == 1) {
            sig_atomic_t before = count;
            if (sigsuspend(&none) != -1 || errno != EINTR || count != before + 1) {
                _exit(1);
            }
        }
    }
    setpgid(child, 0); /* no orphans: its parent is elsewhere */
    RIGHT("it is ready", read(handled[0], &byte, 1), 1);
    for (unsigned i = 0; i < 4; i++) {
        kill(child, kinds[i]);
        RIGHT("stopped", status_of(child, WUNTRACED), kinds[i] << 8 | 0x7f);
        kill(child, SIGCONT);
        RIGHT("goes on", status_of(child, WCONTINUED), 0xffff);
        RIGHT("its handler", read(handled[0], &byte, 1), 1);
    }
    end(child);
    close(handled[0]);
    close(handled[1]);
    return 0;
}

/* A signal that stops takes SIGCONT back, and the other way round; blocked or not. */
static int taken_back(void)
{
    sigset_t pending;

    block(SIG_BLOCK, SIGTSTP);
    block(SIG_BLOCK, SIGCONT);
    raise(SIGTSTP);
    raise(SIGCONT);
    sigpending(&pending);
    RIGHT("SIGTSTP is taken back", sigismember(&pending, SIGTSTP), 0);
    RIGHT("SIGCONT waits", sigismember(&pending, SIGCONT), 1);
    raise(SIGTSTP);
    sigpending(&pending);
    RIGHT("SIGCONT is taken back", sigismember(&pending, SIGCONT), 0);
    raise(SIGCONT);
    block(SIG_UNBLOCK, SIGTSTP);
    block(SIG_UNBLOCK, SIGCONT);
    return 0;
}

static volatile unsigned long *spun; /* shared by nobody but threads of the child */

static void *spins(void *arg)
{
    (void)arg;
    for (;;) {
        (*spun)++;
    }
    return NULL;
}

/* All threads stop, those in ring 3 as well: what they write to a pipe ends. */
static void *writes(void *arg)
{
    while (write(*(int *)arg, "x", 1) == 1) {
        usleep(1000);
    }
    return NULL;
}

static int of_threads(void)
{
    int ends[2];
    char text[65536];

    RIGHT("pipe", pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        static unsigned long n;
        pthread_t thread;
        spun = &n;
        pthread_create(&thread, NULL, spins, NULL);
        pthread_create(&thread, NULL, writes, &ends[1]);
        pthread_create(&thread, NULL, writes, &ends[1]);
        for (;;) {
            pause();
        }
    }
    close(ends[1]);
    RIGHT("they run", read(ends[0], text, 1), 1);
    kill(child, SIGSTOP);
    RIGHT("stopped", status_of(child, WUNTRACED), SIGSTOP << 8 | 0x7f);
    while (poll(&(struct pollfd){.fd = ends[0], .events = POLLIN}, 1, 0) == 1) {
        RIGHT("what was written before", read(ends[0], text, sizeof(text)) > 0, 1);
    }
    RIGHT("nothing is", poll(&(struct pollfd){.fd = ends[0], .events = POLLIN}, 1, 100), 0);
    kill(child, SIGCONT);
    RIGHT("goes on", status_of(child, WCONTINUED), 0xffff);
    RIGHT("they run", read(ends[0], text, 1), 1);
    kill(child, SIGSTOP);
    RIGHT("stopped", status_of(child, WUNTRACED), SIGSTOP << 8 | 0x7f);
    end(child);
    close(ends[0]);
    return 0;
}

/* A sleep goes on where it was stopped, and ends when it was to end. */
static int sleeps(void)
{
    pid_t child = fork();

    if (child == 0) {
        struct timespec left = {.tv_nsec = 300 * MSEC};
        _exit(nanosleep(&left, NULL) == 0 ? 7 : 1);
    }
    kill(child, SIGSTOP);
    RIGHT("stopped", status_of(child, WUNTRACED), SIGSTOP << 8 | 0x7f);
    kill(child, SIGCONT);
    RIGHT("slept", status_of(child, 0), 7 << 8);
    return 0;
}

/* A group that nobody could let go on is not stopped from a terminal, and hung up if it is. */
static int orphans(void)
{
    int ends[2], status;
    char c = 0;

    RIGHT("pipe", pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        setsid();
        pid_t job = fork();
        if (job == 0) {
            setpgid(0, 0);
            count = 0;
            act(SIGHUP, note, 0);
            raise(SIGSTOP);
            raise(SIGTSTP); /* an orphan by now */
            c = (char)('0' + count);
            _exit(write(ends[1], &c, 1) != 1);
        }
        waitpid(job, &status, WUNTRACED);
        raise(SIGTSTP); /* nobody is outside of this group */
        _exit(WIFSTOPPED(status) ? 7 : 1);
    }
    RIGHT("leader", status_of(child, 0), 7 << 8);
    close(ends[1]);
    RIGHT("its job goes on", read(ends[0], &c, 1), 1);
    RIGHT("hung up", c, '1');
    close(ends[0]);
    return 0;
}

/* ---- the terminal ---- */

static struct termios modes;

static int settings(void)
{
    struct termios other;
    struct winsize size = {.ws_row = 30, .ws_col = 90}, was, now;

    RIGHT("a terminal", isatty(0), 1);
    RIGHT("TCGETS", tcgetattr(0, &modes), 0);
    RIGHT("lines", (modes.c_lflag & (ICANON | ISIG | ECHO)) == (ICANON | ISIG | ECHO), 1);
    other = modes;
    cfmakeraw(&other);
    other.c_cc[VMIN] = 0;
    other.c_cc[VTIME] = 1;
    RIGHT("TCSETSF", tcsetattr(0, TCSAFLUSH, &other), 0);
    RIGHT("TCGETS", tcgetattr(0, &other), 0);
    RIGHT("is set", other.c_lflag & ICANON, 0);
    RIGHT("tcdrain", tcdrain(0), 0);
    RIGHT("tcflush", tcflush(0, TCIOFLUSH), 0);
    RIGHT("tcflush of nothing", tcflush(0, 3) == -1 ? errno : 0, EINVAL);
    RIGHT("at a bad address", ioctl(0, TCSETS, 8) == -1 ? errno : 0, EFAULT);
    RIGHT("at a bad address", ioctl(0, TCGETS, 8) == -1 ? errno : 0, EFAULT);
    act(SIGWINCH, note, SA_RESTART);
    count = 0;
    RIGHT("TIOCGWINSZ", ioctl(0, TIOCGWINSZ, &was), 0);
    RIGHT("TIOCSWINSZ", ioctl(0, TIOCSWINSZ, &size), 0);
    RIGHT("TIOCGWINSZ", ioctl(0, TIOCGWINSZ, &now), 0);
    RIGHT("is set", now.ws_row * 100 + now.ws_col, 3090);
    RIGHT("SIGWINCH", counted(1), 1);
    RIGHT("the same", ioctl(0, TIOCSWINSZ, &size), 0);
    RIGHT("no SIGWINCH", count, 1);
    ioctl(0, TIOCSWINSZ, &was);
    return 0;
}

static long msec_since(const struct timespec *begin)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - begin->tv_sec) * 1000 + (now.tv_nsec - begin->tv_nsec) / MSEC;
}

static int without_lines(void)
{
    struct termios raw = modes;
    struct timespec begin;
    char c;
    int n;

    cfmakeraw(&raw);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 2;
    RIGHT("raw", tcsetattr(0, TCSANOW, &raw), 0);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    RIGHT("VTIME: nothing comes", read(0, &c, 1), 0);
    RIGHT("and that takes", msec_since(&begin) >= 150, 1);
    raw.c_cc[VTIME] = 0;
    RIGHT("raw", tcsetattr(0, TCSANOW, &raw), 0);
    RIGHT("VMIN of 0", read(0, &c, 1), 0);
    RIGHT("FIONREAD", ioctl(0, FIONREAD, &n) == 0 && n == 0, 1);
    RIGHT("poll", poll(&(struct pollfd){.fd = 0, .events = POLLIN}, 1, 0), 0);
    RIGHT("back", tcsetattr(0, TCSADRAIN, &modes), 0);
    return 0;
}

/* A child in a group of its own, which is in the background. @how: what it does to the terminal. */
static pid_t in_background(int (*how)(void))
{
    pid_t child = fork();

    if (child == 0) {
        setpgid(0, 0);
        _exit(how());
    }
    setpgid(child, 0);
    return child;
}

static int reads(void)
{
    char c;

    return read(0, &c, 1) == -1 && errno == EINTR ? 7 : 1;
}

static int reads_refusing(void)
{
    char c;

    signal(SIGTTIN, SIG_IGN);
    return read(0, &c, 1) == -1 && errno == EIO ? 7 : 1;
}

static int writes_there(void)
{
    return write(1, "", 0) == 0 && write(1, "\r", 1) == 1 ? 7 : 1;
}

static int sets(void)
{
    return tcsetattr(0, TCSANOW, &modes) == 0 ? 7 : 1;
}

static int sets_refusing(void)
{
    signal(SIGTTOU, SIG_IGN);
    return tcsetattr(0, TCSANOW, &modes) == 0 ? 7 : 1;
}

static int takes_over(void)
{
    block(SIG_BLOCK, SIGTTOU);
    if (tcsetpgrp(0, getpgrp()) != 0 || tcgetpgrp(0) != getpgrp()) {
        return 1;
    }
    pid_t parents = getpgid(getppid());
    return tcsetpgrp(0, parents) == 0 && tcgetpgrp(0) == parents ? 7 : 1;
}

static int stopped_by(int (*how)(void), int number, const char *what)
{
    pid_t child = in_background(how);

    RIGHT(what, status_of(child, WUNTRACED), number << 8 | 0x7f);
    end(child);
    return 0;
}

static int goes_well(int (*how)(void), const char *what)
{
    RIGHT(what, status_of(in_background(how), 0), 7 << 8);
    return 0;
}

static int no_terminal_of_ours(void)
{
    int status;
    pid_t child = fork(); /* which leads no group, and so may have a session */

    if (child == 0) {
        _exit(setsid() != -1 && tcgetpgrp(0) == -1 && errno == ENOTTY &&
                      ioctl(0, TIOCSCTTY, 0) == -1 && errno == EPERM
                  ? 7
                  : 1);
    }
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}

/* A process of which nobody in its session is the parent reads. Says y or n. */
static void read_as_orphan(int to, pid_t parent)
{
    char c;

    setpgid(0, 0);
    kill(parent, SIGKILL);
    while (getppid() == parent) {
        usleep(1000);
    }
    c = read(0, &c, 1) == -1 && errno == EIO ? 'y' : 'n';
    _exit(write(to, &c, 1) != 1);
}

static int orphan_reads(void)
{
    int ends[2];
    char c = 0;

    RIGHT("pipe", pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        pid_t self = getpid();
        if (fork() == 0) {
            read_as_orphan(ends[1], self);
        }
        for (;;) {
            pause();
        }
    }
    waitpid(child, NULL, 0);
    close(ends[1]);
    RIGHT("an orphan reads", read(ends[0], &c, 1), 1);
    RIGHT("that is an error", c, 'y');
    close(ends[0]);
    return 0;
}

static int foreground(void)
{
    struct termios tostop = modes;
    int wrong = 0;

    RIGHT("tcgetpgrp", tcgetpgrp(0), getpgrp());
    RIGHT("TIOCGSID", tcgetsid(0), getsid(0));
    RIGHT("no group", tcsetpgrp(0, 0x3ffffe) == -1 ? errno : 0, ESRCH);
    wrong |= stopped_by(reads, SIGTTIN, "SIGTTIN");
    wrong |= stopped_by(sets, SIGTTOU, "SIGTTOU");
    wrong |= goes_well(reads_refusing, "who ignores SIGTTIN");
    wrong |= goes_well(sets_refusing, "who ignores SIGTTOU");
    wrong |= goes_well(writes_there, "who writes");
    wrong |= goes_well(takes_over, "who blocks SIGTTOU");
    wrong |= goes_well(no_terminal_of_ours, "who is in another session");
    tostop.c_lflag |= TOSTOP;
    RIGHT("TOSTOP", tcsetattr(0, TCSANOW, &tostop), 0);
    wrong |= stopped_by(writes_there, SIGTTOU, "SIGTTOU of who writes");
    RIGHT("no TOSTOP", tcsetattr(0, TCSANOW, &modes), 0);
    return wrong;
}

static int keys(void)
{
    struct termios raw;
    char c = 0;

    tcgetattr(0, &modes);
    raw = modes;
    cfmakeraw(&raw);
    raw.c_oflag = modes.c_oflag;
    tcsetattr(0, TCSAFLUSH, &raw);
    puts("jobs: keys");
    fflush(stdout);
    while (read(0, &c, 1) == 1 && c != 'q') {
        printf("key %d\n", c);
        fflush(stdout);
    }
    tcsetattr(0, TCSANOW, &modes);
    return c != 'q';
}

static int groups(char *self)
{
    return sessions() || rules() || own_group() || after_exec(self);
}

static int stops(void)
{
    return stop_and_go() || stopped_and_killed() || each_kind() || taken_back() || of_threads() ||
           sleeps() || orphans();
}

static int terminal(void)
{
    int wrong = settings();

    tcsetattr(0, TCSANOW, &modes);
    return wrong || without_lines() || foreground() || orphan_reads();
}

int main(int argc, char **argv)
{
    const char *what = argc == 2 ? argv[1] : "";
    int wrong;

    if (strcmp(what, "groups") == 0) {
        wrong = groups(argv[0]);
    } else if (strcmp(what, "stops") == 0) {
        wrong = stops();
    } else if (strcmp(what, "terminal") == 0) {
        wrong = terminal();
    } else if (strcmp(what, "keys") == 0) {
        wrong = keys();
    } else if (strcmp(what, "waits") == 0) {
        return write(1, "x", 1) != 1 || pause() == 0;
    } else {
        fprintf(stderr, "usage: jobs groups|stops|terminal|keys\n");
        return 2;
    }
    if (!wrong) {
        printf("jobs %s: right\n", what);
    }
    return wrong;
}
