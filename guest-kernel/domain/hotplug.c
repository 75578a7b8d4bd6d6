/*
 * hotplug.c - the toolstack's wish for each vCPU, followed.
 *
 * cpu/N/availability in our part of xenstore says "online" or "offline". The watch's first event
 * starts what is wanted at boot; vCPU 0 always runs. Locks: cpu_start.c's. Suspend: the CPUs are
 * stopped and started around it by domain/suspend, not here.
 */
#include "domain/hotplug.h"

#include "kern/log.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "psm/cpu.h"
#include "xenbus/xs.h"

/* Make one vCPU what the store wants it to be; a vCPU of which it says nothing stays. */
static void follow(unsigned id)
{
    char path[32];
    char *wish;

    snprintf(path, sizeof(path), "cpu/%u", id);
    if (xs_read(XS_NO_TXN, path, "availability", &wish, NULL) != 0) {
        return;
    }
    int rc = strcmp(wish, "online") == 0    ? cpu_start(id)
             : strcmp(wish, "offline") == 0 ? cpu_stop(id)
                                            : -EINVAL;
    if (rc != 0) {
        log_err("%s/availability = \"%s\": %s", path, wish, errno_name(rc));
    }
    kfree(wish);
}

static void availability_changed(struct xs_watch *w, const char *path)
{
    unsigned before = cpu_count_online();

    (void)w;
    (void)path;
    for (unsigned id = 1; cpu_exists(id); id++) {
        follow(id);
    }
    if (cpu_count_online() != before) {
        log_info("%u vCPUs online", cpu_count_online());
    }
}

static struct xs_watch watch = {.path = "cpu", .fn = availability_changed};

/* Without a store nobody has a wish: a dom0 runs all the vCPUs that Xen gave it. */
static void hotplug_start_all(void)
{
    for (unsigned id = 1; cpu_exists(id); id++) {
        int rc = cpu_start(id);

        if (rc != 0) {
            log_err("vCPU %u: does not start: %s", id, errno_name(rc));
        }
    }
    log_info("%u vCPUs online", cpu_count_online());
}

void hotplug_init(void)
{
    int rc;

    if (!xs_available()) {
        hotplug_start_all();
        return;
    }
    rc = xs_watch_add(&watch);
    if (rc != 0) {
        log_err("cpu/N/availability is not followed: %s", errno_name(rc));
    }
}
