/*
 * xs_ops.c - the store's operations, each a request through xs_talk().
 *
 * No state and no locks of its own; suspend: see xs_conn.c. Transactions hold a suspend up while
 * they are open, so they are short and nothing in them waits for anybody else.
 */
#include "xenbus/xs.h"

#include <xen/xen.h>
#include <xen/io/xs_wire.h>

#include "kern/log.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "xenbus/xs_conn.h"
#include "xenbus/xs_parse.h"

#define TXN_ATTEMPTS 64
#define VALUE_MAX    255 /* what xs_writef() formats, without the NUL */

/* The request's first string, "dir/key" and a NUL, as three parts. */
#define PATH_PARTS 3
static void path_parts(struct xs_part *parts, const char *dir, const char *key)
{
    bool both = key != NULL && *dir != '\0';

    parts[0] = (struct xs_part){dir, strlen(dir)};
    parts[1] = (struct xs_part){"/", both ? 1 : 0};
    parts[2] = (struct xs_part){key != NULL ? key : "", key != NULL ? strlen(key) + 1 : 1};
}

int xs_read(xs_txn_t t, const char *dir, const char *key, char **value, size_t *len)
{
    struct xs_part parts[PATH_PARTS];
    struct xs_reply reply;

    path_parts(parts, dir, key);
    int rc = xs_talk(XS_READ, t, parts, PATH_PARTS, &reply);
    if (rc == 0) {
        *value = reply.body;
        if (len != NULL) {
            *len = reply.len;
        }
    }
    return rc;
}

int xs_write(xs_txn_t t, const char *dir, const char *key, const char *value)
{
    struct xs_part parts[PATH_PARTS + 1];

    path_parts(parts, dir, key);
    parts[PATH_PARTS] = (struct xs_part){value, strlen(value)};
    return xs_talk(XS_WRITE, t, parts, PATH_PARTS + 1, NULL);
}

int xs_writef(xs_txn_t t, const char *dir, const char *key, const char *fmt, ...)
{
    char value[VALUE_MAX + 1];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(value, sizeof(value), fmt, ap);
    va_end(ap);
    return n > VALUE_MAX ? -E2BIG : xs_write(t, dir, key, value);
}

/* The operations that take a path and return nothing. */
static int simple(uint32_t type, xs_txn_t t, const char *dir, const char *key)
{
    struct xs_part parts[PATH_PARTS];

    path_parts(parts, dir, key);
    return xs_talk(type, t, parts, PATH_PARTS, NULL);
}

int xs_mkdir(xs_txn_t t, const char *dir, const char *key)
{
    int rc = simple(XS_MKDIR, t, dir, key);

    return rc == -EEXIST ? 0 : rc;
}

int xs_rm(xs_txn_t t, const char *dir, const char *key)
{
    return simple(XS_RM, t, dir, key);
}

/* Checks a list that came as one reply and makes it the caller's. */
static int take_list(char *body, size_t len, struct xs_list *list)
{
    int n = xs_list_count(body, len);

    if (n < 0) {
        kfree(body);
        return -EIO;
    }
    *list = (struct xs_list){body, len, (unsigned)n};
    return 0;
}

static int fetch_list(uint32_t type, xs_txn_t t, const char *dir, const char *key,
                      struct xs_list *list)
{
    struct xs_part parts[PATH_PARTS];
    struct xs_reply reply;

    path_parts(parts, dir, key);
    int rc = xs_talk(type, t, parts, PATH_PARTS, &reply);
    return rc != 0 ? rc : take_list(reply.body, reply.len, list);
}

/* Appends to a growing buffer, which is freed when there is no memory for more. */
static int append(char **buf, size_t *len, const char *data, size_t n)
{
    char *bigger = kmalloc(*len + n + 1);

    if (bigger == NULL) {
        kfree(*buf);
        *buf = NULL;
        return -ENOMEM;
    }
    memcpy(bigger, *buf, *len);
    memcpy(bigger + *len, data, n);
    bigger[*len + n] = '\0';
    kfree(*buf);
    *buf = bigger;
    *len += n;
    return 0;
}

/*
 * One XS_DIRECTORY_PART reply is "GENERATION\0" and as many names as fit from the given offset; the
 * last part ends with an empty name. *@done says that it was the last.
 */
static int directory_part(xs_txn_t t, const char *dir, const char *key, size_t offset,
                          struct xs_reply *reply, const char **names, bool *done)
{
    struct xs_part parts[PATH_PARTS + 1];
    char number[24];

    int digits = snprintf(number, sizeof(number), "%zu", offset);
    path_parts(parts, dir, key);
    parts[PATH_PARTS] = (struct xs_part){number, (size_t)digits + 1};

    int rc = xs_talk(XS_DIRECTORY_PART, t, parts, PATH_PARTS + 1, reply);
    if (rc != 0) {
        return rc;
    }
    *names = xs_list_count(reply->body, reply->len) < 2
                 ? NULL
                 : xs_list_next(reply->body, reply->len, reply->body);
    if (*names == NULL) {
        kfree(reply->body);
        return -EIO;
    }
    const char *end = reply->body + reply->len;
    *done = end[-1] == '\0' && (end - 1 == *names || end[-2] == '\0');
    return 0;
}

/* A list too long for one reply, by parts; -EAGAIN if the node changed in between. */
static int directory_by_parts(xs_txn_t t, const char *dir, const char *key, struct xs_list *list)
{
    char *text = NULL;
    char *generation = NULL;
    size_t len = 0;
    bool done = false;
    int rc = 0;

    while (rc == 0 && !done) {
        struct xs_reply reply;
        const char *names;

        rc = directory_part(t, dir, key, len, &reply, &names, &done);
        if (rc != 0) {
            break;
        }
        if (generation == NULL) {
            generation = kstrdup(reply.body);
            rc = generation != NULL ? 0 : -ENOMEM;
        } else if (strcmp(generation, reply.body) != 0) {
            rc = -EAGAIN;
        }
        size_t n = (size_t)(reply.body + reply.len - names) - (done ? 1 : 0);
        if (rc == 0) {
            rc = append(&text, &len, names, n);
        }
        kfree(reply.body);
    }
    kfree(generation);
    if (rc != 0) {
        kfree(text);
        return rc;
    }
    return take_list(text, len, list);
}

int xs_directory(xs_txn_t t, const char *dir, const char *key, struct xs_list *list)
{
    int rc = fetch_list(XS_DIRECTORY, t, dir, key, list);

    if (rc != -E2BIG) {
        return rc;
    }
    for (int i = 0; i < TXN_ATTEMPTS; i++) {
        rc = directory_by_parts(t, dir, key, list);
        if (rc != -EAGAIN) {
            break;
        }
    }
    return rc;
}

int xs_get_perms(xs_txn_t t, const char *dir, const char *key, struct xs_list *list)
{
    return fetch_list(XS_GET_PERMS, t, dir, key, list);
}

const char *xs_list_each(const struct xs_list *list, const char *cur)
{
    return xs_list_next(list->text, list->len, cur);
}

void xs_list_free(struct xs_list *list)
{
    kfree(list->text);
    *list = (struct xs_list){0};
}

/* Converts one value; keeps the string if that is what is wanted. */
static int xs_ops_take_field(const struct xs_field *f, char *text)
{
    uint64_t n;

    if (f->type == XS_STRING) {
        *(char **)f->out = text;
        return 0;
    }
    int rc = xs_parse_dec(text, &n);
    kfree(text);
    if (rc != 0 || (f->type == XS_U32 && n > UINT32_MAX) || (f->type == XS_BOOL && n > 1)) {
        return -EINVAL;
    }
    if (f->type == XS_U32) {
        *(uint32_t *)f->out = (uint32_t)n;
    } else if (f->type == XS_U64) {
        *(uint64_t *)f->out = n;
    } else {
        *(bool *)f->out = n;
    }
    return 0;
}

int xs_gather(xs_txn_t t, const char *dir, const struct xs_field *fields, size_t n,
              const char **bad)
{
    int rc = 0;

    for (size_t i = 0; i < n; i++) {
        if (fields[i].type == XS_STRING) {
            *(char **)fields[i].out = NULL;
        }
    }
    for (size_t i = 0; rc == 0 && i < n; i++) {
        char *text;

        rc = xs_read(t, dir, fields[i].key, &text, NULL);
        if (rc == -ENOENT && fields[i].optional) {
            rc = 0;
        } else if (rc == 0) {
            rc = xs_ops_take_field(&fields[i], text);
        }
        if (rc != 0 && bad != NULL) {
            *bad = fields[i].key;
        }
    }
    for (size_t i = 0; rc != 0 && i < n; i++) {
        if (fields[i].type == XS_STRING) {
            kfree(*(char **)fields[i].out);
            *(char **)fields[i].out = NULL;
        }
    }
    return rc;
}

int xs_scatter(xs_txn_t t, const char *dir, const struct xs_value *values, size_t n)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        const struct xs_value *v = &values[i];

        rc = v->text != NULL ? xs_write(t, dir, v->key, v->text)
                             : xs_writef(t, dir, v->key, "%u", v->number);
    }
    return rc;
}

static int txn_start(xs_txn_t *t)
{
    const struct xs_part nothing = {"", 1};
    struct xs_reply reply;
    uint64_t id;

    int rc = xs_talk(XS_TRANSACTION_START, XS_NO_TXN, &nothing, 1, &reply);
    if (rc != 0) {
        return rc;
    }
    rc = xs_parse_dec(reply.body, &id);
    kfree(reply.body);
    if (rc != 0 || id == XS_NO_TXN || id > UINT32_MAX) {
        xs_conn_txn_ended();
        return -EIO;
    }
    *t = (xs_txn_t)id;
    return 0;
}

static int txn_end(xs_txn_t t, bool commit)
{
    const struct xs_part how = {commit ? "T" : "F", 2};
    int rc = xs_talk(XS_TRANSACTION_END, t, &how, 1, NULL);

    xs_conn_txn_ended();
    return rc;
}

int xs_transaction(int (*fn)(xs_txn_t t, void *arg), void *arg)
{
    int rc = -EAGAIN;

    for (int i = 0; rc == -EAGAIN && i < TXN_ATTEMPTS; i++) {
        xs_txn_t t;

        rc = txn_start(&t);
        if (rc != 0) {
            continue;
        }
        rc = fn(t, arg);
        int ended = txn_end(t, rc == 0);
        rc = rc != 0 ? rc : ended;
    }
    return rc;
}
