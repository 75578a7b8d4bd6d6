/*
 * The toolstack: see tools.h.
 */
#include "tools.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "sim.h"
#include "store.h"
#include "work.h"
#include "xen.h"

#define DEVICE      "51712"
#define FIRST_DOMID 5U
#define PATIENCE    (20 * SIM_S)

enum tools_job tools_job;
static uint16_t domid;
static bool has_device, cancels, was_unused;
static uint64_t began;

static const char *path_of(bool back, const char *key)
{
    static char path[2][STORE_PATH];

    if (back) {
        snprintf(path[0], STORE_PATH, "/local/domain/0/backend/vbd/%u/" DEVICE "%s%s", domid,
                 key[0] != '\0' ? "/" : "", key);
    } else {
        snprintf(path[1], STORE_PATH, "/local/domain/%u/device/vbd/" DEVICE "%s%s", domid,
                 key[0] != '\0' ? "/" : "", key);
    }
    return path[back ? 0 : 1];
}

const char *tools_back(const char *key)
{
    const char *value = store_look(path_of(true, key));

    return value != NULL ? value : "";
}

const char *tools_front(const char *key)
{
    const char *value = store_look(path_of(false, key));

    return value != NULL ? value : "";
}

const char *tools_error(void)
{
    char path[STORE_PATH];

    snprintf(path, sizeof(path), "/local/domain/0/error/backend/vbd/%u/" DEVICE "/error", domid);
    return store_look(path);
}

bool tools_is_back_state(const char *path)
{
    return strcmp(path, path_of(true, "state")) == 0;
}

static void put(bool back, const char *key, const char *value)
{
    char path[STORE_PATH], copy[STORE_PATH];

    snprintf(copy, sizeof(copy), "%s", value); /* either may be path_of()'s */
    snprintf(path, sizeof(path), "%s", path_of(back, key));
    store_put(path, copy);
}

static void put_back(const char *key, const char *value)
{
    put(true, key, value);
}

static void put_front(const char *key, const char *value)
{
    put(false, key, value);
}

void tools_attach(void)
{
    char id[16];

    sim_trace("tools: the device is made, for domain %u", domid);
    snprintf(id, sizeof(id), "%u", domid);
    put_back("frontend", path_of(false, ""));
    put_back("frontend-id", id);
    put_back("online", "1");
    put_back("removable", "0");
    put_back("mode", "w");
    put_back("device-type", "disk");
    put_back("params", "/srv/image");
    put_front("backend", path_of(true, ""));
    put_front("backend-id", "0");
    put_front("virtual-device", DEVICE);
    put_front("device-type", "disk");
    put_front("state", "1");
    put_back("state", "1");
    has_device = true;
}

static void make_domain(void)
{
    char path[STORE_PATH];

    xen_create(domid);
    snprintf(path, sizeof(path), "/local/domain/%u/vm", domid);
    store_put(path, "/vm/1234");
    snprintf(path, sizeof(path), "/local/domain/%u/name", domid);
    store_put(path, "guest");
}

void tools_create(void)
{
    domid = FIRST_DOMID;
    make_domain();
    tools_attach();
    guest_boot();
}

bool tools_has_device(void)
{
    return has_device;
}

bool tools_was_unused(void)
{
    return was_unused;
}

void tools_detach(void)
{
    sim_trace("tools: the device is taken away");
    work_may_go = true;
    was_unused = atoi(tools_front("state")) <= 1;
    put_back("online", "0");
    put_back("state", "5");
    tools_job = TOOLS_DETACHING;
    began = sim_now;
}

void tools_save(bool cancel)
{
    sim_trace("tools: the domain is asked to suspend%s", cancel ? ", which is cancelled then" : "");
    cancels = cancel;
    guest_suspend();
    tools_job = TOOLS_SUSPENDING;
    began = sim_now;
}

static void remove_device(void)
{
    char path[STORE_PATH];

    store_remove(path_of(true, ""));
    store_remove(path_of(false, ""));
    snprintf(path, sizeof(path), "/local/domain/0/error/backend/vbd/%u/" DEVICE, domid);
    store_remove(path);
    has_device = false;
}

/* Saved, and gone; its devices are waited for. */
static void leave(void)
{
    char path[STORE_PATH];

    sim_trace("tools: the domain is destroyed");
    snprintf(path, sizeof(path), "/local/domain/%u", domid);
    sim_store_leave(CLIENT_GUEST);
    xen_destroy();
    put_back("online", "0");
    put_back("state", "5");
    store_remove(path);
    tools_job = TOOLS_LEAVING;
    began = sim_now;
}

static void restore(void)
{
    remove_device();
    domid++;
    make_domain();
    tools_attach();
    sim_trace("tools: the domain is restored");
    guest_go_on(true);
    tools_job = TOOLS_IDLE;
}

static bool back_is_closed(void)
{
    return atoi(tools_back("state")) == 6 || sim_now - began > PATIENCE;
}

bool tools_step(void)
{
    switch (tools_job) {
    case TOOLS_DETACHING:
        if (!back_is_closed()) {
            return false;
        }
        sim_trace("tools: the device is gone");
        remove_device();
        tools_job = TOOLS_IDLE;
        return true;
    case TOOLS_SUSPENDING:
        if (!guest_is_suspended()) {
            return false;
        }
        if (cancels) {
            guest_go_on(false);
            tools_job = TOOLS_IDLE;
        } else {
            leave();
        }
        return true;
    case TOOLS_LEAVING:
        if (!back_is_closed()) {
            return false;
        }
        restore();
        return true;
    default:
        return false;
    }
}

void tools_reset(void)
{
    tools_job = TOOLS_IDLE;
    has_device = false;
}
