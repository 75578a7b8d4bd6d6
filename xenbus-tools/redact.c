/*
 * Secrets in lines of text: see redact.h. Any bytes may come; a line is looked at by itself.
 */
#include "redact.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "xenbus.h"

struct span {
    const char *at, *end;
};

/* The last two are of Ceph's addresses and of iSCSI's; "key" alone would be half of the store. */
static const char *const words[] = {"passw", "passphrase", "vncpass", "secret",
                                    "token", "credential", ":key",    "chap"};

/* Where one of the words begins in @s, and how long it is. NULL: nowhere. */
static const char *find_word(struct span s, size_t *len)
{
    for (; s.at < s.end; s.at++) {
        for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
            *len = strlen(words[i]);
            if (*len <= (size_t)(s.end - s.at) && strncasecmp(s.at, words[i], *len) == 0) {
                return s.at;
            }
        }
    }
    return NULL;
}

bool redact_names_secret(const char *key)
{
    const char *name = strrchr(key, '/');
    size_t len;

    name = name != NULL ? name + 1 : key;
    return find_word((struct span){name, name + strlen(name)}, &len) != NULL;
}

/*
 * The value that follows the word which ends at @s.at: behind `=` or `:`, in its quotes if it has
 * some, else up to the end of the line. Empty: the word names none.
 */
static struct span value_after(struct span s)
{
    const char *c = s.at, *end;

    while (c < s.end && (isalnum((unsigned char)*c) || *c == '-' || *c == '_')) {
        c++;
    }
    c += c < s.end && (*c == '"' || *c == '\'');
    while (c < s.end && (*c == ' ' || *c == '\t')) {
        c++;
    }
    if (c == s.end || (*c != '=' && *c != ':')) {
        return (struct span){s.end, s.end};
    }
    for (c++; c < s.end && (*c == ' ' || *c == '\t');) {
        c++;
    }
    if (c < s.end && (*c == '"' || *c == '\'')) {
        end = memchr(c + 1, *c, (size_t)(s.end - c - 1));
        return (struct span){c + 1, end != NULL ? end : s.end};
    }
    return (struct span){c, s.end};
}

/* The first secret that a word names. */
static struct span named_secret(struct span s)
{
    size_t len;

    for (const char *word; (word = find_word(s, &len)) != NULL; s.at = word + 1) {
        struct span value = value_after((struct span){word + len, s.end});

        if (value.at < value.end) {
            return value;
        }
    }
    return (struct span){s.end, s.end};
}

/* The first who is named in an address. */
static struct span user_of_address(struct span s)
{
    for (const char *at; (at = memmem(s.at, (size_t)(s.end - s.at), "://", 3)) != NULL; s.at = at) {
        const char *end = at += 3;

        while (end < s.end && strchr("/ \t\"'", *end) == NULL) {
            end++;
        }
        while (end > at && *end != '@') {
            end--;
        }
        if (end > at) {
            return (struct span){at, end};
        }
    }
    return (struct span){s.end, s.end};
}

/* One line, without its secrets. */
static void write_line(FILE *out, struct span s, unsigned long *left_out)
{
    while (s.at < s.end) {
        struct span named = named_secret(s), user = user_of_address(s);
        struct span first = named.at <= user.at ? named : user;

        fwrite(s.at, 1, (size_t)(first.at - s.at), out);
        if (first.at < first.end) {
            fputs(REDACTED, out);
            ++*left_out;
        }
        s.at = first.end;
    }
}

char *redact_text(const char *text, size_t len, size_t *out_len, unsigned long *left_out)
{
    struct span rest = {text, text + len};
    char *copy = NULL;
    FILE *out = open_memstream(&copy, out_len);

    while (out != NULL && rest.at < rest.end) {
        const char *newline = memchr(rest.at, '\n', (size_t)(rest.end - rest.at));
        struct span line = {rest.at, newline != NULL ? newline : rest.end};

        write_line(out, line, left_out);
        if (newline != NULL) {
            putc('\n', out);
        }
        rest.at = newline != NULL ? newline + 1 : rest.end;
    }
    if (out == NULL || fclose(out) != 0) {
        fputs("xenbus: out of memory\n", stderr);
        exit(EXIT_FAILED);
    }
    return copy;
}
