/*
 * What `doctor` asks about the host beside the store: units, drivers, files, interfaces, processes.
 * One function answers, so that a test can be the host.
 *
 * Types owned: `struct host`, `enum host_fact`.
 */
#ifndef DUET_XENBUS_HOST_H
#define DUET_XENBUS_HOST_H

#include <stdbool.h>
#include <xenstore.h>

enum host_fact {
    /* A unit of systemd: there is such a unit; it runs; it is to run after a boot; it has failed.
     */
    HOST_UNIT_KNOWN,
    HOST_UNIT_ACTIVE,
    HOST_UNIT_WANTED,
    HOST_UNIT_FAILED,
    /* A driver of the kernel for back ends ("vbd"), and whether it has a device ("vbd-5-51712"). */
    HOST_DRIVER,
    HOST_DRIVER_BOUND,
    /* A path of a local file system: there is one; it may be executed. */
    HOST_FILE,
    HOST_EXECUTABLE,
    /* A network interface: there is one; it is a bridge; it belongs to one; it is up. */
    HOST_INTERFACE,
    HOST_BRIDGE,
    HOST_BRIDGE_PORT,
    HOST_UP,
    /* A process by its id, by its name. */
    HOST_PROCESS,
    HOST_PROGRAM,
};

struct host {
    bool (*ask)(const struct host *host, enum host_fact fact, const char *name);
    /* The domain that the host's facts are about. */
    unsigned int domid;
    /* How many nodes a guest may own in the store; 0: no limit. */
    unsigned long node_quota;
    /* How many nodes @domid owns; 0 when this xenstored does not tell. */
    unsigned long (*nodes)(const struct host *host, unsigned int domid);
    /* For ask(). */
    void *context;
};

/* What xenstored allows a guest unless it was told otherwise. */
enum { HOST_NODE_QUOTA = 1000 };

/*
 * This host, with @xs, which outlives it, for what only xenstored knows. The caller ends it with
 * host_close(). It never fails: what cannot be found out is "no", but for the quota, which is then
 * xenstored's default.
 */
void host_open(struct host *host, struct xs_handle *xs);
void host_close(struct host *host);

#endif
