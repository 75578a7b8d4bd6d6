/*
 * A program that is asked something: its output, within a time and a size, whatever it does.
 *
 * Types owned: `struct question`, `struct probe`.
 */
#ifndef DUET_XENBUS_PROBE_H
#define DUET_XENBUS_PROBE_H

#include <stdbool.h>
#include <stddef.h>

struct probe {
    /* What it said, on standard output and error alike; free it with probe_free(). */
    char *text;
    size_t len;
    /* How it ended, as waitpid() tells; it was killed if it was late or said too much. */
    int status;
    bool late, cut;
    long long took_ms;
};

/*
 * What is asked, and for how long: @argv (found in PATH; standard input is empty, no signal is
 * blocked), for at most @seconds or until @stop can be read (negative: there is none), and at most
 * @most bytes of it.
 */
struct question {
    char *const *argv;
    double seconds;
    size_t most;
    int stop;
};

/*
 * Asks. The program and all that it started in its process group are gone afterwards. Returns 0, or
 * -errno when it could not be started (-ENOENT: there is no such program); -EINTR: it was stopped.
 * @probe is to be freed in any case.
 */
int probe_run(const struct question *question, struct probe *probe);

/* The same, with standard output into @fd, which stays the caller's own; only errors are in the
 * text. */
int probe_run_into(int fd, const struct question *question, struct probe *probe);

void probe_free(struct probe *probe);

#endif
