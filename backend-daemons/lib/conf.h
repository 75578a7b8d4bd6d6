/*
 * The configuration file, /etc/duet/duet.conf, which all daemons share: a section for each class,
 * and sections for single guests, by name or uuid, that say what is different there.
 *
 *     [console]
 *     rate = 512
 *     [console web1]
 *     rate = 4096
 *
 * A key is the long name of an option (options.h) that may stand there, `file` or `guest` in its
 * row. The command line is stronger than a class's section, and a guest's section than both.
 *
 * A line that is wrong is told and left out, and the others hold: a slip of the pen must not keep a
 * daemon from starting, for its guests would be without their disks. `--check` is for before.
 *
 * The file is an administrator's, and trusted as the command line is. It is parsed by inih.
 *
 * Types: struct conf, a daemon's options and what the file says of them.
 */
#ifndef DUET_LIB_CONF_H
#define DUET_LIB_CONF_H

#include "options.h"

#define CONF_PATH "/etc/duet/duet.conf"

/* Whose section it is: bytes of a domain's name, as far as a section's title can hold them. */
#define CONF_GUEST_MAX 50

struct conf_line {
    struct conf_line *next;
    const struct option_rule *rule;
    char guest[CONF_GUEST_MAX]; /* "": every guest of the class */
    uint64_t value;             /* as option_value() reads it */
    unsigned int number;
    char text[]; /* as it stands there, for a value that is one */
};

struct conf {
    const char *class; /* whose section is read: "block" */
    struct options options;
    const char *path;
    bool check; /* say whether the file is right, and end */
    struct conf_line *lines;
};

/* Told once for each line that is wrong: "PATH:LINE: what is wrong". */
typedef void conf_wrong_fn(void *arg, const char *sentence);

/*
 * Reads command line and file, and sets the options, to whose table it adds --config and --check;
 * `class` is set. What is wrong in the file is logged. Returns -1 to go on, or the exit status.
 */
int conf_start(struct conf *conf, int argc, char **argv);

/* Reads the file anew. One that cannot be read is told, and leaves all as it was. */
void conf_reload(struct conf *conf);

/*
 * Reads the file at `conf->path`. Returns how many lines are wrong, or -errno when it cannot be
 * read: then `conf` stays as it was.
 */
int conf_read(struct conf *conf, conf_wrong_fn *wrong, void *arg);

/* Sets every option that the command line has not set: from the file, or else to its default. */
void conf_apply(const struct conf *conf);

/*
 * What a guest has of the number `key` in place of `general`. `name` and `uuid` may be NULL or "";
 * a section by uuid is stronger than one by name.
 */
uint64_t conf_of_guest(const struct conf *conf, const char *key, const char *name, const char *uuid,
                       uint64_t general);

/* What the file says of `key` for all guests; NULL: nothing. */
const struct conf_line *conf_find(const struct conf *conf, const char *key);

/* Forgets what the file said. */
void conf_free(struct conf *conf);

#endif
