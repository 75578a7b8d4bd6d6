/*
 * A xenstored of a few dozen nodes inside the test program. It implements the functions of
 * libxenstore that lib/store.c calls, with watches (delivered through a pipe, as the real library
 * does) and transactions that can be made to conflict. Link fake_xenstore.c before the real
 * library.
 */
#ifndef FAKE_XENSTORE_H
#define FAKE_XENSTORE_H

/* Empties the store and forgets all settings. */
void fake_reset(void);

/* Reads and writes behind the daemon's back; watches fire. fake_get() gives NULL for a missing
 * node. */
const char *fake_get(const char *path);
void fake_set(const char *path, const char *value);
void fake_rm(const char *path);

/* The next `count` transactions end with EAGAIN. */
void fake_conflicts(int count);

/* Sets `path` behind the daemon's back just before it begins its `nth` transaction from now on. */
void fake_set_before(int nth, const char *path, const char *value);

/* Whether nothing can be removed: xs_rm() ends with EACCES. */
void fake_refuse_removal(int refused);

/* Number of transactions begun since fake_reset(). */
int fake_transactions(void);

/* From now on reads at and below `dir` end with EACCES, whether there is something or not: what
 * a domain without privilege is told of a domain that is gone. NULL: nothing is forbidden. */
void fake_forbid(const char *dir);

/* The next xs_read() or xs_directory() fails with this error. */
void fake_fail_once(int err);

/* Calls fn before each xs_read() is answered; NULL: no more. */
void fake_on_read(void (*fn)(void));

/* Everything fails with EIO from now on, as when xenstored died. */
void fake_die(void);

/* Runs the loop until all watches have been told, and what was queued because of them has been
 * done. No time passes for it, so it is the same on a slow machine; what waits for a timer does not
 * come. */
struct loop;
void fake_settle(struct loop *loop);

#endif
