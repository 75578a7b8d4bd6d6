/*
 * A session with xenstored: see store.h.
 *
 * Watches are found by their token in a hash table, so that an event costs the same with one guest
 * and with a thousand. Events are taken from libxenstore in bounded batches. What is left over is
 * fetched by deferred work, because libxenstore's descriptor need not stay readable.
 */
#include "store.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/io/xs_wire.h>

#include "log.h"

#define TX_TRIES         100
#define EVENTS_PER_BATCH 64
#define SECOND_NS        UINT64_C(1000000000)
#define LATE_S           5U

/*
 * A request of libxenstore, during which store_is_asking(). An answer that took long is told, for
 * whoever wonders why nothing was done.
 */
#define ASK(request)                             \
    __extension__({                              \
        const uint64_t asked_ns = ask();         \
        __typeof__(request) answer_ = (request); \
                                                 \
        answered(asked_ns);                      \
        answer_;                                 \
    })

static volatile sig_atomic_t asking;

struct store {
    struct xs_handle *xsh;
    struct loop *loop;
    struct loop_fd fd;
    struct loop_work more;
    loop_fn *on_lost;
    void *on_lost_arg;
    struct store_watch *watches; /* uthash by token */
    uint64_t next_token;
    unsigned int self_domid;
    int missed; /* -errno of a request of this transaction to which there was no answer */
    char error[1024];
};

_Static_assert(STORE_PATH_MAX == XENSTORE_ABS_PATH_MAX + 1, "path limit of xs_wire.h");

bool store_is_asking(void)
{
    return asking != 0;
}

/* Returns when that was. */
static uint64_t ask(void)
{
    asking = 1;
    return loop_now_ns();
}

/* Leaves errno as it is. */
static void answered(uint64_t asked_ns)
{
    const int err = errno;
    const uint64_t s = (loop_now_ns() - asked_ns) / SECOND_NS;

    asking = 0;
    if (s >= LATE_S) {
        log_msg(LOG_WARNING, NULL, "xenstored has not answered for %llu s", (unsigned long long)s);
    }
    errno = err;
}

/* Notes why a call failed. Returns -err, for the caller to return. */
static int fail(struct store *st, int err, const char *path, const char *value, const char *why)
{
    char shown[512];

    if (value != NULL) {
        log_escape(shown, sizeof(shown), value);
        snprintf(st->error, sizeof(st->error), "%.*s = \"%s\": %s", 400, path, shown, why);
    } else {
        snprintf(st->error, sizeof(st->error), "%.*s: %s", 400, path, why);
    }
    return -err;
}

/* As fail(), with errno as the reason (EIO when libxenstore left none). */
static int fail_errno(struct store *st, const char *path)
{
    int err = errno != 0 ? errno : EIO;

    st->missed = store_error_passes(-err) ? -err : st->missed;
    return fail(st, err, path, NULL, strerror(err));
}

/*
 * As fail_errno(), of a read. xenstored says EACCES to a domain without privilege, and not only of
 * what it may not read: also of what is gone, when the nearest folder that is left is not its to
 * read, as that of all domains. Neither is there for this domain.
 */
static int fail_read(struct store *st, const char *path)
{
    if (errno == EACCES) {
        return fail(st, ENOENT, path, NULL, "missing, or not for this domain to read");
    }
    return fail_errno(st, path);
}

/* Joins directory and key into `path`. Returns 0 or -ENAMETOOLONG. */
static int join(struct store *st, char path[STORE_PATH_MAX], const char *dir, const char *key)
{
    int n = snprintf(path, STORE_PATH_MAX, "%s%s%s", dir, key != NULL ? "/" : "",
                     key != NULL ? key : "");

    if (n < 0 || n >= STORE_PATH_MAX) {
        return fail(st, ENAMETOOLONG, dir, NULL, "path too long");
    }
    return 0;
}

const char *store_error(const struct store *st)
{
    return st->error;
}

struct xs_handle *store_handle(const struct store *st)
{
    return st->xsh;
}

unsigned int store_self_domid(const struct store *st)
{
    return st->self_domid;
}

static void dispatch(void *arg);

/* The session broke: nothing can be read any more. Told once. */
static void lost(struct store *st)
{
    loop_fd_del(st->loop, &st->fd);
    if (st->on_lost != NULL) {
        st->on_lost(st->on_lost_arg);
    }
}

static void on_readable(void *arg, uint32_t events)
{
    (void)events;
    dispatch(arg);
}

static void dispatch(void *arg)
{
    struct store *st = arg;

    for (int i = 0; i < EVENTS_PER_BATCH; i++) {
        char **ev = xs_check_watch(st->xsh);
        struct store_watch *w;

        if (ev == NULL) {
            if (errno != EAGAIN && errno != EINTR) {
                lost(st);
            }
            return;
        }
        HASH_FIND_STR(st->watches, ev[XS_WATCH_TOKEN], w);
        if (w != NULL) {
            w->fn(w->arg, ev[XS_WATCH_PATH]);
        }
        free(ev);
    }
    loop_defer(st->loop, &st->more, dispatch, st);
}

struct store *store_open(struct loop *loop, loop_fn *on_lost, void *arg)
{
    struct store *st = calloc(1, sizeof(*st));
    uint64_t self = 0;
    int err;

    if (st == NULL) {
        return NULL;
    }
    st->loop = loop;
    st->on_lost = on_lost;
    st->on_lost_arg = arg;
    st->xsh = xs_open(XS_UNWATCH_FILTER);
    if (st->xsh == NULL) {
        free(st);
        return NULL;
    }
    err = loop_fd_add(loop, &st->fd, xs_fileno(st->xsh), EPOLLIN, on_readable, st);
    if (err == 0) {
        err = store_read_uint_def(st, STORE_NO_TX, "domid", NULL, 0x7fef, 0, &self);
    }
    if (err != 0) {
        store_close(st);
        errno = -err;
        return NULL;
    }
    st->self_domid = (unsigned int)self;
    return st;
}

void store_close(struct store *st)
{
    struct store_watch *w, *tmp;

    if (st == NULL) {
        return;
    }
    HASH_ITER (hh, st->watches, w, tmp) {
        HASH_DEL(st->watches, w);
        free(w->path);
        w->path = NULL;
    }
    loop_defer_cancel(st->loop, &st->more);
    loop_fd_del(st->loop, &st->fd);
    xs_close(st->xsh);
    free(st);
}

int store_read_str(struct store *st, xs_transaction_t t, const char *dir, const char *key,
                   unsigned int max_len, char **out)
{
    char path[STORE_PATH_MAX];
    unsigned int len;
    char *value;
    int err;

    *out = NULL;
    err = join(st, path, dir, key);
    if (err != 0) {
        return err;
    }
    value = ASK(xs_read(st->xsh, t, path, &len));
    if (value == NULL) {
        return fail_read(st, path);
    }
    if (len > max_len) {
        err = fail(st, E2BIG, path, value, "too long");
    }
    for (unsigned int i = 0; i < len && err == 0; i++) {
        if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f) {
            err = fail(st, EINVAL, path, value, "contains control characters");
        }
    }
    if (err != 0) {
        free(value);
        return err;
    }
    *out = value;
    return 0;
}

/* Converts decimal digits; strtoull() would let signs and blanks pass. */
static int parse_uint(const char *s, uint64_t max, uint64_t *out)
{
    uint64_t n = 0;

    if (*s == '\0') {
        return EINVAL;
    }
    for (; *s != '\0'; s++) {
        if (*s < '0' || *s > '9') {
            return EINVAL;
        }
        if (__builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*s - '0'), &n)) {
            return ERANGE;
        }
    }
    if (n > max) {
        return ERANGE;
    }
    *out = n;
    return 0;
}

int store_read_uint(struct store *st, xs_transaction_t t, const char *dir, const char *key,
                    uint64_t max, uint64_t *out)
{
    char path[STORE_PATH_MAX];
    char why[64];
    char *value;
    int err;

    err = store_read_str(st, t, dir, key, 64, &value);
    if (value == NULL) {
        return err;
    }
    err = parse_uint(value, max, out);
    if (err != 0 && join(st, path, dir, key) == 0) {
        snprintf(why, sizeof(why), "not a number from 0 to %llu", (unsigned long long)max);
        fail(st, err, path, value, why);
    }
    free(value);
    return -err;
}

int store_read_uint_def(struct store *st, xs_transaction_t t, const char *dir, const char *key,
                        uint64_t max, uint64_t def, uint64_t *out)
{
    int err = store_read_uint(st, t, dir, key, max, out);

    if (err == -ENOENT) {
        *out = def;
        return 0;
    }
    return err;
}

int store_has(struct store *st, xs_transaction_t t, const char *dir, const char *key)
{
    char path[STORE_PATH_MAX];
    char *value;
    int err = join(st, path, dir, key);

    if (err != 0) {
        return err;
    }
    value = ASK(xs_read(st->xsh, t, path, NULL));
    if (value == NULL) {
        err = fail_read(st, path);
        return err == -ENOENT ? 0 : err;
    }
    free(value);
    return 1;
}

bool store_exists(struct store *st, xs_transaction_t t, const char *dir, const char *key)
{
    return store_has(st, t, dir, key) == 1;
}

char **store_list(struct store *st, xs_transaction_t t, const char *dir, unsigned int *count)
{
    char **names;

    *count = 0;
    names = ASK(xs_directory(st->xsh, t, dir, count));
    if (names == NULL) {
        errno = -fail_read(st, dir);
        *count = 0;
    }
    return names;
}

int store_write(struct store *st, xs_transaction_t t, const char *dir, const char *key,
                const char *fmt, ...)
{
    char path[STORE_PATH_MAX];
    char value[XENSTORE_PAYLOAD_MAX / 2];
    va_list ap;
    int n, err;

    err = join(st, path, dir, key);
    if (err != 0) {
        return err;
    }
    va_start(ap, fmt);
    n = vsnprintf(value, sizeof(value), fmt, ap);
    va_end(ap);
    if (n < 0 || (unsigned int)n >= sizeof(value)) {
        return fail(st, E2BIG, path, NULL, "value too long");
    }
    if (!ASK(xs_write(st->xsh, t, path, value, n))) {
        return fail_errno(st, path);
    }
    return 0;
}

int store_rm(struct store *st, xs_transaction_t t, const char *dir, const char *key)
{
    char path[STORE_PATH_MAX];
    int err = join(st, path, dir, key);

    if (err != 0) {
        return err;
    }
    if (!ASK(xs_rm(st->xsh, t, path)) && errno != ENOENT) {
        return fail_errno(st, path);
    }
    return 0;
}

int store_transaction(struct store *st, store_tx_fn *fn, void *arg)
{
    for (int i = 0; i < TX_TRIES; i++) {
        xs_transaction_t t = ASK(xs_transaction_start(st->xsh));
        int err;

        if (t == XBT_NULL) {
            return fail_errno(st, "transaction");
        }
        st->missed = 0;
        err = fn(st, t, arg);
        if (st->missed != 0) {
            err = st->missed; /* it may have taken that for "there is none" */
        }
        if (err != 0) {
            ASK(xs_transaction_end(st->xsh, t, true));
            return err;
        }
        if (ASK(xs_transaction_end(st->xsh, t, false))) {
            return 0;
        }
        if (errno != EAGAIN) {
            return fail_errno(st, "transaction");
        }
    }
    return fail(st, EAGAIN, "transaction", NULL, "gave up after too many conflicts");
}

int store_watch_add(struct store *st, struct store_watch *w, const char *path, store_watch_fn *fn,
                    void *arg)
{
    if (w->path != NULL) {
        return -EEXIST;
    }
    w->fn = fn;
    w->arg = arg;
    snprintf(w->token, sizeof(w->token), "%llx", (unsigned long long)st->next_token++);
    w->path = strdup(path);
    if (w->path == NULL) {
        return fail(st, ENOMEM, path, NULL, strerror(ENOMEM));
    }
    HASH_ADD_STR(st->watches, token, w);
    if (!ASK(xs_watch(st->xsh, path, w->token))) {
        int err = fail_errno(st, path);

        HASH_DEL(st->watches, w);
        free(w->path);
        w->path = NULL;
        return err;
    }
    return 0;
}

void store_watch_del(struct store *st, struct store_watch *w)
{
    if (w->path == NULL) {
        return;
    }
    ASK(xs_unwatch(st->xsh, w->path, w->token));
    HASH_DEL(st->watches, w);
    free(w->path);
    w->path = NULL;
}
