/*
 * Comparing two copies, see compare.h: both are sorted alike, so one merge finds everything.
 */
#include "compare.h"

#include <string.h>

#include "perms.h"

/* What differs between two nodes of one path. What could not be read differs from all that could.
 */
static struct difference compare_nodes(const struct node *before, const struct node *after)
{
    struct difference difference = {.before = before, .after = after};

    if (before->unreadable && after->unreadable) {
        return difference;
    }
    difference.value = before->unreadable != after->unreadable || before->len != after->len ||
                       memcmp(before->value, after->value, before->len) != 0;
    difference.perms = !perms_equal(before->perms, before->n_perms, after->perms, after->n_perms);
    return difference;
}

unsigned long compare_snapshots(const struct snapshot *before, const struct snapshot *after,
                                void (*visit)(void *context, const struct difference *difference),
                                void *context)
{
    const struct node *a = before->nodes, *b = after->nodes;
    unsigned long found = 0;

    while (a != NULL || b != NULL) {
        int order = a == NULL ? 1 : b == NULL ? -1 : path_compare(a->path, b->path);
        struct difference difference = {.before = order <= 0 ? a : NULL,
                                        .after = order >= 0 ? b : NULL};

        if (order == 0) {
            difference = compare_nodes(a, b);
        }
        if (order != 0 || difference.value || difference.perms) {
            visit(context, &difference);
            found++;
        }
        a = order <= 0 ? a->hh.next : a;
        b = order >= 0 ? b->hh.next : b;
    }
    return found;
}
