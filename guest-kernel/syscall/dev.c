/*
 * dev.c - devices: null, zero, random numbers, the console.
 *
 * The console gives lines: what is typed is shown, can be erased, and is read when the line is
 * ended. Its settings cannot be changed. ^D on an empty line is the end of the file. Who reads, or
 * asks whether he could, brings the line up to what was typed; what is shown of it is lost where
 * nobody takes the console's output.
 * Locks: "tty" (a mutex) over the line that is being typed or read. Nobody waits with it held: who
 * waits for a line, or for room, does so in proc_wait_change().
 */
#include "io/xencons/xencons.h"
#include "kern/string.h"
#include "psm/random.h"
#include "syscall/dev.h"
#include "syscall/file.h"

#define LINE_SIZE 1024
#define KEYS_ONCE 4096 /* who types without pause keeps nobody */
#define CTRL_C    '\x03'
#define CTRL_D    '\x04'
#define BACKSPACE '\b'
#define DELETE    '\x7f'

/* ioctl() and the modes in struct termios that are so here. */
#define TCGETS     0x5401u
#define TIOCGWINSZ 0x5413u
#define ICRNL      0000400u
#define OPOST      0000001u
#define ONLCR      0000004u
#define CS8        0000060u
#define CREAD      0000200u
#define B38400     0000017u
#define ISIG       0000001u
#define ICANON     0000002u
#define ECHO       0000010u
#define ECHOE      0000020u
#define VINTR      0
#define VERASE     2
#define VEOF       4

/* ---- memory's ---- */

static void device_stat(const struct file *f __unused, struct abi_stat *st)
{
    *st = (struct abi_stat){.mode = S_IFCHR | 0666, .nlink = 1, .blksize = PAGE_SIZE};
}

static ssize_t null_read(struct file *f __unused, uint64_t pos __unused, void *buf __unused,
                         size_t n __unused)
{
    return 0;
}

static ssize_t swallow(struct file *f __unused, const void *buf __unused, size_t n)
{
    return (ssize_t)n;
}

static ssize_t zero_read(struct file *f __unused, uint64_t pos __unused, void *buf, size_t n)
{
    memset(buf, 0, n);
    return (ssize_t)n;
}

static ssize_t random_read(struct file *f __unused, uint64_t pos __unused, void *buf, size_t n)
{
    random_fill(buf, n);
    return (ssize_t)n;
}

/* ---- the console ---- */

static struct {
    struct mutex lock;
    char text[LINE_SIZE];
    size_t len, at; /* of a line that is complete: what is read next */
    bool complete;
} tty;

static unsigned changes; /* of the console's files */

static void tty_changed(void)
{
    static struct file any = {.ops = &console_ops};

    file_changed(&any);
}

static void tty_echo(const char *text)
{
    (void)xencons_put(text, strlen(text));
}

/* One key of a line. */
static void tty_key(char c)
{
    if (c == BACKSPACE || c == DELETE) {
        if (tty.len != 0) {
            tty.len--;
            tty_echo("\b \b");
        }
        return;
    }
    c = c == '\r' ? '\n' : c;
    if (c == CTRL_D) {
        tty.complete = true;
        return;
    }
    /* The last place is for the end of the line. */
    if (tty.len < LINE_SIZE - 1 || c == '\n') {
        tty.text[tty.len++] = c;
        (void)xencons_put(&c, 1);
    }
    tty.complete = c == '\n';
}

/* Bring the line up to what was typed. Return: whether it is complete. */
static bool tty_line(void)
{
    unsigned keys = 0;
    char c;

    while (!tty.complete && keys < KEYS_ONCE && xencons_take(&c, 1) != 0) {
        keys++;
        if (c == CTRL_C) {
            tty.len = 0;
        } else {
            tty_key(c);
        }
    }
    if (keys == KEYS_ONCE) {
        tty_changed();
    }
    return tty.complete;
}

/* Take from a line that is complete. -EAGAIN: there is none. */
static ssize_t tty_take(void *buf, size_t n)
{
    ssize_t rc = -EAGAIN;

    mutex_lock(&tty.lock);
    if (tty_line()) {
        n = MIN(n, tty.len - tty.at);
        memcpy(buf, tty.text + tty.at, n);
        tty.at += n;
        rc = (ssize_t)n;
        if (tty.at == tty.len) {
            tty.at = tty.len = 0;
            tty.complete = false;
        }
    }
    mutex_unlock(&tty.lock);
    return rc;
}

static ssize_t console_read(struct file *f, uint64_t pos __unused, void *buf, size_t n)
{
    for (;;) {
        uint64_t seen = proc_changes();
        ssize_t rc = n == 0 ? 0 : tty_take(buf, n);

        if (rc != -EAGAIN) {
            return rc;
        }
        rc = file_wait(f, seen);
        if (rc != 0) {
            return rc;
        }
    }
}

static ssize_t console_write(struct file *f, const void *buf, size_t n)
{
    size_t done = 0;

    for (;;) {
        uint64_t seen = proc_changes();

        done += xencons_put((const char *)buf + done, n - done);
        if (done == n) {
            return (ssize_t)n;
        }
        int rc = file_wait(f, seen);
        if (rc != 0) {
            return done != 0 ? (ssize_t)done : rc;
        }
    }
}

static unsigned console_ready(const struct file *f __unused)
{
    mutex_lock(&tty.lock);
    unsigned ready = tty_line() ? POLLIN : 0;
    mutex_unlock(&tty.lock);
    return ready | (xencons_writable() ? POLLOUT : 0);
}

static int console_ioctl(struct file *f __unused, unsigned cmd, uaddr_t arg)
{
    static const struct abi_termios modes = {
        .iflag = ICRNL,
        .oflag = OPOST | ONLCR,
        .cflag = B38400 | CS8 | CREAD,
        .lflag = ISIG | ICANON | ECHO | ECHOE,
        .cc = {[VINTR] = CTRL_C, [VERASE] = DELETE, [VEOF] = CTRL_D}};
    /* Nobody knows how large the window at the other end is: zeroes say so. */
    static const struct abi_winsize unknown;

    switch (cmd) {
    case TCGETS:
        return copy_to_user(arg, &modes, sizeof(modes));
    case TIOCGWINSZ:
        return copy_to_user(arg, &unknown, sizeof(unknown));
    default:
        return -LINUX_ENOTTY;
    }
}

const struct file_ops console_ops = {.read = console_read,
                                     .write = console_write,
                                     .stat = device_stat,
                                     .ioctl = console_ioctl,
                                     .ready = console_ready,
                                     .changes = &changes};
static const struct file_ops null_ops = {.read = null_read, .write = swallow, .stat = device_stat};
static const struct file_ops zero_ops = {.read = zero_read, .write = swallow, .stat = device_stat};
static const struct file_ops random_ops = {
    .read = random_read, .write = swallow, .stat = device_stat};

const struct file_ops *dev_at(size_t i, const char **path)
{
    static const struct {
        const char *path;
        const struct file_ops *ops;
    } devices[] = {
        {"dev/console", &console_ops}, {"dev/tty", &console_ops},   {"dev/null", &null_ops},
        {"dev/zero", &zero_ops},       {"dev/random", &random_ops}, {"dev/urandom", &random_ops},
    };

    if (i >= ARRAY_SIZE(devices)) {
        return NULL;
    }
    *path = devices[i].path;
    return devices[i].ops;
}

void dev_boot(void)
{
    mutex_init(&tty.lock, "tty");
    xencons_tell(tty_changed);
}
