/*
 * What `doctor` reads of the store: of each domain its devices, what it serves, its console and the
 * errors that drivers left; not what guests keep there besides, of which there may be a lot.
 */
#ifndef DUET_XENBUS_DOCTOR_LOAD_H
#define DUET_XENBUS_DOCTOR_LOAD_H

#include <xenstore.h>

#include "snapshot.h"

/*
 * Copies what the checks look at, as far as domain @domid, in which this runs, may read it: in a
 * driver domain that is its own home and the frontends that it serves. Returns 0, or -errno when
 * the store does not answer; the caller finishes the copy and frees it.
 */
int doctor_load(struct snapshot *snapshot, struct xs_handle *xs, unsigned int domid);

#endif
