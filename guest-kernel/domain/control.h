/*
 * control.h - the requests that the toolstack leaves in control/ of the store.
 */
#ifndef DOMAIN_CONTROL_H
#define DOMAIN_CONTROL_H

#include "kern/types.h"

/**
 * control_take() - read the request in control/@key and acknowledge it by writing ""
 * @word: gets the request, "" if there is none
 *
 * In one transaction, so that none is lost (docs/misc/xenstore-paths of Xen). A word that is too
 * long is cut. Return: 0 or -errno of the store. May sleep.
 */
int control_take(const char *key, char *word, size_t size) __must_check;

#endif /* DOMAIN_CONTROL_H */
