/*
 * When virtual machines let go of their images: see trail.h.
 */
#include "trail.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct blk_trail_mark {
    int64_t left_ns;
    const char *image; /* behind `vm` */
    char vm[];
};

/* Its index; `nr` when there is none. */
static unsigned int blk_trail_find(const struct blk_trail *trail, const char *vm, const char *image)
{
    unsigned int i = 0;

    while (i < trail->nr &&
           (strcmp(trail->marks[i]->vm, vm) != 0 || strcmp(trail->marks[i]->image, image) != 0)) {
        i++;
    }
    return i;
}

static void blk_trail_drop(struct blk_trail *trail, unsigned int i)
{
    free(trail->marks[i]);
    for (trail->nr--; i < trail->nr; i++) {
        trail->marks[i] = trail->marks[i + 1];
    }
}

void blk_trail_return(struct blk_trail *trail, const char *vm, const char *image)
{
    unsigned int i = blk_trail_find(trail, vm, image);

    if (i < trail->nr) {
        blk_trail_drop(trail, i);
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
        blk_trail_drop(trail, 0);
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
    trail->marks[trail->nr++] = mark;
}

int64_t blk_trail_left(const struct blk_trail *trail, const char *vm, const char *image)
{
    unsigned int i = blk_trail_find(trail, vm, image);

    return i < trail->nr ? trail->marks[i]->left_ns : 0;
}

void blk_trail_free(struct blk_trail *trail)
{
    while (trail->nr != 0) {
        blk_trail_drop(trail, trail->nr - 1);
    }
}
