/*
 * console.c - the console as a terminal of programs: see console.h and ldisc.h.
 *
 * It is that of one session, of which one group is in the foreground: it reads, and is told of ^C
 * and its kin. Others of the session are stopped when they read, or change what is not theirs.
 * Who has lost it, since the shell has it again, reads its end; he may write.
 * Locks: "tty" (a mutex) over all of it. Nobody waits with it held: who waits for keys, or for
 * room, does so in proc_wait_change().
 */
#include "syscall/console.h"

#include "io/xencons/xencons.h"
#include "kern/string.h"
#include "proc/jobs.h"
#include "psm/clock.h"
#include "syscall/file.h"
#include "syscall/ldisc.h"

#define KEYS_ONCE  256 /* who types without pause keeps nobody from the lock */
#define NO_SESSION (~0u)
#define ICANON     0000002u
#define TOSTOP     0000400u

/* ioctl(). */
#define TCGETS     0x5401u
#define TCSETS     0x5402u
#define TCSETSW    0x5403u
#define TCSETSF    0x5404u
#define TCSBRK     0x5409u
#define TCXONC     0x540au
#define TCFLSH     0x540bu
#define TIOCSCTTY  0x540eu
#define TIOCGPGRP  0x540fu
#define TIOCSPGRP  0x5410u
#define TIOCGWINSZ 0x5413u
#define TIOCSWINSZ 0x5414u
#define FIONREAD   0x541bu
#define TIOCNOTTY  0x5422u
#define TIOCGSID   0x5429u

/* Arguments of TCFLSH and TCXONC. */
enum { TCIFLUSH, TCOFLUSH, TCIOFLUSH };
enum { TCOOFF, TCOON, TCIOFF, TCION };

static struct {
    struct mutex lock;
    struct ldisc l;
    struct abi_winsize size;
    unsigned session, group; /* in the foreground: 0: none */
    unsigned origin;         /* what the shell began it for; 0: the shell has it */
} con;

static unsigned changes; /* of the console's files */

static void con_changed(void)
{
    static struct file any = {.ops = &console_ops};

    file_changed(&any);
}

/* Whether the console is a process's controlling terminal. */
static bool con_is_mine(const struct proc *p)
{
    return con.origin == p->origin && con.session == p->session;
}

/* ---- keys ---- */

static void con_take_keys(void)
{
    unsigned keys = 0;
    char c;

    mutex_lock(&con.lock);
    while (keys++ < KEYS_ONCE && ldisc_takes(&con.l) && xencons_take(&c, 1) != 0) {
        unsigned number = ldisc_key(&con.l, c);

        if (number != 0 && con.group != 0) {
            job_signal(con.group, number);
        }
    }
    mutex_unlock(&con.lock);
    con_changed();
}

struct con_serve {
    bool (*over)(void *arg);
    void *arg;
};

static bool con_is_due(void *arg)
{
    const struct con_serve *s = arg;

    return s->over(s->arg) || (ldisc_takes(&con.l) && xencons_typed());
}

void console_serve(bool (*over)(void *arg), void *arg)
{
    struct con_serve s = {.over = over, .arg = arg};

    while (!over(arg)) {
        con_take_keys();
        xencons_wait_until(con_is_due, &s);
    }
}

void console_begin(const struct proc *p)
{
    xencons_claim(true);
    mutex_lock(&con.lock);
    ldisc_init(&con.l, xencons_put_raw);
    con.session = p->session;
    con.group = p->group;
    con.origin = p->origin;
    mutex_unlock(&con.lock);
}

void console_end(void)
{
    char text[64];
    size_t n;

    mutex_lock(&con.lock);
    con.session = NO_SESSION;
    con.group = con.origin = 0;
    while ((n = ldisc_unread(&con.l, text, sizeof(text))) != 0) {
        xencons_give_back(text, n);
    }
    ldisc_init(&con.l, xencons_put_raw);
    mutex_unlock(&con.lock);
    xencons_claim(false);
    con_changed();
}

/* The session has it no more. The lock is held. */
static void con_hang_up(void)
{
    if (con.group != 0) {
        job_signal(con.group, SIGNAL_HANGUP);
        job_signal(con.group, SIGNAL_CONTINUE);
    }
    con.session = NO_SESSION;
    con.group = 0;
}

void console_leave(const struct proc *p)
{
    if (p->session == p->pid) {
        mutex_lock(&con.lock);
        if (con_is_mine(p)) {
            con_hang_up();
        }
        mutex_unlock(&con.lock);
    }
}

/* ---- reading and writing ---- */

/* Whether a thread may use it in a way that is the foreground's. 0, or why not. Locked. */
static int con_check(const struct uthread *t, unsigned number)
{
    return con_is_mine(t->proc) && con.group != t->proc->group ? job_background(t, number) : 0;
}

/* A read that waits. */
struct con_read {
    size_t n;
    size_t there;    /* when it looked last */
    nsec_t deadline; /* NSEC_FOREVER; without lines, VTIME after the call or after each key */
    bool begun, over;
};

/* How many bytes a read waits for. The lock is held. */
static size_t con_least(size_t n)
{
    const struct abi_termios *m = &con.l.modes;

    if ((m->lflag & ICANON) || (m->cc[VMIN] == 0 && m->cc[VTIME] != 0)) {
        return 1;
    }
    return MIN(n, m->cc[VMIN]);
}

/* Begin a timer where it begins. */
static void con_time(struct con_read *r, size_t there)
{
    const struct abi_termios *m = &con.l.modes;
    bool begins = m->cc[VMIN] == 0 ? !r->begun : m->cc[VTIME] != 0 && there > r->there;

    if (!(m->lflag & ICANON) && begins) {
        r->deadline = clock_now() + m->cc[VTIME] * (NSEC_PER_SEC / 10);
    }
    r->begun = true;
    r->there = there;
}

/* Read what there is, if that will do. -EAGAIN: it will not. */
static ssize_t con_try_read(const struct file *f, struct con_read *r, char *buf)
{
    struct uthread *t = uthread_self();
    ssize_t rc = -EAGAIN;

    if (con.origin != t->proc->origin) {
        return 0;
    }
    int may = con_check(t, SIGNAL_TTY_IN);
    if (may != 0) {
        return may;
    }
    size_t there = ldisc_waiting(&con.l);
    con_time(r, there);
    bool hurries = (f->flags & O_NONBLOCK) || uthread_interrupted(t);
    if (there >= con_least(r->n) || r->over || (there != 0 && hurries)) {
        rc = (ssize_t)ldisc_read(&con.l, buf, r->n);
    }
    return rc;
}

static ssize_t console_read(struct file *f, uint64_t pos __unused, void *buf, size_t n)
{
    struct con_read r = {.n = n, .deadline = NSEC_FOREVER};

    while (n != 0) {
        uint64_t seen = proc_changes();

        mutex_lock(&con.lock);
        ssize_t rc = con_try_read(f, &r, buf);
        mutex_unlock(&con.lock);
        if (rc != -EAGAIN) {
            xencons_look_again(); /* there may be room for keys */
            return rc;
        }
        rc = file_wait_until(f, seen, r.deadline);
        if (rc != 0 && rc != -ETIMEDOUT && r.there == 0) {
            return rc;
        }
        r.over = rc == -ETIMEDOUT;
    }
    return 0;
}

static ssize_t con_try_write(const char *text, size_t n)
{
    mutex_lock(&con.lock);
    int rc = con.l.modes.lflag & TOSTOP ? con_check(uthread_self(), SIGNAL_TTY_OUT) : 0;
    ssize_t went = rc == 0 ? (ssize_t)ldisc_write(&con.l, text, n) : rc;
    mutex_unlock(&con.lock);
    return went;
}

static ssize_t console_write(struct file *f, const void *buf, size_t n)
{
    size_t done = 0;

    for (;;) {
        uint64_t seen = proc_changes();
        ssize_t rc = con_try_write((const char *)buf + done, n - done);

        if (rc >= 0) {
            done += (size_t)rc;
            rc = done < n ? file_wait(f, seen) : 0;
        }
        if (done == n || rc != 0) {
            return done != 0 || rc == 0 ? (ssize_t)done : rc;
        }
    }
}

static unsigned console_ready(const struct file *f __unused)
{
    mutex_lock(&con.lock);
    size_t least = con.l.modes.cc[VTIME] != 0 ? 1 : MAX(con_least(LDISC_SIZE), 1);
    bool over = con.origin != uthread_self()->proc->origin;
    unsigned ready = over || ldisc_waiting(&con.l) >= least ? POLLIN : 0;
    bool halted = con.l.halted;
    mutex_unlock(&con.lock);
    return ready | (!halted && xencons_writable() ? POLLOUT : 0);
}

/* ---- settings ---- */

/* What an ioctl() hands in, or is told: copied once each way. */
union con_arg {
    struct abi_termios modes;
    struct abi_winsize size;
    int number;
};

/* An ioctl(): the bytes that it has in and out, whether it is the foreground's, and drains first.
 */
struct con_call {
    uint16_t cmd;
    uint8_t in, out;
    bool sets, drains;
};

static const struct con_call con_calls[] = {
    {.cmd = TCGETS, .out = sizeof(struct abi_termios)},
    {.cmd = TCSETS, .in = sizeof(struct abi_termios), .sets = true},
    {.cmd = TCSETSW, .in = sizeof(struct abi_termios), .sets = true, .drains = true},
    {.cmd = TCSETSF, .in = sizeof(struct abi_termios), .sets = true, .drains = true},
    {.cmd = TCSBRK, .sets = true, .drains = true}, /* a break is nothing here */
    {.cmd = TCXONC, .sets = true},
    {.cmd = TCFLSH, .sets = true},
    {.cmd = TIOCSCTTY},
    {.cmd = TIOCGPGRP, .out = sizeof(int)},
    {.cmd = TIOCSPGRP, .in = sizeof(int), .sets = true},
    {.cmd = TIOCGWINSZ, .out = sizeof(struct abi_winsize)},
    {.cmd = TIOCSWINSZ, .in = sizeof(struct abi_winsize)},
    {.cmd = FIONREAD, .out = sizeof(int)},
    {.cmd = TIOCNOTTY},
    {.cmd = TIOCGSID, .out = sizeof(int)},
};

/* Sleep until all that was written has been taken. */
static int con_drain(const struct uthread *t)
{
    for (;;) {
        uint64_t seen = proc_changes();

        if (xencons_drained()) {
            return 0;
        }
        (void)proc_wait_change(t, seen, NSEC_FOREVER);
        if (uthread_interrupted(t)) {
            return -CALL_RESTARTS;
        }
    }
}

static int con_set_modes(const struct abi_termios *modes, bool flushes)
{
    if (flushes) {
        ldisc_flush(&con.l);
    }
    ldisc_set(&con.l, modes);
    return 0;
}

static int con_flush(uint64_t what)
{
    if (what > TCIOFLUSH) {
        return -EINVAL;
    }
    if (what != TCOFLUSH) { /* what was written is out of reach */
        ldisc_flush(&con.l);
    }
    return 0;
}

static int con_halt(uint64_t what)
{
    if (what > TCION) {
        return -EINVAL;
    }
    if (what == TCOOFF || what == TCOON) { /* nobody at the other end knows the others */
        con.l.halted = what == TCOOFF;
    }
    return 0;
}

static int con_set_group(const struct proc *p, int group)
{
    if (!con_is_mine(p)) {
        return -LINUX_ENOTTY;
    }
    int rc = group <= 0 ? -EINVAL : job_in_session((unsigned)group, con.session);
    con.group = rc == 0 ? (unsigned)group : con.group;
    return rc;
}

static int con_set_size(const struct abi_winsize *size)
{
    bool other = memcmp(&con.size, size, sizeof(*size)) != 0;

    con.size = *size;
    if (other && con.group != 0) {
        job_signal(con.group, SIGNAL_WINDOW);
    }
    return 0;
}

/* TIOCSCTTY. @steals: also from another session. */
static int con_claim(const struct proc *p, bool steals)
{
    bool mine = con_is_mine(p);

    if (!mine && (p->session != p->pid || con.origin != p->origin ||
                  (con.session != NO_SESSION && !steals))) {
        return -EPERM;
    }
    con.group = mine ? con.group : p->group;
    con.session = p->session;
    return 0;
}

/* TIOCNOTTY. */
static int con_disclaim(const struct proc *p)
{
    if (!con_is_mine(p) || p->session != p->pid) {
        return -LINUX_ENOTTY;
    }
    con_hang_up();
    return 0;
}

static int con_tell_owner(const struct proc *p, unsigned what, int *number)
{
    *number = (int)what;
    return con_is_mine(p) ? 0 : -LINUX_ENOTTY;
}

/* Do what an ioctl() is for. The lock is held. */
static int con_act(const struct proc *p, unsigned cmd, uint64_t arg, union con_arg *a)
{
    switch (cmd) {
    case TCGETS:
        a->modes = con.l.modes;
        return 0;
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
        return con_set_modes(&a->modes, cmd == TCSETSF);
    case TCXONC:
        return con_halt(arg);
    case TCFLSH:
        return con_flush(arg);
    case TIOCSCTTY:
        return con_claim(p, arg == 1);
    case TIOCNOTTY:
        return con_disclaim(p);
    case TIOCGPGRP:
        return con_tell_owner(p, con.group, &a->number);
    case TIOCGSID:
        return con_tell_owner(p, con.session, &a->number);
    case TIOCSPGRP:
        return con_set_group(p, a->number);
    case TIOCGWINSZ:
        a->size = con.size;
        return 0;
    case TIOCSWINSZ:
        return con_set_size(&a->size);
    case FIONREAD:
        a->number = (int)ldisc_waiting(&con.l);
        return 0;
    default: /* TCSBRK */
        return 0;
    }
}

/* Whether a thread may do so now; it may have to wait. */
static int con_may(const struct uthread *t, const struct con_call *call)
{
    mutex_lock(&con.lock);
    int rc = call->sets ? con_check(t, SIGNAL_TTY_OUT) : 0;
    mutex_unlock(&con.lock);
    return rc == 0 && call->drains ? con_drain(t) : rc;
}

static int con_do(const struct con_call *call, uaddr_t arg)
{
    const struct uthread *t = uthread_self();
    union con_arg a = {.modes = {.iflag = 0}};
    int rc = call->in != 0 ? copy_from_user(&a, arg, call->in) : 0;

    rc = rc == 0 ? con_may(t, call) : rc;
    if (rc != 0) {
        return rc;
    }
    mutex_lock(&con.lock);
    rc = con_act(t->proc, call->cmd, arg.a, &a);
    mutex_unlock(&con.lock);
    if (call->sets) {
        con_changed();
        xencons_look_again();
    }
    return rc == 0 && call->out != 0 ? copy_to_user(arg, &a, call->out) : rc;
}

static int console_ioctl(struct file *f __unused, unsigned cmd, uaddr_t arg)
{
    for (size_t i = 0; i < ARRAY_SIZE(con_calls); i++) {
        if (con_calls[i].cmd == cmd) {
            return con_do(&con_calls[i], arg);
        }
    }
    return -LINUX_ENOTTY;
}

const struct file_ops console_ops = {.read = console_read,
                                     .write = console_write,
                                     .stat = device_stat,
                                     .ioctl = console_ioctl,
                                     .ready = console_ready,
                                     .changes = &changes};

void console_boot(void)
{
    mutex_init(&con.lock, "tty");
    con.session = NO_SESSION;
    ldisc_init(&con.l, xencons_put_raw);
    xencons_tell(con_changed);
}
