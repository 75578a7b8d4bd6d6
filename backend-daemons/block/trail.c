/*
 * When virtual machines let go of their images: see trail.h.
 */
#include "trail.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct blk_trail_mark {
    XEN_LIST_ENTRY(struct blk_trail_mark) link;
    int64_t left_ns;
    const char *image; /* behind `vm` */
    char vm[];
};

static struct blk_trail_mark *blk_trail_find(const struct blk_trail *trail, const char *vm,
                                             const char *image)
{
    struct blk_trail_mark *mark = NULL;

    XEN_LIST_FOREACH (mark, &trail->marks, link) {
        if (strcmp(mark->vm, vm) == 0 && strcmp(mark->image, image) == 0) {
            return mark;
        }
    }
    return NULL;
}

static void blk_trail_drop(struct blk_trail *trail, struct blk_trail_mark *mark)
{
    XEN_LIST_REMOVE(mark, link);
    trail->nr--;
    free(mark);
}

static void blk_trail_drop_oldest(struct blk_trail *trail)
{
    struct blk_trail_mark *mark = XEN_LIST_FIRST(&trail->marks);

    while (XEN_LIST_NEXT(mark, link) != NULL) {
        mark = XEN_LIST_NEXT(mark, link);
    }
    blk_trail_drop(trail, mark);
}

void blk_trail_return(struct blk_trail *trail, const char *vm, const char *image)
{
    struct blk_trail_mark *mark = blk_trail_find(trail, vm, image);

    if (mark != NULL) {
        blk_trail_drop(trail, mark);
    }
}

void blk_trail_leave(struct blk_trail *trail, const char *vm, const char *image)
{
    const unsigned long vm_size = strlen(vm) + 1, image_size = strlen(image) + 1;
    struct blk_trail_mark *mark;
    struct timespec now;

    if (vm[0] == '\0') {
        return;
    }
    blk_trail_return(trail, vm, image);
    if (trail->nr == BLK_TRAIL_MAX) {
        blk_trail_drop_oldest(trail);
    }
    mark = malloc(sizeof(*mark) + vm_size + image_size);
    if (mark == NULL) {
        return; /* no warning, then */
    }
    clock_gettime(CLOCK_REALTIME, &now);
    mark->left_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    memcpy(mark->vm, vm, vm_size);
    memcpy(mark->vm + vm_size, image, image_size);
    mark->image = mark->vm + vm_size;
    XEN_LIST_INSERT_HEAD(&trail->marks, mark, link);
    trail->nr++;
}

int64_t blk_trail_left(const struct blk_trail *trail, const char *vm, const char *image)
{
    const struct blk_trail_mark *mark = blk_trail_find(trail, vm, image);

    return mark != NULL ? mark->left_ns : 0;
}

void blk_trail_free(struct blk_trail *trail)
{
    while (trail->nr != 0) {
        blk_trail_drop(trail, XEN_LIST_FIRST(&trail->marks));
    }
}
