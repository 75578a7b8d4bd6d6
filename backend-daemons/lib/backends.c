/*
 * Events of a class of back ends: see backends.h.
 */
#include "backends.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define AGAIN_NS UINT64_C(1000000000)

/* A path component that must be a number. Returns it, or -1. */
static int number(const char *s)
{
    long n = 0;

    for (const char *p = s; *p != '\0'; p++) {
        if (*p < '0' || *p > '9' || n > INT32_MAX / 10) {
            return -1;
        }
        n = n * 10 + (*p - '0');
    }
    return *s == '\0' || n > INT32_MAX ? -1 : (int)n;
}

/* What is below `dir`, as store_list() gives it. What the store could not tell is asked again. */
static char **list(struct backend_class *c, const char *dir, unsigned int *count)
{
    char **names = store_list(c->store, STORE_NO_TX, dir, count);

    if (names == NULL && store_error_passes(-errno)) {
        backend_class_look_again(c);
    }
    return names;
}

static void scan_domain(struct backend_class *c, int domid)
{
    char dir[96];
    unsigned int count;
    char **names;

    snprintf(dir, sizeof(dir), "%s/%d", c->root, domid);
    names = list(c, dir, &count);
    while (count-- > 0) {
        if (number(names[count]) >= 0) {
            c->on_event(c->arg, domid, number(names[count]), "");
        }
    }
    free(names);
}

static void scan_class(struct backend_class *c)
{
    unsigned int count;
    char **names = list(c, c->root, &count);

    while (count-- > 0) {
        if (number(names[count]) >= 0) {
            scan_domain(c, number(names[count]));
        }
    }
    free(names);
}

static void on_again(void *arg)
{
    scan_class(arg);
}

void backend_class_look_again(struct backend_class *c)
{
    loop_timer_set(c->loop, &c->again, AGAIN_NS, on_again, c);
}

/* Cuts the first component off *rest. Returns NULL when there is none. */
static char *component(char **rest)
{
    char *part = strsep(rest, "/");

    return part == NULL || *part == '\0' ? NULL : part;
}

/* root[/DOMID[/DEVICE[/KEY]]] */
static void on_watch(void *arg, const char *path)
{
    struct backend_class *c = arg;
    unsigned long root = strlen(c->root);
    char buf[192];
    char *rest = buf, *domain, *device;

    if (strncmp(path, c->root, root) != 0 || strlen(path + root) >= sizeof(buf)) {
        return;
    }
    snprintf(buf, sizeof(buf), "%s", path[root] == '/' ? path + root + 1 : path + root);
    domain = component(&rest);
    device = domain != NULL ? component(&rest) : NULL;
    if (domain == NULL) {
        scan_class(c);
        c->on_look(c->arg, -1);
    } else if (number(domain) < 0) {
        log_msg(LOG_DEBUG, NULL, "ignored %s: not a domain id", path);
    } else if (device == NULL) {
        scan_domain(c, number(domain));
        c->on_look(c->arg, number(domain));
    } else if (number(device) >= 0) {
        c->on_event(c->arg, number(domain), number(device), rest != NULL ? rest : "");
    }
}

int backend_class_watch(struct backend_class *c, struct loop *loop, struct store *st,
                        const char *name, backend_event_fn *on_event, backend_look_fn *on_look,
                        void *arg)
{
    c->loop = loop;
    c->store = st;
    c->on_event = on_event;
    c->on_look = on_look;
    c->arg = arg;
    snprintf(c->root, sizeof(c->root), "/local/domain/%u/backend/%s", store_self_domid(st), name);
    return store_watch_add(st, &c->watch, c->root, on_watch, c);
}

void backend_class_unwatch(struct backend_class *c)
{
    if (c->store != NULL) {
        loop_timer_cancel(c->loop, &c->again);
        store_watch_del(c->store, &c->watch);
    }
}
