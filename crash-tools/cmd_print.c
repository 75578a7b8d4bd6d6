/*
 * print: a variable, or a member of one, by its type.
 */
#include <stdio.h>

#include "crash.h"
#include "value.h"

static int print_run(struct session *s, int argc, char **argv, cJSON *answer, struct excuse *why)
{
    Dwarf_Die type;
    uint64_t address;

    (void)argc;
    if (kernel_find(s, argv[0], &address, &type) != 0) {
        return crash_fail(why, CRASH_FAILED, "the kernel has no variable '%s'", argv[0]);
    }
    cJSON_AddStringToObject(answer, "name", argv[0]);
    json_add_hex(answer, "address", address);
    cJSON_AddItemToObject(answer, "value", value_tree(s, &type, address));
    return CRASH_DONE;
}

static void print_show(const cJSON *answer)
{
    printf("%s = ", crash_text(answer, "name"));
    value_show(cJSON_GetObjectItem(answer, "value"), 0);
}

const struct command cmd_print = {
    .name = "print",
    .synopsis = "[FILE:]SYMBOL[.MEMBER]...",
    .summary = "a variable of the kernel, by its type",
    .min_args = 1,
    .max_args = 1,
    .needs_kernel = true,
    .run = print_run,
    .show = print_show,
};
