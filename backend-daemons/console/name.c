/*
 * File names of guests: see name.h.
 */
#include "name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* "%~" and 16 digits. */
#define HASH_LEN 18

static bool plain(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '+' || (c == '.' && !first);
}

/* FNV-1a, 64 bits. */
static uint64_t hash(const char *text)
{
    uint64_t h = 0xcbf29ce484222325ULL;

    for (; *text != '\0'; text++) {
        h = (h ^ (unsigned char)*text) * 0x100000001b3ULL;
    }
    return h;
}

void cons_name_to_file(const char *name, char file[CONS_FILE_MAX])
{
    size_t used = 0, kept = 0;

    for (const char *p = name; *p != '\0'; p++) {
        bool first = p == name, as_is = plain(*p, first);

        if (used + (as_is ? 1 : 3) >= CONS_FILE_MAX) {
            snprintf(file + kept, HASH_LEN + 1, "%%~%016llx", (unsigned long long)hash(name));
            return;
        }
        if (as_is) {
            file[used++] = *p;
        } else {
            used += (size_t)snprintf(file + used, 4, "%%%02X", (unsigned char)*p);
        }
        if (used <= CONS_FILE_MAX - 1 - HASH_LEN) {
            kept = used;
        }
    }
    file[used] = '\0';
    if (used == 0) {
        snprintf(file, CONS_FILE_MAX, "%%");
    }
}
