/*
 * kdi.c - the debugger's entry, its prompt, and the way back.
 *
 *   int3, a step's end, an NMI, a panic
 *        |
 *   own: of several CPUs that come at once one goes on, the others wait as if stopped
 *        |
 *   breakpoints out of the text; other CPUs stopped; locks bypassed; onto the debugger's stack
 *        |
 *   commands, from kdi= as long as it has any, then from the console
 *        |
 *   step: return for one instruction, still the owner, all others stopped
 *   continue: over a breakpoint by a step; then breakpoints in, others on, owner gone
 *
 * A fault, panic or q at --more-- ends a command by starting the loop of commands anew
 * on an empty stack: nothing in a command needs to be given back.
 *
 * Owns the session. Locks: `owner`, by compare-and-swap. Suspend: not while a session lasts.
 */
#include "kdi/kdi_impl.h"

#include "kern/log.h"
#include "kern/sched.h"
#include "kern/string.h"
#include "lib/edit.h"
#include "lib/parse.h"
#include "os/cmdline.h"
#include "os/hypercall.h"
#include "psm/clock.h"
#include "psm/debugger.h"

#define PROMPT "kdi> "

/* After a return to the interrupted code for one instruction. */
enum stepping { STEP_NONE, STEP_ASKED, STEP_THEN_GO };

struct kdi_session kdi;

const struct kdi_command *const kdi_commands[] = {kdi_run_commands,    kdi_cpu_commands,
                                                  kdi_memory_commands, kdi_thread_commands,
                                                  kdi_xen_commands,    NULL};

static int owner = -1; /* CPU id */
static enum stepping stepping;
static bool greeted;
static const char *script; /* what is left of kdi= */
static struct edit editor;
static struct parsed words, report_words;
static struct mutex report_lock;
static bool reporting; /* kdi_report() runs */

int kdi_owner_cpu(void)
{
    return READ_ONCE(owner);
}

bool kdi_active_here(void)
{
    return READ_ONCE(owner) == (int)this_cpu()->id && locks_bypassed();
}

static bool kdi_on_panic(void)
{
    return cmdline_get("kdi") != NULL;
}

/* Become the owner. Who comes second stands still until the first is done. */
static void kdi_own(const struct trap_frame *frame)
{
    int self = (int)this_cpu()->id;
    int nobody = -1;

    if (READ_ONCE(owner) == self) {
        return;
    }
    while (!__atomic_compare_exchange_n(&owner, &nobody, self, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST)) {
        kdi_park(frame, KDI_BY_TRAP);
        nobody = -1;
    }
}

/* ---- commands ---- */

static const struct kdi_command *find_command(const char *name)
{
    for (size_t g = 0; kdi_commands[g] != NULL; g++) {
        for (const struct kdi_command *c = kdi_commands[g]; c->name != NULL; c++) {
            if (strcmp(c->name, name) == 0) {
                return c;
            }
        }
    }
    return NULL;
}

static void kdi_run_words(struct parsed *w)
{
    if (w->argc == 0) {
        return;
    }
    const struct kdi_command *c = find_command(w->argv[0]);
    if (c == NULL) {
        kdi_printf("%s: no such command; `help` lists them\n", w->argv[0]);
    } else if (c->stopped && kdi.live) {
        kdi_printf("%s: only on a stopped machine\n", c->name);
    } else if (c->run(w->argc, w->argv) == -EINVAL) {
        kdi_printf("usage: %s\n", c->usage);
    }
}

/* The next command of the script. False: there is none. */
static bool script_next(void)
{
    if (script == NULL || *script == '\0') {
        return false;
    }
    int rc = parse_command(&script, &words);
    if (rc != 0) {
        script = NULL;
        return false;
    }
    kdi_printf(PROMPT);
    for (int i = 0; i < words.argc; i++) {
        kdi_printf("%s%s", i > 0 ? " " : "", words.argv[i]);
    }
    kdi_printf("\n");
    return true;
}

static void kdi_show_text(const char *text, size_t n, void *arg __unused)
{
    kdi_io_raw(text, n);
}

/* A line from the keyboard; an empty one repeats a step. False: dropped. */
static bool kdi_read_line(void)
{
    enum edit_result result = EDIT_MORE;

    editor.prompt = PROMPT;
    editor.show = kdi_show_text;
    edit_begin(&editor);
    while (result != EDIT_LINE && result != EDIT_ABORT) {
        result = edit_key(&editor, kdi_io_key());
    }
    edit_remember(&editor, editor.text);
    return result == EDIT_LINE;
}

/* Commands from a line, until one of them lets the machine go on. */
static void kdi_run_line(const char *line)
{
    int rc;

    while (kdi.verdict == KDI_STAY && (rc = parse_command(&line, &words)) != -ENOENT) {
        if (rc != 0) {
            kdi_printf("a quote is not closed, or the line is too long\n");
        } else {
            kdi_run_words(&words);
        }
    }
}

/* Where we are, and why. */
static void greet(void)
{
    const struct cpu *cpu = this_cpu();
    char place[KDI_SYMBOL_MAX];

    kdi_io_command(false);
    kdi_printf("\nkdi: %s: vCPU %u, thread \"%s\", interrupt level %d\n     at %s\n", kdi.why,
               cpu->id, cpu->current != NULL ? cpu->current->name : "(none yet)", cpu->ipl,
               kdi_symbol(kdi.frame->rip, place));
}

/* On the debugger's stack: commands until one lets the machine go on. */
static void command_loop(void)
{
    if (!greeted) {
        greeted = true;
        greet();
        (void)kdi_deadlocks();
    }
    while (kdi.verdict == KDI_STAY) {
        kdi_io_command(false);
        if (script_next()) {
            kdi_run_words(&words);
        } else if (kdi_read_line()) {
            kdi_io_command(true);
            kdi_run_line(editor.text);
        }
    }
}

void kdi_give_up(const char *fmt, ...)
{
    char text[160];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    kdi_io_raw("(", 1);
    kdi_io_raw(text, strlen(text));
    kdi_io_raw(")\n", 2);
    kdi_stack_restart(command_loop);
}

static __noreturn void kdi_abandon(uint64_t rip, const char *fmt, va_list ap)
{
    char text[160], place[KDI_SYMBOL_MAX];

    vsnprintf(text, sizeof(text), fmt, ap);
    kdi_give_up("the command failed in %s: %s", kdi_symbol(rip, place), text);
}

/* ---- sessions ---- */

/* A session with the one at the console. The others stand still, we are the owner. */
static void session(struct trap_frame *frame, const char *why, bool whole, bool fatal)
{
    kdi = (struct kdi_session){
        .frame = frame, .whole = whole, .fatal = fatal, .why = why, .verdict = KDI_STAY};
    greeted = false;
    locks_set_bypass(true);
    kdi_stack_call(command_loop);
    locks_set_bypass(false);
}

/* The last thing: let everything go on. Calls nothing that may have a breakpoint. */
static void kdi_release(void)
{
    stepping = STEP_NONE;
    kdi = (struct kdi_session){.live = reporting};
    kdi_breaks_insert();
    kdi_release_others();
    WRITE_ONCE(owner, -1);
}

/* One line of a step: where the next instruction is. */
static void say_place(const struct trap_frame *frame)
{
    char place[KDI_SYMBOL_MAX];

    kdi_printf("%016llx  %s\n", (ull)frame->rip, kdi_symbol(frame->rip, place));
}

/*
 * Do what the session asked for: have the frame return for one instruction, or let all go on. Steps
 * that were emulated are done on the spot.
 */
static void proceed(struct trap_frame *frame)
{
    while (kdi.verdict != KDI_CONTINUE) {
        stepping = STEP_ASKED;
        if (kdi_step_begin(frame)) {
            return;
        }
        say_place(frame);
        if (--kdi.steps == 0) {
            session(frame, "step", true, false);
        }
    }
    stepping = STEP_THEN_GO;
    if (!kdi_break_is_set(frame->rip) || !kdi_step_begin(frame)) {
        kdi_release();
    }
}

/* The instruction of a step is done. */
static void step_done(struct trap_frame *frame)
{
    kdi_step_end(frame);
    if (stepping == STEP_THEN_GO) {
        kdi_release();
        return;
    }
    say_place(frame);
    if (--kdi.steps == 0 || kdi_io_interrupted()) {
        session(frame, "step", true, false);
    }
    proceed(frame);
}

/* Why an int3 brought us here; NULL: its breakpoint was removed in the meantime. */
static const char *int3_reason(struct trap_frame *frame, char *buf, size_t size)
{
    int number = kdi_break_hit(frame->rip - 1);

    if (number >= 0) {
        frame->rip--;
        snprintf(buf, size, "breakpoint %d", number);
        return buf;
    }
    if (frame->rip == (uint64_t)kdi_break_return) {
        return (const char *)frame->rdi;
    }
    uint8_t byte;
    if (kdi_peek(frame->rip - 1, &byte, 1) == 1 && byte != 0xcc) {
        frame->rip--;
        return NULL;
    }
    return "int3";
}

static bool kdi_trap(struct trap_frame *frame)
{
    char buf[24];

    if (kdi_active_here()) {
        return false;
    }
    kdi_own(frame);
    if (frame->vector == TRAP_DEBUG) {
        if (stepping == STEP_NONE) {
            WRITE_ONCE(owner, -1);
            return false;
        }
        step_done(frame);
        return true;
    }
    kdi_breaks_remove();
    kdi_stop_others();
    const char *why = int3_reason(frame, buf, sizeof(buf));
    if (why == NULL) {
        kdi_release();
        return true;
    }
    session(frame, why, true, false);
    proceed(frame);
    return true;
}

/* From here on everything but this CPU stands still. */
static void take_over(const struct trap_frame *frame)
{
    kdi_own(frame);
    kdi_breaks_remove();
    kdi_stop_others();
}

static void kdi_nmi(struct trap_frame *frame)
{
    if (kdi_nmi_was_ours(frame) || kdi_active_here()) {
        return;
    }
    take_over(frame);
    session(frame, "NMI", true, false);
    proceed(frame);
}

/* ---- panics ---- */

static void kdi_panic_begin(const struct trap_frame *frame)
{
    take_over(frame);
}

static void kdi_panic(const struct trap_frame *frame, uint64_t rip, uint64_t rbp)
{
    static struct trap_frame copy;

    if (frame != NULL) {
        copy = *frame;
    } else {
        copy = (struct trap_frame){.rip = rip, .rbp = rbp, .rsp = rbp};
    }
    session(&copy, "panic", frame != NULL, true);
}

/* ---- live reports and boot ---- */

void kdi_report(const char *line, void (*write)(const char *text, size_t len))
{
    mutex_lock(&report_lock);
    kdi_io_live(write);
    reporting = kdi.live = true;
    if (parse_command(&line, &report_words) == 0) {
        kdi_run_words(&report_words);
    }
    reporting = kdi.live = false;
    mutex_unlock(&report_lock);
}

/* What the core calls: traps, panics, the debug ports. */
static const struct debugger door = {.trap = kdi_trap,
                                     .nmi = kdi_nmi,
                                     .stop = kdi_stop,
                                     .on_panic = kdi_on_panic,
                                     .panic_begin = kdi_panic_begin,
                                     .panic = kdi_panic,
                                     .active_here = kdi_active_here,
                                     .abandon = kdi_abandon};

void kdi_boot(void)
{
    const char *given = cmdline_get("kdi");

    mutex_init(&report_lock, "kdi-report");
    kdi_peek_boot();
    script = given != NULL && strcmp(given, "panic") != 0 ? given : NULL;
    debugger_register(&door);
}
