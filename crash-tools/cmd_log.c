/*
 * log: the kernel's ring of messages, and what the console shows last, which is where a panic's
 * words are. Both are text of the guest's: lines of printable characters leave here.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash.h"
#include "value.h"

#include <xen/io/console.h>

#define LOG_MAX (1u << 20)

/* The @size bytes of a ring at @from, of which the oldest is at @end, to @to, without NULs. */
static size_t unroll(const char *from, size_t size, uint64_t end, char *to)
{
    size_t n = 0;

    for (size_t i = 0; i < size; i++) {
        char c = from[(end + i) % size];

        if (c != '\0') {
            to[n++] = c;
        }
    }
    to[n] = '\0';
    return n;
}

size_t console_tail(struct session *s, char *to, size_t size)
{
    struct xencons_interface page;
    uint64_t address;

    to[0] = '\0';
    if (size <= sizeof(page.out) ||
        kernel_variable(s, "io/xencons/cons_ring.c:ring", &address) != 0 || address == 0 ||
        space_read(&s->space, address, &page, sizeof(page)) != 0) {
        return 0;
    }
    return unroll(page.out, sizeof(page.out), page.out_prod, to);
}

/* Adds the lines of a text. The first one may be the rest of one that is gone. */
static void add_lines(cJSON *list, const char *text, size_t len)
{
    while (len > 0) {
        const char *newline = memchr(text, '\n', len);
        size_t n = newline != NULL ? (size_t)(newline - text) : len;
        size_t shown = n > 0 && text[n - 1] == '\r' ? n - 1 : n;
        char *line = malloc(4 * shown + 2);

        if (line == NULL) {
            return;
        }
        kernel_escape(text, shown, line, 4 * shown + 2);
        cJSON_AddItemToArray(list, cJSON_CreateString(line));
        free(line);
        n += newline != NULL;
        text += n;
        len -= n;
    }
}

/* The kernel's own ring: kern/log.c. */
static int add_log(struct session *s, cJSON *list)
{
    Dwarf_Die type;
    uint64_t address, end;
    int err = kernel_find(s, "kern/log.c:ring", &address, &type);
    unsigned int size = err == 0 ? value_size(&type) : 0;

    if (err != 0 || kernel_variable(s, "ring_end", &end) != 0 || size == 0 || size > LOG_MAX) {
        return -1;
    }
    char *raw = malloc(size), *text = malloc(size + 1u);
    bool read = raw != NULL && text != NULL && space_read(&s->space, address, raw, size) == 0;
    if (read) {
        add_lines(list, text, unroll(raw, size, end, text));
    }
    free(raw);
    free(text);
    return read ? 0 : -1;
}

static int log_run(struct session *s, int argc, char **argv, cJSON *answer, struct excuse *why)
{
    char tail[4096];

    (void)argc;
    (void)argv;
    if (add_log(s, cJSON_AddArrayToObject(answer, "log")) != 0) {
        return crash_fail(why, CRASH_FAILED, "the kernel's ring of messages cannot be read");
    }
    add_lines(cJSON_AddArrayToObject(answer, "console"), tail, console_tail(s, tail, sizeof(tail)));
    return CRASH_DONE;
}

static void log_show(const cJSON *answer)
{
    const cJSON *line;

    cJSON_ArrayForEach (line, cJSON_GetObjectItem(answer, "log")) {
        puts(line->valuestring);
    }
    puts("---- the last of the console:");
    cJSON_ArrayForEach (line, cJSON_GetObjectItem(answer, "console")) {
        puts(line->valuestring);
    }
}

const struct command cmd_log = {
    .name = "log",
    .synopsis = "",
    .summary = "the kernel's messages, and its last words on the console",
    .needs_kernel = true,
    .run = log_run,
    .show = log_show,
};
