/*
 * What must not be in a report that somebody sends away: passwords and their kin, in keys of the
 * store, in configuration and in what programs say. Told by the words that name them, so that one
 * too many is left out rather than one too few.
 */
#ifndef DUET_XENBUS_REDACT_H
#define DUET_XENBUS_REDACT_H

#include <stdbool.h>
#include <stddef.h>

/* What stands in the place of what was left out. */
#define REDACTED "(left out)"

/* Whether a key of that name ("vncpasswd", also a whole path) has a secret for its value. */
bool redact_names_secret(const char *key);

/*
 * A copy of @len bytes without secrets: without what follows `passwd =` and its like in a line, and
 * without who is named in an address (`nbd://USER:PASSWORD@HOST`). Its length, at most eleven times
 * @len, comes in *@out_len. The caller frees it.
 */
char *redact_text(const char *text, size_t len, size_t *out_len);

#endif
