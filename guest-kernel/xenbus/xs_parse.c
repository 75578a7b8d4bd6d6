/*
 * xs_parse.c - reading what the store sends; see xs_parse.h.
 */
#include "xenbus/xs_parse.h"

#include "kern/string.h"

/* The errors of the protocol (xsd_errors of xen/io/xs_wire.h). */
static const struct {
    const char *name;
    int err;
} error_names[] = {
    {"EINVAL", EINVAL}, {"EACCES", EACCES}, {"EEXIST", EEXIST},       {"EISDIR", EISDIR},
    {"ENOENT", ENOENT}, {"ENOMEM", ENOMEM}, {"ENOSPC", ENOSPC},       {"EIO", EIO},
    {"ENOSYS", ENOSYS}, {"EROFS", EROFS},   {"ENOTEMPTY", ENOTEMPTY}, {"EBUSY", EBUSY},
    {"EAGAIN", EAGAIN}, {"E2BIG", E2BIG},   {"EISCONN", EISCONN},     {"EPERM", EPERM},
};

int xs_parse_error(const char *body, size_t len)
{
    size_t n = strnlen(body, len);

    for (size_t i = 0; i < ARRAY_SIZE(error_names); i++) {
        const char *name = error_names[i].name;

        if (strlen(name) == n && memcmp(name, body, n) == 0) {
            return -error_names[i].err;
        }
    }
    return -EIO;
}

int xs_list_count(const char *body, size_t len)
{
    int n = 0;

    if (len != 0 && body[len - 1] != '\0') {
        return -EBADMSG;
    }
    for (size_t i = 0; i < len; i++) {
        n += body[i] == '\0';
    }
    return n;
}

const char *xs_list_next(const char *body, size_t len, const char *cur)
{
    const char *next = cur != NULL ? cur + strlen(cur) + 1 : body;

    return next < body + len ? next : NULL;
}

int xs_parse_watch_event(const char *body, size_t len, const char **path, const char **token)
{
    if (xs_list_count(body, len) < 2) {
        return -EBADMSG;
    }
    *path = body;
    *token = xs_list_next(body, len, body);
    return 0;
}

int xs_parse_hex(const char *s, uint32_t *out)
{
    uint32_t v = 0;
    size_t n = 0;

    for (; s[n] != '\0'; n++) {
        char c = s[n];
        uint32_t digit;

        if (c >= '0' && c <= '9') {
            digit = (uint32_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            digit = (uint32_t)(c - 'a' + 10);
        } else {
            return -EINVAL;
        }
        v = v << 4 | digit;
    }
    if (n == 0 || n > 8) {
        return -EINVAL;
    }
    *out = v;
    return 0;
}

int xs_parse_dec(const char *s, uint64_t *out)
{
    uint64_t v = 0;

    if (*s == '\0') {
        return -EINVAL;
    }
    for (; *s != '\0'; s++) {
        if (*s < '0' || *s > '9') {
            return -EINVAL;
        }
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v)) {
            return -ERANGE;
        }
    }
    *out = v;
    return 0;
}

/* Copies the part of a path up to '/' or the end; NULL when it is empty or too long. */
static const char *take_part(const char *path, char *buf, size_t size)
{
    size_t n = 0;

    while (path[n] != '\0' && path[n] != '/') {
        n++;
    }
    if (n == 0 || n >= size) {
        return NULL;
    }
    memcpy(buf, path, n);
    buf[n] = '\0';
    return path[n] != '\0' ? path + n + 1 : path + n;
}

int xs_parse_device_path(const char *path, struct xs_device_path *out)
{
    static const char prefix[] = "device/";

    if (strncmp(path, prefix, sizeof(prefix) - 1) != 0) {
        return -EINVAL;
    }
    const char *p = take_part(path + sizeof(prefix) - 1, out->class, sizeof(out->class));
    if (p != NULL) {
        p = take_part(p, out->id, sizeof(out->id));
    }
    if (p == NULL) {
        return -EINVAL;
    }
    out->rest = p;
    return 0;
}
