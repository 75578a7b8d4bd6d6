/*
 * bt and threads: who runs or waits, and where.
 */
#include <stdio.h>
#include <string.h>

#include "crash.h"
#include "stack.h"
#include "value.h"

/* ---- bt ---- */

#define FRAMES_ALL_MAX   65536 /* of all backtraces that one command gives */
#define FRAMES_WHERE_MAX 64    /* among which is where a thread waits */

/* Backtraces, and how many frames more there may be of. */
struct traces {
    cJSON *list;
    unsigned int left;
};

/* One backtrace with a title. */
static int add_trace(struct session *s, const char *title, const struct regs *regs,
                     struct traces *traces)
{
    struct backtrace b;
    int err = backtrace_make(s, regs, traces->left < FRAMES_MAX ? traces->left : FRAMES_MAX, &b);

    if (err == 0) {
        cJSON *one = backtrace_json(s, &b);

        cJSON_AddStringToObject(one, "of", title);
        cJSON_AddItemToArray(traces->list, one);
        traces->left -= b.stack.count;
    }
    backtrace_free(&b);
    return err;
}

static int add_vcpu(struct session *s, const struct kernel *k, unsigned int id,
                    struct traces *traces)
{
    char title[128];
    struct regs regs;

    regs_of_vcpu(core_vcpu(s->core, id), &regs);
    kernel_vcpu_title(k, id, title, sizeof(title));
    return add_trace(s, title, &regs, traces);
}

static int add_thread(struct session *s, const struct kthread *t, struct traces *traces)
{
    char title[128];
    struct regs regs;

    kernel_thread_title(t, title, sizeof(title));
    if (kernel_thread_regs(s, t, &regs) != 0) {
        cJSON *one = cJSON_CreateObject();

        cJSON_AddStringToObject(one, "of", title);
        cJSON_AddStringToObject(one, "end", "its stack cannot be read");
        cJSON_AddItemToArray(traces->list, one);
        return 0;
    }
    return add_trace(s, title, &regs, traces);
}

static int add_vcpus(struct session *s, const struct kernel *k, struct traces *traces)
{
    int err = 0;

    for (unsigned int i = 0; err == 0 && i < core_vcpu_count(s->core) && traces->left > 0; i++) {
        err = add_vcpu(s, k, i, traces);
    }
    return err;
}

/* By number or name. */
static const struct kthread *thread_called(const struct kernel *k, const char *text)
{
    uint64_t id;
    bool numbered = crash_number(text, &id);

    for (unsigned int i = 0; i < k->nthreads; i++) {
        if (numbered ? k->threads[i].id == id : strcmp(k->threads[i].name, text) == 0) {
            return &k->threads[i];
        }
    }
    return NULL;
}

static int bt_some(struct session *s, const struct kernel *k, int argc, char **argv,
                   struct traces *traces, struct excuse *why)
{
    uint64_t id;
    int err = 0;

    if (argc == 0) {
        err = add_vcpus(s, k, traces);
    } else if (argc == 1 && strcmp(argv[0], "all") == 0) {
        err = add_vcpus(s, k, traces);
        for (unsigned int i = 0; err == 0 && i < k->nthreads && traces->left > 0; i++) {
            err = k->threads[i].running < 0 ? add_thread(s, &k->threads[i], traces) : 0;
        }
    } else if (argc == 2 && strcmp(argv[0], "vcpu") == 0) {
        if (!crash_number(argv[1], &id) || id >= core_vcpu_count(s->core)) {
            return crash_fail(why, CRASH_USAGE, "there is no vCPU '%s'", argv[1]);
        }
        err = add_vcpu(s, k, (unsigned int)id, traces);
    } else if (argc == 2 && strcmp(argv[0], "thread") == 0) {
        const struct kthread *t = thread_called(k, argv[1]);

        if (t == NULL) {
            return crash_fail(why, CRASH_FAILED, "there is no thread '%s'", argv[1]);
        }
        err = add_thread(s, t, traces);
    } else {
        return crash_fail(why, CRASH_USAGE, "usage: bt [vcpu N|thread N|thread NAME|all]");
    }
    return err == 0 ? CRASH_DONE : crash_fail(why, CRASH_FAILED, "out of memory");
}

static int bt_run(struct session *s, int argc, char **argv, cJSON *answer, struct excuse *why)
{
    struct traces traces = {.list = cJSON_AddArrayToObject(answer, "backtraces"),
                            .left = FRAMES_ALL_MAX};
    struct kernel k;
    int err = kernel_load(s, &k);
    int status = err == 0 ? bt_some(s, &k, argc, argv, &traces, why) : crash_loaded(err, why);

    cJSON_AddBoolToObject(answer, "complete", traces.left > 0);
    kernel_free(&k);
    return status;
}

static void bt_show(const cJSON *answer)
{
    const cJSON *one;
    const char *before = "";

    cJSON_ArrayForEach (one, cJSON_GetObjectItem(answer, "backtraces")) {
        printf("%s%s:\n", before, crash_text(one, "of"));
        backtrace_show(one);
        before = "\n";
    }
    if (cJSON_IsFalse(cJSON_GetObjectItem(answer, "complete"))) {
        printf("\nthere are more, but no honest kernel has so many frames\n");
    }
}

const struct command cmd_bt = {
    .name = "bt",
    .synopsis = "[vcpu N|thread N|all]",
    .summary = "backtraces, with arguments",
    .max_args = 2,
    .needs_kernel = true,
    .run = bt_run,
    .show = bt_show,
};

/* ---- threads ---- */

static void thread_where(struct session *s, const struct kthread *t, char *to, size_t size)
{
    struct backtrace b = {0};
    struct regs regs;

    snprintf(to, size, "?");
    if (kernel_thread_regs(s, t, &regs) == 0 &&
        backtrace_make(s, &regs, FRAMES_WHERE_MAX, &b) == 0) {
        const struct call *call = backtrace_wait(&b);

        if (call != NULL) {
            call_place(call, to, size);
        }
    }
    backtrace_free(&b);
}

static cJSON *thread_json(struct session *s, const struct kernel *k, const struct kthread *t)
{
    static const char *const states[] = {"ready", "running", "blocked", "dead"};
    static const char *const prios[] = {"idle", "low", "normal", "high"};
    unsigned int state = t->state == 1 && t->running < 0 ? 0 : t->state;
    cJSON *json = cJSON_CreateObject();
    char text[VALUE_TEXT_MAX];

    cJSON_AddNumberToObject(json, "id", t->id);
    cJSON_AddStringToObject(json, "name", t->name);
    cJSON_AddNumberToObject(json, "vcpu", t->cpu);
    cJSON_AddStringToObject(json, "state", state < 4 ? states[state] : "?");
    cJSON_AddStringToObject(json, "priority", t->prio < 4 ? prios[t->prio] : "?");
    json_add_hex(json, "address", t->address);
    thread_where(s, t, text, sizeof(text));
    cJSON_AddStringToObject(json, "where", text);
    if (t->wants != 0) {
        const struct kthread *owner = NULL;
        uint64_t address;

        kernel_lock_name(s, "mutex", t->wants, text, sizeof(text));
        cJSON_AddStringToObject(json, "wants_mutex", text);
        if (kernel_member(s, "mutex", t->wants, "owner", &address) == 0) {
            owner = kernel_thread(k, address);
        }
        cJSON_AddStringToObject(json, "held_by", owner != NULL ? owner->name : "nobody");
    } else if (t->waits_for != 0) {
        uint64_t name = 0;

        (void)kernel_member(s, "waitq", t->waits_for, "lock.name", &name);
        (void)kernel_string(s, name, text, sizeof(text));
        cJSON_AddStringToObject(json, "waits_for", text);
    }
    return json;
}

static int threads_run(struct session *s, int argc, char **argv, cJSON *answer, struct excuse *why)
{
    cJSON *list = cJSON_AddArrayToObject(answer, "threads");
    struct kernel k;
    int err = kernel_load(s, &k);

    (void)argc;
    (void)argv;
    for (unsigned int i = 0; err == 0 && i < k.nthreads; i++) {
        cJSON_AddItemToArray(list, thread_json(s, &k, &k.threads[i]));
    }
    cJSON_AddBoolToObject(answer, "complete", !k.cut);
    kernel_free(&k);
    return crash_loaded(err, why);
}

static void threads_show(const cJSON *answer)
{
    const cJSON *t;

    printf("  id  cpu  state    prio    name                    where\n");
    cJSON_ArrayForEach (t, cJSON_GetObjectItem(answer, "threads")) {
        printf("%4.0f  %3.0f  %-7s  %-6s  %-22s  %s",
               cJSON_GetNumberValue(cJSON_GetObjectItem(t, "id")),
               cJSON_GetNumberValue(cJSON_GetObjectItem(t, "vcpu")), crash_text(t, "state"),
               crash_text(t, "priority"), crash_text(t, "name"), crash_text(t, "where"));
        if (cJSON_HasObjectItem(t, "wants_mutex")) {
            printf(", for mutex \"%s\" of \"%s\"", crash_text(t, "wants_mutex"),
                   crash_text(t, "held_by"));
        } else if (cJSON_HasObjectItem(t, "waits_for")) {
            printf(", for \"%s\"", crash_text(t, "waits_for"));
        }
        printf("\n");
    }
    if (cJSON_IsFalse(cJSON_GetObjectItem(answer, "complete"))) {
        printf("the list of threads is damaged: there may be more\n");
    }
}

const struct command cmd_threads = {
    .name = "threads",
    .synopsis = "",
    .summary = "all threads, and where each waits",
    .needs_kernel = true,
    .run = threads_run,
    .show = threads_show,
};
