/*
 * Names of guests: see domname.h.
 */
#include "domname.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AWAY "--migratedaway"

/* What stands before the uuid in the store. */
#define VM "/vm/"

/* Where `suffix` begins at the end of `name`; NULL when it does not stand there. */
static char *domname_suffix(char *name, const char *suffix)
{
    unsigned long len = strlen(name), part = strlen(suffix);

    return len > part && strcmp(name + len - part, suffix) == 0 ? name + len - part : NULL;
}

void domname_drop_role(char *name)
{
    static const char *const roles[] = {"--incoming", AWAY};

    for (unsigned int i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        char *role = domname_suffix(name, roles[i]);

        if (role != NULL) {
            *role = '\0';
            return;
        }
    }
}

bool domname_is_away(const char *name)
{
    return domname_suffix((char *)name, AWAY) != NULL;
}

void domname_read_uuid(struct store *st, int domid, char uuid[DOMNAME_UUID])
{
    char path[64], *vm = NULL;
    int err;

    snprintf(path, sizeof(path), "/local/domain/%d/vm", domid);
    err = store_read_str(st, STORE_NO_TX, path, NULL, sizeof(VM) + DOMNAME_UUID, &vm);
    if (store_error_passes(err)) {
        return;
    }
    uuid[0] = '\0';
    if (err == 0 && strncmp(vm, VM, sizeof(VM) - 1) == 0) {
        snprintf(uuid, DOMNAME_UUID, "%s", vm + sizeof(VM) - 1);
    }
    free(vm);
}
