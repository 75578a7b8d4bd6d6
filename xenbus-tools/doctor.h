/*
 * The doctor: checks over a copy of the store and the facts of the host, each of which may report
 * findings. Judgement without I/O: a check sees only the copy and what host->ask() answers.
 *
 * Types owned: `struct check` (a row of a table), `struct finding`, `struct diagnosis`. One thread.
 *
 * To add a check: a row in one of the tables of checks_*.c, a paragraph in docs/man/xenbus.1, and a
 * case in tests/unit/test_xenbus_doctor.c. A code that was published is never given to anything
 * else.
 */
#ifndef DUET_XENBUS_DOCTOR_H
#define DUET_XENBUS_DOCTOR_H

#include "devices.h"
#include "host.h"
#include "snapshot.h"

enum severity {
    SEVERITY_WARNING,
    SEVERITY_ERROR,
};

struct diagnosis;

struct check {
    /* Stable: scripts and the manual know it. */
    char code[6];
    enum severity severity;
    /* Normal for a moment: a finding only if it is still there a while later. */
    bool settles;
    /* Asks about the host, so that an export alone does not do. */
    bool host;
    /* A line for lists, without a full stop. */
    const char *title;
    /* One of the two: called for each device, or once. */
    void (*device)(struct diagnosis *diagnosis, const struct device *device);
    void (*whole)(struct diagnosis *diagnosis);
};

struct finding {
    const struct check *check;
    char *path;
    /* A sentence, printable: what it quotes of the store is escaped. */
    char *what;
    /* A command for the shell that mends it, or that shows why; NULL when there is none. */
    char *advice;
    struct finding *next;
};

struct diagnosis {
    const struct snapshot *snapshot;
    /* NULL: only the store is looked at. */
    const struct host *host;
    struct device *devices;
    /* The check at work. */
    const struct check *check;
    struct finding *findings, **tail;
};

/* The tables of checks. Each ends with a row without a code. */
extern const struct check pair_checks[], perm_checks[], host_checks[], key_checks[];

/* Calls @visit with every check there is. */
void checks_visit(void (*visit)(void *context, const struct check *check), void *context);

/*
 * Makes all checks that can be made; findings come in the order of their codes. @host is NULL when
 * nothing is known about it. The caller frees the result with diagnosis_free().
 */
struct finding *diagnose(const struct snapshot *snapshot, const struct host *host);

void findings_free(struct finding *list);

/*
 * Of @now, those that are not merely on their way: what settles counts only if it is in @before as
 * well. Frees the rest of @now and returns what is left.
 */
struct finding *findings_persistent(struct finding *now, const struct finding *before);

/* Whether one of them may still settle. */
bool findings_settling(const struct finding *list);

/* For the checks: reports a finding at @path. It belongs to the diagnosis. */
struct finding *found(struct diagnosis *diagnosis, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Adds a command to a finding's advice (behind `&&` when there is one): words, ended by NULL. They
 * are quoted for the shell, for some come from the store; a word that is not printable takes the
 * advice away.
 */
void advise_words(struct finding *finding, const char *const *words);

/* The same: advise(finding, "xl", "destroy", domid). */
#define advise(finding, ...) advise_words(finding, (const char *const[]){__VA_ARGS__, NULL})

/* Advice that fits a device: to detach it, to restart the daemon that serves its kind here. */
void advise_detach(const struct diagnosis *diagnosis, struct finding *finding,
                   const struct device *device);
void advise_restart(const struct diagnosis *diagnosis, struct finding *finding,
                    const struct device *device);

/* The unit of ours that serves a kind of back end ("vbd"), NULL if none does. */
const char *unit_of_kind(const char *kind);

/* Whether the host's facts are about the domain that serves @device. */
bool served_here(const struct diagnosis *diagnosis, const struct device *device);

/* Whether both ends stand in the store and have states by the protocol. */
bool has_states(const struct device *device);

/* The ends' directories in the copy; NULL when one is missing. */
const struct node *front_of(const struct diagnosis *diagnosis, const struct device *device);
const struct node *back_of(const struct diagnosis *diagnosis, const struct device *device);

#endif
