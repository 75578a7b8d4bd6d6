/*
 * roster.c - tables of devices; see roster.h. Owns nothing: a roster is its user's.
 */
#include "io/roster.h"

#include "kern/string.h"

/* xvdb before xvdaa, eth2 before eth10. */
static bool sorts_before(const char *a, const char *b)
{
    size_t la = strlen(a);
    size_t lb = strlen(b);

    return la != lb ? la < lb : strcmp(a, b) < 0;
}

/* The first device that does not sort before @name. Caller holds the lock. */
static struct rostered *find_from(struct roster *r, const char *name)
{
    struct rostered *d;

    XEN_TAILQ_FOREACH (d, &r->devices, link) {
        if (!sorts_before(d->name, name)) {
            break;
        }
    }
    return d;
}

int roster_add(struct roster *r, struct rostered *d)
{
    upcall_state_t s = spin_lock(&r->lock);
    struct rostered *after = find_from(r, d->name);
    int rc = after != NULL && strcmp(after->name, d->name) == 0 ? -EEXIST : 0;

    if (rc == 0) {
        d->listed = true;
        if (after != NULL) {
            XEN_TAILQ_INSERT_BEFORE(after, d, link);
        } else {
            XEN_TAILQ_INSERT_TAIL(&r->devices, d, link);
        }
    }
    spin_unlock(&r->lock, s);
    return rc;
}

bool roster_remove(struct roster *r, struct rostered *d)
{
    upcall_state_t s = spin_lock(&r->lock);
    bool listed = d->listed;

    if (listed) {
        d->listed = false;
        XEN_TAILQ_REMOVE(&r->devices, d, link);
    }
    spin_unlock(&r->lock, s);
    return listed;
}

struct rostered *roster_get(struct roster *r, const char *name)
{
    upcall_state_t s = spin_lock(&r->lock);
    struct rostered *d = find_from(r, name);

    if (d != NULL && strcmp(d->name, name) != 0) {
        d = NULL;
    }
    if (d != NULL) {
        d->refs++;
    }
    spin_unlock(&r->lock, s);
    return d;
}

void roster_hold(struct roster *r, struct rostered *d)
{
    upcall_state_t s = spin_lock(&r->lock);

    d->refs++;
    spin_unlock(&r->lock, s);
}

bool roster_put(struct roster *r, struct rostered *d)
{
    upcall_state_t s = spin_lock(&r->lock);
    bool last = --d->refs == 0;

    spin_unlock(&r->lock, s);
    return last;
}

struct rostered *roster_next(struct roster *r, const struct rostered *prev)
{
    upcall_state_t s = spin_lock(&r->lock);
    struct rostered *d = prev != NULL ? find_from(r, prev->name) : XEN_TAILQ_FIRST(&r->devices);

    if (d != NULL && prev != NULL && strcmp(d->name, prev->name) == 0) {
        d = XEN_TAILQ_NEXT(d, link);
    }
    if (d != NULL) {
        d->refs++;
    }
    spin_unlock(&r->lock, s);
    return d;
}
