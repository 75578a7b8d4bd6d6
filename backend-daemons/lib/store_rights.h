/*
 * What only dom0 asks of xenstored: whose a node is, and which domains there are. Apart from
 * store.h, since a daemon that serves devices has no use for it.
 */
#ifndef DUET_LIB_STORE_RIGHTS_H
#define DUET_LIB_STORE_RIGHTS_H

#include "store.h"

/*
 * Makes a node the domain `owner`'s, which `reader` may read and nobody else: as the toolstack
 * does with the two directories of a device. Returns 0 or -errno.
 */
int store_give(struct store *st, xs_transaction_t t, const char *path, unsigned int owner,
               unsigned int reader);

/* Whether xenstored knows such a domain: it was introduced and has not died. */
bool store_domain_lives(const struct store *st, unsigned int domid);

#endif
