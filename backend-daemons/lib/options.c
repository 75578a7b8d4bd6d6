/*
 * Options: see options.h.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define OPTIONS_HELP_COLUMN 29
#define OPTIONS_NUMBERED    256 /* beyond every letter */

static bool options_number(const struct option_rule *r, const char *text, uint64_t *out)
{
    unsigned long long n;
    char *end;

    errno = 0;
    n = strtoull(text, &end, 0);
    if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || n < r->min || n > r->max) {
        fprintf(stderr, "%s: --%s %s: not a number from %" PRIu64 " to %" PRIu64 "\n",
                program_invocation_short_name, r->name, text, r->min, r->max);
        return false;
    }
    *out = n;
    return true;
}

static bool options_dir(const struct option_rule *r, const char *text)
{
    if (*text != '/' || strlen(text) >= r->max) {
        fprintf(stderr, "%s: --%s %s: not an absolute path of less than %" PRIu64 " bytes\n",
                program_invocation_short_name, r->name, text, r->max);
        return false;
    }
    *(const char **)r->to = text;
    return true;
}

static bool options_level(const struct option_rule *r, const char *text)
{
    int level = log_level_by_name(text);

    if (level < 0) {
        fprintf(stderr, "%s: --%s %s: there is no such level\n", program_invocation_short_name,
                r->name, text);
        return false;
    }
    log_set_level(level);
    return true;
}

static const struct option_rule options_common[] = {
    {.letter = 'h', .name = "help", .help = "show this and exit"},
    {.letter = 'V', .name = "version", .help = "show the version and exit"},
};
#define OPTIONS_NR_COMMON (sizeof(options_common) / sizeof(options_common[0]))

static void options_show_rule(FILE *out, const struct option_rule *r)
{
    const char *line = r->help;
    char letter[] = {'-', r->letter, ',', '\0'};
    int at = fprintf(out, "  %3s --%s%s%s", r->letter != '\0' ? letter : "", r->name,
                     r->argument != NULL ? " " : "", r->argument != NULL ? r->argument : "");

    while (line != NULL) {
        const char *end = strchr(line, '\n');
        int len = end != NULL ? (int)(end - line) : (int)strlen(line);

        fprintf(out, "%*s%.*s\n", at < OPTIONS_HELP_COLUMN ? OPTIONS_HELP_COLUMN - at : 1, "", len,
                line);
        line = end != NULL ? end + 1 : NULL;
        at = 0;
    }
}

static void options_show(FILE *out, const char *program, const char *what,
                         const struct option_rule *rules, unsigned int nr)
{
    fprintf(out, "Usage: %s [OPTION]...\n%s\n\n", program, what);
    for (unsigned int i = 0; i < nr; i++) {
        options_show_rule(out, &rules[i]);
    }
    for (unsigned int i = 0; i < OPTIONS_NR_COMMON; i++) {
        options_show_rule(out, &options_common[i]);
    }
    fputs("\nExit status: 0 after SIGTERM or SIGINT, 1 when it cannot go on, 2 for wrong usage.\n",
          out);
}

static int options_wrong(const char *program)
{
    fprintf(stderr, "Try '%s --help'.\n", program);
    return OPTIONS_EXIT_USAGE;
}

static bool options_take(const struct option_rule *r, const char *text)
{
    uint64_t n = 0;

    switch (r->type) {
    case OPTION_TEXT:
        *(const char **)r->to = text;
        return true;
    case OPTION_DIR:
        return options_dir(r, text);
    case OPTION_SWITCH:
        *(bool *)r->to = true;
        return true;
    case OPTION_LEVEL:
        return options_level(r, text);
    case OPTION_NUMBER:
    case OPTION_KIB:
        break;
    }
    if (!options_number(r, text, &n)) {
        return false;
    }
    if (r->type == OPTION_KIB) {
        *(uint64_t *)r->to = n * 1024;
    } else {
        *(unsigned int *)r->to = (unsigned int)n;
    }
    return true;
}

/* What getopt_long() wants to know: an option without a letter is told by its number. */
static void options_for_getopt(const struct option_rule *rules, unsigned int nr,
                               struct option *longs, char *shorts)
{
    for (unsigned int i = 0; i < nr; i++) {
        const struct option_rule *r = &rules[i];

        longs[i] = (struct option){r->name, r->argument != NULL ? required_argument : no_argument,
                                   NULL, OPTIONS_NUMBERED + (int)i};
        if (r->letter != '\0') {
            *shorts++ = r->letter;
        }
        if (r->letter != '\0' && r->argument != NULL) {
            *shorts++ = ':';
        }
    }
}

/* The row that getopt_long() has found; NULL when it found none, and has said so. */
static const struct option_rule *options_found(const struct option_rule *rules, unsigned int nr,
                                               int c)
{
    for (unsigned int i = 0; i < nr; i++) {
        if (c == OPTIONS_NUMBERED + (int)i || (c == rules[i].letter && c != '\0')) {
            return &rules[i];
        }
    }
    return NULL;
}

int options_parse(const char *program, const char *what, const struct option_rule *rules,
                  unsigned int nr, int argc, char **argv)
{
    struct option longs[OPTIONS_MAX + 1] = {{.name = NULL}};
    struct option_rule all[OPTIONS_MAX];
    char shorts[2 * OPTIONS_MAX + 1] = "";
    const struct option_rule *r;
    int c;

    if (nr + OPTIONS_NR_COMMON > OPTIONS_MAX) {
        abort();
    }
    memcpy(all, rules, nr * sizeof(*rules));
    memcpy(all + nr, options_common, sizeof(options_common));
    options_for_getopt(all, nr + OPTIONS_NR_COMMON, longs, shorts);
    while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        r = options_found(all, nr + OPTIONS_NR_COMMON, c);
        if (r != NULL && r->letter == 'h') {
            options_show(stdout, program, what, rules, nr);
            return 0;
        }
        if (r != NULL && r->letter == 'V') {
            printf("%s " DUET_VERSION "\n", program);
            return 0;
        }
        if (r == NULL || !options_take(r, optarg)) {
            return options_wrong(program);
        }
    }
    if (optind != argc) {
        fprintf(stderr, "%s: unexpected argument '%s'\n", program, argv[optind]);
        return options_wrong(program);
    }
    return -1;
}
