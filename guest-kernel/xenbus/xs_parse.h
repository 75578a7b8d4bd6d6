/*
 * xs_parse.h - reading what the store sends: error names, lists, watch events, paths.
 *
 * Pure functions over bytes that came from outside; every length is checked. No state, any context;
 * compiles on the host for tests/unit. Format: docs/misc/xenstore.txt of Xen, xen/io/xs_wire.h.
 */
#ifndef XENBUS_XS_PARSE_H
#define XENBUS_XS_PARSE_H

#include "kern/types.h"

/**
 * xs_parse_error() - the error that an XS_ERROR reply names
 * @body: the reply, NUL-terminated at @len
 *
 * Return: -errno; -EIO for a name that is not in the protocol.
 */
int xs_parse_error(const char *body, size_t len);

/**
 * xs_list_count() - how many strings a NUL-separated list holds
 *
 * Return: the count, or -EBADMSG when the last string has no end.
 */
int xs_list_count(const char *body, size_t len);

/** xs_list_next() - the string after @cur in a list, or the first for NULL; NULL at the end. */
const char *xs_list_next(const char *body, size_t len, const char *cur);

/**
 * xs_parse_watch_event() - split an XS_WATCH_EVENT body into its two strings
 *
 * Return: 0 with @path and @token pointing into @body, -EBADMSG if it is not two strings.
 */
int xs_parse_watch_event(const char *body, size_t len, const char **path, const char **token);

/** xs_parse_hex() - a hexadecimal number, as tokens and transaction ids are made here. */
int xs_parse_hex(const char *s, uint32_t *out) __must_check;

/** xs_parse_dec() - a decimal number and nothing else; -EINVAL, or -ERANGE past 64 bits. */
int xs_parse_dec(const char *s, uint64_t *out) __must_check;

/* Where a path under "device" points. */
struct xs_device_path {
    char class[24];
    char id[24];
    const char *rest; /* into the path: what follows the id, "" for the device's directory itself */
};

/**
 * xs_parse_device_path() - take "device/CLASS/ID[/rest]" apart
 *
 * Return: 0; -EINVAL when it is shorter than that, or a part longer than any device's.
 */
int xs_parse_device_path(const char *path, struct xs_device_path *out) __must_check;

#endif /* XENBUS_XS_PARSE_H */
