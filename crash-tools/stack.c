/*
 * Backtraces with names: see stack.h.
 */
#include "stack.h"

#include <dwarf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "value.h"

static void add_frame(const struct session *s, struct backtrace *b, unsigned int n)
{
    struct image_function functions[IMAGE_INLINES_MAX];
    const struct frame *f = &b->stack.frames[n];
    struct call call = {.address = f->regs.value[REG_RIP], .frame = n, .trap = f->trap};
    unsigned int count = image_functions(s->image, frame_pc(f), functions);

    call.function = image_symbol(s->image, frame_pc(f), &call.offset);
    call.offset += f->exact ? 0 : 1;
    if (count == 0) {
        b->calls[b->count++] = call;
    }
    for (unsigned int i = 0; i < count; i++) {
        struct call one = call;

        one.inlined = i + 1 < count;
        one.trap = call.trap && i == 0;
        one.function = functions[i].name != NULL ? functions[i].name : call.function;
        one.file = functions[i].file;
        one.line = functions[i].line;
        one.has_die = true;
        one.die = functions[i].die;
        b->calls[b->count++] = one;
    }
}

int backtrace_make(const struct session *s, const struct regs *regs, unsigned int most,
                   struct backtrace *b)
{
    *b = (struct backtrace){0};
    int err = unwind(&s->unwinder, regs, most, &b->stack);

    if (err == 0) {
        b->calls = calloc((size_t)b->stack.count * IMAGE_INLINES_MAX, sizeof(*b->calls));
        err = b->calls != NULL ? 0 : -ENOMEM;
    }
    for (unsigned int i = 0; err == 0 && i < b->stack.count; i++) {
        add_frame(s, b, i);
    }
    return err;
}

void backtrace_free(struct backtrace *b)
{
    free(b->stack.frames);
    free(b->calls);
    *b = (struct backtrace){0};
}

void call_place(const struct call *call, char *to, size_t size)
{
    if (call->function == NULL) {
        snprintf(to, size, "0x%" PRIx64, call->address);
    } else if (call->file != NULL && call->line != 0) {
        snprintf(to, size, "%s (%s:%d)", call->function, call->file, call->line);
    } else {
        snprintf(to, size, "%s+0x%" PRIx64, call->function, call->offset);
    }
}

/* Functions in which whoever sleeps is, of no interest to who asks where it sleeps. */
static const char *const sleeping[] = {
    "thread_switched", "thread_begin",        "thread_schedule", "this_cpu",       "hypercall_page",
    "hypercall",       "HYPERVISOR_sched_op", "sched_block",     "sleep_until",    "waitq_sleep",
    "thread_yield",    "mutex_lock",          "cond_wait",       "cond_wait_until"};

const struct call *backtrace_wait(const struct backtrace *b)
{
    for (unsigned int i = 0; i < b->count; i++) {
        const char *function = b->calls[i].function;
        bool sleeps = false;

        for (size_t n = 0; function != NULL && n < sizeof(sleeping) / sizeof(sleeping[0]); n++) {
            size_t len = strlen(sleeping[n]);

            /* The compiler's variants of a function have names like thread_schedule.part.0. */
            sleeps = sleeps || (strncmp(function, sleeping[n], len) == 0 &&
                                (function[len] == '\0' || function[len] == '.'));
        }
        if (!sleeps) {
            return &b->calls[i];
        }
    }
    return NULL;
}

/* Now, or if that is forgotten when the function was called: *@entry. The @index-th argument. */
static int argument_value(const struct session *s, const struct backtrace *b,
                          const struct call *call, unsigned int index, Dwarf_Die *die,
                          Dwarf_Die *type, uint64_t *value, bool *entry)
{
    *entry = false;
    if (image_type_of(die, type) != 0) {
        return -ENODATA;
    }
    int err = unwind_value(&s->unwinder, &b->stack, call->frame, die, value_size(type), value);
    if (err != 0 && !call->inlined && value_size(type) <= sizeof(*value)) {
        err = unwind_entry(&s->unwinder, &b->stack, call->frame, index, value);
        *entry = err == 0;
    }
    return err;
}

int backtrace_argument(const struct session *s, const struct backtrace *b, const struct call *call,
                       const char *name, uint64_t *value)
{
    Dwarf_Die function = call->die, child, type;
    unsigned int index = 0;
    bool entry;

    if (!call->has_die || dwarf_child(&function, &child) != 0) {
        return -ENODATA;
    }
    do {
        const char *its = dwarf_diename(&child);

        if (dwarf_tag(&child) != DW_TAG_formal_parameter) {
            continue;
        }
        if (its != NULL && strcmp(its, name) == 0) {
            return argument_value(s, b, call, index, &child, &type, value, &entry);
        }
        index++;
    } while (dwarf_siblingof(&child, &child) == 0);
    return -ENODATA;
}

static cJSON *arguments(const struct session *s, const struct backtrace *b, const struct call *call)
{
    cJSON *list = cJSON_CreateArray();
    Dwarf_Die function = call->die, child, type;
    unsigned int index = 0;

    if (!call->has_die || dwarf_child(&function, &child) != 0) {
        return list;
    }
    do {
        const char *name = dwarf_diename(&child);
        char text[VALUE_TEXT_MAX] = "";
        uint64_t value;
        bool entry;

        if (dwarf_tag(&child) != DW_TAG_formal_parameter || name == NULL) {
            continue;
        }
        cJSON *argument = cJSON_CreateObject();
        cJSON_AddStringToObject(argument, "name", name);
        if (argument_value(s, b, call, index++, &child, &type, &value, &entry) == 0) {
            value_scalar(s, &type, value, text, sizeof(text));
            cJSON_AddStringToObject(argument, "value", text);
            cJSON_AddBoolToObject(argument, "at_entry", entry);
        } else {
            cJSON_AddNullToObject(argument, "value");
        }
        cJSON_AddItemToArray(list, argument);
    } while (dwarf_siblingof(&child, &child) == 0);
    return list;
}

static bool alike(const struct call *a, const struct call *b)
{
    return a->address == b->address && a->inlined == b->inlined && a->line == b->line &&
           a->function == b->function;
}

cJSON *backtrace_json(const struct session *s, const struct backtrace *b)
{
    cJSON *json = cJSON_CreateObject();
    cJSON *frames = cJSON_AddArrayToObject(json, "frames");

    for (unsigned int i = 0; i < b->count; i++) {
        const struct call *call = &b->calls[i];
        cJSON *one = cJSON_CreateObject();
        unsigned int repeated = 0;

        json_add_hex(one, "address", call->address);
        if (call->function != NULL) {
            cJSON_AddStringToObject(one, "function", call->function);
            json_add_hex(one, "offset", call->offset);
        }
        if (call->file != NULL) {
            cJSON_AddStringToObject(one, "file", call->file);
            cJSON_AddNumberToObject(one, "line", call->line);
        }
        cJSON_AddBoolToObject(one, "inlined", call->inlined);
        cJSON_AddBoolToObject(one, "interrupted", call->trap);
        cJSON_AddItemToObject(one, "arguments", arguments(s, b, call));
        while (i + 1 < b->count && alike(call, &b->calls[i + 1])) {
            repeated++;
            i++;
        }
        cJSON_AddNumberToObject(one, "repeated", repeated);
        cJSON_AddItemToArray(frames, one);
    }
    if (b->stack.end != NULL) {
        cJSON_AddStringToObject(json, "end", b->stack.end);
    }
    return json;
}

static const char *text_of(const cJSON *object, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItem(object, key));
}

static void show_arguments(const cJSON *frame)
{
    const cJSON *argument;
    const char *before = "(";

    cJSON_ArrayForEach (argument, cJSON_GetObjectItem(frame, "arguments")) {
        const char *value = text_of(argument, "value");

        printf("%s%s%s=%s", before, text_of(argument, "name"),
               cJSON_IsTrue(cJSON_GetObjectItem(argument, "at_entry")) ? "@entry" : "",
               value != NULL ? value : "?");
        before = ", ";
    }
    fputs(before[0] == '(' ? "()" : ")", stdout);
}

static void show_frame(const cJSON *frame, unsigned int n)
{
    const char *function = text_of(frame, "function"), *file = text_of(frame, "file");
    double repeated = cJSON_GetNumberValue(cJSON_GetObjectItem(frame, "repeated"));

    if (cJSON_IsTrue(cJSON_GetObjectItem(frame, "interrupted"))) {
        printf("     ---- interrupted:\n");
    }
    printf("%3u  %-18s  ", n, text_of(frame, "address"));
    if (function == NULL) {
        printf("(no function of the kernel's)");
    } else {
        printf("%s", function);
        show_arguments(frame);
    }
    if (file != NULL) {
        printf(" at %s:%.0f", file, cJSON_GetNumberValue(cJSON_GetObjectItem(frame, "line")));
    }
    printf("%s\n", cJSON_IsTrue(cJSON_GetObjectItem(frame, "inlined")) ? " (inlined)" : "");
    if (repeated > 0) {
        printf("     (the same %.0f times more)\n", repeated);
    }
}

void backtrace_show(const cJSON *json)
{
    const char *end = text_of(json, "end");
    const cJSON *frame;
    unsigned int n = 0;

    cJSON_ArrayForEach (frame, cJSON_GetObjectItem(json, "frames")) {
        show_frame(frame, n++);
    }
    if (end != NULL) {
        printf("     (%s)\n", end);
    }
}
