/*
 * What the checks share, and their run: see doctor.h.
 */
#include "doctor.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "xenbus.h"

static const struct check *const tables[] = {pair_checks, perm_checks, host_checks, key_checks};

#define N_TABLES (sizeof(tables) / sizeof(tables[0]))

void checks_visit(void (*visit)(void *context, const struct check *check), void *context)
{
    for (size_t i = 0; i < N_TABLES; i++) {
        for (const struct check *check = tables[i]; check->code[0] != '\0'; check++) {
            visit(context, check);
        }
    }
}

static void run_check(void *context, const struct check *check)
{
    struct diagnosis *diagnosis = context;
    struct device *device, *next;

    if (check->host && diagnosis->host == NULL) {
        return;
    }
    diagnosis->check = check;
    if (check->whole != NULL) {
        check->whole(diagnosis);
        return;
    }
    HASH_ITER (hh, diagnosis->devices, device, next) {
        check->device(diagnosis, device);
    }
}

struct finding *diagnose(const struct snapshot *snapshot, const struct host *host)
{
    static const struct device_filter all;
    struct diagnosis diagnosis = {.snapshot = snapshot, .host = host};
    struct store_view view = {.snapshot = snapshot};

    diagnosis.tail = &diagnosis.findings;
    diagnosis.devices = devices_read(&view, &all);
    checks_visit(run_check, &diagnosis);
    devices_free(diagnosis.devices);
    return diagnosis.findings;
}

static void finding_free(struct finding *finding)
{
    free(finding->path);
    free(finding->what);
    free(finding->advice);
    free(finding);
}

void findings_free(struct finding *list)
{
    while (list != NULL) {
        struct finding *next = list->next;

        finding_free(list);
        list = next;
    }
}

/* Whether @list has the same finding. */
static bool has_finding(const struct finding *list, const struct finding *wanted)
{
    while (list != NULL && (list->check != wanted->check || strcmp(list->path, wanted->path) != 0 ||
                            strcmp(list->what, wanted->what) != 0)) {
        list = list->next;
    }
    return list != NULL;
}

struct finding *findings_persistent(struct finding *now, const struct finding *before)
{
    struct finding *kept = NULL, **tail = &kept;

    while (now != NULL) {
        struct finding *next = now->next;

        if (now->check->settles && !has_finding(before, now)) {
            finding_free(now);
        } else {
            now->next = NULL;
            *tail = now;
            tail = &now->next;
        }
        now = next;
    }
    return kept;
}

bool findings_settling(const struct finding *list)
{
    while (list != NULL && !list->check->settles) {
        list = list->next;
    }
    return list != NULL;
}

/* The sentence with whatever it quotes of the store escaped: it is text in every format. */
static char *printable(const char *text)
{
    char *escaped = NULL;
    size_t size = 0;
    FILE *mem = open_memstream(&escaped, &size);

    if (mem != NULL) {
        text_print(mem, text);
        fclose(mem);
    }
    return escaped != NULL ? escaped : must_strdup("?");
}

struct finding *found(struct diagnosis *diagnosis, const char *path, const char *fmt, ...)
{
    struct finding *finding = must_alloc(sizeof(*finding));
    char *what = NULL;
    va_list ap;

    finding->check = diagnosis->check;
    finding->path = must_strdup(path);
    va_start(ap, fmt);
    if (vasprintf(&what, fmt, ap) < 0) {
        what = NULL;
    }
    va_end(ap);
    finding->what = printable(what != NULL ? what : "?");
    free(what);
    *diagnosis->tail = finding;
    diagnosis->tail = &finding->next;
    return finding;
}

/* Prints @word so that a shell reads it back; false when it has what no command line should have.
 */
static bool print_word(FILE *out, const char *word)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-/_@.:=+,";

    for (const char *p = word; *p != '\0'; p++) {
        if (*p < 0x20 || *p > 0x7e) {
            return false;
        }
    }
    if (word[0] != '\0' && strspn(word, plain) == strlen(word)) {
        fputs(word, out);
        return true;
    }
    fputc('\'', out);
    for (const char *p = word; *p != '\0'; p++) {
        fputs(*p == '\'' ? "'\\''" : (char[]){*p, '\0'}, out);
    }
    fputc('\'', out);
    return true;
}

void advise_words(struct finding *finding, const char *const *words)
{
    char *text = NULL;
    size_t size = 0;
    FILE *mem = open_memstream(&text, &size);
    const char *between = "";
    bool good = mem != NULL;

    if (good && finding->advice != NULL) {
        fprintf(mem, "%s && ", finding->advice);
    }
    for (; good && *words != NULL; words++) {
        fputs(between, mem);
        good = print_word(mem, *words);
        between = " ";
    }
    if (mem != NULL) {
        fclose(mem);
    }
    free(finding->advice);
    finding->advice = good ? text : NULL;
    if (!good) {
        free(text);
    }
}

const char *unit_of_kind(const char *kind)
{
    static const char *const units[][2] = {{"vbd", "duet-block.service"},
                                           {"vbd3", "duet-block.service"},
                                           {"vif", "duet-net.service"},
                                           {"console", "duet-console.service"}};

    for (size_t i = 0; kind != NULL && i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(units[i][0], kind) == 0) {
            return units[i][1];
        }
    }
    return NULL;
}

bool served_here(const struct diagnosis *diagnosis, const struct device *device)
{
    return diagnosis->host != NULL && device->kind != NULL &&
           device->backend_domid == diagnosis->host->domid;
}

bool has_states(const struct device *device)
{
    return !device->stateless && device->front.there && device->back.there &&
           device->front.state >= 0 && device->back.state >= 0;
}

const struct node *front_of(const struct diagnosis *diagnosis, const struct device *device)
{
    return device->front_path != NULL ? snapshot_find(diagnosis->snapshot, device->front_path)
                                      : NULL;
}

const struct node *back_of(const struct diagnosis *diagnosis, const struct device *device)
{
    return device->back_path != NULL ? snapshot_find(diagnosis->snapshot, device->back_path) : NULL;
}

void advise_detach(const struct diagnosis *diagnosis, struct finding *finding,
                   const struct device *device)
{
    bool disk = strcmp(device->class, "vbd") == 0, net = strcmp(device->class, "vif") == 0;
    char domid[16], record[128];

    snprintf(domid, sizeof(domid), "%u", device->domid);
    snprintf(record, sizeof(record), "/libxl/%u/device/%.40s/%.40s", device->domid, device->class,
             device->device);
    if ((disk || net) && snapshot_find(diagnosis->snapshot, record) != NULL) {
        advise(finding, "xl", disk ? "block-detach" : "network-detach", domid, device->device);
        return;
    }
    if (device->front.there) {
        advise(finding, "xenbus", "rm", "-f", device->front_path);
    }
    if (device->back.there) {
        advise(finding, "xenbus", "rm", "-f", device->back_path);
    }
}

void advise_restart(const struct diagnosis *diagnosis, struct finding *finding,
                    const struct device *device)
{
    const char *unit = unit_of_kind(device->kind);

    if (unit != NULL && (diagnosis->host == NULL || served_here(diagnosis, device))) {
        advise(finding, "systemctl", "restart", unit);
    }
}
