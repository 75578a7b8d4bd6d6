/*
 * A domain as the store describes it, found by what somebody calls it.
 */
#ifndef DUET_CONSOLE_TOOL_DOMAIN_H
#define DUET_CONSOLE_TOOL_DOMAIN_H

#include <stdbool.h>

#include "console_tool.h"

struct domain {
    unsigned int domid;
    char *name; /* "" if the store has none */
    char *type; /* of its console: "" means xenconsoled's */
    char *tty;  /* "" if there is none */
};

/* Reads what the store says of a domain. Returns false when there is no such domain. */
bool domain_read(struct xs_handle *xs, unsigned int domid, struct domain *domain);

/*
 * Finds a domain by its number or its name. Returns 0, -ENOENT, or another -errno when the store
 * does not tell.
 */
int domain_find(struct xs_handle *xs, const char *text, struct domain *domain);

/* The same, with a message in the name of @self. Returns -1 to go on, or an exit code. */
int domain_want(const struct command *self, const char *text, struct domain *domain);

/* Whether its console is xenconsoled's, which duet-consoled stands in for, and not QEMU's. */
bool domain_has_xenconsoled(const struct domain *domain);

void domain_free(struct domain *domain);

#endif
