/*
 * Disks that libxl leaves to QEMU (class `qdisk`: any format but raw), watched for those that no
 * QEMU serves. libxl starts one for a guest that has such a disk when it is created; it starts none
 * for a disk that is attached later, waits for nobody, and `xl block-attach` succeeds. The guest
 * never gets the disk, and `xl block-detach` fails, because nobody answers.
 *
 * So a disk that is not taken in time gets a sentence in the log and, when the guest has no QEMU at
 * all, in the store; and one without any QEMU is let go when the toolstack asks for it. What a QEMU
 * serves, or may yet, is not touched.
 *
 * Types: struct qdisk_watch. One thread, no locks. A guest that is suspended loses its devices.
 */
#ifndef DUET_BLOCK_QDISK_H
#define DUET_BLOCK_QDISK_H

#include <xen_list.h>

#include "backends.h"
#include "loop.h"

struct qdisk;

/* Zero-initialise. */
struct qdisk_watch {
    struct loop *loop;
    struct store *store;
    struct backend_class class;
    unsigned int patience_ms; /* in which a QEMU has to take a disk; set before the start */
    XEN_LIST_HEAD(qdisks, struct qdisk) waiting;
};

/* Starts to watch. Returns 0 or -errno. */
int qdisk_watch_start(struct qdisk_watch *w, struct loop *loop, struct store *store);

/* Ends it. Harmless when it was not started. */
void qdisk_watch_stop(struct qdisk_watch *w);

#endif
