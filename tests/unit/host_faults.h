/*
 * Faults of the host, for unit tests: each system call and each allocation of a real supervisor
 * fails once, the first, the second, ... with each of the errors that Linux may give there. The
 * program is linked with --wrap for every function of the table in host_faults.c. A test is a fixed
 * life of a device, played once to count the calls, and then once for each fault, in a process of
 * its own: so a crash, a leak (LeakSanitizer looks at its end) and a wait without end are found one
 * by one.
 *
 * Only what is called while faults_live() is true counts, so that the test itself, and the store
 * inside it, have none.
 *
 * A test's program is also the stand-in for what its supervisor starts: it has to see that before
 * it calls faults_main().
 */
#ifndef HOST_FAULTS_H
#define HOST_FAULTS_H

#include <stdbool.h>
#include <xen_list.h>

#include "loop.h"

/* Exit status of a life whose daemon ended by itself: the service manager starts another. */
#define FAULTS_ENDED 98

/* Plays the life once; ends it with faults_done(). */
typedef void faults_life_fn(void);

/*
 * Plays the life for a sample of the faults, or for those that the arguments name: `all`, `seed N`,
 * `one CALL NTH ERRNO`. Prints a table of what was tried, and what each failure said. Returns the
 * exit status.
 */
int faults_main(faults_life_fn *life, int argc, char **argv);

/* The life begins: what is open now may be open at its end. */
void faults_begin(void);

/* From now on calls count, and the one that is to fail does; or not any more. */
void faults_live(bool live);

/* Whether what fails in this life is over a moment later: a guest that is connected may not lose
 * its device by that. */
bool faults_pass(void);

/* The life did not go on as it has to: says so, and ends the process. */
_Noreturn void faults_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * The life is over: nothing may be open that was not at its start, and the service manager, whose
 * store of descriptors is played as well, has none to keep. Ends the process.
 */
_Noreturn void faults_done(void);

/*
 * Runs a daemon's loop, with faults, until `reached` says so. What that waits for may take as long
 * as a timer of the daemon's says: now and then `hurry` is called, which is to let the daemon's
 * short timers fire (with `all`, every timer). Fails when nothing helps: `what` was waited for
 * without end. A daemon that ends its loop by itself is started again by the service manager: that
 * is the end of this life, and a good one.
 */
void faults_run(struct loop *loop, bool (*reached)(void), void (*hurry)(bool all),
                const char *what);

/* For hurry(): the timer fires now, if it is set. */
void faults_fire(struct loop *loop, struct loop_timer *t);

#endif
