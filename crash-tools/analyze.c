/*
 * analyze: what most likely went wrong, in a paragraph. First whether a vCPU panicked, and of what;
 * then whether threads or vCPUs wait for one another. What it says of the panic it reads from the
 * stack (functions, arguments, the trap's frame, the locks); the kernel's own sentence, which the
 * console may still show, is quoted.
 */
#include <dwarf.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash.h"
#include "locks.h"
#include "stack.h"
#include "value.h"

#define TRAP_PAGE_FAULT 14
/* Numbers of the kernel's own, for what interrupts and is no fault (guest-kernel/psm/trap.h). */
#define TRAP_UPCALL  0x100
#define TRAP_SYSCALL 0x102
#define PF_PRESENT   1u
#define PF_WRITE     2u
#define PF_FETCH     16u

#define LOOKS_MAX 3 /* at a domain that runs */

static const char nothing[] = "nothing found";

/* What is known of a panic. */
struct finding {
    struct session *s;
    const struct kernel *k;
    unsigned int vcpu;
    const struct kthread *thread; /* NULL: not known */
    struct backtrace trace;
    const struct call *culprit; /* the call that is to blame; NULL: not found */
    const struct call *caller;  /* of it; NULL: none */
    char message[512];          /* the kernel's; empty: gone */
    FILE *text;
    const char *verdict;
    cJSON *answer;
};

static void say(const struct finding *f, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void say(const struct finding *f, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(f->text, fmt, ap);
    va_end(ap);
}

static void say_place(const struct finding *f, const struct call *call)
{
    char text[VALUE_TEXT_MAX] = "an unknown function";

    if (call != NULL) {
        call_place(call, text, sizeof(text));
    }
    say(f, "%s", text);
}

static const struct call *call_of(const struct finding *f, const char *function)
{
    for (unsigned int i = 0; i < f->trace.count; i++) {
        const char *its = f->trace.calls[i].function;

        if (its != NULL && strcmp(its, function) == 0) {
            return &f->trace.calls[i];
        }
    }
    return NULL;
}

/* The first call outwards from @from whose function is none of @names. */
static const struct call *beyond(const struct finding *f, const struct call *from,
                                 const char *const *names, size_t n)
{
    const struct call *end = f->trace.calls + f->trace.count;

    for (const struct call *c = from; c < end; c++) {
        bool named = c->function == NULL;

        for (size_t i = 0; !named && i < n; i++) {
            named = strcmp(c->function, names[i]) == 0;
        }
        if (!named) {
            return c;
        }
    }
    return NULL;
}

static const struct call *next_call(const struct finding *f, const struct call *call)
{
    return call != NULL && call + 1 < f->trace.calls + f->trace.count ? call + 1 : NULL;
}

static void blame(struct finding *f, const struct call *culprit)
{
    f->culprit = culprit;
    f->caller = next_call(f, culprit);
    while (f->caller != NULL && culprit->function != NULL && f->caller->function != NULL &&
           strcmp(culprit->function, f->caller->function) == 0) {
        f->caller = next_call(f, f->caller); /* a recursion's caller is who began it */
    }
}

/* ---- faults ---- */

static void say_address(const struct finding *f, uint64_t address)
{
    char symbol[VALUE_TEXT_MAX];
    uint64_t offset;
    struct walk walk;

    if (address < CORE_PAGE_SIZE) {
        say(f, "address 0x%" PRIx64 ": a null pointer", address);
        if (address != 0) {
            say(f, ", and a member %" PRIu64 " bytes into what it should point to", address);
        }
        return;
    }
    say(f, "address 0x%" PRIx64, address);
    if (image_symbol(f->s->image, address, &offset) != NULL) {
        value_address(f->s, address, symbol, sizeof(symbol));
        say(f, " (%s)", symbol);
    }
    for (unsigned int i = 0; i < f->k->nthreads; i++) {
        if (f->k->threads[i].stack != 0 && f->k->threads[i].stack - address - 1 < CORE_PAGE_SIZE) {
            say(f, ", the guard page below the stack of thread \"%s\"", f->k->threads[i].name);
        }
    }
    walk_address(&f->s->space, address, &walk);
    switch (walk.end) {
    case WALK_MAPPED:
        say(f, ", which is mapped%s%s",
            (walk.steps[walk.nsteps - 1].entry & PTE_WRITE) == 0 ? ", read-only" : ", writable",
            (walk.steps[walk.nsteps - 1].entry & PTE_NX) != 0 ? ", not executable" : "");
        break;
    case WALK_FOREIGN:
        say(f, ", a page that is not the domain's");
        break;
    case WALK_NOT_CANONICAL:
        say(f, ", which is not canonical: no pointer at all");
        break;
    default:
        say(f, ", where nothing is mapped");
    }
}

static const char *access_of(uint64_t error)
{
    return (error & PF_FETCH) != 0 ? "execute" : (error & PF_WRITE) != 0 ? "write" : "read";
}

/* A member of the trap frame by which a call was interrupted. */
static uint64_t trap_member(const struct finding *f, const struct call *at, const char *member)
{
    uint64_t frame = f->trace.stack.frames[at->frame].trap_frame, value = 0;

    (void)kernel_member(f->s, "trap_frame", frame, member, &value);
    return value;
}

static bool interrupted_by(const struct finding *f, const struct call *call, uint64_t vector)
{
    return call->trap && trap_member(f, call, "vector") == vector;
}

static void explain_trap(struct finding *f, const struct call *at)
{
    const struct kcpu *cpu = kernel_cpu(f->k, f->vcpu);
    uint64_t vector = trap_member(f, at, "vector"), error = trap_member(f, at, "error");

    blame(f, beyond(f, at, NULL, 0));
    cJSON_AddNumberToObject(f->answer, "vector", (double)vector);
    if (vector != TRAP_PAGE_FAULT || cpu == NULL) {
        f->verdict = "trap";
        say(f, "trap %" PRIu64 " (error code 0x%" PRIx64 ") in ", vector, error);
        say_place(f, f->culprit);
        say(f, ".");
        return;
    }
    f->verdict = (error & PF_FETCH) != 0     ? "wild jump"
                 : cpu->cr2 < CORE_PAGE_SIZE ? "null pointer"
                                             : "page fault";
    json_add_hex(f->answer, "fault_address", cpu->cr2);
    say(f, "a page fault: ");
    say_place(f, f->culprit);
    say(f, (error & PF_FETCH) != 0 ? " called or jumped to " : " tried to %s ", access_of(error));
    say_address(f, cpu->cr2);
    say(f, ".");
}

/* ---- the kernel's own checks ---- */

/* An upcall's handlers run on the stack of whom it interrupted, who had left them too little. */
static void explain_overflow(struct finding *f, const struct call *at)
{
    static const char *const names[] = {"stack_overflow", "__fentry__"};
    unsigned int depth = 0;

    for (const struct call *c = at; c != NULL; c = next_call(f, c)) {
        at = interrupted_by(f, c, TRAP_UPCALL) ? c : at;
    }
    f->verdict = "stack overflow";
    blame(f, beyond(f, at, names, sizeof(names) / sizeof(names[0])));
    for (const struct call *c = f->culprit;
         c != NULL && c->function != NULL && strcmp(c->function, f->culprit->function) == 0;
         c = next_call(f, c)) {
        depth++;
    }
    say(f, "a stack overflow: ");
    say_place(f, f->culprit);
    if (depth > 1) {
        say(f, " called itself, %u times, until the stack was full", depth);
        cJSON_AddNumberToObject(f->answer, "depth", depth);
    } else {
        say(f, " needed more stack than was left");
    }
    say(f, ".");
}

static void say_other(const struct finding *f, const char *who)
{
    cJSON_AddStringToObject(f->answer, "other", who);
}

/* A lock taken by who has it: mutex_lock() or spin_lock(), @kind "mutex" or "spinlock". */
static void explain_lock(struct finding *f, const struct call *at, const char *kind)
{
    static const char *const names[] = {"mutex_lock", "spin_lock", "spin_acquire", "acquire"};
    bool mutex = strcmp(kind, "mutex") == 0;
    char name[KERNEL_NAME_MAX] = "?", who[128] = "somebody who is not known";
    uint64_t lock = 0;
    bool known = backtrace_argument(f->s, &f->trace, at, mutex ? "m" : "lock", &lock) == 0;

    f->verdict = mutex ? "mutex taken twice" : "spinlock taken twice";
    blame(f, beyond(f, at, names, sizeof(names) / sizeof(names[0])));
    if (known) {
        const struct kthread *owner = mutex ? lock_owner(f->s, f->k, lock) : NULL;
        int cpu = mutex ? -1 : kernel_spin_owner(f->s, lock);

        kernel_lock_name(f->s, kind, lock, name, sizeof(name));
        cJSON_AddStringToObject(f->answer, "lock", name);
        json_add_hex(f->answer, "lock_address", lock);
        if (owner != NULL) {
            snprintf(who, sizeof(who), "thread \"%s\"%s", owner->name,
                     owner == f->thread ? " itself" : "");
        } else if (cpu >= 0) {
            snprintf(who, sizeof(who), "vCPU %d%s", cpu,
                     (unsigned int)cpu == f->vcpu ? " itself" : "");
        }
    }
    say_other(f, who);
    say(f, "a lock taken twice: ");
    say_place(f, f->culprit);
    say(f, " took %s \"%s\", which is held by %s already.", kind, name, who);
}

struct pointers {
    const struct finding *f;
    uint64_t object;
    unsigned int count;
};

/* A variable that still points to the object. */
static void say_pointer(void *context, const struct image_variable *v)
{
    struct pointers *p = context;
    Dwarf_Die type = v->type;
    uint64_t value;

    if (value_size(&type) == sizeof(value) && dwarf_tag(&type) == DW_TAG_pointer_type &&
        space_read(&p->f->s->space, v->address, &value, sizeof(value)) == 0 && value == p->object) {
        say(p->f, "%s%s", p->count == 0 ? " Variables that point to it: " : ", ", v->name);
        p->count++;
    }
}

/* Who freed an object first: kern/slab.c leaves that in it. */
static void say_first_free(struct finding *f, uint64_t object)
{
    const struct kthread *t = NULL;
    struct image_function functions[IMAGE_INLINES_MAX];
    char place[VALUE_TEXT_MAX];
    uint64_t by = 0, thread = 0;

    if (kernel_member(f->s, "freed", object, "by", &by) != 0 ||
        kernel_member(f->s, "freed", object, "thread", &thread) != 0 ||
        !image_is_text(f->s->image, by)) {
        say_other(f, "not recorded");
        say(f, " Who freed it first is not recorded.");
        return;
    }
    unsigned int n = image_functions(f->s->image, by - 1, functions);
    value_address(f->s, by, place, sizeof(place));
    if (n > 0 && functions[0].name != NULL) {
        snprintf(place, sizeof(place), "%s (%s:%d)", functions[0].name,
                 functions[0].file != NULL ? functions[0].file : "?", functions[0].line);
    }
    t = kernel_thread(f->k, thread);
    say_other(f, place);
    say(f, " It was freed first by %s, in thread \"%s\".", place, t != NULL ? t->name : "?");
}

/*
 * What panic() was called with after its format: the @n-th of them, in the va_list that vpanic()
 * got. Its layout is the ABI's: panic() saves the six registers in which arguments come.
 */
static bool panic_argument(const struct finding *f, unsigned int n, uint64_t *value)
{
    struct {
        uint32_t gp_offset, fp_offset;
        uint64_t overflow_area, save_area;
    } list;
    const struct call *vpanic = call_of(f, "vpanic");
    const unsigned int named = 1, registers = 6;
    uint64_t ap;

    return vpanic != NULL && call_of(f, "panic") != NULL && n + named < registers &&
           backtrace_argument(f->s, &f->trace, vpanic, "ap", &ap) == 0 &&
           space_read(&f->s->space, ap, &list, sizeof(list)) == 0 &&
           space_read(&f->s->space, list.save_area + (n + named) * sizeof(*value), value,
                      sizeof(*value)) == 0;
}

static void explain_free(struct finding *f, const struct call *at)
{
    static const char *const names[] = {"kfree", "slab_free"};
    uint64_t object = 0;

    f->verdict = strstr(f->message, "twice") != NULL ? "double free" : "bad free";
    blame(f, beyond(f, at, names, sizeof(names) / sizeof(names[0])));
    say(f, "a %s: ", f->verdict);
    say_place(f, f->culprit);
    if (backtrace_argument(f->s, &f->trace, at, "ptr", &object) != 0 &&
        !panic_argument(f, 0, &object)) {
        say(f, " freed an object that was not in use.");
        return;
    }
    json_add_hex(f->answer, "object", object);
    say(f, " freed the object at 0x%" PRIx64 ", which was not in use.", object);
    say_first_free(f, object);
    struct pointers p = {.f = f, .object = object};
    image_each_variable(f->s->image, say_pointer, &p);
    say(f, "%s", p.count > 0 ? "." : "");
}

/* ---- panics ---- */

static void find_message(struct finding *f)
{
    static const char mark[] = "\npanic: ";
    char tail[4096];
    const char *at = NULL;

    (void)console_tail(f->s, tail, sizeof(tail));
    for (const char *next = tail; (next = strstr(next, mark)) != NULL; next++) {
        at = next + sizeof(mark) - 1;
    }
    if (at != NULL) {
        kernel_escape(at, strcspn(at, "\r\n"), f->message, sizeof(f->message));
    }
}

/* Which of the kernel's checks it was, by the functions on the stack. */
static void explain_panic(struct finding *f)
{
    static const char *const panics[] = {"panic",          "panic_at",   "panic_frame", "vpanic",
                                         "panic_shutdown", "panic_once", "stop_others"};
    static const struct {
        const char *function, *kind;
    } locks[] = {{"mutex_lock", "mutex"},
                 {"acquire", "spinlock"},
                 {"spin_lock", "spinlock"},
                 {"spin_acquire", "spinlock"}};
    const struct call *at;

    for (unsigned int i = 0; i < f->trace.count; i++) {
        const struct call *call = &f->trace.calls[i];

        if (call->trap && !interrupted_by(f, call, TRAP_UPCALL) &&
            !interrupted_by(f, call, TRAP_SYSCALL)) {
            explain_trap(f, call);
            return;
        }
    }
    if ((at = call_of(f, "stack_overflow")) != NULL) {
        explain_overflow(f, at);
        return;
    }
    for (size_t i = 0; i < sizeof(locks) / sizeof(locks[0]); i++) {
        at = call_of(f, locks[i].function);
        if (at != NULL && (f->message[0] == '\0' || strstr(f->message, "taken twice") != NULL)) {
            explain_lock(f, at, locks[i].kind);
            return;
        }
    }
    if ((at = call_of(f, "kfree")) != NULL) {
        explain_free(f, at);
        return;
    }
    f->verdict = "panic";
    at = call_of(f, "panic");
    blame(f,
          beyond(f, at != NULL ? at : f->trace.calls, panics, sizeof(panics) / sizeof(panics[0])));
    say(f, "a panic in ");
    say_place(f, f->culprit);
    say(f, ".");
}

static void add_call(cJSON *answer, const char *key, const struct call *call)
{
    cJSON *json = cJSON_AddObjectToObject(answer, key);

    if (call->function != NULL) {
        cJSON_AddStringToObject(json, "function", call->function);
    }
    if (call->file != NULL) {
        cJSON_AddStringToObject(json, "file", call->file);
        cJSON_AddNumberToObject(json, "line", call->line);
    }
}

static void analyze_panic(struct finding *f)
{
    const struct kcpu *cpu = kernel_cpu(f->k, f->vcpu);
    const struct vcpu_guest_context *vcpu = core_vcpu(f->s->core, f->vcpu);
    struct regs regs;

    f->thread = cpu != NULL ? kernel_thread(f->k, cpu->current) : NULL;
    say(f, "vCPU %u, in thread \"%s\", ended the kernel because of ", f->vcpu,
        f->thread != NULL ? f->thread->name : "?");
    find_message(f);
    regs_of_vcpu(vcpu, &regs);
    if (backtrace_make(f->s, &regs, FRAMES_MAX, &f->trace) == 0) {
        explain_panic(f);
    }
    cJSON_AddNumberToObject(f->answer, "vcpu", f->vcpu);
    cJSON_AddStringToObject(f->answer, "thread", f->thread != NULL ? f->thread->name : "?");
    if (f->culprit != NULL) {
        add_call(f->answer, "culprit", f->culprit);
    }
    if (f->caller != NULL) {
        say(f, " Its caller: ");
        say_place(f, f->caller);
        say(f, ".");
        add_call(f->answer, "caller", f->caller);
    }
    if (f->message[0] != '\0') {
        say(f, " The kernel's own words: \"%s\".", f->message);
        cJSON_AddStringToObject(f->answer, "message", f->message);
    }
}

/* ---- hangs ---- */

/* Where a thread waits, as the last part of a sentence. */
static void say_wait(const struct finding *f, const struct kthread *t, cJSON *party)
{
    struct backtrace b = {0};
    struct regs regs;

    if (kernel_thread_regs(f->s, t, &regs) == 0 &&
        backtrace_make(f->s, &regs, FRAMES_MAX, &b) == 0) {
        const struct call *call = backtrace_wait(&b);

        if (call != NULL) {
            say(f, " in ");
            say_place(f, call);
            add_call(party, "where", call);
        }
    }
    backtrace_free(&b);
}

static bool analyze_circle(struct finding *f, const struct kthread *first)
{
    const struct kthread *circle[CIRCLE_MAX];
    unsigned int n = lock_circle(f->s, f->k, first, circle);
    char name[KERNEL_NAME_MAX];

    if (n == 0) {
        return false;
    }
    f->verdict = "deadlock";
    say(f, "A deadlock of %u threads:", n);
    cJSON *parties = cJSON_AddArrayToObject(f->answer, "parties");
    for (unsigned int i = 0; i < n; i++) {
        cJSON *party = cJSON_CreateObject();

        kernel_lock_name(f->s, "mutex", circle[i]->wants, name, sizeof(name));
        say(f, "%s thread \"%s\"", i > 0 ? ";" : "", circle[i]->name);
        say_wait(f, circle[i], party);
        say(f, " waits for mutex \"%s\", which thread \"%s\" holds", name,
            circle[(i + 1) % n]->name);
        cJSON_AddStringToObject(party, "thread", circle[i]->name);
        cJSON_AddStringToObject(party, "wants", name);
        cJSON_AddStringToObject(party, "holder", circle[(i + 1) % n]->name);
        cJSON_AddItemToArray(parties, party);
    }
    say(f, ".");
    return true;
}

static bool analyze_spinner(struct finding *f, const struct kcpu *cpu)
{
    const struct vcpu_guest_context *vcpu = core_vcpu(f->s->core, cpu->id);
    const struct kcpu *circle[CIRCLE_MAX];
    char name[KERNEL_NAME_MAX];

    if (cpu->wants_lock == 0 || vcpu == NULL) {
        return false;
    }
    bool closed = lock_spin_circle(f->s, f->k, cpu, circle) > 0;
    f->verdict = closed ? "deadlock" : "spinning";
    kernel_lock_name(f->s, "spinlock", cpu->wants_lock, name, sizeof(name));
    say(f, "vCPU %u spins for spinlock \"%s\", which vCPU %d holds%s.", cpu->id, name,
        kernel_spin_owner(f->s, cpu->wants_lock),
        closed ? ", and which waits for it in turn: a deadlock" : "");
    cJSON_AddNumberToObject(f->answer, "vcpu", cpu->id);
    cJSON_AddStringToObject(f->answer, "lock", name);
    cJSON_AddNumberToObject(f->answer, "holder", kernel_spin_owner(f->s, cpu->wants_lock));
    return true;
}

static void analyze_hang(struct finding *f)
{
    for (unsigned int i = 0; i < f->k->nthreads; i++) {
        if (analyze_circle(f, &f->k->threads[i])) {
            return;
        }
    }
    for (unsigned int i = 0; i < f->k->ncpus; i++) {
        if (analyze_spinner(f, &f->k->cpus[i])) {
            return;
        }
    }
    f->verdict = nothing;
    say(f, "No vCPU panicked, and neither threads nor vCPUs wait for one another. 'threads' tells "
           "what each thread waits for, 'bt all' where, 'log' what the kernel said.");
}

/* ---- the command ---- */

static int analyze_once(struct session *s, cJSON *answer, struct excuse *why)
{
    struct kernel k;
    char *text = NULL;
    size_t size = 0;
    int err = kernel_load(s, &k);
    struct finding f = {.s = s, .k = &k, .answer = answer, .text = open_memstream(&text, &size)};

    if (err != 0 || f.text == NULL) {
        kernel_free(&k);
        if (f.text != NULL) {
            fclose(f.text);
        }
        free(text);
        return crash_fail(why, CRASH_FAILED, "the kernel's vCPUs or threads cannot be read");
    }
    int panicked = kernel_panicked(s);
    if (panicked >= 0) {
        f.vcpu = (unsigned int)panicked;
        analyze_panic(&f);
    } else {
        analyze_hang(&f);
    }
    fclose(f.text);
    cJSON_AddStringToObject(answer, "verdict", f.verdict != NULL ? f.verdict : "unknown");
    cJSON_AddStringToObject(answer, "text", text != NULL ? text : "");
    free(text);
    backtrace_free(&f.trace);
    kernel_free(&k);
    return CRASH_DONE;
}

static void empty(cJSON *object)
{
    while (object->child != NULL) {
        cJSON_Delete(cJSON_DetachItemViaPointer(object, object->child));
    }
}

/* A wait that two looks do not agree on was none that lasts. */
static void retract(cJSON *answer)
{
    empty(answer);
    cJSON_AddStringToObject(answer, "verdict", nothing);
    cJSON_AddStringToObject(
        answer, "text",
        "nothing that lasts: the domain runs, and each look at it found another "
        "state; with --pause it stands still.");
}

/*
 * Of a domain that runs, thread by thread is read at another moment, and may seem to wait for what
 * is free already. Who hangs is there at the second look as well.
 */
static int analyze_run(struct session *s, int argc, char **argv, cJSON *answer, struct excuse *why)
{
    char *before = NULL;
    bool again = core_moves(s->core);
    int status = analyze_once(s, answer, why);

    (void)argc;
    (void)argv;
    for (unsigned int looks = 1; status == CRASH_DONE && again; looks++) {
        char *text = cJSON_PrintUnformatted(answer);

        again = strcmp(crash_text(answer, "verdict"), nothing) != 0 &&
                (before == NULL || text == NULL || strcmp(before, text) != 0);
        free(before);
        before = text;
        if (again && looks == LOOKS_MAX) {
            retract(answer);
            break;
        }
        if (again) {
            empty(answer);
            status = analyze_once(s, answer, why);
        }
    }
    free(before);
    return status;
}

static void analyze_show(const cJSON *answer)
{
    printf("%s: %s\n", crash_text(answer, "verdict"), crash_text(answer, "text"));
}

const struct command cmd_analyze = {
    .name = "analyze",
    .synopsis = "",
    .summary = "what most likely went wrong, in a paragraph",
    .needs_kernel = true,
    .run = analyze_run,
    .show = analyze_show,
};
