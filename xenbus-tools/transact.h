/*
 * Transactions of the sub-commands: all or nothing, with an end. xenstored refuses a commit
 * (EAGAIN) when somebody else has changed what the transaction touched; it is tried again, but not
 * for ever.
 */
#ifndef DUET_XENBUS_TRANSACT_H
#define DUET_XENBUS_TRANSACT_H

#include "xenbus.h"

/* How often a transaction is tried unless the user says otherwise. */
enum { TRANSACT_TRIES = 100 };

/*
 * Runs @work in a transaction until it is committed, @work fails, or it was tried @tries times.
 * @work starts from the beginning each time, says itself what is wrong, and returns an exit code.
 * Returns that, or EXIT_FAILED with a message; *@tried becomes the number of tries when it is not
 * NULL.
 */
int transact(const struct command *self, struct xs_handle *xs, int tries, int *tried,
             int (*work)(void *context, struct xs_handle *xs, xs_transaction_t t), void *context);

#endif
