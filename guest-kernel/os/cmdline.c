/*
 * cmdline.c - the kernel command line, taken apart.
 *
 * The line is copied and split in place: words end at blanks outside double quotes, quotes are
 * dropped, and of a key that stands twice the last value counts. No locks: read-only after
 * cmdline_boot().
 */
#include "os/cmdline.h"

#include "kern/string.h"
#include "os/start_info.h"

#define MAX_WORDS 64

static char text[MAX_GUEST_CMDLINE];  /* as given */
static char split[MAX_GUEST_CMDLINE]; /* words, each terminated */
static const char *words[MAX_WORDS];
static size_t nwords;

/* Cut one word that begins at @at, dropping its quotes. Return: where the next may begin. */
static char *cut_word(char *at)
{
    char *to = at;
    bool quoted = false;

    for (; *at != '\0' && (quoted || *at != ' '); at++) {
        if (*at == '"') {
            quoted = !quoted;
        } else {
            *to++ = *at;
        }
    }
    char *next = *at == '\0' ? at : at + 1;
    *to = '\0';
    return next;
}

void cmdline_boot(void)
{
    char *at = split;

    strlcpy(text, (const char *)start_info->cmd_line, sizeof(text));
    strlcpy(split, text, sizeof(split));
    while (nwords < MAX_WORDS) {
        while (*at == ' ') {
            at++;
        }
        if (*at == '\0') {
            break;
        }
        words[nwords++] = at;
        at = cut_word(at);
    }
}

const char *cmdline_get(const char *key)
{
    size_t len = strlen(key);
    const char *value = NULL;

    for (size_t i = 0; i < nwords; i++) {
        if (strncmp(words[i], key, len) == 0) {
            if (words[i][len] == '=') {
                value = words[i] + len + 1;
            } else if (words[i][len] == '\0') {
                value = "";
            }
        }
    }
    return value;
}

const char *cmdline_text(void)
{
    return text;
}
