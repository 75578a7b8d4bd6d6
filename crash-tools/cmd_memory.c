/*
 * Addresses and memory: vtop, pte, pfn2mfn, mfn2pfn, x.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "crash.h"
#include "value.h"

#define WORDS_MAX 65536

static const char *const ends[] = {
    [WALK_MAPPED] = "mapped",
    [WALK_FOREIGN] = "mapped to a page that is not the domain's",
    [WALK_NOT_PRESENT] = "not mapped",
    [WALK_NO_TABLE] = "a page table is not the domain's",
    [WALK_NOT_CANONICAL] = "not a canonical address",
};

static int walk_to(struct session *s, int argc, char **argv, uint64_t *va, struct walk *walk,
                   cJSON *answer, struct excuse *why)
{
    struct space space = s->space;
    uint64_t vcpu = 0;
    int status = crash_address(s, argv[0], va, why);

    if (status != CRASH_DONE) {
        return status;
    }
    if (argc == 2 && (!crash_number(argv[1], &vcpu) || vcpu >= core_vcpu_count(s->core) ||
                      space_of_vcpu(s->core, (unsigned int)vcpu, &space) != 0)) {
        return crash_fail(why, CRASH_USAGE, "vCPU '%s' has no page tables here", argv[1]);
    }
    walk_address(&space, *va, walk);
    json_add_hex(answer, "address", *va);
    cJSON_AddStringToObject(answer, "end", ends[walk->end]);
    if (walk->end == WALK_MAPPED || walk->end == WALK_FOREIGN) {
        json_add_hex(answer, "mfn", walk->mfn);
    }
    if (walk->end == WALK_MAPPED) {
        json_add_hex(answer, "pfn", walk->page.pfn);
        json_add_hex(answer, "physical", walk->page.pfn * CORE_PAGE_SIZE + *va % CORE_PAGE_SIZE);
    }
    return CRASH_DONE;
}

static int vtop_run(struct session *s, int argc, char **argv, cJSON *answer, struct excuse *why)
{
    struct walk walk = {0};
    uint64_t va;

    return walk_to(s, argc, argv, &va, &walk, answer, why);
}

static void vtop_show(const cJSON *answer)
{
    printf("%s: %s", crash_text(answer, "address"), crash_text(answer, "end"));
    if (cJSON_HasObjectItem(answer, "mfn")) {
        printf(", mfn %s", crash_text(answer, "mfn"));
    }
    if (cJSON_HasObjectItem(answer, "pfn")) {
        printf(", pfn %s, pseudo-physical %s", crash_text(answer, "pfn"),
               crash_text(answer, "physical"));
    }
    printf("\n");
}

static void add_flag(char *text, size_t size, bool set, const char *name)
{
    size_t len = strlen(text);

    if (set) {
        snprintf(text + len, size - len, "%s%s", len > 0 ? " " : "", name);
    }
}

static int pte_run(struct session *s, int argc, char **argv, cJSON *answer, struct excuse *why)
{
    struct walk walk = {0};
    uint64_t va;
    int status = walk_to(s, argc, argv, &va, &walk, answer, why);

    if (status != CRASH_DONE) {
        return status;
    }
    cJSON *steps = cJSON_AddArrayToObject(answer, "steps");
    for (unsigned int i = 0; i < walk.nsteps; i++) {
        uint64_t entry = walk.steps[i].entry;
        cJSON *step = cJSON_CreateObject();
        char flags[96] = "";

        add_flag(flags, sizeof(flags), (entry & PTE_PRESENT) == 0, "not present");
        add_flag(flags, sizeof(flags), (entry & PTE_PRESENT) != 0, "present");
        add_flag(flags, sizeof(flags), (entry & PTE_WRITE) != 0, "writable");
        add_flag(flags, sizeof(flags), (entry & PTE_USER) != 0, "user");
        add_flag(flags, sizeof(flags), (entry & PTE_ACCESSED) != 0, "accessed");
        add_flag(flags, sizeof(flags), (entry & PTE_DIRTY) != 0, "dirty");
        add_flag(flags, sizeof(flags), (entry & PTE_NX) != 0, "not executable");
        cJSON_AddNumberToObject(step, "level", WALK_LEVELS - i);
        cJSON_AddNumberToObject(step, "index", walk.steps[i].index);
        json_add_hex(step, "table", walk.steps[i].table);
        json_add_hex(step, "entry", entry);
        cJSON_AddStringToObject(step, "flags", flags);
        cJSON_AddItemToArray(steps, step);
    }
    return CRASH_DONE;
}

static void pte_show(const cJSON *answer)
{
    const cJSON *step;

    cJSON_ArrayForEach (step, cJSON_GetObjectItem(answer, "steps")) {
        printf("L%.0f[%3.0f] of mfn %-8s  %-18s  %s\n",
               cJSON_GetNumberValue(cJSON_GetObjectItem(step, "level")),
               cJSON_GetNumberValue(cJSON_GetObjectItem(step, "index")), crash_text(step, "table"),
               crash_text(step, "entry"), crash_text(step, "flags"));
    }
    vtop_show(answer);
}

const struct command cmd_vtop = {
    .name = "vtop",
    .synopsis = "ADDRESS [VCPU]",
    .summary = "the page behind a virtual address",
    .min_args = 1,
    .max_args = 2,
    .run = vtop_run,
    .show = vtop_show,
};

const struct command cmd_pte = {
    .name = "pte",
    .synopsis = "ADDRESS [VCPU]",
    .summary = "the same, with the entries of the page tables",
    .min_args = 1,
    .max_args = 2,
    .run = pte_run,
    .show = pte_show,
};

static int frame_run(struct session *s, const char *text, cJSON *answer, struct excuse *why,
                     int (*look)(const struct core *core, uint64_t n, struct core_page *page))
{
    struct core_page page;
    uint64_t n;

    if (!crash_number(text, &n)) {
        return crash_fail(why, CRASH_USAGE, "'%s' is no number", text);
    }
    if (look(s->core, n, &page) != 0) {
        return crash_fail(why, CRASH_FAILED, "the %s has no page 0x%" PRIx64, core_noun(s->core),
                          n);
    }
    json_add_hex(answer, "pfn", page.pfn);
    json_add_hex(answer, "mfn", page.mfn);
    return CRASH_DONE;
}

static int pfn2mfn_run(struct session *s, int argc, char **argv, cJSON *answer, struct excuse *why)
{
    (void)argc;
    return frame_run(s, argv[0], answer, why, core_page_by_pfn);
}

static int mfn2pfn_run(struct session *s, int argc, char **argv, cJSON *answer, struct excuse *why)
{
    (void)argc;
    return frame_run(s, argv[0], answer, why, core_page_by_mfn);
}

static void frame_show(const cJSON *answer)
{
    printf("pfn %s  mfn %s\n", crash_text(answer, "pfn"), crash_text(answer, "mfn"));
}

const struct command cmd_pfn2mfn = {
    .name = "pfn2mfn",
    .synopsis = "PFN",
    .summary = "a page's machine frame",
    .min_args = 1,
    .max_args = 1,
    .run = pfn2mfn_run,
    .show = frame_show,
};

const struct command cmd_mfn2pfn = {
    .name = "mfn2pfn",
    .synopsis = "MFN",
    .summary = "the reverse",
    .min_args = 1,
    .max_args = 1,
    .run = mfn2pfn_run,
    .show = frame_show,
};

static int x_run(struct session *s, int argc, char **argv, cJSON *answer, struct excuse *why)
{
    uint64_t address, count = 1, word;
    int status = crash_address(s, argv[0], &address, why);

    if (status != CRASH_DONE) {
        return status;
    }
    if (argc == 2 && (!crash_number(argv[1], &count) || count == 0 || count > WORDS_MAX)) {
        return crash_fail(why, CRASH_USAGE, "'%s' is no count from 1 to %d", argv[1], WORDS_MAX);
    }
    cJSON *words = cJSON_AddArrayToObject(answer, "words");
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = address + i * sizeof(word);
        cJSON *one = cJSON_CreateObject();
        char bytes[4 * sizeof(word) + 1], symbol[VALUE_TEXT_MAX] = "";
        uint64_t offset;

        if (space_read(&s->space, at, &word, sizeof(word)) != 0) {
            cJSON_Delete(one);
            if (i == 0) {
                return crash_fail(why, CRASH_FAILED, "0x%" PRIx64 " is not in the %s", at,
                                  core_noun(s->core));
            }
            break;
        }
        json_add_hex(one, "address", at);
        json_add_hex(one, "word", word);
        kernel_escape((const char *)&word, sizeof(word), bytes, sizeof(bytes));
        cJSON_AddStringToObject(one, "bytes", bytes);
        if (image_symbol(s->image, word, &offset) != NULL) {
            value_address(s, word, symbol, sizeof(symbol));
            cJSON_AddStringToObject(one, "symbol", symbol);
        }
        cJSON_AddItemToArray(words, one);
    }
    return CRASH_DONE;
}

static void x_show(const cJSON *answer)
{
    const cJSON *one;

    cJSON_ArrayForEach (one, cJSON_GetObjectItem(answer, "words")) {
        printf("%-18s  %-18s  %-32s  %s\n", crash_text(one, "address"), crash_text(one, "word"),
               crash_text(one, "bytes"), crash_text(one, "symbol"));
    }
}

const struct command cmd_x = {
    .name = "x",
    .synopsis = "ADDRESS [COUNT]",
    .summary = "memory, in words of eight bytes",
    .min_args = 1,
    .max_args = 2,
    .run = x_run,
    .show = x_show,
};
