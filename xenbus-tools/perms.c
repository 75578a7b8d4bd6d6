/*
 * Permissions as text and back, see perms.h.
 */
#include "perms.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xenbus.h"

static const char perm_letters[] = "nrwb";

/* The part of the flags that a node carries; the others mean something to requests only. */
static unsigned int perm_bits(const struct xs_permissions *perm)
{
    return perm->perms & (XS_PERM_READ | XS_PERM_WRITE);
}

void perm_text(const struct xs_permissions *perm, char *text)
{
    snprintf(text, PERM_TEXT_SIZE, "%c%u", perm_letters[perm_bits(perm)], perm->id);
}

char *perms_text(const struct xs_permissions *perms, unsigned int n)
{
    char *text = must_alloc((size_t)n * PERM_TEXT_SIZE + 1), *p = text;

    for (unsigned int i = 0; i < n; i++) {
        if (i > 0) {
            *p++ = ',';
        }
        perm_text(&perms[i], p);
        p += strlen(p);
    }
    return text;
}

bool perm_parse(const char *text, struct xs_permissions *perm)
{
    const char *letter = text[0] != '\0' ? strchr(perm_letters, text[0]) : NULL;
    unsigned long id;
    char *end;

    if (letter == NULL || text[1] < '0' || text[1] > '9') {
        return false;
    }
    id = strtoul(text + 1, &end, 10);
    if (*end != '\0' || end - text > 6 || id > 0x7fff) {
        return false;
    }
    perm->id = (unsigned int)id;
    perm->perms = (unsigned int)(letter - perm_letters);
    return true;
}

bool perms_equal(const struct xs_permissions *a, unsigned int n_a, const struct xs_permissions *b,
                 unsigned int n_b)
{
    if (n_a != n_b) {
        return false;
    }
    for (unsigned int i = 0; i < n_a; i++) {
        if (a[i].id != b[i].id || perm_bits(&a[i]) != perm_bits(&b[i])) {
            return false;
        }
    }
    return true;
}

unsigned int perms_of_domain(const struct xs_permissions *perms, unsigned int n, unsigned int domid)
{
    if (n == 0) {
        return XS_PERM_NONE;
    }
    if (perms[0].id == domid) {
        return XS_PERM_READ | XS_PERM_WRITE;
    }
    for (unsigned int i = 1; i < n; i++) {
        if (perms[i].id == domid) {
            return perm_bits(&perms[i]);
        }
    }
    return perm_bits(&perms[0]);
}
