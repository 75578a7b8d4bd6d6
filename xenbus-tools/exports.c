/*
 * Exports, see exports.h. cJSON reads and writes each element; the array around them is walked
 * here, so that neither side needs all of it as a tree in memory.
 */
#include "exports.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "perms.h"
#include "text.h"
#include "xenbus.h"

static const char export_format[] = "xenbus-export";

enum { EXPORT_VERSION = 1, EXPORT_PERMS_MAX = 256 };

void export_begin(FILE *out, const char *root)
{
    cJSON *head = cJSON_CreateObject();

    cJSON_AddStringToObject(head, "format", export_format);
    cJSON_AddNumberToObject(head, "version", EXPORT_VERSION);
    json_add_text(head, "root", root);
    fputc('[', out);
    json_write(out, head, false);
}

int export_node(void *out, const struct walk_node *node)
{
    cJSON *json = cJSON_CreateObject();

    json_add_text(json, "path", node->path);
    if (node->err != 0) {
        cJSON_AddTrueToObject(json, "unreadable");
    } else {
        json_add_value(json, node->value, node->len);
        cJSON_AddItemToObject(json, "permissions", json_perms(node->perms, node->n_perms));
    }
    fputs(",\n", out);
    json_write(out, json, false);
    return 0;
}

void export_end(FILE *out)
{
    fputs("]\n", out);
}

/* Where a reading of an export stands. */
struct export_reader {
    const char *text;
    const char *at;
    const char *end;
    char *why;
    size_t why_size;
};

/* Notes a sentence about where the reader is; returns false. */
static bool export_wrong(struct export_reader *reader, const char *what)
{
    unsigned long line = 1;

    for (const char *p = reader->text; p < reader->at; p++) {
        line += *p == '\n';
    }
    snprintf(reader->why, reader->why_size, "line %lu: %s", line, what);
    return false;
}

static void skip_space(struct export_reader *reader)
{
    while (reader->at < reader->end && strchr(" \t\r\n", *reader->at) != NULL &&
           *reader->at != '\0') {
        reader->at++;
    }
}

/* Whether the JSON text between the two has an escaped NUL, at which cJSON would end a string. */
static bool has_nul_escape(const char *from, const char *to)
{
    for (const char *p = from; p < to; p++) {
        if (*p == '\\') {
            if (to - p >= 6 && strncmp(p, "\\u0000", 6) == 0) {
                return true;
            }
            p++;
        }
    }
    return false;
}

/* Reads the next element; NULL at what is none, with a sentence noted. */
static cJSON *next_element(struct export_reader *reader)
{
    const char *end = NULL;
    cJSON *json;

    skip_space(reader);
    json = cJSON_ParseWithLengthOpts(reader->at, (size_t)(reader->end - reader->at), &end, 0);
    if (json == NULL || has_nul_escape(reader->at, end)) {
        export_wrong(reader, json == NULL ? "not JSON, or cut short"
                                          : "a NUL in a string; bytes belong under \"hex\"");
        cJSON_Delete(json);
        return NULL;
    }
    reader->at = end;
    skip_space(reader);
    return json;
}

/* Takes @c, the next character; false if it is another. */
static bool take(struct export_reader *reader, char c)
{
    skip_space(reader);
    if (reader->at >= reader->end || *reader->at != c) {
        return false;
    }
    reader->at++;
    skip_space(reader);
    return true;
}

static int hex_digit(char c)
{
    return isdigit((unsigned char)c)    ? c - '0'
           : isxdigit((unsigned char)c) ? (c | 0x20) - 'a' + 10
                                        : -1;
}

/* The bytes that @hex spells, *@len of them; NULL when it spells none. The caller frees. */
static char *hex_bytes(const char *hex, unsigned int *len)
{
    size_t n = strlen(hex);
    char *bytes = must_alloc(n / 2 + 1);

    for (size_t i = 0; i < n; i += 2) {
        int high = hex_digit(hex[i]), low = high < 0 ? -1 : hex_digit(hex[i + 1]);

        if (low < 0) {
            free(bytes);
            return NULL;
        }
        bytes[i / 2] = (char)(high << 4 | low);
    }
    *len = (unsigned int)(n / 2);
    return bytes;
}

/* The value of a node's element; NULL when it has none. The caller frees. */
static char *element_value(const cJSON *json, unsigned int *len)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "value"));
    const char *hex = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "hex"));

    if (text != NULL) {
        *len = (unsigned int)strlen(text);
        return must_strdup(text);
    }
    return hex != NULL ? hex_bytes(hex, len) : NULL;
}

/* The permissions of a node's element into @perms; false when they are none. */
static bool element_perms(const cJSON *json, struct xs_permissions *perms, unsigned int *n)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "permissions"), *item;

    *n = 0;
    cJSON_ArrayForEach (item, list) {
        if (*n == EXPORT_PERMS_MAX || !cJSON_IsString(item) ||
            !perm_parse(item->valuestring, &perms[(*n)++])) {
            return false;
        }
    }
    return *n > 0;
}

/* Whether @path is @root or below it. */
static bool path_below(const char *path, const char *root)
{
    size_t len = strlen(root);

    return strcmp(root, "/") == 0 ||
           (strncmp(path, root, len) == 0 && (path[len] == '\0' || path[len] == '/'));
}

static bool add_element(struct export_reader *reader, struct snapshot *snapshot, const cJSON *json)
{
    const char *path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "path"));
    bool unreadable = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "unreadable"));
    struct xs_permissions perms[EXPORT_PERMS_MAX];
    unsigned int n = 0, len = 0;
    struct node *node;
    char *value;

    if (path == NULL || path[0] != '/' || !store_path_valid(path) ||
        !path_below(path, snapshot->root)) {
        return export_wrong(reader, "a node without a valid \"path\" below the export's root");
    }
    value = unreadable ? must_strdup("") : element_value(json, &len);
    if (value == NULL || (!unreadable && !element_perms(json, perms, &n))) {
        free(value);
        return export_wrong(reader,
                            "a node without valid \"value\" (or \"hex\") and \"permissions\"");
    }
    node = snapshot_add(snapshot, path, value, len, perms, n);
    free(value);
    if (node == NULL) {
        return export_wrong(reader, "a path that the export has already");
    }
    node->unreadable = unreadable;
    return true;
}

/* Reads the first element; returns an empty snapshot of its root, NULL with a sentence noted. */
static struct snapshot *read_head(struct export_reader *reader)
{
    struct snapshot *snapshot = NULL;
    const char *format, *root;
    const cJSON *version;
    cJSON *head;

    if (!take(reader, '[')) {
        export_wrong(reader, "not an export: that begins with '['");
        return NULL;
    }
    head = next_element(reader);
    if (head == NULL) {
        return NULL;
    }
    format = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(head, "format"));
    root = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(head, "root"));
    version = cJSON_GetObjectItemCaseSensitive(head, "version");
    if (format == NULL || strcmp(format, export_format) != 0 || root == NULL || root[0] != '/' ||
        !store_path_valid(root)) {
        export_wrong(reader, "JSON, but not what 'xenbus export' writes");
    } else if (!cJSON_IsNumber(version) || version->valueint != EXPORT_VERSION) {
        export_wrong(reader, "an export of a version that this xenbus does not know");
    } else {
        snapshot = snapshot_new(root);
    }
    cJSON_Delete(head);
    return snapshot;
}

/* All of @in with a NUL behind it; NULL when it cannot be read. The caller frees. */
static char *read_all(FILE *in, size_t *len)
{
    char *text = NULL, block[65536];
    size_t got;
    FILE *mem = open_memstream(&text, len);

    if (mem == NULL) {
        return NULL;
    }
    while ((got = fread(block, 1, sizeof(block), in)) > 0) {
        fwrite(block, 1, got, mem);
    }
    if ((fclose(mem) != 0) | (ferror(in) != 0)) {
        free(text);
        return NULL;
    }
    return text;
}

struct snapshot *export_read(FILE *in, char *why, size_t why_size)
{
    struct export_reader reader = {.why = why, .why_size = why_size};
    struct snapshot *snapshot;
    size_t len = 0;
    char *text = read_all(in, &len);
    bool good;

    if (text == NULL) {
        snprintf(why, why_size, "cannot read it: %s", strerror(errno));
        return NULL;
    }
    reader.text = reader.at = text;
    reader.end = text + len;
    snapshot = read_head(&reader);
    good = snapshot != NULL;
    while (good && take(&reader, ',')) {
        cJSON *json = next_element(&reader);

        good = json != NULL && add_element(&reader, snapshot, json);
        cJSON_Delete(json);
    }
    if (good && (!take(&reader, ']') || reader.at != reader.end)) {
        good = export_wrong(&reader, "the export's end is missing: it was cut short or edited");
    }
    free(text);
    if (!good) {
        snapshot_free(snapshot);
        return NULL;
    }
    snapshot_finish(snapshot);
    return snapshot;
}

struct snapshot *export_open(const struct command *self, const char *file)
{
    FILE *in = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
    struct snapshot *snapshot;
    char why[200];

    if (in == NULL) {
        command_failed(self, "%s: %s", file, strerror(errno));
        return NULL;
    }
    snapshot = export_read(in, why, sizeof(why));
    if (snapshot == NULL) {
        command_failed(self, "%s: %s", file, why);
    }
    if (in != stdin) {
        fclose(in);
    }
    return snapshot;
}
