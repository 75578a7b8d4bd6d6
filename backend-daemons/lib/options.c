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

#define UID_BASE_MAX 0xfffe0000U
#define RULES_MAX    16U
#define HELP_COLUMN  29

bool options_number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    unsigned long long n;
    char *end;

    errno = 0;
    n = strtoull(text, &end, 0);
    if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || n < min || n > max) {
        fprintf(stderr, "%s: --%s %s: not a number from %" PRIu64 " to %" PRIu64 "\n",
                program_invocation_short_name, option, text, min, max);
        return false;
    }
    *out = n;
    return true;
}

bool options_uid_base(const char *text, uid_t *out)
{
    uint64_t n;

    if (!options_number("uid-base", text, 1, UID_BASE_MAX, &n)) {
        return false;
    }
    *out = (uid_t)n;
    return true;
}

bool options_log_level(const char *text)
{
    int level = log_level_by_name(text);

    if (level < 0) {
        fprintf(stderr, "%s: --log-level %s: there is no such level\n",
                program_invocation_short_name, text);
        return false;
    }
    log_set_level(level);
    return true;
}

static const struct option_rule options_common[] = {
    {.letter = 'h', .name = "help", .help = "show this and exit"},
    {.letter = 'V', .name = "version", .help = "show the version and exit"},
};
#define NR_COMMON (sizeof(options_common) / sizeof(options_common[0]))

static void options_show_rule(FILE *out, const struct option_rule *r)
{
    const char *line = r->help;
    int at = fprintf(out, "  -%c, --%s%s%s", r->letter, r->name, r->argument != NULL ? " " : "",
                     r->argument != NULL ? r->argument : "");

    while (line != NULL) {
        const char *end = strchr(line, '\n');
        int len = end != NULL ? (int)(end - line) : (int)strlen(line);

        fprintf(out, "%*s%.*s\n", at < HELP_COLUMN ? HELP_COLUMN - at : 1, "", len, line);
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
    for (unsigned int i = 0; i < NR_COMMON; i++) {
        options_show_rule(out, &options_common[i]);
    }
    fputs("\nExit status: 0 after SIGTERM or SIGINT, 1 when it cannot go on, 2 for wrong usage.\n",
          out);
}

static bool options_take(const struct option_rule *r, const char *text)
{
    uint64_t n = 0;

    switch (r->type) {
    case OPTION_TEXT:
        *(const char **)r->to = text;
        return true;
    case OPTION_UID:
        return options_uid_base(text, r->to);
    case OPTION_LEVEL:
        return options_log_level(text);
    case OPTION_NUMBER:
        break;
    }
    if (!options_number(r->name, text, r->min, r->max, &n)) {
        return false;
    }
    *(unsigned int *)r->to = (unsigned int)n;
    return true;
}

/* What getopt_long() wants to know. */
static void options_for_getopt(const struct option_rule *rules, unsigned int nr,
                               struct option *longs, char *shorts)
{
    for (unsigned int i = 0; i < nr; i++) {
        *longs++ = (struct option){rules[i].name,
                                   rules[i].argument != NULL ? required_argument : no_argument,
                                   NULL, rules[i].letter};
        *shorts++ = rules[i].letter;
        if (rules[i].argument != NULL) {
            *shorts++ = ':';
        }
    }
}

int options_parse(const char *program, const char *what, const struct option_rule *rules,
                  unsigned int nr, int argc, char **argv)
{
    struct option longs[RULES_MAX + 1] = {{.name = NULL}};
    struct option_rule all[RULES_MAX];
    char shorts[2 * RULES_MAX + 1] = "";
    int c;

    if (nr + NR_COMMON > RULES_MAX) {
        abort();
    }
    memcpy(all, rules, nr * sizeof(*rules));
    memcpy(all + nr, options_common, sizeof(options_common));
    options_for_getopt(all, nr + NR_COMMON, longs, shorts);
    while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        const struct option_rule *r = all;

        while (r < all + nr && r->letter != c) {
            r++;
        }
        if (c == 'h') {
            options_show(stdout, program, what, rules, nr);
            return 0;
        }
        if (c == 'V') {
            printf("%s " DUET_VERSION "\n", program);
            return 0;
        }
        if (r < all + nr && !options_take(r, optarg)) {
            return OPTIONS_EXIT_USAGE;
        }
        if (r == all + nr) {
            optind = argc + 1; /* getopt_long() has said what is wrong */
            break;
        }
    }
    if (optind != argc) {
        options_show(stderr, program, what, rules, nr);
        return OPTIONS_EXIT_USAGE;
    }
    return -1;
}
