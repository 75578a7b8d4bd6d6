/*
 * Bytes of the store as text and as JSON. Guests write names and values: nothing of them reaches a
 * terminal or a JSON parser unescaped.
 *
 * No types, no locks.
 */
#ifndef DUET_XENBUS_TEXT_H
#define DUET_XENBUS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <cjson/cJSON.h>

/* Prints @len bytes with everything outside printable ASCII as \n, \t, \r, \\, \" or \xNN. */
void text_escape(FILE *out, const void *data, size_t len);

/* text_escape() into a new string; the caller frees. */
char *text_escaped(const void *data, size_t len);

/*
 * The inverse: turns the escapes in @text back into bytes.
 * Returns a new buffer of *@len bytes (the caller frees), NULL when an escape is malformed.
 */
char *text_unescape(const char *text, size_t *len);

/* Whether @len bytes are UTF-8 without NUL, which a JSON string can carry. */
bool text_is_utf8(const void *data, size_t len);

/* Adds the value to @object: "value" when it is UTF-8 text, else "value": null and "hex". */
void json_add_value(cJSON *object, const void *data, size_t len);

/* Adds @text under @key, escaped when it is not UTF-8; NULL becomes null. */
void json_add_text(cJSON *object, const char *key, const char *text);

/* Prints @json on a line of its own (indented when @pretty), flushes and frees it. */
void json_print(cJSON *json, bool pretty);

#endif
