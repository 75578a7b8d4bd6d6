/*
 * locks: each lock that is held or wanted, its holder and who waits.
 */
#include <inttypes.h>
#include <stdio.h>

#include "crash.h"
#include "locks.h"
#include "value.h"

static cJSON *thread_item(const struct kthread *t)
{
    char text[128];

    snprintf(text, sizeof(text), "thread \"%s\"", t->name);
    return cJSON_CreateString(text);
}

static cJSON *vcpu_item(unsigned int id)
{
    char text[32];

    snprintf(text, sizeof(text), "vCPU %u", id);
    return cJSON_CreateString(text);
}

static cJSON *holder_item(const struct klock *lock)
{
    if (lock->owner != NULL) {
        return thread_item(lock->owner);
    }
    return lock->cpu >= 0 ? vcpu_item((unsigned int)lock->cpu) : cJSON_CreateString("nobody");
}

static cJSON *lock_json(const struct kernel *k, const struct klock *lock)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "kind", lock->mutex ? "mutex" : "spinlock");
    cJSON_AddStringToObject(json, "name", lock->name);
    json_add_hex(json, "address", lock->address);
    cJSON_AddStringToObject(json, "variable", lock->place);
    cJSON_AddItemToObject(json, "holder", holder_item(lock));
    cJSON *waiters = cJSON_AddArrayToObject(json, "waiters");
    for (unsigned int i = 0; lock->mutex && i < k->nthreads; i++) {
        if (k->threads[i].wants == lock->address) {
            cJSON_AddItemToArray(waiters, thread_item(&k->threads[i]));
        }
    }
    for (unsigned int i = 0; !lock->mutex && i < k->ncpus; i++) {
        if (k->cpus[i].wants_lock == lock->address) {
            cJSON_AddItemToArray(waiters, vcpu_item(k->cpus[i].id));
        }
    }
    return json;
}

static void add_circles(struct session *s, const struct kernel *k, cJSON *list)
{
    const struct kthread *threads[CIRCLE_MAX];
    const struct kcpu *cpus[CIRCLE_MAX];

    for (unsigned int i = 0; i < k->nthreads; i++) {
        unsigned int n = lock_circle(s, k, &k->threads[i], threads);
        cJSON *circle = n > 0 ? cJSON_CreateArray() : NULL;

        for (unsigned int m = 0; m < n; m++) {
            cJSON_AddItemToArray(circle, thread_item(threads[m]));
        }
        cJSON_AddItemToArray(list, circle);
    }
    for (unsigned int i = 0; i < k->ncpus; i++) {
        unsigned int n = lock_spin_circle(s, k, &k->cpus[i], cpus);
        cJSON *circle = n > 0 ? cJSON_CreateArray() : NULL;

        for (unsigned int m = 0; m < n; m++) {
            cJSON_AddItemToArray(circle, vcpu_item(cpus[m]->id));
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
    return crash_loaded(err, why);
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
