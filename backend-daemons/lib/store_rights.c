/*
 * Rights and domains in the store: see store_rights.h.
 */
#include "store_rights.h"

int store_give(struct store *st, xs_transaction_t t, const char *path, unsigned int owner,
               unsigned int reader)
{
    struct xs_permissions perms[] = {{.id = owner, .perms = XS_PERM_NONE},
                                     {.id = reader, .perms = XS_PERM_READ}};

    return xs_set_permissions(store_handle(st), t, path, perms, 2) ? 0 : -errno;
}

bool store_domain_lives(const struct store *st, unsigned int domid)
{
    return xs_is_domain_introduced(store_handle(st), domid);
}
