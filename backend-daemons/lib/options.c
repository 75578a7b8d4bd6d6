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

#include "address.h"
#include "log.h"

#define OPTIONS_HELP_COLUMN 29
#define OPTIONS_NUMBERED    256 /* beyond every letter */

/* What the letter behind a number of bytes multiplies it by; 0: there is something else. */
static uint64_t option_unit(const struct option_rule *r, const char *end)
{
    static const char units[] = "KMG";
    const char *unit;

    if (*end == '\0') {
        return 1;
    }
    unit = r->type == OPTION_BYTES && end[1] == '\0' ? strchr(units, *end) : NULL;
    return unit != NULL ? UINT64_C(1024) << 10 * (unit - units) : 0;
}

static bool option_number(const struct option_rule *r, const char *text, uint64_t *value, char *why,
                          unsigned long why_size)
{
    unsigned long long n;
    uint64_t unit;
    char *end;

    errno = 0;
    n = strtoull(text, &end, 0);
    unit = option_unit(r, end);
    if (errno != 0 || *text < '0' || *text > '9' || unit == 0 || n > r->max / unit ||
        n * unit < r->min) {
        snprintf(why, why_size, "not a number from %" PRIu64 " to %" PRIu64, r->min, r->max);
        return false;
    }
    *value = r->type == OPTION_KIB ? n * 1024 : n * unit;
    return true;
}

static bool option_listen(const char *text, uint64_t *value, char *why, unsigned long why_size)
{
    struct address address;

    *value = (uint64_t)(uintptr_t)text;
    return address_read(text, &address, why, why_size);
}

bool option_value(const struct option_rule *r, const char *text, uint64_t *value, char *why,
                  unsigned long why_size)
{
    int level;

    if (r->type == OPTION_LISTEN) {
        return option_listen(text, value, why, why_size);
    }
    if (r->type != OPTION_LEVEL) {
        return option_number(r, text, value, why, why_size);
    }
    level = log_level_by_name(text);
    if (level < 0) {
        snprintf(why, why_size, "there is no such level");
        return false;
    }
    *value = (uint64_t)level;
    return true;
}

/* Whether it is for a uint64_t. */
static bool option_is_wide(const struct option_rule *r)
{
    return r->type == OPTION_KIB || r->type == OPTION_BYTES;
}

void option_set(const struct option_rule *r, uint64_t value)
{
    if (r->type == OPTION_LEVEL) {
        log_set_level((int)value);
    } else if (option_is_wide(r)) {
        *(uint64_t *)r->to = value;
    } else if (r->type == OPTION_LISTEN) {
        *(const char **)r->to = (const char *)(uintptr_t)value;
    } else {
        *(unsigned int *)r->to = (unsigned int)value;
    }
}

/* What it is set to now. */
static uint64_t option_get(const struct option_rule *r)
{
    if (r->type == OPTION_LEVEL) {
        return (uint64_t)log_level();
    }
    if (r->type == OPTION_LISTEN) {
        return (uint64_t)(uintptr_t) * (const char *const *)r->to;
    }
    return option_is_wide(r) ? *(const uint64_t *)r->to : *(const unsigned int *)r->to;
}

static bool option_dir(const struct option_rule *r, const char *text, char *why,
                       unsigned long why_size)
{
    if (*text != '/' || strlen(text) >= r->max) {
        snprintf(why, why_size, "not an absolute path of less than %" PRIu64 " bytes", r->max);
        return false;
    }
    *(const char **)r->to = text;
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
    char why[256];
    uint64_t value = 0;
    bool fine = true;

    switch (r->type) {
    case OPTION_TEXT:
        *(const char **)r->to = text;
        return true;
    case OPTION_SWITCH:
        *(bool *)r->to = true;
        return true;
    case OPTION_DIR:
        fine = option_dir(r, text, why, sizeof(why));
        break;
    case OPTION_LISTEN:
    case OPTION_LEVEL:
    case OPTION_NUMBER:
    case OPTION_KIB:
    case OPTION_BYTES:
        fine = option_value(r, text, &value, why, sizeof(why));
        if (fine) {
            option_set(r, value);
        }
        break;
    }
    if (!fine) {
        fprintf(stderr, "%s: --%s %s: %s\n", program_invocation_short_name, r->name, text, why);
    }
    return fine;
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

void options_add(struct options *o, const struct option_rule *rules, unsigned int nr)
{
    if (o->nr + nr + OPTIONS_NR_COMMON > OPTIONS_MAX) {
        abort();
    }
    memcpy(o->rules + o->nr, rules, nr * sizeof(*rules));
    o->nr += nr;
}

static void options_keep_defaults(struct options *o)
{
    for (unsigned int i = 0; i < o->nr; i++) {
        if (o->rules[i].scope != OPTION_NOT_IN_FILE) {
            o->defaults[i] = option_get(&o->rules[i]);
        }
    }
}

int options_parse(struct options *o, int argc, char **argv)
{
    struct option longs[OPTIONS_MAX + 1] = {{.name = NULL}};
    char shorts[2 * OPTIONS_MAX + 1] = "";
    const unsigned int nr = o->nr + OPTIONS_NR_COMMON;
    const struct option_rule *r;
    int c;

    memcpy(o->rules + o->nr, options_common, sizeof(options_common));
    options_keep_defaults(o);
    options_for_getopt(o->rules, nr, longs, shorts);
    while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        r = options_found(o->rules, nr, c);
        if (r != NULL && r->letter == 'h') {
            options_show(stdout, o->program, o->what, o->rules, o->nr);
            return 0;
        }
        if (r != NULL && r->letter == 'V') {
            printf("%s " DUET_VERSION "\n", o->program);
            return 0;
        }
        if (r == NULL || !options_take(r, optarg)) {
            return options_wrong(o->program);
        }
        o->given[r - o->rules] = true;
    }
    if (optind != argc) {
        fprintf(stderr, "%s: unexpected argument '%s'\n", o->program, argv[optind]);
        return options_wrong(o->program);
    }
    return -1;
}
