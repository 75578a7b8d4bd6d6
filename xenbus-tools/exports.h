/*
 * Exports: a part of the store as JSON, exact for any bytes. An array of which the first element
 * tells what it is, `{"format": "xenbus-export", "version": 1, "root": PATH}`, and each other one
 * is a node, parents first: `{"path": P, "value": V, "permissions": ["n0", "r5"]}`; a value that is
 * no UTF-8 text is `null` with its bytes under "hex"; a node that could not be read is
 * `"unreadable": true`.
 *
 * Written node by node; read element by element, of a text that is in memory as a whole.
 */
#ifndef DUET_XENBUS_EXPORTS_H
#define DUET_XENBUS_EXPORTS_H

#include <stdio.h>

#include "snapshot.h"
#include "walk.h"

/* The opening, one node (which returns 0, as a visitor of store_walk()), the end. @out is the
 * context. */
void export_begin(FILE *out, const char *root);
int export_node(void *out, const struct walk_node *node);
void export_end(FILE *out);

/*
 * Reads an export from @in. Returns it, finished, or NULL with a sentence in @why, which says
 * where. An export that was cut short is none.
 */
struct snapshot *export_read(FILE *in, char *why, size_t why_size);

/* export_read() of a file, "-" for standard input; says what is wrong. NULL then. */
struct command;
struct snapshot *export_open(const struct command *self, const char *file);

#endif
