/*
 * Bytes of the store as text and as JSON. Guests write values, so nothing of them reaches a
 * terminal or a JSON parser unescaped, whatever the format, and not in error messages either.
 */
#ifndef DUET_XENBUS_TEXT_H
#define DUET_XENBUS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <cjson/cJSON.h>
#include <xenstore.h>

/* Prints @len bytes with everything outside printable ASCII as \n, \t, \r, \\, \" or \xNN. */
void text_escape(FILE *out, const void *data, size_t len);

/*
 * Prints a message that quotes what is escaped already: only what is not printable ASCII is
 * escaped, quotes and backslashes stay.
 */
void text_print(FILE *out, const char *text);

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

/* Adds @text under @key; when it is not UTF-8, null there and its bytes under KEY_hex. NULL becomes
 * null. */
void json_add_text(cJSON *object, const char *key, const char *text);

/* Prints JSON text with everything outside printable ASCII as \uXXXX: a parser reads the same. */
void json_print_text(FILE *out, const char *json);

/* The entries of a list of permissions, as texts. */
cJSON *json_perms(const struct xs_permissions *perms, unsigned int n);

/* Prints @json to @out (indented when @pretty) without a newline, and frees it. */
void json_write(FILE *out, cJSON *json, bool pretty);

/* Prints @json on a line of its own (indented when @pretty), flushes and frees it. */
void json_print(cJSON *json, bool pretty);

#endif
