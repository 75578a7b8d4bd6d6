/*
 * own_domid.h - our number, which grants to ourselves want in place of DOMID_SELF.
 */
#ifndef SELFTEST_OWN_DOMID_H
#define SELFTEST_OWN_DOMID_H

#include "kern/types.h"

/** own_domid() - ask the store, or know it in dom0. Return: 0 or -errno. May sleep. */
int own_domid(uint16_t *domid);

#endif /* SELFTEST_OWN_DOMID_H */
