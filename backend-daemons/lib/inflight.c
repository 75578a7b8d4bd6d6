/*
 * The in-flight log of a ring: see inflight.h.
 */
#include "inflight.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define INFLIGHT_BYTES 65536

int inflight_create(void)
{
    int fd = memfd_create("duet-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int err = 0;

    if (fd < 0) {
        return -errno;
    }
    if (ftruncate(fd, INFLIGHT_BYTES) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        err = -errno;
        close(fd);
    }
    return err != 0 ? err : fd;
}
