/*
 * Reading the configuration file, and the command line: see conf.h. What inih does not tell, it is
 * asked line by line through a reader of ours: which line it is at, and what it would silently cut.
 */
#include "conf.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

#define CONF_BYTES_MAX 65536U
/* What inih reads of a line and of a section's title, with the final NUL. */
#define CONF_LINE_MAX  200U
#define CONF_TITLE_MAX 50U
/* In place of a line that was told already: a comment. */
#define CONF_NOTHING ";\n"
#define CONF_WHO_NOT "?"
/* Some editors begin a file with it. */
#define CONF_BOM "\xef\xbb\xbf"

static const char *const conf_classes[] = {"block", "console", "net"};

struct conf_parser {
    const struct conf *conf;
    conf_wrong_fn *wrong;
    void *arg;
    const char *at; /* what is not read yet */
    unsigned int line;
    int nr_wrong;
    struct conf_line *lines, **end;
};

static void conf_complain(struct conf_parser *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void conf_complain(struct conf_parser *p, const char *fmt, ...)
{
    char text[512];
    int n = snprintf(text, sizeof(text), "%s:%u: ", p->conf->path, p->line);
    va_list ap;

    if (n < 0 || n >= (int)sizeof(text)) {
        n = 0;
    }
    va_start(ap, fmt);
    vsnprintf(text + n, sizeof(text) - n, fmt, ap);
    va_end(ap);
    p->nr_wrong++;
    p->wrong(p->arg, text);
}

/* Length of what is no comment and no blank at the end, a carriage return being one. */
static unsigned long conf_code(const char *line, unsigned long len)
{
    for (unsigned long i = 0; i < len; i++) {
        if ((line[i] == ';' && (i == 0 || isspace((unsigned char)line[i - 1]))) || *line == '#') {
            len = i;
        }
    }
    while (len != 0 && isspace((unsigned char)line[len - 1])) {
        len--;
    }
    return len;
}

/* Whether nothing stands behind a title, which inih would not look at; a remark may. */
static bool conf_title_ends(const char *close, const char *end)
{
    const char *rest = close + 1;

    while (rest < end && isspace((unsigned char)*rest)) {
        rest++;
    }
    return rest == end || *rest == '#';
}

/* Whether inih would understand the line as it stands; what it would not is told. */
static bool conf_line_fits(struct conf_parser *p, const char *line, unsigned long len)
{
    const char *close = memchr(line, ']', len);

    if (len + 2 > CONF_LINE_MAX) {
        conf_complain(p, "longer than %u bytes", CONF_LINE_MAX - 2);
        return false;
    }
    if (*line == '[' && close == NULL) {
        conf_complain(p, "a title without its ]");
        return false;
    }
    if (*line == '[' && (unsigned long)(close - line) > CONF_TITLE_MAX) {
        conf_complain(p,
                      "a title of more than %u bytes; name the guest by its uuid. Its lines are "
                      "left out",
                      CONF_TITLE_MAX - 1);
        return false;
    }
    if (*line == '[' && !conf_title_ends(close, line + len)) {
        conf_complain(p, "a title with something behind it, which belongs on a line of its own. "
                         "The section's lines are left out");
        return false;
    }
    if (len != 0 && *line != '[' && memchr(line, '=', len) == NULL &&
        memchr(line, ':', len) == NULL) {
        conf_complain(p, "neither a [section] nor KEY = VALUE");
        return false;
    }
    return true;
}

/* inih's reader, in the manner of fgets(). Blanks in front would make it the last value's rest. */
static char *conf_next_line(char *buf, int size, void *arg)
{
    struct conf_parser *p = arg;
    const char *end;
    unsigned long len;

    if (*p->at == '\0') {
        return NULL;
    }
    p->line++;
    p->at += strspn(p->at, " \t");
    end = strchrnul(p->at, '\n');
    len = conf_code(p->at, (unsigned long)(end - p->at));
    if (conf_line_fits(p, p->at, len)) {
        snprintf(buf, (size_t)size, "%.*s\n", (int)len, p->at);
    } else {
        /* a title that is not understood begins a section of nobody's */
        snprintf(buf, (size_t)size, "%s", *p->at == '[' ? "[" CONF_WHO_NOT "]\n" : CONF_NOTHING);
    }
    p->at = *end == '\n' ? end + 1 : end;
    return buf;
}

/* Takes "class guest" apart. Returns whether the section is for this daemon. */
static bool conf_section(struct conf_parser *p, const char *title, char guest[CONF_GUEST_MAX])
{
    const unsigned long len = strcspn(title, " \t");
    const char *who = title + len + strspn(title + len, " \t");

    if (strcmp(title, CONF_WHO_NOT) == 0) {
        return false; /* told */
    }
    for (unsigned int i = 0; i < sizeof(conf_classes) / sizeof(conf_classes[0]); i++) {
        if (strlen(conf_classes[i]) == len && strncmp(title, conf_classes[i], len) == 0) {
            snprintf(guest, CONF_GUEST_MAX, "%.*s", (int)conf_code(who, strlen(who)), who);
            return strcmp(conf_classes[i], p->conf->class) == 0;
        }
    }
    if (*title == '\0') {
        conf_complain(p, "a key before the first section: [block], [console] or [net]");
    } else {
        conf_complain(p,
                      "in [%s], which is not [block], [console] or [net], or one of these "
                      "with a guest: [net web1]",
                      title);
    }
    return false;
}

static const struct option_rule *conf_rule(struct conf_parser *p, const char *key,
                                           const char *guest)
{
    for (unsigned int i = 0; i < p->conf->options.nr; i++) {
        const struct option_rule *r = &p->conf->options.rules[i];

        if (strcmp(r->name, key) != 0 || r->scope == OPTION_NOT_IN_FILE) {
            continue;
        }
        if (*guest != '\0' && r->scope != OPTION_OF_GUEST) {
            conf_complain(p, "%s is for all guests, in [%s]; one alone cannot have another", key,
                          p->conf->class);
            return NULL;
        }
        return r;
    }
    conf_complain(p, "there is no %s in [%s]", key, p->conf->class);
    return NULL;
}

static const struct conf_line *conf_earlier(const struct conf_parser *p,
                                            const struct option_rule *rule, const char *guest)
{
    for (const struct conf_line *l = p->lines; l != NULL; l = l->next) {
        if (l->rule == rule && strcmp(l->guest, guest) == 0) {
            return l;
        }
    }
    return NULL;
}

static void conf_keep(struct conf_parser *p, const struct option_rule *rule, const char *guest,
                      const char *text, uint64_t value)
{
    struct conf_line *l = calloc(1, sizeof(*l) + strlen(text) + 1);

    if (l == NULL) {
        conf_complain(p, "no memory for this line");
        return;
    }
    l->rule = rule;
    memcpy(l->text, text, strlen(text) + 1);
    l->value = rule->type == OPTION_LISTEN ? (uint64_t)(uintptr_t)l->text : value;
    l->number = p->line;
    snprintf(l->guest, sizeof(l->guest), "%s", guest);
    *p->end = l;
    p->end = &l->next;
}

/* inih's handler: a key with its value. Returns 1: go on. */
static int conf_take(void *arg, const char *section, const char *key, const char *text)
{
    struct conf_parser *p = arg;
    const struct option_rule *rule;
    const struct conf_line *earlier;
    char guest[CONF_GUEST_MAX] = "", why[256];
    uint64_t value = 0;

    if (!conf_section(p, section, guest)) {
        return 1;
    }
    rule = conf_rule(p, key, guest);
    if (rule == NULL) {
        return 1;
    }
    earlier = conf_earlier(p, rule, guest);
    if (earlier != NULL) {
        conf_complain(p, "%s was set in line %u", key, earlier->number);
    } else if (!option_value(rule, text, &value, why, sizeof(why))) {
        conf_complain(p, "%s = %s: %s", key, text, why);
    } else {
        conf_keep(p, rule, guest, text, value);
    }
    return 1;
}

/* Reads all of it into `text`, of CONF_BYTES_MAX + 1 bytes. Returns the length, or -errno. Does not
 * wait for who writes a pipe. */
static long conf_load(const char *path, char *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err = 0;
    unsigned long used = 0;
    ssize_t n = 1;

    if (fd < 0) {
        return -errno;
    }
    while (used < CONF_BYTES_MAX && n > 0) {
        n = read(fd, text + used, CONF_BYTES_MAX - used);
        used += n > 0 ? (unsigned long)n : 0;
    }
    if (n < 0) {
        err = -errno;
    } else if (used == CONF_BYTES_MAX) {
        err = -EFBIG;
    }
    close(fd);
    text[used] = '\0';
    return err != 0 ? err : (long)used;
}

static void conf_parse(struct conf_parser *p, char *text, unsigned long bytes)
{
    p->at = text;
    p->end = &p->lines;
    if (strncmp(text, CONF_BOM, strlen(CONF_BOM)) == 0) {
        p->at += strlen(CONF_BOM);
    }
    ini_parse_stream(conf_next_line, p, conf_take, p); /* finds no fault that we have not told */
    if (strlen(text) != bytes) {
        conf_complain(p, "a NUL; what follows it is not read");
    }
}

int conf_read(struct conf *conf, conf_wrong_fn *wrong, void *arg)
{
    struct conf_parser p = {.conf = conf, .wrong = wrong, .arg = arg};
    char *text = malloc(CONF_BYTES_MAX + 1);
    long bytes = text != NULL ? conf_load(conf->path, text) : -ENOMEM;

    if (bytes >= 0) {
        conf_parse(&p, text, (unsigned long)bytes);
        conf_free(conf);
        conf->lines = p.lines;
    }
    free(text);
    return bytes >= 0 ? p.nr_wrong : (int)bytes;
}

void conf_apply(const struct conf *conf)
{
    const struct options *options = &conf->options;

    for (unsigned int i = 0; i < options->nr; i++) {
        const struct option_rule *r = &options->rules[i];
        const struct conf_line *l;

        if (r->scope == OPTION_NOT_IN_FILE || options->given[i]) {
            continue;
        }
        l = conf_find(conf, r->name);
        option_set(r, l != NULL ? l->value : options->defaults[i]);
    }
}

static void conf_log(void *arg, const char *sentence)
{
    (void)arg;
    log_msg(LOG_ERR, NULL, "%s; this line is left out", sentence);
}

/* Whether the file may be missing: nobody has asked for it. */
static bool conf_is_default(const struct conf *conf)
{
    return strcmp(conf->path, CONF_PATH) == 0;
}

void conf_reload(struct conf *conf)
{
    int err = conf_read(conf, conf_log, NULL);

    if (err == -ENOENT && conf_is_default(conf)) {
        conf_free(conf);
        err = 0;
    }
    if (err < 0) {
        log_msg(LOG_ERR, NULL, "%s: %s; all stays as it was", conf->path, strerror(-err));
        return;
    }
    conf_apply(conf);
}

static void conf_show(void *arg, const char *sentence)
{
    char shown[1024];

    log_escape(shown, sizeof(shown), sentence);
    fprintf(arg, "%s\n", shown);
}

/* --check. Returns the exit status. */
static int conf_check(struct conf *conf)
{
    int err = conf_read(conf, conf_show, stderr);

    if (err == -ENOENT && conf_is_default(conf)) {
        printf("%s: not there: all is as without it\n", conf->path);
    } else if (err < 0) {
        fprintf(stderr, "%s: %s\n", conf->path, strerror(-err));
    } else if (err == 0) {
        printf("%s: [%s] is right\n", conf->path, conf->class);
    }
    conf_free(conf);
    return err == 0 || (err == -ENOENT && conf_is_default(conf)) ? EXIT_SUCCESS : EXIT_FAILURE;
}

int conf_start(struct conf *conf, int argc, char **argv)
{
    const struct option_rule rules[] = {
        {.letter = 'c',
         .name = "config",
         .argument = "FILE",
         .help = "configuration (default " CONF_PATH ")",
         .to = &conf->path},
        {.name = "check",
         .help = "say what is wrong in the configuration, and end: exit\nstatus 1 if anything is",
         .type = OPTION_SWITCH,
         .to = &conf->check},
    };
    int status;

    conf->path = CONF_PATH;
    options_add(&conf->options, rules, sizeof(rules) / sizeof(rules[0]));
    status = options_parse(&conf->options, argc, argv);
    if (status >= 0) {
        return status;
    }
    if (conf->check) {
        return conf_check(conf);
    }
    conf_reload(conf);
    return -1;
}
