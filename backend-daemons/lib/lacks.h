/*
 * What a host lacks for a moment: memory, descriptors, processes, room. Whoever has a guest that is
 * connected tries again, and closes nothing for it.
 */
#ifndef DUET_LIB_LACKS_H
#define DUET_LIB_LACKS_H

#include <errno.h>
#include <stdbool.h>

/* Whether an error, -errno, says that this host lacks something that it may have again. */
static inline bool lacks_for_now(int err)
{
    return err == -ENOMEM || err == -EAGAIN || err == -EMFILE || err == -ENFILE || err == -EINTR ||
           err == -ENOBUFS || err == -ETOOMANYREFS || err == -ENOSPC;
}

#endif
