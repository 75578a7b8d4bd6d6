/*
 * complete.c - what the Tab key offers: commands, disks, store paths.
 *
 * A candidate is a whole word. One candidate is put in; several are extended to what they share,
 * and listed when that adds nothing. No state, no locks; runs in the shell's thread and may sleep.
 */
#include "io/blk.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "lib/edit.h"
#include "shell/shell.h"
#include "xenbus/xs.h"

#define WORD_MAX 256

/* The search for candidates that begin with word[]. */
struct search {
    struct edit *e;
    char word[WORD_MAX];   /* what stands before the cursor */
    size_t len;            /* of it */
    char common[WORD_MAX]; /* what all candidates share */
    unsigned found;
    bool listing; /* second pass: show them */
};

static void complete_offer(struct search *s, const char *candidate)
{
    if (strncmp(candidate, s->word, s->len) != 0) {
        return;
    }
    if (s->listing) {
        s->e->show(candidate, strlen(candidate), s->e->arg);
        s->e->show("  ", 2, s->e->arg);
        return;
    }
    if (s->found++ == 0) {
        strlcpy(s->common, candidate, sizeof(s->common));
        return;
    }
    size_t n = 0;
    while (s->common[n] != '\0' && s->common[n] == candidate[n]) {
        n++;
    }
    s->common[n] = '\0';
}

static void offer_commands(struct search *s)
{
    for (size_t g = 0; sh_groups[g] != NULL; g++) {
        for (const struct sh_command *c = sh_groups[g]; c->name != NULL; c++) {
            complete_offer(s, c->name);
        }
    }
}

/* Offers the disks, each behind @prefix ("if="). */
static void offer_disks(struct search *s, const char *prefix)
{
    for (struct blk_dev *dev = NULL; (dev = blk_next(dev));) {
        char text[BLK_NAME_MAX + 8];

        snprintf(text, sizeof(text), "%s%s", prefix, dev->name);
        complete_offer(s, text);
    }
}

static void offer_dd(struct search *s)
{
    static const char *const words[] = {
        "if=pattern:", "if=zero", "verify=pattern:", "verify=zero", "bs=",
        "count=",      "skip=",   "seek=",           "conv=fsync",
    };

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        complete_offer(s, words[i]);
    }
    offer_disks(s, "if=");
    offer_disks(s, "of=");
}

/* The nodes below the last '/' of the word. */
static void offer_paths(struct search *s)
{
    const char *slash = strrchr(s->word, '/');
    size_t dir_len = slash != NULL ? (size_t)(slash - s->word) : 0;
    char dir[WORD_MAX];
    struct xs_list names;

    if (slash == NULL) {
        return;
    }
    memcpy(dir, s->word, dir_len);
    dir[dir_len] = '\0';
    if (xs_directory(XS_NO_TXN, dir_len != 0 ? dir : "/", NULL, &names) != 0) {
        return;
    }
    for (const char *name = NULL; (name = xs_list_each(&names, name));) {
        char path[WORD_MAX];

        if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) < sizeof(path)) {
            complete_offer(s, path);
        }
    }
    xs_list_free(&names);
}

static void offer_xs(struct search *s, unsigned index)
{
    static const char *const verbs[] = {"ls", "read", "write", "rm", "perms", "stat"};
    static const char *const tops[] = {"control/", "data/", "device/", "/local/domain/"};

    for (size_t i = 0; index == 1 && i < ARRAY_SIZE(verbs); i++) {
        complete_offer(s, verbs[i]);
    }
    for (size_t i = 0; index > 1 && strchr(s->word, '/') == NULL && i < ARRAY_SIZE(tops); i++) {
        complete_offer(s, tops[i]);
    }
    if (index > 1) {
        offer_paths(s);
    }
}

/* The command whose argument is being typed, and the argument's number; NULL: the command itself.
 */
static const struct sh_command *command_of(const struct edit *e, size_t word_at, unsigned *index)
{
    char name[24];
    size_t at = word_at;

    while (at != 0 && e->text[at - 1] != ';') {
        at--;
    }
    *index = 0;
    name[0] = '\0';
    while (at < word_at) {
        size_t n = 0;

        while (at < word_at && e->text[at] == ' ') {
            at++;
        }
        while (at + n < word_at && e->text[at + n] != ' ') {
            n++;
        }
        if (n != 0 && (*index)++ == 0) {
            strlcpy(name, e->text + at, MIN(n + 1, sizeof(name)));
        }
        at += n;
    }
    return *index != 0 ? sh_find(name) : NULL;
}

static void search(struct search *s, const struct sh_command *c, unsigned index)
{
    if (index == 0) {
        offer_commands(s);
    } else if (c != NULL && c->args == ARGS_COMMAND) {
        offer_commands(s);
    } else if (c != NULL && c->args == ARGS_DISK) {
        offer_disks(s, "");
    } else if (c != NULL && c->args == ARGS_DD) {
        offer_dd(s);
    } else if (c != NULL && c->args == ARGS_XS) {
        offer_xs(s, index);
    }
}

/* A word that may go on: a store path has more below it, an operand wants its value. */
static bool wants_more(const char *word)
{
    char last = word[strlen(word) - 1];

    return strchr(word, '/') != NULL || last == '=' || last == ':';
}

void sh_complete(struct edit *e)
{
    struct search *s = kzalloc(sizeof(*s));
    size_t at = e->pos;
    unsigned index;

    while (at != 0 && e->text[at - 1] != ' ' && e->text[at - 1] != ';') {
        at--;
    }
    if (s == NULL || e->pos - at >= WORD_MAX) {
        kfree(s);
        return;
    }
    s->e = e;
    s->len = e->pos - at;
    memcpy(s->word, e->text + at, s->len);
    const struct sh_command *c = command_of(e, at, &index);
    search(s, c, index);
    if (s->found != 0) {
        size_t more = strlen(s->common) - s->len;

        edit_insert(e, s->common + s->len, more);
        if (s->found == 1 && !wants_more(s->common)) {
            edit_insert(e, " ", 1);
        } else if (s->found > 1 && more == 0) {
            s->listing = true;
            e->show("\n", 1, e->arg);
            search(s, c, index);
            e->show("\n", 1, e->arg);
            edit_refresh(e);
        }
    }
    kfree(s);
}
