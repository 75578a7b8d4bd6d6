/*
 * What a worker counts, as its supervisor sees it: see figures.h.
 */
#include "figures.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kept.h"

/* Whether what was read can be true, after what was believed before. */
static bool figures_make_sense(const struct figures_view *view, const struct figures_bounds *bounds,
                               const struct figures *found)
{
    for (unsigned int i = 0; i < FIGURES_MAX; i++) {
        const uint64_t least = bounds->gauge[i] != 0 ? 0 : view->last.value[i];
        const uint64_t most = bounds->gauge[i] != 0 ? bounds->gauge[i] : FIGURE_MOST;

        if (found->value[i] < least || found->value[i] > most) {
            return false;
        }
    }
    return true;
}

static void figures_look(struct figures_view *view, const struct figures_bounds *bounds)
{
    struct figures found;

    if (view->memory == NULL || view->lies) {
        return;
    }
    for (unsigned int i = 0; i < FIGURES_MAX; i++) {
        found.value[i] = __atomic_load_n(&view->memory->value[i], __ATOMIC_RELAXED);
    }
    if (figures_make_sense(view, bounds, &found)) {
        view->last = found;
        return;
    }
    view->lies = true;
    log_msg(LOG_ERR, view->id,
            "what its worker has counted makes no sense; what it counted before is told");
}

void figures_read(struct figures_view *view, const struct figures_bounds *bounds,
                  struct figures *now)
{
    figures_look(view, bounds);
    for (unsigned int i = 0; i < FIGURES_MAX; i++) {
        now->value[i] = bounds->gauge[i] != 0
                            ? view->last.value[i]
                            : figure_sum(view->before.value[i], view->last.value[i]);
    }
}

int figures_renew(struct figures_view *view, const struct figures_bounds *bounds)
{
    struct figures now;
    void *memory;
    int fd = kept_create("duet-figures", sizeof(struct figures));
    int err;

    if (fd < 0) {
        return fd;
    }
    memory = mmap(NULL, sizeof(struct figures), PROT_READ, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        err = -errno;
        close(fd);
        return err;
    }
    figures_read(view, bounds, &now);
    figures_release(view);
    for (unsigned int i = 0; i < FIGURES_MAX; i++) {
        view->before.value[i] = bounds->gauge[i] != 0 ? 0 : now.value[i];
    }
    view->memory = memory;
    view->last = (struct figures){.value = {0}};
    view->lies = false;
    return fd;
}

void figures_release(struct figures_view *view)
{
    if (view->memory != NULL) {
        munmap((void *)view->memory, sizeof(*view->memory));
        view->memory = NULL;
    }
}
