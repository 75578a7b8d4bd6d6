/*
 * panic.h - the end, told readably.
 *
 * panic() stops the other vCPUs, prints the reason, registers and a symbolised backtrace to the
 * console without using locks or events, and ends the domain with SHUTDOWN_crash, so
 * that xl's on_crash decides what follows; with `kdi` on the command line the debugger comes
 * before that end. No locks; never returns.
 */
#ifndef OS_PANIC_H
#define OS_PANIC_H

#include "kern/types.h"

struct trap_frame;

/** panic() - say why, show where, crash the domain. Any context. */
__noreturn void panic(const char *fmt, ...) __printf_like(1, 2);

/** panic_frame() - the same for an exception, with the registers it happened with. */
__noreturn void panic_frame(const struct trap_frame *frame, const char *fmt, ...)
    __printf_like(2, 3);

/** panic_at() - the same where only the place is known. */
__noreturn void panic_at(uint64_t rip, uint64_t rbp, const char *fmt, ...) __printf_like(3, 4);

/* An invariant of our own. What a backend or the toolstack says is never asserted, but checked. */
#define ASSERT(cond)                                                              \
    do {                                                                          \
        if (unlikely(!(cond))) {                                                  \
            panic("%s:%d: assertion failed: %s", __FILE_NAME__, __LINE__, #cond); \
        }                                                                         \
    } while (0)

/**
 * struct panic_console - how panic reaches somebody
 * @write: writes bytes and waits, polling, until they are out or time is up; takes no locks
 * @read: gives what was typed, as much as fits, without waiting; takes no locks. Return how many
 */
struct panic_console {
    void (*write)(const char *text, size_t len);
    size_t (*read)(char *buf, size_t size);
};
void panic_set_console(const struct panic_console *console);

/** panic_console_write() / panic_console_read() - use it, for the debugger. Others stand still. */
void panic_console_write(const char *text, size_t len);
size_t panic_console_read(char *buf, size_t size);

/** panic_shutdown() - end the domain at once, with a SHUTDOWN_* reason (xen/sched.h). */
__noreturn void panic_shutdown(unsigned reason);

#endif /* OS_PANIC_H */
