/*
 * A network of the test's own: a namespace in which it may make taps, with the /sys of it. Whether
 * there is one depends on the host: root has it, and most others where user namespaces are allowed.
 */
#ifndef OWN_NETWORK_H
#define OWN_NETWORK_H

#include <sched.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <unistd.h>

static inline bool own_network_enter(void)
{
    const int flags = CLONE_NEWNET | CLONE_NEWNS;

    return (unshare(flags) == 0 || unshare(flags | CLONE_NEWUSER) == 0) &&
           mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("sysfs", "/sys", "sysfs", 0, NULL) == 0 &&
           access("/dev/net/tun", R_OK | W_OK) == 0;
}

#endif
