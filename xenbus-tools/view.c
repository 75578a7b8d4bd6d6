/*
 * The two sources of what a reader sees, see view.h.
 */
#include "view.h"

#include <stdlib.h>
#include <string.h>

#include "xenbus.h"

/* As xs_directory() gives them: pointers and names in one block. */
static char **copy_children(const struct node *dir, unsigned int *n)
{
    size_t bytes = 0, count = 0;
    char **names, *text;

    for (const struct node *child = dir->children; child != NULL; child = child->next) {
        bytes += strlen(child->name) + 1;
        count++;
    }
    if (count == 0) {
        return NULL;
    }
    names = must_alloc(count * sizeof(*names) + bytes);
    text = (char *)(names + count);
    for (const struct node *child = dir->children; child != NULL; child = child->next) {
        size_t size = strlen(child->name) + 1;

        names[(*n)++] = memcpy(text, child->name, size);
        text += size;
    }
    return names;
}

char **view_children(const struct store_view *view, const char *path, unsigned int *n)
{
    const struct node *dir;

    *n = 0;
    if (view->xs != NULL) {
        return xs_directory(view->xs, XBT_NULL, path, n);
    }
    dir = snapshot_find(view->snapshot, path);
    return dir != NULL ? copy_children(dir, n) : NULL;
}

char *view_read(const struct store_view *view, const char *path)
{
    const struct node *node;

    if (view->xs != NULL) {
        return xs_read(view->xs, XBT_NULL, path, NULL);
    }
    node = snapshot_find(view->snapshot, path);
    return node != NULL && !node->unreadable ? must_strdup(node->value) : NULL;
}
