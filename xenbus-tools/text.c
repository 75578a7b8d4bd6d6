/*
 * Escaping of the store's bytes: see text.h. Whatever leaves here for a terminal is printable
 * ASCII. A list of the characters that terminals obey (C1 controls, bidirectional overrides,
 * zero-width marks and whatever Unicode adds next) could never be complete.
 */
#include "text.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "perms.h"
#include "xenbus.h"

/* Two-character escapes, in pairs: the byte, its letter. */
static const char short_escapes[][2] = {{'\n', 'n'},  {'\t', 't'}, {'\r', 'r'},
                                        {'\\', '\\'}, {'"', '"'},  {'\0', '0'}};

#define N_SHORT (sizeof(short_escapes) / sizeof(short_escapes[0]))

static void escape_byte(FILE *out, unsigned char byte)
{
    for (size_t i = 0; i < N_SHORT; i++) {
        /* \0 followed by a digit would read as octal to many: write it as \x00. */
        if (byte != 0 && byte == (unsigned char)short_escapes[i][0]) {
            fprintf(out, "\\%c", short_escapes[i][1]);
            return;
        }
    }
    if (byte >= 0x20 && byte < 0x7f) {
        fputc(byte, out);
    } else {
        fprintf(out, "\\x%02x", byte);
    }
}

void text_escape(FILE *out, const void *data, size_t len)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < len; i++) {
        escape_byte(out, bytes[i]);
    }
}

void text_print(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;

        if (byte >= 0x20 && byte < 0x7f) {
            fputc(byte, out);
        } else {
            escape_byte(out, byte);
        }
    }
}

char *text_escaped(const void *data, size_t len)
{
    char *text = NULL;
    size_t size = 0;
    FILE *mem = open_memstream(&text, &size);

    if (mem != NULL) {
        text_escape(mem, data, len);
        fclose(mem);
    }
    if (text == NULL) {
        out_of_memory();
    }
    return text;
}

/* Reads one escape that starts behind its backslash; returns the characters consumed, 0 if bad. */
static size_t unescape_one(const char *text, char *byte)
{
    if (text[0] == 'x' && isxdigit((unsigned char)text[1]) && isxdigit((unsigned char)text[2])) {
        char digits[3] = {text[1], text[2], '\0'};

        *byte = (char)strtoul(digits, NULL, 16);
        return 3;
    }
    for (size_t i = 0; i < N_SHORT; i++) {
        if (text[0] == short_escapes[i][1]) {
            *byte = short_escapes[i][0];
            return 1;
        }
    }
    return 0;
}

char *text_unescape(const char *text, size_t *len)
{
    char *out = must_alloc(strlen(text) + 1);
    size_t n = 0;

    while (*text != '\0') {
        size_t used = 1;

        if (*text != '\\') {
            out[n++] = *text;
        } else {
            used = unescape_one(text + 1, &out[n++]);
            if (used == 0) {
                free(out);
                return NULL;
            }
            used++;
        }
        text += used;
    }
    out[n] = '\0';
    *len = n;
    return out;
}

/* Decodes the well-formed UTF-8 sequence at @p (at most @left bytes) into @code. Returns its
 * length, 0 if there is none. RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
 */
static size_t utf8_sequence(const unsigned char *p, size_t left, uint32_t *code)
{
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    static const uint32_t least[] = {0, 1, 0x80, 0x800, 0x10000};

    if ((p[0] >= 0x80 && p[0] < 0xc2) || p[0] > 0xf4 || n > left) {
        return 0;
    }
    *code = n == 1 ? p[0] : p[0] & (0x7fU >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        *code = *code << 6 | (p[i] & 0x3f);
    }
    if (*code < least[n] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000)) {
        return 0;
    }
    return n;
}

bool text_is_utf8(const void *data, size_t len)
{
    const unsigned char *p = data;
    uint32_t code;

    while (len > 0) {
        size_t n = utf8_sequence(p, len, &code);

        if (n == 0) {
            return false;
        }
        p += n;
        len -= n;
    }
    return true;
}

/* Adds @len bytes under @key if they are text, else null there and the bytes under @hex_key. */
static void add_bytes(cJSON *object, const char *key, const char *hex_key, const void *data,
                      size_t len)
{
    const unsigned char *bytes = data;
    char *hex = must_alloc(2 * len + 1);

    if (text_is_utf8(data, len)) {
        memcpy(hex, data, len); /* with the NUL that cJSON wants */
        cJSON_AddStringToObject(object, key, hex);
        free(hex);
        return;
    }
    for (size_t i = 0; i < len; i++) {
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    }
    cJSON_AddNullToObject(object, key);
    cJSON_AddStringToObject(object, hex_key, hex);
    free(hex);
}

void json_add_value(cJSON *object, const void *data, size_t len)
{
    add_bytes(object, "value", "hex", data, len);
}

void json_add_text(cJSON *object, const char *key, const char *text)
{
    char hex_key[32];

    if (text == NULL) {
        cJSON_AddNullToObject(object, key);
        return;
    }
    snprintf(hex_key, sizeof(hex_key), "%s_hex", key);
    add_bytes(object, key, hex_key, text, strlen(text));
}

/* Prints one character as JSON escapes: one, or two for what lies beyond 16 bits. */
static void escape_code(FILE *out, uint32_t code)
{
    if (code < 0x10000) {
        fprintf(out, "\\u%04x", code);
    } else {
        code -= 0x10000;
        fprintf(out, "\\u%04x\\u%04x", 0xd800 + (code >> 10), 0xdc00 + (code & 0x3ff));
    }
}

void json_print_text(FILE *out, const char *json)
{
    const unsigned char *p = (const unsigned char *)json;
    size_t left = strlen(json);

    while (left > 0) {
        uint32_t code = 0xfffd;
        size_t n = utf8_sequence(p, left, &code);

        if (n == 1 && code != 0x7f) {
            fputc(*p, out);
        } else {
            /* Outside of ASCII, and DEL: these stand only within strings. */
            escape_code(out, n != 0 ? code : 0xfffd);
            n = n != 0 ? n : 1;
        }
        p += n;
        left -= n;
    }
}

cJSON *json_perms(const struct xs_permissions *perms, unsigned int n)
{
    cJSON *list = cJSON_CreateArray();

    for (unsigned int i = 0; i < n; i++) {
        char text[PERM_TEXT_SIZE];

        perm_text(&perms[i], text);
        cJSON_AddItemToArray(list, cJSON_CreateString(text));
    }
    return list;
}

void json_write(FILE *out, cJSON *json, bool pretty)
{
    char *text = pretty ? cJSON_Print(json) : cJSON_PrintUnformatted(json);

    if (text == NULL) {
        out_of_memory();
    }
    json_print_text(out, text);
    cJSON_free(text);
    cJSON_Delete(json);
}

void json_print(cJSON *json, bool pretty)
{
    json_write(stdout, json, pretty);
    putchar('\n');
    fflush(stdout);
}
