/*
 * A guest's name and uuid, as xl keeps them in the store.
 */
#ifndef DUET_LIB_DOMNAME_H
#define DUET_LIB_DOMNAME_H

#include <stdbool.h>

#include "store.h"

/* A path that holds it, with the domain's id; and the longest that is read: a value of the store.
 */
#define DOMNAME_KEY "/local/domain/%d/name"
#define DOMNAME_MAX 4096

/*
 * Cuts off what xl appends to the name of a guest while it migrates: "--incoming" at the new end,
 * "--migratedaway" at the old one. It is the same guest.
 */
void domname_drop_role(char *name);

/* Whether it is the name of the old end of a migration that is over: the guest is elsewhere. */
bool domname_is_away(const char *name);

/* A uuid as text, with the final NUL. */
#define DOMNAME_UUID 37

/*
 * Reads the uuid of a domain; "" where it cannot be read, as in a driver domain. Where the store
 * does not answer just now it stays what it was.
 */
void domname_read_uuid(struct store *st, int domid, char uuid[DOMNAME_UUID]);

#endif
