/*
 * Event channels and grants on the supervisor's side: see xen_supervisor.h. Plain ioctls instead of
 * Xen's libraries, which would map a page as soon as they name its grant.
 */
#include "xen_supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <xen/grant_table.h>
#include <xen/sys/evtchn.h>
#include <xen/sys/gntdev.h>

int cons_doors_open(struct cons_doors *doors, const char **what)
{
    *doors = (struct cons_doors){.events = -1, .grants = -1};
    *what = "/dev/xen/evtchn";
    doors->events = open(*what, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (doors->events < 0) {
        return -errno;
    }
    *what = "/dev/xen/gntdev";
    doors->grants = open(*what, O_RDWR | O_CLOEXEC);
    return doors->grants < 0 ? -errno : 0;
}

void cons_doors_close(struct cons_doors *doors)
{
    if (doors->events >= 0) {
        close(doors->events);
    }
    if (doors->grants >= 0) {
        close(doors->grants);
    }
    *doors = (struct cons_doors){.events = -1, .grants = -1};
}

int cons_bind(const struct cons_doors *doors, unsigned int domid, uint32_t remote)
{
    struct ioctl_evtchn_bind_interdomain bind = {.remote_domain = domid, .remote_port = remote};
    int local = ioctl(doors->events, IOCTL_EVTCHN_BIND_INTERDOMAIN, &bind);

    return local < 0 ? -errno : local;
}

void cons_unbind(const struct cons_doors *doors, int local)
{
    struct ioctl_evtchn_unbind unbind = {.port = (unsigned int)local};

    ioctl(doors->events, IOCTL_EVTCHN_UNBIND, &unbind);
}

int cons_name_grant(const struct cons_doors *doors, unsigned int domid, uint64_t *index)
{
    struct ioctl_gntdev_map_grant_ref map = {
        .count = 1, .refs = {{.domid = domid, .ref = GNTTAB_RESERVED_CONSOLE}}};

    if (ioctl(doors->grants, IOCTL_GNTDEV_MAP_GRANT_REF, &map) < 0) {
        return -errno;
    }
    *index = map.index;
    return 0;
}
