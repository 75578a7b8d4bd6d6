/*
 * Permissions of a node as text, the way xenstore-ls and xenstore-chmod spell them: a letter (n
 * none, r reading, w writing, b both) and a domain's id. The first entry is the owner, with what
 * all others may do; the rest are domains with rights of their own. Pure.
 */
#ifndef DUET_XENBUS_PERMS_H
#define DUET_XENBUS_PERMS_H

#include <stdbool.h>
#include <xenstore.h>

/* What perm_text() writes at most, its NUL included. */
#define PERM_TEXT_SIZE 16

/* Writes one entry to @text, which holds PERM_TEXT_SIZE characters. */
void perm_text(const struct xs_permissions *perm, char *text);

/* All entries joined by commas; the caller frees. */
char *perms_text(const struct xs_permissions *perms, unsigned int n);

/* Reads one entry, "r5", from @text; false when it is none. */
bool perm_parse(const char *text, struct xs_permissions *perm);

/* Whether two lists say the same. */
bool perms_equal(const struct xs_permissions *a, unsigned int n_a, const struct xs_permissions *b,
                 unsigned int n_b);

/*
 * What @domid may do with a node of these permissions: XS_PERM_READ and XS_PERM_WRITE bits, by the
 * rules of xenstored (the owner may do all; so may domain 0, which is not looked at here).
 */
unsigned int perms_of_domain(const struct xs_permissions *perms, unsigned int n,
                             unsigned int domid);

#endif
