/*
 * locks: each lock that is held or wanted, its holder and who waits.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "crash.h"
#include "locks.h"
#include "value.h"

static cJSON *lock_json(const struct kernel *k, const struct klock *lock)
{
    cJSON *json = cJSON_CreateObject();
    char text[128] = "nobody";

    cJSON_AddStringToObject(json, "kind", lock->mutex ? "mutex" : "spinlock");
    cJSON_AddStringToObject(json, "name", lock->name);
    json_add_hex(json, "address", lock->address);
    cJSON_AddStringToObject(json, "variable", lock->place);
    if (lock->owner != NULL) {
        snprintf(text, sizeof(text), "thread \"%s\"", lock->owner->name);
    } else if (lock->cpu >= 0) {
        snprintf(text, sizeof(text), "vCPU %d", lock->cpu);
    }
    cJSON_AddStringToObject(json, "holder", text);
    cJSON *waiters = cJSON_AddArrayToObject(json, "waiters");
    for (unsigned int i = 0; lock->mutex && i < k->nthreads; i++) {
        if (k->threads[i].wants == lock->address) {
            snprintf(text, sizeof(text), "thread \"%s\"", k->threads[i].name);
            cJSON_AddItemToArray(waiters, cJSON_CreateString(text));
        }
    }
    for (unsigned int i = 0; !lock->mutex && i < k->ncpus; i++) {
        if (k->cpus[i].wants_lock == lock->address) {
            snprintf(text, sizeof(text), "vCPU %u", k->cpus[i].id);
            cJSON_AddItemToArray(waiters, cJSON_CreateString(text));
        }
    }
    return json;
}

static void add_circles(struct session *s, const struct kernel *k, cJSON *list)
{
    const struct kthread *threads[CIRCLE_MAX];
    const struct kcpu *cpus[CIRCLE_MAX];
    char text[128];

    for (unsigned int i = 0; i < k->nthreads; i++) {
        unsigned int n = lock_circle(s, k, &k->threads[i], threads);
        cJSON *circle = n > 0 ? cJSON_CreateArray() : NULL;

        for (unsigned int m = 0; m < n; m++) {
            snprintf(text, sizeof(text), "thread \"%s\"", threads[m]->name);
            cJSON_AddItemToArray(circle, cJSON_CreateString(text));
        }
        cJSON_AddItemToArray(list, circle);
    }
    for (unsigned int i = 0; i < k->ncpus; i++) {
        unsigned int n = lock_spin_circle(s, k, &k->cpus[i], cpus);
        cJSON *circle = n > 0 ? cJSON_CreateArray() : NULL;

        for (unsigned int m = 0; m < n; m++) {
            snprintf(text, sizeof(text), "vCPU %u", cpus[m]->id);
            cJSON_AddItemToArray(circle, cJSON_CreateString(text));
        }
        cJSON_AddItemToArray(list, circle);
    }
}

static int locks_run(struct session *s, int argc, char **argv, cJSON *answer, struct excuse *why)
{
    cJSON *list = cJSON_AddArrayToObject(answer, "locks");
    static struct klock locks[LOCKS_MAX];
    struct kernel k;
    int err = kernel_load(s, &k);
    unsigned int count = err == 0 ? locks_find(s, &k, locks) : 0;

    (void)argc;
    (void)argv;
    for (unsigned int i = 0; i < count; i++) {
        cJSON_AddItemToArray(list, lock_json(&k, &locks[i]));
    }
    add_circles(s, &k, cJSON_AddArrayToObject(answer, "circles"));
    kernel_free(&k);
    return err == 0 ? CRASH_DONE
                    : crash_fail(why, CRASH_FAILED, "the kernel's threads cannot be read: %s",
                                 strerror(-err));
}

static void show_list(const cJSON *list, const char *between)
{
    const cJSON *item;
    const char *before = "";

    cJSON_ArrayForEach (item, list) {
        printf("%s%s", before, item->valuestring);
        before = between;
    }
}

static void locks_show(const cJSON *answer)
{
    const cJSON *lock, *circle;
    const cJSON *locks = cJSON_GetObjectItem(answer, "locks");
    const cJSON *circles = cJSON_GetObjectItem(answer, "circles");

    cJSON_ArrayForEach (lock, locks) {
        const char *place = crash_text(lock, "variable");
        const cJSON *waiters = cJSON_GetObjectItem(lock, "waiters");

        printf("%s \"%s\" at %s", crash_text(lock, "kind"), crash_text(lock, "name"),
               crash_text(lock, "address"));
        printf(place[0] != '\0' ? " (%s)" : "%s", place);
        printf(", held by %s", crash_text(lock, "holder"));
        printf("%s", cJSON_GetArraySize(waiters) > 0 ? ", wanted by " : "");
        show_list(waiters, ", ");
        printf("\n");
    }
    if (cJSON_GetArraySize(locks) == 0) {
        printf("no lock is held or wanted\n");
    }
    cJSON_ArrayForEach (circle, circles) {
        printf("deadlock: ");
        show_list(circle, " waits for ");
        printf(" waits for the first\n");
    }
    if (cJSON_GetArraySize(circles) == 0) {
        printf("no deadlock\n");
    }
}

const struct command cmd_locks = {
    .name = "locks",
    .synopsis = "",
    .summary = "locks that are held or wanted, deadlocks",
    .needs_kernel = true,
    .run = locks_run,
    .show = locks_show,
};
