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

/*
 * "pass" has all of password, passphrase, vnc-pass. Of Ceph's addresses it is `:key`, and of LUKS'
 * `.key`; "key" alone would be half of the store.
 */
static const char *const words[] = {"pass",       "pwd",  "secret", "token",
                                    "credential", ":key", ".key",   "chap"};

/* A line is looked at in pieces, since what a guest prints has no end. */
enum { PIECE = 16384 };

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

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_quote(char c)
{
    return c == '"' || c == '\'';
}

/* Up to the quote that ends what begins at @s.at; a backslash takes the next one along. */
static const char *end_of_quoted(struct span s, char quote)
{
    while (s.at < s.end && *s.at != quote) {
        s.at += *s.at == '\\' && s.end - s.at > 1 ? 2 : 1;
    }
    return s.at;
}

/*
 * The value that follows the word which ends at @s.at: behind `=`, `:` or a blank, in its quotes if
 * it has some, else up to the end of the line. Behind a blank it is one word, and the name has to
 * have been `pass...` or an option. Empty: the word names none; it ends where to look on.
 */
static struct span value_after(struct span s, bool by_blank)
{
    const char *c = s.at, *name_end;

    while (c < s.end && (isalnum((unsigned char)*c) || *c == '-' || *c == '_')) {
        c++;
    }
    name_end = c;
    c += c < s.end && is_quote(*c);
    while (c < s.end && is_blank(*c)) {
        c++;
    }
    if (c < s.end && (*c == '=' || *c == ':')) {
        do {
            c++;
        } while (c < s.end && is_blank(*c));
        if (c < s.end && is_quote(*c)) {
            return (struct span){c + 1, end_of_quoted((struct span){c + 1, s.end}, *c)};
        }
        return (struct span){c, s.end};
    }
    if (by_blank && c > name_end && c < s.end && is_blank(c[-1])) {
        const char *end = c;

        while (end < s.end && !is_blank(*end)) {
            end++;
        }
        return (struct span){c, end};
    }
    return (struct span){name_end, name_end};
}

/* The first secret that a word names. */
static struct span named_secret(struct span s)
{
    size_t len;

    for (const char *word; (word = find_word(s, &len)) != NULL;) {
        bool option = word >= s.at + 2 && word[-1] == '-' && word[-2] == '-';
        struct span value = value_after((struct span){word + len, s.end}, option);

        if (value.at < value.end) {
            return value;
        }
        s.at = value.end > word ? value.end : word + 1;
    }
    return (struct span){s.end, s.end};
}

/*
 * The first who is named in an address. A password may have slashes in it; what comes before the
 * last `@` of the word is left out.
 */
static struct span user_of_address(struct span s)
{
    static const char *const marks[] = {"://", "iscsi:"};

    for (; s.at < s.end; s.at++) {
        for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++) {
            size_t len = strlen(marks[i]);
            const char *at = s.at + len, *end = at;

            if (len > (size_t)(s.end - s.at) || memcmp(s.at, marks[i], len) != 0) {
                continue;
            }
            while (end < s.end && strchr("? \t\"',", *end) == NULL) {
                end++;
            }
            s.at = end;
            while (end > at && end[-1] != '@') {
                end--;
            }
            if (end > at + 1) {
                return (struct span){at, end - 1};
            }
        }
    }
    return (struct span){s.end, s.end};
}

/* A piece of a line, without its secrets. Each kind is looked for again only where it was passed.
 */
static void write_piece(FILE *out, struct span s)
{
    struct span named = named_secret(s), user = user_of_address(s);

    while (s.at < s.end) {
        struct span first = named.at <= user.at ? named : user;

        fwrite(s.at, 1, (size_t)(first.at - s.at), out);
        if (first.at < first.end) {
            fputs(REDACTED, out);
        }
        s.at = first.end;
        named = named.at < s.at ? named_secret(s) : named;
        user = user.at < s.at ? user_of_address(s) : user;
    }
}

static void write_line(FILE *out, struct span line)
{
    while (line.at < line.end) {
        struct span piece = {line.at, line.end - line.at > PIECE ? line.at + PIECE : line.end};

        write_piece(out, piece);
        line.at = piece.end;
    }
}

char *redact_text(const char *text, size_t len, size_t *out_len)
{
    struct span rest = {text, text + len};
    char *copy = NULL;
    FILE *out = open_memstream(&copy, out_len);

    while (out != NULL && rest.at < rest.end) {
        const char *newline = memchr(rest.at, '\n', (size_t)(rest.end - rest.at));
        struct span line = {rest.at, newline != NULL ? newline : rest.end};

        write_line(out, line);
        if (newline != NULL) {
            putc('\n', out);
        }
        rest.at = newline != NULL ? newline + 1 : rest.end;
    }
    if (out == NULL || fclose(out) != 0) {
        out_of_memory();
    }
    return copy;
}
