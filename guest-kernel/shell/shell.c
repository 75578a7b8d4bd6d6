/*
 * shell.c - the shell's thread: run= from the command line, then line after line from the console.
 *
 * Owns the one struct shell and the line editor with its history. Locks: none; everything here
 * belongs to the shell's thread. Suspend: the line that is being typed stays.
 */
#include "shell/shell.h"

#include "io/xencons/xencons.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "lib/edit.h"
#include "lib/parse.h"
#include "os/cmdline.h"
#include "psm/clock.h"
#include "xendev/xendev.h"

#define PROMPT          "duet# "
#define SETTLE_TIME     (30 * NSEC_PER_SEC) /* what disks get to appear before run= */
#define PROGRESS_PERIOD (500 * NSEC_PER_MSEC)

static struct shell console_shell;
static struct edit editor;
static struct parsed words;

void sh_write(struct shell *sh __unused, const char *text, size_t len)
{
    xencons_write(text, len);
}

void sh_printf(struct shell *sh, const char *fmt, ...)
{
    struct sh_text t = {0};
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if ((size_t)n < sizeof(text)) {
        sh_write(sh, text, (size_t)n);
        return;
    }
    t.buf = kmalloc((size_t)n + 1);
    if (t.buf == NULL) {
        sh_write(sh, text, sizeof(text) - 1);
        return;
    }
    va_start(ap, fmt);
    vsnprintf(t.buf, (size_t)n + 1, fmt, ap);
    va_end(ap);
    sh_write(sh, t.buf, (size_t)n);
    kfree(t.buf);
}

int sh_error(struct shell *sh, const char *fmt, ...)
{
    char text[200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    sh_printf(sh, "%s: %s\n", sh->running, text);
    return SH_FAIL;
}

bool sh_interrupted(struct shell *sh __unused)
{
    return xencons_interrupted();
}

/* Makes room for @n more bytes and a NUL. */
static bool text_room(struct sh_text *t, size_t n)
{
    if (t->len + n < t->size) {
        return true;
    }
    size_t size = MAX(t->size * 2, ROUND_UP(t->len + n + 1, 512));
    char *bigger = kmalloc(size);

    if (bigger == NULL) {
        t->cut = true;
        return false;
    }
    if (t->buf != NULL) {
        memcpy(bigger, t->buf, t->len);
    }
    kfree(t->buf);
    t->buf = bigger;
    t->size = size;
    return true;
}

void sh_text_add(struct sh_text *t, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (text_room(t, (size_t)n)) {
        va_start(ap, fmt);
        vsnprintf(t->buf + t->len, t->size - t->len, fmt, ap);
        va_end(ap);
        t->len += (size_t)n;
    }
}

int sh_text_write(struct shell *sh, struct sh_text *t)
{
    bool cut = t->cut;

    if (t->buf != NULL) {
        sh_write(sh, t->buf, t->len);
    }
    kfree(t->buf);
    *t = (struct sh_text){0};
    return cut ? sh_error(sh, "out of memory, the list is cut") : SH_OK;
}

void sh_progress_begin(struct sh_progress *p)
{
    *p = (struct sh_progress){.start = clock_now(), .shown = clock_now()};
}

void sh_progress(struct shell *sh, struct sh_progress *p, uint64_t done, uint64_t total)
{
    nsec_t now = clock_now();

    if (!sh->interactive || now - p->shown < PROGRESS_PERIOD) {
        return;
    }
    p->shown = now;
    p->visible = true;
    sh_printf(sh, "\r%3lu%%  %lu of %lu MiB, %lu MiB/s\x1b[K",
              (unsigned long)(total != 0 ? done * 100 / total : 100), (unsigned long)(done >> 20),
              (unsigned long)(total >> 20),
              (unsigned long)((done >> 20) * NSEC_PER_SEC / MAX(now - p->start, 1u)));
}

nsec_t sh_progress_end(struct shell *sh, struct sh_progress *p)
{
    if (p->visible) {
        sh_printf(sh, "\r\x1b[K");
    }
    return clock_now() - p->start;
}

/* Runs one command. Return: its exit status. */
static int shell_run_words(struct shell *sh, int argc, char **argv)
{
    const struct sh_command *c = sh_find(argv[0]);

    sh->running = argv[0];
    if (c == NULL) {
        sh_error(sh, "no such command; `help` lists them");
        return SH_UNKNOWN;
    }
    xencons_clear_interrupt();
    int status = c->run(sh, argc, argv);
    xencons_clear_interrupt();
    if (status == SH_USAGE) {
        sh_printf(sh, "usage: %s\n", c->usage);
    } else if (status == SH_INTERRUPTED) {
        sh_error(sh, "interrupted");
    }
    return status;
}

/*
 * Runs the commands of a line. A script (@each) prints a status line behind each of them and goes
 * on; a typed line ends with a command that ^C ended.
 */
static void shell_run_line(struct shell *sh, const char *line, bool each)
{
    int rc;

    while ((rc = parse_command(&line, &words)) != -ENOENT) {
        if (rc != 0) {
            sh_printf(sh, "%s\n",
                      rc == -EINVAL ? "a quote is not closed" : "too many or too long words");
            sh->status = SH_USAGE;
        } else if (words.argc != 0) {
            sh->status = shell_run_words(sh, words.argc, words.argv);
        }
        if (each && (rc != 0 || words.argc != 0)) {
            sh_printf(sh, "status: %d\n", sh->status);
        } else if (!each && sh->status == SH_INTERRUPTED) {
            break;
        }
    }
}

/* Reads one line with the editor; false when it was dropped by ^C. */
static bool shell_read_line(struct edit *e)
{
    enum edit_result result = EDIT_MORE;

    edit_begin(e);
    while (result != EDIT_LINE && result != EDIT_ABORT) {
        char c;

        /* One at a time: what is typed ahead belongs to what runs next. */
        if (xencons_read(&c, 1, NSEC_FOREVER) == 0) {
            edit_refresh(e);
            continue;
        }
        result = edit_key(e, c);
        if (result == EDIT_TAB) {
            sh_complete(e);
        }
    }
    return result == EDIT_LINE;
}

static void shell_show_text(const char *s, size_t n, void *arg)
{
    sh_write(arg, s, n);
}

static void prompt_forever(struct shell *sh)
{
    editor.prompt = PROMPT;
    editor.show = shell_show_text;
    editor.arg = sh;
    sh->interactive = true;
    for (;;) {
        if (shell_read_line(&editor)) {
            edit_remember(&editor, editor.text);
            shell_run_line(sh, editor.text, false);
        }
    }
}

static void shell_main(void *arg)
{
    struct shell *sh = arg;
    const char *script = cmdline_get("run");

    if (script != NULL) {
        xendev_wait_settled(clock_now() + SETTLE_TIME);
        shell_run_line(sh, script, true);
    }
    prompt_forever(sh);
}

void shell_start(void)
{
    struct thread *t = thread_create("shell", shell_main, &console_shell, PRIO_NORMAL);

    if (t == NULL) {
        log_err("shell: no memory for its thread; the domain answers control/shutdown only");
        return;
    }
    thread_detach(t);
}
