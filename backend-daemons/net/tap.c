/*
 * Taps: see tap.h. Follows Documentation/networking/tuntap.rst of Linux.
 */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "alias.h"
#include "log.h"

#define MARK          "duet "
#define REMOVAL_TRIES 3

static int attach(const struct tap *t, const char *name, const char **stage)
{
    struct ifreq ifr = {0};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    *stage = "opening /dev/net/tun";
    if (fd < 0) {
        return -errno;
    }
    snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
    ifr.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
    ifr.ifr_flags |= t->multi_queue ? IFF_MULTI_QUEUE : 0;
    *stage = "attaching to the tap (TUNSETIFF)";
    if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
        int err = errno;

        close(fd);
        return -err;
    }
    return fd;
}

/* Whether there is an interface of that name, as far as this host can tell. */
static bool may_be_there(const char *name)
{
    errno = 0;
    return if_nametoindex(name) != 0 || errno != ENODEV;
}

/* Marks an interface that nobody else has marked. One without a mark is a tap all the same. */
static void put_mark(const char *name, const char *own)
{
    char found[ALIAS_MAX], mark[ALIAS_MAX];
    int err = alias_get(name, found, sizeof(found));

    if (err == 0 && found[0] == '\0') {
        snprintf(mark, sizeof(mark), MARK "%s", own);
        err = alias_set(name, mark);
    }
    if (err != 0) {
        log_msg(LOG_WARNING, NULL, "interface %s has no mark that it is ours: %s", name,
                strerror(-err));
    }
}

int tap_open(struct tap *t, const char *name, const char *own, bool multi_queue, const char **stage)
{
    int header = sizeof(struct virtio_net_hdr);
    const bool made = !may_be_there(name);
    int err = 0;

    *t = (struct tap){.multi_queue = multi_queue};
    snprintf(t->name, sizeof(t->name), "%s", name);
    t->fds[0] = attach(t, name, stage);
    if (t->fds[0] < 0) {
        return t->fds[0];
    }
    t->nr_fds = 1;
    if (ioctl(t->fds[0], TUNSETVNETHDRSZ, &header) < 0) {
        *stage = "setting the header's size (TUNSETVNETHDRSZ)";
        err = -errno;
    } else if (ioctl(t->fds[0], TUNSETPERSIST, 1) < 0) {
        *stage = "making the tap persistent (TUNSETPERSIST)";
        err = -errno;
    } else if (tap_set_link(t, false) != 0) {
        *stage = "setting the link down (TUNSETCARRIER)";
        err = -errno;
    }
    if (err != 0) {
        tap_close(t, made); /* one that was there is a guest's */
        return err;
    }
    put_mark(name, own);
    return 0;
}

int tap_set_queues(struct tap *t, unsigned int nr, const char **stage)
{
    struct ifreq ifr = {0};

    while (t->nr_fds > nr && t->nr_fds > 1) {
        close(t->fds[--t->nr_fds]);
    }
    if (t->nr_fds >= nr) {
        return 0;
    }
    *stage = "asking for the tap's name (TUNGETIFF)"; /* the hotplug script may have changed it */
    if (ioctl(t->fds[0], TUNGETIFF, &ifr) < 0) {
        return -errno;
    }
    while (t->nr_fds < nr) {
        int fd = attach(t, ifr.ifr_name, stage);

        if (fd < 0) {
            return fd;
        }
        t->fds[t->nr_fds++] = fd;
    }
    return 0;
}

int tap_set_offload(struct tap *t, unsigned int offload)
{
    return ioctl(t->fds[0], TUNSETOFFLOAD, (unsigned long)offload) < 0 ? -errno : 0;
}

int tap_set_link(struct tap *t, bool up)
{
    unsigned int carrier = up;

    return ioctl(t->fds[0], TUNSETCARRIER, &carrier) < 0 ? -errno : 0;
}

bool tap_is_there(const struct tap *t)
{
    struct ifreq ifr = {0};

    return t->nr_fds != 0 && (ioctl(t->fds[0], TUNGETIFF, &ifr) == 0 || errno != EBADFD);
}

void tap_close(struct tap *t, bool remove)
{
    for (int i = 0; t->nr_fds != 0 && remove && i < REMOVAL_TRIES; i++) {
        if (ioctl(t->fds[0], TUNSETPERSIST, 0) == 0) {
            break;
        }
    }
    while (t->nr_fds > 0) {
        close(t->fds[--t->nr_fds]);
    }
}

/* Reads "PREFIX12.3". Returns false for any other name. */
static bool parse_name(const char *name, const char *prefix, int *domid, int *device)
{
    unsigned long len = strlen(prefix);
    char *end;

    if (strncmp(name, prefix, len) != 0 || name[len] < '0' || name[len] > '9') {
        return false;
    }
    *domid = (int)strtol(name + len, &end, 10);
    if (*end != '.' || end[1] < '0' || end[1] > '9') {
        return false;
    }
    *device = (int)strtol(end + 1, &end, 10);
    return *end == '\0';
}

/* Whether an interface is named, or marked, as a tap of a guest is. */
static bool is_of_guest(const char *name, const char *prefix, int *domid, int *device)
{
    char alias[ALIAS_MAX];

    if (parse_name(name, prefix, domid, device)) {
        return true;
    }
    return alias_get(name, alias, sizeof(alias)) == 0 && strncmp(alias, MARK, strlen(MARK)) == 0 &&
           parse_name(alias + strlen(MARK), prefix, domid, device);
}

/* Whether `name` is a tap, and if so whether it was created for several queues. */
static bool is_tap(const char *name, bool *multi_queue)
{
    char path[96], text[32] = "";
    unsigned long flags;
    FILE *f;

    snprintf(path, sizeof(path), "/sys/class/net/%s/tun_flags", name);
    f = fopen(path, "re");
    if (f == NULL) {
        return false;
    }
    flags = fgets(text, sizeof(text), f) != NULL ? strtoul(text, NULL, 0) : 0;
    fclose(f);
    *multi_queue = (flags & IFF_MULTI_QUEUE) != 0;
    return (flags & IFF_TAP) != 0;
}

void tap_remove_stale(const char *prefix, tap_wanted_fn *wanted, void *arg)
{
    struct if_nameindex *all = if_nameindex();

    if (all == NULL) {
        log_msg(LOG_WARNING, NULL,
                "taps that were left behind stay: the interfaces cannot be listed: %s",
                strerror(errno));
        return;
    }
    for (struct if_nameindex *i = all; i->if_name != NULL; i++) {
        struct tap t = {.nr_fds = 0};
        const char *stage;
        int domid, device;

        if (!is_of_guest(i->if_name, prefix, &domid, &device) || wanted(arg, domid, device) ||
            !is_tap(i->if_name, &t.multi_queue)) {
            continue;
        }
        t.fds[0] = attach(&t, i->if_name, &stage); /* fails while somebody else uses it */
        if (t.fds[0] >= 0) {
            t.nr_fds = 1;
            tap_close(&t, true);
        }
    }
    if_freenameindex(all);
}
