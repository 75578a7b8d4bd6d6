/*
 * Checks of permissions: what keeps two ends from reading each other, and what a guest may write
 * that it must not. XB2xx.
 */
#include <string.h>

#include "doctor.h"
#include "perms.h"

/* Advises to give a node to @owner and let @reader read it. */
static void advise_chmod(struct finding *finding, unsigned int owner, unsigned int reader)
{
    char owns[PERM_TEXT_SIZE], reads[PERM_TEXT_SIZE];

    perm_text(&(struct xs_permissions){.id = owner, .perms = XS_PERM_NONE}, owns);
    perm_text(&(struct xs_permissions){.id = reader, .perms = XS_PERM_READ}, reads);
    advise(finding, "xenbus", "chmod", finding->path, owns, reads);
}

/* What @domid may do with a node; domain 0 may do all, and of what we could not read we know
 * nothing. */
static bool may(const struct node *node, unsigned int domid, unsigned int bits)
{
    return domid == 0 || (perms_of_domain(node->perms, node->n_perms, domid) & bits) != 0;
}

/* A lonely end has a finding of its own, whose advice is another. */
static bool is_pair(const struct device *device)
{
    return !device->stateless && device->front.there && device->back.there;
}

/* Calls @look with the directory @dir and its state, as far as they could be read. */
static void each_of_handshake(struct diagnosis *diagnosis, const struct device *device,
                              const struct node *dir,
                              void (*look)(struct diagnosis *diagnosis, const struct device *device,
                                           const struct node *node))
{
    const struct node *state = node_child(dir, "state");

    if (dir != NULL && !dir->unreadable) {
        look(diagnosis, device, dir);
    }
    if (state != NULL && !state->unreadable) {
        look(diagnosis, device, state);
    }
}

static void look_at_owner(struct diagnosis *diagnosis, const struct device *device,
                          const struct node *node)
{
    if (!may(node, device->domid, XS_PERM_WRITE)) {
        advise_chmod(found(diagnosis, node->path,
                           "domain %u, whose frontend this is, may not write it", device->domid),
                     device->domid, device->backend_domid);
    }
}

static void check_front_owner(struct diagnosis *diagnosis, const struct device *device)
{
    if (is_pair(device)) {
        each_of_handshake(diagnosis, device, front_of(diagnosis, device), look_at_owner);
    }
}

static void look_at_back_reading(struct diagnosis *diagnosis, const struct device *device,
                                 const struct node *node)
{
    if (!may(node, device->backend_domid, XS_PERM_READ)) {
        advise_chmod(found(diagnosis, node->path, "domain %u, which serves it, may not read it",
                           device->backend_domid),
                     device->domid, device->backend_domid);
    }
}

static void check_front_readable(struct diagnosis *diagnosis, const struct device *device)
{
    if (is_pair(device)) {
        each_of_handshake(diagnosis, device, front_of(diagnosis, device), look_at_back_reading);
    }
}

static void look_at_guest_reading(struct diagnosis *diagnosis, const struct device *device,
                                  const struct node *node)
{
    if (!may(node, device->domid, XS_PERM_READ)) {
        advise_chmod(found(diagnosis, node->path,
                           "domain %u, whose device this is, may not read it", device->domid),
                     device->backend_domid, device->domid);
    }
}

static void check_back_readable(struct diagnosis *diagnosis, const struct device *device)
{
    if (is_pair(device)) {
        each_of_handshake(diagnosis, device, back_of(diagnosis, device), look_at_guest_reading);
    }
}

/* Reports @node if the guest may write it. */
static void look_at_guest_writing(struct diagnosis *diagnosis, const struct device *device,
                                  const struct node *node, unsigned int owner)
{
    if (!node->unreadable && device->domid != 0 && device->domid != owner &&
        may(node, device->domid, XS_PERM_WRITE)) {
        advise_chmod(found(diagnosis, node->path,
                           "domain %u may write it, and could so have this host do what it likes",
                           device->domid),
                     owner, device->domid);
    }
}

static void check_back_writable(struct diagnosis *diagnosis, const struct device *device)
{
    const struct node *dir = back_of(diagnosis, device);

    if (dir == NULL || !device->front.there) {
        return;
    }
    look_at_guest_writing(diagnosis, device, dir, device->backend_domid);
    for (const struct node *node = dir->children; node != NULL; node = node->next) {
        look_at_guest_writing(diagnosis, device, node, device->backend_domid);
    }
}

/* XSA-57: what the toolstack believes of a console. */
static void check_console_writable(struct diagnosis *diagnosis, const struct device *device)
{
    static const char *const keys[] = {"tty", "limit", "type", "output"};
    const struct node *dir = front_of(diagnosis, device);

    if (!device->stateless || dir == NULL) {
        return;
    }
    look_at_guest_writing(diagnosis, device, dir, 0);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const struct node *node = node_child(dir, keys[i]);

        if (node != NULL) {
            look_at_guest_writing(diagnosis, device, node, 0);
        }
    }
}

const struct check perm_checks[] = {
    {"XB201", SEVERITY_ERROR, true, false, "a frontend that its guest may not write",
     .device = check_front_owner},
    {"XB202", SEVERITY_ERROR, true, false, "a frontend that its back end may not read",
     .device = check_front_readable},
    {"XB203", SEVERITY_ERROR, true, false, "a back end that its guest may not read",
     .device = check_back_readable},
    {"XB204", SEVERITY_ERROR, true, false, "a back end that its guest may write",
     .device = check_back_writable},
    {"XB205", SEVERITY_ERROR, true, false, "a console that its guest may write",
     .device = check_console_writable},
    {.code = ""},
};
