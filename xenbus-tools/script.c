/*
 * Reading scripts of transactions, see script.h.
 */
#include "script.h"

#include <stdlib.h>
#include <string.h>

#include "perms.h"
#include "text.h"
#include "xenbus.h"

/* A line's words; the last one may be a remark's beginning and is not kept. */
enum { SCRIPT_WORDS_MAX = SCRIPT_PERMS_MAX + 3 };

struct script_word {
    char *bytes;
    size_t len;
};

/* What each operation is called and wants. */
static const struct script_rule {
    const char *name;
    enum script_op op;
    /* Words behind the path; -1: one or more permissions. */
    int values;
    const char *usage;
} script_rules[] = {
    {"write", SCRIPT_WRITE, 1, "write PATH VALUE"},
    {"mkdir", SCRIPT_MKDIR, 0, "mkdir PATH"},
    {"rm", SCRIPT_RM, 0, "rm PATH"},
    {"rm-f", SCRIPT_RM_FORCE, 0, "rm-f PATH"},
    {"chmod", SCRIPT_CHMOD, -1, "chmod PATH PERMISSION..."},
    {"exists", SCRIPT_EXISTS, 0, "exists PATH"},
    {"missing", SCRIPT_MISSING, 0, "missing PATH"},
    {"equals", SCRIPT_EQUALS, 1, "equals PATH VALUE"},
};

#define N_RULES (sizeof(script_rules) / sizeof(script_rules[0]))

/* Takes the quoted word that begins at *@text; false when its quote does not end or an escape is
 * bad. */
static bool quoted_word(char **text, struct script_word *word)
{
    char *start = *text + 1, *end = start;

    while (*end != '\0' && *end != '"') {
        end += end[0] == '\\' && end[1] != '\0' ? 2 : 1;
    }
    if (*end == '\0') {
        return false;
    }
    *end = '\0';
    *text = end + 1;
    word->bytes = text_unescape(start, &word->len);
    return word->bytes != NULL && strchr(" \t", **text) != NULL;
}

/* Takes words from @line until its end; returns their number, -1 with a sentence in @why. */
static int split_line(char *line, struct script_word *words, char *why, size_t why_size)
{
    int n = 0;

    for (;;) {
        line += strspn(line, " \t");
        if (*line == '\0' || *line == '#') {
            return n;
        }
        if (n == SCRIPT_WORDS_MAX) {
            snprintf(why, why_size, "too many words");
            return -1;
        }
        if (*line == '"') {
            if (!quoted_word(&line, &words[n++])) {
                snprintf(why, why_size, "a quoted word does not end, or has a bad escape");
                return -1;
            }
        } else {
            words[n].len = strcspn(line, " \t");
            words[n].bytes = memcpy(must_alloc(words[n].len + 1), line, words[n].len);
            line += words[n++].len;
        }
    }
}

/* Fills @step from the words behind the operation; false with a sentence in @why. */
static bool fill_step(struct script_step *step, const struct script_rule *rule,
                      struct script_word *words, int n, char *why, size_t why_size)
{
    bool fits = rule->values >= 0 ? n == rule->values + 1 : n >= 2;

    if (!fits) {
        snprintf(why, why_size, "wants '%s'", rule->usage);
        return false;
    }
    if (strlen(words[0].bytes) != words[0].len || !store_path_valid(words[0].bytes) ||
        words[0].bytes[0] == '@') {
        snprintf(why, why_size, "'%.200s' is not a path of the store", words[0].bytes);
        return false;
    }
    step->op = rule->op;
    step->path = words[0].bytes;
    words[0].bytes = NULL;
    if (rule->values == 1) {
        step->value = words[1].bytes;
        step->len = words[1].len;
        words[1].bytes = NULL;
    }
    for (int i = 1; i < n && rule->values < 0; i++) {
        if (!perm_parse(words[i].bytes, &step->perms[step->n_perms++])) {
            snprintf(why, why_size, "'%.200s' is not a permission: n, r, w or b and a domain's id",
                     words[i].bytes);
            return false;
        }
    }
    return true;
}

/* Adds what @line asks for, if anything; false with a sentence in @why. */
static bool read_line(struct script *script, char *line, unsigned int number, char *why,
                      size_t why_size)
{
    struct script_word words[SCRIPT_WORDS_MAX] = {0};
    int n = split_line(line, words, why, why_size);
    bool good = n >= 0;

    if (n > 0) {
        const struct script_rule *rule = NULL;
        struct script_step *step;

        for (size_t i = 0; i < N_RULES; i++) {
            if (strcmp(script_rules[i].name, words[0].bytes) == 0) {
                rule = &script_rules[i];
            }
        }
        step = &script->steps[script->n++];
        step->line = number;
        if (rule == NULL) {
            snprintf(
                why, why_size,
                "no operation '%.200s': write, mkdir, rm, rm-f, chmod, exists, missing, equals",
                words[0].bytes);
            good = false;
        } else {
            good = fill_step(step, rule, words + 1, n - 1, why, why_size);
        }
    }
    for (int i = 0; i < SCRIPT_WORDS_MAX; i++) {
        free(words[i].bytes);
    }
    return good;
}

/* Makes room for one more step. */
static void grow_script(struct script *script, size_t *room)
{
    struct script_step *steps;

    if (script->n < *room) {
        return;
    }
    *room = *room == 0 ? 16 : *room * 2;
    steps = must_alloc(*room * sizeof(*steps));
    if (script->n > 0) {
        memcpy(steps, script->steps, script->n * sizeof(*steps));
    }
    free(script->steps);
    script->steps = steps;
}

unsigned int script_read(FILE *in, struct script *script, char *why, size_t why_size)
{
    char *line = NULL;
    size_t size = 0, room = 0;
    ssize_t len;
    unsigned int number = 0, wrong = 0;

    memset(script, 0, sizeof(*script));
    while (wrong == 0 && (len = getline(&line, &size, in)) >= 0) {
        number++;
        while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r')) {
            line[--len] = '\0';
        }
        grow_script(script, &room);
        if (strlen(line) != (size_t)len) {
            snprintf(why, why_size, "a NUL byte; write it as \"\\x00\"");
            wrong = number;
        } else if (!read_line(script, line, number, why, why_size)) {
            wrong = number;
        }
    }
    if (wrong == 0 && ferror(in) != 0) {
        snprintf(why, why_size, "cannot read on");
        wrong = number + 1;
    }
    free(line);
    return wrong;
}

void script_free(struct script *script)
{
    for (size_t i = 0; i < script->n; i++) {
        free(script->steps[i].path);
        free(script->steps[i].value);
    }
    free(script->steps);
    memset(script, 0, sizeof(*script));
}
