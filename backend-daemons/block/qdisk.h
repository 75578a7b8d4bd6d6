/*
 * Disks that libxl leaves to QEMU (class `qdisk`: any format but raw), watched for those that no
 * QEMU serves. libxl starts a QEMU for a guest that is created with such a disk. It starts none for
 * a disk that is attached later, and waits for nobody, so `xl block-attach` succeeds. The guest
 * never gets the disk, and `xl block-detach` fails, because nobody answers.
 *
 * So a disk that is not taken in time gets a sentence in the log and, if the guest has no QEMU at
 * all, in the store; and a disk without any QEMU is let go when the toolstack asks for that. What a
 * QEMU serves, or may yet serve, is not touched.
 *
 * Types: struct qdisk_watch.
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
