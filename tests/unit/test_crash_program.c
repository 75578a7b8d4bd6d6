/*
 * duet-crash's reading of stacks, threads, locks and values, and what analyze makes of them: on a
 * core made of the memory and registers of a real program (crash_program.c), which stands in a trap
 * at the end of a chain of calls. Then parts of it are spoiled, as a hostile guest would.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crash.h"
#include "program_core.h"
#include "stack.h"

struct fixture {
    struct fake_core file;
    struct session s;
    cJSON *answer;
};

static int make(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    char why[256] = "";

    assert_non_null(f);
    *state = f;
    program_core_make(&f->file, CRASH_PROGRAM);
    assert_int_equal(core_parse(f->file.data, f->file.size, &f->s.core, why, sizeof(why)), 0);
    assert_int_equal(space_of_kernel(f->s.core, &f->s.space), 0);
    assert_int_equal(image_open(CRASH_PROGRAM, &f->s.image, why, sizeof(why)), 0);
    assert_int_equal(image_agrees(f->s.image, &f->s.space, why, sizeof(why)), 0);
    f->s.unwinder = (struct unwinder){.image = f->s.image, .space = &f->s.space};
    return 0;
}

static int drop(void **state)
{
    struct fixture *f = *state;

    cJSON_Delete(f->answer);
    image_close(f->s.image);
    core_close(f->s.core);
    fake_core_free(&f->file);
    free(f);
    return 0;
}

/* The command's answer, which stays the fixture's. */
static const cJSON *answer_of(struct fixture *f, const struct command *command, const char *arg)
{
    struct excuse why = {""};
    char text[64];
    char *argv[] = {text, NULL};

    snprintf(text, sizeof(text), "%s", arg != NULL ? arg : "");
    cJSON_Delete(f->answer);
    f->answer = cJSON_CreateObject();
    if (command->run(&f->s, arg != NULL, argv, f->answer, &why) != CRASH_DONE) {
        fail_msg("%s: %s", command->name, why.text);
    }
    return f->answer;
}

/* What the program has under that name. */
static void *place(struct fixture *f, const char *path)
{
    Dwarf_Die type;
    uint64_t address;

    assert_int_equal(kernel_find(&f->s, path, &address, &type), 0);
    return program_core_at(&f->file, address);
}

static void poke(struct fixture *f, const char *path, uint64_t value)
{
    memcpy(place(f, path), &value, sizeof(value));
}

static void panic(struct fixture *f)
{
    memset(place(f, "panicking"), 0, sizeof(int));
}

static const cJSON *item(const cJSON *json, const char *key)
{
    const cJSON *found = cJSON_GetObjectItem(json, key);

    assert_non_null(found);
    return found;
}

/* Whatever is shown or printed as JSON: nothing in it that a terminal obeys. */
static void expect_printable(const cJSON *json)
{
    const cJSON *child;

    for (const char *at = json->valuestring; at != NULL && *at != '\0'; at++) {
        assert_in_range(*at, ' ', '~');
    }
    cJSON_ArrayForEach (child, json) {
        expect_printable(child);
    }
}

/* ---- what is right ---- */

static void stack_crosses_the_trap(void **state)
{
    static const char *const functions[] = {"trap_dispatch", "enter_c", "culprit", "chain"};
    struct fixture *f = *state;
    const cJSON *traces = item(answer_of(f, &cmd_bt, NULL), "backtraces");
    const cJSON *frames = item(cJSON_GetArrayItem(traces, 0), "frames");
    int count = cJSON_GetArraySize(frames);

    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        const cJSON *frame = cJSON_GetArrayItem(frames, (int)i);

        assert_string_equal(crash_text(frame, "function"), functions[i]);
        assert_int_equal(cJSON_IsTrue(item(frame, "interrupted")), i == 2);
    }
    const cJSON *pointer = cJSON_GetArrayItem(item(cJSON_GetArrayItem(frames, 2), "arguments"), 0);
    assert_string_equal(crash_text(pointer, "name"), "pointer");
    assert_string_equal(crash_text(pointer, "value"), "0x18");
    assert_string_equal(crash_text(cJSON_GetArrayItem(frames, count - 2), "function"), "program");
    assert_string_equal(crash_text(cJSON_GetArrayItem(frames, count - 1), "function"), "_start");
    assert_false(cJSON_HasObjectItem(cJSON_GetArrayItem(traces, 0), "end"));
}

static void threads_wait_where_they_were_switched(void **state)
{
    struct fixture *f = *state;
    const cJSON *threads = item(answer_of(f, &cmd_threads, NULL), "threads");
    const cJSON *a = cJSON_GetArrayItem(threads, 1);

    assert_int_equal(cJSON_GetArraySize(threads), 3);
    assert_true(cJSON_IsTrue(item(f->answer, "complete")));
    assert_non_null(strstr(crash_text(a, "where"), "take_both ("));
    assert_string_equal(crash_text(a, "wants_mutex"), "right");
    assert_string_equal(crash_text(a, "held_by"), "wait-b");
    assert_string_equal(crash_text(a, "name"), "wait\\x1b[31ma");
    expect_printable(f->answer);
    const cJSON *traces = item(answer_of(f, &cmd_bt, "all"), "backtraces");
    const cJSON *frames = item(cJSON_GetArrayItem(traces, 1), "frames");
    const cJSON *last = cJSON_GetArrayItem(frames, cJSON_GetArraySize(frames) - 1);
    assert_string_equal(crash_text(last, "function"), "thread_entry");
    expect_printable(f->answer);
}

static void values_are_by_type(void **state)
{
    struct fixture *f = *state;
    const cJSON *value = item(answer_of(f, &cmd_print, "shown"), "value");
    const cJSON *inner = item(item(value, "nested"), "inner");

    assert_string_equal(crash_text(value, "negative"), "-7");
    assert_string_equal(crash_text(value, "low"), "5");
    assert_string_equal(crash_text(value, "high"), "19088743");
    assert_string_equal(crash_text(value, "colour"), "GREEN");
    assert_non_null(strstr(crash_text(value, "text"), "\"bell\\x07\""));
    assert_string_equal(crash_text(value, "array"), "\"a\\x1b\\xff\"");
    assert_non_null(strstr(crash_text(value, "self"), "<shown>"));
    assert_int_equal(cJSON_GetArraySize(inner), 3);
    assert_string_equal(cJSON_GetArrayItem(inner, 2)->valuestring, "3");
    expect_printable(f->answer);
    value = item(answer_of(f, &cmd_print, "shown.nested.inner[1]"), "value");
    assert_string_equal(value->valuestring, "2");
}

static void analyze_names_the_fault(void **state)
{
    struct fixture *f = *state;

    panic(f);
    const cJSON *answer = answer_of(f, &cmd_analyze, NULL);
    assert_string_equal(crash_text(answer, "verdict"), "null pointer");
    assert_string_equal(crash_text(answer, "fault_address"), "0x18");
    assert_string_equal(crash_text(item(answer, "culprit"), "function"), "culprit");
    assert_string_equal(crash_text(item(answer, "caller"), "function"), "chain");
    expect_printable(answer);
}

/* What an upcall interrupted is no fault: what ended the kernel then, its handlers did. */
static void analyze_takes_no_upcall_for_a_fault(void **state)
{
    struct fixture *f = *state;
    const struct vcpu_guest_context *vcpu = core_vcpu(f->s.core, 0);
    uint64_t upcall = 0x100, frame = vcpu->user_regs.rdi; /* trap_dispatch()'s argument */
    uint64_t *vector = program_core_at(&f->file, frame + 15 * sizeof(uint64_t));

    assert_int_equal(*vector, 14);
    memcpy(vector, &upcall, sizeof(upcall));
    panic(f);
    const cJSON *answer = answer_of(f, &cmd_analyze, NULL);
    assert_string_equal(crash_text(answer, "verdict"), "panic");
    assert_string_equal(crash_text(item(answer, "culprit"), "function"), "trap_dispatch");
}

static void analyze_names_the_deadlock(void **state)
{
    struct fixture *f = *state;
    const cJSON *answer = answer_of(f, &cmd_analyze, NULL);
    const cJSON *parties = item(answer, "parties");

    assert_string_equal(crash_text(answer, "verdict"), "deadlock");
    assert_int_equal(cJSON_GetArraySize(parties), 2);
    assert_string_equal(crash_text(item(cJSON_GetArrayItem(parties, 0), "where"), "function"),
                        "take_both");
    expect_printable(answer);
}

static void analyze_names_the_spinner(void **state)
{
    struct fixture *f = *state;
    Dwarf_Die type;
    uint64_t spin;

    poke(f, "waits_b.wants", 0);
    assert_int_equal(kernel_find(&f->s, "spin", &spin, &type), 0);
    poke(f, "boot_cpu.wants_lock", spin);
    memset(place(f, "spin.owner"), 0, sizeof(int16_t));
    const cJSON *answer = answer_of(f, &cmd_analyze, NULL);
    assert_string_equal(crash_text(answer, "verdict"), "deadlock"); /* it holds the lock itself */
    assert_string_equal(crash_text(answer, "lock"), "spin");
}

/* ---- what is spoiled ---- */

/* A list of threads that comes back to itself lists each once, and says that it is damaged. */
static void list_of_threads_goes_in_circles(void **state)
{
    struct fixture *f = *state;
    Dwarf_Die type;
    uint64_t first;

    assert_int_equal(kernel_find(&f->s, "waits_a", &first, &type), 0);
    poke(f, "waits_b.all_link.tqe_next", first);
    const cJSON *answer = answer_of(f, &cmd_threads, NULL);
    assert_int_equal(cJSON_GetArraySize(item(answer, "threads")), 3);
    assert_true(cJSON_IsFalse(item(answer, "complete")));
}

/* A vCPU's structure that is not there costs that vCPU, not all the rest. */
static void a_cpu_leads_nowhere(void **state)
{
    struct fixture *f = *state;

    poke(f, "cpus[2]", 0x123456789000);
    const cJSON *answer = answer_of(f, &cmd_threads, NULL);
    assert_int_equal(cJSON_GetArraySize(item(answer, "threads")), 3);
    assert_true(cJSON_IsFalse(item(answer, "complete")));
}

/*
 * What chain() was called with is two of its caller's arguments, of which each is two of its own
 * caller's: asked all the way up that is a number of questions with eighteen digits.
 */
static void arguments_of_callers_end(void **state)
{
    struct fixture *f = *state;

    alarm(60); /* the end of a test that would not come */
    const cJSON *traces = item(answer_of(f, &cmd_bt, NULL), "backtraces");
    const cJSON *frames = item(cJSON_GetArrayItem(traces, 0), "frames");
    alarm(0);
    assert_true(cJSON_GetArraySize(frames) > 5);
}

/* Stacks of any bytes: every walk ends, and nothing unprintable comes of it. */
static void stacks_of_any_bytes(void **state)
{
    struct fixture *f = *state;
    unsigned int seed = 1;
    char *stacks = place(f, "stacks");

    panic(f);
    for (unsigned int round = 0; round < 50; round++) {
        for (unsigned int i = 0; i < 64; i++) {
            uint64_t address = PROGRAM_BASE + (uint64_t)rand_r(&seed) % (PROGRAM_PAGES * 4096);

            memcpy(stacks + (unsigned int)rand_r(&seed) % (3 * 4096 - 8), &address,
                   sizeof(address));
        }
        expect_printable(answer_of(f, &cmd_bt, "all"));
        expect_printable(answer_of(f, &cmd_threads, NULL));
        expect_printable(answer_of(f, &cmd_analyze, NULL));
        expect_printable(answer_of(f, &cmd_locks, NULL));
    }
}

/* More frames than any honest core has: given up, and said. */
static void frames_have_an_end(void **state)
{
    struct fixture *f = *state;
    struct regs regs;
    struct backtrace b;

    regs_of_vcpu(core_vcpu(f->s.core, 0), &regs);
    assert_int_equal(backtrace_make(&f->s, &regs, 7, &b), 0);
    assert_int_equal(b.stack.count, 7);
    assert_string_equal(b.stack.end, "there are more");
    backtrace_free(&b);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(stack_crosses_the_trap),
        CASE(threads_wait_where_they_were_switched),
        CASE(values_are_by_type),
        CASE(analyze_names_the_fault),
        CASE(analyze_takes_no_upcall_for_a_fault),
        CASE(analyze_names_the_deadlock),
        CASE(analyze_names_the_spinner),
        CASE(a_cpu_leads_nowhere),
        CASE(list_of_threads_goes_in_circles),
        CASE(arguments_of_callers_end),
        CASE(stacks_of_any_bytes),
        CASE(frames_have_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
