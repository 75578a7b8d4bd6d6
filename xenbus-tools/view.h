/*
 * What readers of the store need of it, whether it is xenstored or a copy in memory: the children
 * of a path and the value of one. So one reader of devices serves `devices`, which asks for little,
 * and `doctor`, which judges a copy.
 */
#ifndef DUET_XENBUS_VIEW_H
#define DUET_XENBUS_VIEW_H

#include <xenstore.h>

#include "snapshot.h"

/* One of the two is set. */
struct store_view {
    struct xs_handle *xs;
    const struct snapshot *snapshot;
};

/* The names of the children of @path, *@n of them, in one block that the caller frees; NULL if
 * none. */
char **view_children(const struct store_view *view, const char *path, unsigned int *n);

/* The value at @path as text, which the caller frees; NULL when there is none, or it may not be
 * read. */
char *view_read(const struct store_view *view, const char *path);

#endif
