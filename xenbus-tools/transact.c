/*
 * Transactions with a limited number of tries, see transact.h.
 */
#include "transact.h"

#include <errno.h>

int transact(const struct command *self, struct xs_handle *xs, int tries, int *tried,
             int (*work)(void *context, struct xs_handle *xs, xs_transaction_t t), void *context)
{
    for (int n = 1; n <= tries; n++) {
        xs_transaction_t t = xs_transaction_start(xs);
        int status;

        if (tried != NULL) {
            *tried = n;
        }
        if (t == XBT_NULL) {
            return command_failed(self, "cannot start a transaction: %s", store_error(errno));
        }
        status = work(context, xs, t);
        if (xs_transaction_end(xs, t, status != EXIT_FOUND) || status != EXIT_FOUND) {
            return status;
        }
        if (errno != EAGAIN) {
            return command_failed(self, "cannot commit: %s; nothing was changed",
                                  store_error(errno));
        }
    }
    return command_failed(self,
                          "others changed the same nodes in each of %d tries; nothing was changed: "
                          "try again, or find out who with 'xenbus watch'",
                          tries);
}
