/*
 * parse.c - a line of commands into words; see parse.h.
 */
#include "lib/parse.h"

#include "kern/string.h"

/* Where the parser reads and writes. */
struct cursor {
    const char *in;
    char *out, *end;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int parse_put(struct cursor *c, char ch)
{
    if (c->out == c->end) {
        return -E2BIG;
    }
    *c->out++ = ch;
    return 0;
}

/* Copies what stands between two quotes; c->in is behind the first. */
static int quoted(struct cursor *c, char quote)
{
    int rc = 0;

    for (; rc == 0 && *c->in != '\0' && *c->in != quote; c->in++) {
        if (quote == '"' && *c->in == '\\' && c->in[1] != '\0') {
            c->in++;
        }
        rc = parse_put(c, *c->in);
    }
    if (rc == 0 && *c->in == '\0') {
        return -EINVAL;
    }
    c->in += rc == 0;
    return rc;
}

/* Copies one word, with its NUL. */
static int parse_word(struct cursor *c)
{
    int rc = 0;

    while (rc == 0 && *c->in != '\0' && !is_blank(*c->in) && *c->in != ';') {
        char ch = *c->in++;

        if (ch == '"' || ch == '\'') {
            rc = quoted(c, ch);
        } else {
            if (ch == '\\' && *c->in != '\0') {
                ch = *c->in++;
            }
            rc = parse_put(c, ch);
        }
    }
    return rc != 0 ? rc : parse_put(c, '\0');
}

static void skip_all(const char **line)
{
    *line += strlen(*line);
}

int parse_command(const char **line, struct parsed *out)
{
    struct cursor c = {*line, out->text, out->text + sizeof(out->text)};

    out->argc = 0;
    if (*c.in == '\0') {
        return -ENOENT;
    }
    for (;;) {
        while (is_blank(*c.in)) {
            c.in++;
        }
        if (*c.in == '#') {
            skip_all(&c.in);
        }
        if (*c.in == '\0' || *c.in == ';') {
            break;
        }
        char *start = c.out;
        int rc = out->argc == PARSE_WORDS ? -E2BIG : parse_word(&c);
        if (rc != 0) {
            skip_all(line);
            return rc;
        }
        out->argv[out->argc++] = start;
    }
    out->argv[out->argc] = NULL;
    *line = c.in + (*c.in == ';');
    return 0;
}
