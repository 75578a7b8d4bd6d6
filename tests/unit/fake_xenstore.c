/*
 * A xenstored for unit tests: see fake_xenstore.h. Nodes are a flat table. A transaction works on
 * the table directly, and is undone from a copy when it is aborted or made to conflict.
 */
#include "fake_xenstore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xenstore.h>

#include "loop.h"

enum {
    MAX_NODES = 256,
    MAX_WATCHES = 64,
    MAX_EVENTS = 1024,
    PATH_BYTES = 256,
    VALUE_BYTES = 1200,
    MAX_PERMS = 4,
    QUIET_TURNS = 4 /* longer than any chain of work that queues work */
};

struct node {
    char path[PATH_BYTES]; /* empty: free */
    char value[VALUE_BYTES];
    struct xs_permissions perms[MAX_PERMS];
    unsigned int n_perms; /* 0: as it was made, domain 0's alone */
};

static struct node nodes[MAX_NODES], saved[MAX_NODES];
static struct {
    char path[PATH_BYTES], token[32];
} watches[MAX_WATCHES];
static struct {
    char path[PATH_BYTES], token[32];
} events[MAX_EVENTS];
static int removal_refused;
static const char *forbidden; /* NULL: nothing */
static int first_event, nr_events, conflicts, transactions, dead;
static struct {
    int at; /* when so many transactions have begun; 0: not at all */
    const char *path, *value;
} surprise;
static void (*on_read)(void);
static int fail_once; /* 0: not at all */
static int wake[2] = {-1, -1};

void fake_reset(void)
{
    char drop;

    memset(nodes, 0, sizeof(nodes));
    memset(watches, 0, sizeof(watches));
    surprise.at = removal_refused = 0;
    on_read = NULL;
    forbidden = NULL;
    fail_once = 0;
    first_event = nr_events = conflicts = transactions = dead = 0;
    while (wake[0] >= 0 && read(wake[0], &drop, 1) == 1) {
    }
}

static struct node *find(const char *path)
{
    for (int i = 0; i < MAX_NODES; i++) {
        if (nodes[i].path[0] != '\0' && strcmp(nodes[i].path, path) == 0) {
            return &nodes[i];
        }
    }
    return NULL;
}

static int below(const char *dir, const char *path)
{
    size_t len = strlen(dir);

    return strncmp(path, dir, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static void queue_event(const char *path, const char *token)
{
    int slot = (first_event + nr_events) % MAX_EVENTS;

    if (nr_events == MAX_EVENTS) {
        abort();
    }
    snprintf(events[slot].path, PATH_BYTES, "%s", path);
    snprintf(events[slot].token, sizeof(events[slot].token), "%s", token);
    nr_events++;
    if (write(wake[1], "", 1) != 1) {
        abort();
    }
}

static void changed(const char *path, int removed)
{
    for (int i = 0; i < MAX_WATCHES; i++) {
        if (watches[i].path[0] != '\0' &&
            (below(watches[i].path, path) || (removed && below(path, watches[i].path)))) {
            queue_event(below(watches[i].path, path) ? path : watches[i].path, watches[i].token);
        }
    }
}

const char *fake_get(const char *path)
{
    struct node *n = find(path);

    return n != NULL ? n->value : NULL;
}

void fake_set(const char *path, const char *value)
{
    struct node *n = find(path);

    for (int i = 0; n == NULL && i < MAX_NODES; i++) {
        if (nodes[i].path[0] == '\0') {
            n = &nodes[i];
        }
    }
    if (n == NULL) {
        abort();
    }
    if (n->path[0] == '\0') {
        n->n_perms = 0;
    }
    snprintf(n->path, PATH_BYTES, "%s", path);
    snprintf(n->value, VALUE_BYTES, "%s", value);
    changed(path, 0);
}

void fake_rm(const char *path)
{
    for (int i = 0; i < MAX_NODES; i++) {
        if (nodes[i].path[0] != '\0' && below(path, nodes[i].path)) {
            nodes[i].path[0] = '\0';
        }
    }
    changed(path, 1);
}

void fake_conflicts(int count)
{
    conflicts = count;
}

int fake_transactions(void)
{
    return transactions;
}

void fake_set_before(int nth, const char *path, const char *value)
{
    surprise.at = transactions + nth;
    surprise.path = path;
    surprise.value = value;
}

void fake_refuse_removal(int refused)
{
    removal_refused = refused;
}

void fake_fail_once(int err)
{
    fail_once = err;
}

/* Whether this call is the one that fails. */
static int fails_now(void)
{
    if (fail_once == 0) {
        return 0;
    }
    errno = fail_once;
    fail_once = 0;
    return 1;
}

void fake_forbid(const char *dir)
{
    forbidden = dir;
}

/* Whether `path` must not be read. */
static int is_forbidden(const char *path)
{
    errno = EACCES;
    return forbidden != NULL && below(forbidden, path);
}

void fake_on_read(void (*fn)(void))
{
    on_read = fn;
}

void fake_die(void)
{
    dead = 1;
    if (write(wake[1], "", 1) != 1) {
        abort();
    }
}

/* What the real library does when the connection is gone. */
static int is_dead(void)
{
    errno = EIO;
    return dead;
}

struct xs_handle *xs_open(unsigned long flags)
{
    (void)flags;
    if (wake[0] < 0 && pipe2(wake, O_NONBLOCK | O_CLOEXEC) != 0) {
        return NULL;
    }
    return (struct xs_handle *)nodes;
}

void xs_close(struct xs_handle *h)
{
    (void)h;
    memset(watches, 0, sizeof(watches));
}

int xs_fileno(struct xs_handle *h)
{
    (void)h;
    return wake[0];
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *len)
{
    const char *value = fake_get(path);

    (void)h;
    (void)t;
    if (on_read != NULL) {
        on_read();
    }
    if (fails_now() || is_dead() || is_forbidden(path)) {
        return NULL;
    }
    if (value == NULL) {
        errno = ENOENT;
        return NULL;
    }
    if (len != NULL) {
        *len = (unsigned int)strlen(value);
    }
    return strdup(value);
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data,
              unsigned int len)
{
    char value[VALUE_BYTES];

    (void)h;
    (void)t;
    if (is_dead()) {
        return false;
    }
    snprintf(value, sizeof(value), "%.*s", (int)len, (const char *)data);
    fake_set(path, value);
    return true;
}

bool xs_mkdir(struct xs_handle *h, xs_transaction_t t, const char *path)
{
    return find(path) != NULL || xs_write(h, t, path, "", 0);
}

struct xs_permissions *xs_get_permissions(struct xs_handle *h, xs_transaction_t t, const char *path,
                                          unsigned int *num)
{
    struct node *n = find(path);
    struct xs_permissions *perms;

    (void)h;
    (void)t;
    if (is_dead()) {
        return NULL;
    }
    if (n == NULL) {
        errno = ENOENT;
        return NULL;
    }
    perms = calloc(MAX_PERMS, sizeof(*perms));
    memcpy(perms, n->perms, n->n_perms * sizeof(*perms));
    *num = n->n_perms != 0 ? n->n_perms : 1;
    return perms;
}

bool xs_set_permissions(struct xs_handle *h, xs_transaction_t t, const char *path,
                        struct xs_permissions *perms, unsigned int num)
{
    struct node *n = find(path);

    (void)h;
    (void)t;
    if (is_dead()) {
        return false;
    }
    if (n == NULL || num > MAX_PERMS) {
        errno = n == NULL ? ENOENT : EINVAL;
        return false;
    }
    memcpy(n->perms, perms, num * sizeof(*perms));
    n->n_perms = num;
    return true;
}

/* A domain is introduced while it has a directory. */
bool xs_is_domain_introduced(struct xs_handle *h, unsigned int domid)
{
    char path[PATH_BYTES];

    (void)h;
    snprintf(path, sizeof(path), "/local/domain/%u/domid", domid);
    return !is_dead() && find(path) != NULL;
}

bool xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path)
{
    (void)h;
    (void)t;
    if (is_dead()) {
        return false;
    }
    if (removal_refused != 0) {
        errno = EACCES;
        return false;
    }
    fake_rm(path);
    return true;
}

char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *num)
{
    char *names[MAX_NODES];
    size_t len = strlen(path);
    size_t bytes = 0;
    unsigned int n = 0;
    char **out, *text;

    (void)h;
    (void)t;
    if (fails_now() || is_forbidden(path)) {
        return NULL;
    }
    for (int i = 0; i < MAX_NODES; i++) {
        char *rest = nodes[i].path + len + 1;
        size_t part;
        unsigned int k;

        if (nodes[i].path[0] == '\0' || !below(path, nodes[i].path) || nodes[i].path[len] == '\0') {
            continue;
        }
        part = strcspn(rest, "/");
        for (k = 0; k < n && !(strncmp(names[k], rest, part) == 0 && names[k][part] == '\0'); k++) {
        }
        if (k == n) {
            names[n++] = strndup(rest, part);
            bytes += part + 1;
        }
    }
    *num = n;
    out = malloc(n * sizeof(char *) + bytes + 1);
    text = (char *)(out + n);
    for (unsigned int i = 0; i < n; i++) {
        size_t bytes_i = strlen(names[i]) + 1;

        out[i] = memcpy(text, names[i], bytes_i);
        text += bytes_i;
        free(names[i]);
    }
    if (n == 0) {
        free(out);
        errno = ENOENT;
        return NULL;
    }
    return out;
}

xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
    (void)h;
    if (is_dead()) {
        return XBT_NULL;
    }
    if (transactions + 1 == surprise.at) {
        surprise.at = 0;
        fake_set(surprise.path, surprise.value);
    }
    memcpy(saved, nodes, sizeof(nodes));
    return (xs_transaction_t)++transactions;
}

bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abandon)
{
    (void)h;
    (void)t;
    if (abandon || conflicts > 0) {
        memcpy(nodes, saved, sizeof(nodes));
    }
    if (!abandon && conflicts > 0) {
        conflicts--;
        errno = EAGAIN;
        return false;
    }
    return true;
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
    (void)h;
    if (is_dead()) {
        return false;
    }
    for (int i = 0; i < MAX_WATCHES; i++) {
        if (watches[i].path[0] == '\0') {
            snprintf(watches[i].path, PATH_BYTES, "%s", path);
            snprintf(watches[i].token, sizeof(watches[i].token), "%s", token);
            queue_event(path, token);
            return true;
        }
    }
    errno = ENOSPC;
    return false;
}

bool xs_unwatch(struct xs_handle *h, const char *path, const char *token)
{
    (void)h;
    for (int i = 0; i < MAX_WATCHES; i++) {
        if (strcmp(watches[i].path, path) == 0 && strcmp(watches[i].token, token) == 0) {
            watches[i].path[0] = '\0';
            return true;
        }
    }
    errno = ENOENT;
    return false;
}

char **xs_check_watch(struct xs_handle *h)
{
    char **out;
    char drop;

    (void)h;
    if (is_dead()) {
        return NULL;
    }
    if (nr_events == 0) {
        errno = EAGAIN;
        return NULL;
    }
    if (read(wake[0], &drop, 1) != 1) {
        abort();
    }
    out = malloc(2 * sizeof(char *) + PATH_BYTES + 32);
    out[XS_WATCH_PATH] = (char *)(out + 2);
    out[XS_WATCH_TOKEN] = out[XS_WATCH_PATH] + PATH_BYTES;
    memcpy(out[XS_WATCH_PATH], events[first_event].path, PATH_BYTES);
    memcpy(out[XS_WATCH_TOKEN], events[first_event].token, sizeof(events[first_event].token));
    first_event = (first_event + 1) % MAX_EVENTS;
    nr_events--;
    return out;
}

static void end_turn(void *loop)
{
    loop_stop(loop, 0);
}

void fake_settle(struct loop *loop)
{
    struct loop_work end = {0};
    int quiet = 0;

    while (quiet < QUIET_TURNS) {
        quiet = nr_events > 0 ? 0 : quiet + 1;
        loop_defer(loop, &end, end_turn, loop);
        loop_run(loop);
    }
}
