/*
 * The primary console of one domain as the store describes it (docs/misc/console.txt of Xen):
 * /local/domain/D/console with `type`, `ring-ref` and `port`. There is no handshake and there are
 * no states: the ring is there when the two numbers are, and `tty` tells clients where to look.
 *
 * Whatever happens only asks for another look at the store, so no order of events is assumed. A
 * look ends in orders for the worker, which answers when it has mapped the ring; only then is `tty`
 * written. Every look costs a token, so that a store in which somebody writes without end costs no
 * more than a few looks a second.
 *
 * Types: struct cons_console. When a domain resumes, `ring-ref` or `port` is written again. The
 * watch brings that here, and channel and page are given to the worker anew.
 */
#ifndef DUET_CONSOLE_CONSOLE_H
#define DUET_CONSOLE_CONSOLE_H

#include <stdbool.h>
#include <uthash.h>

#include "bucket.h"
#include "domname.h"
#include "host.h"
#include "log.h"
#include "pty.h"

struct cons_console;

/* Tells the owner of the consoles: first look done (@gone false), or the domain has left the store,
 * and the console is the owner's to free, which it may do at once. */
typedef void cons_fn(void *arg, struct cons_console *console, bool gone);

struct cons_console {
    unsigned int domid;
    struct log_id id;
    struct cons_host *host;
    /* /local/domain/D and /local/domain/D/console */
    char home[32];
    char dir[40];
    char *name;
    char uuid[DOMNAME_UUID];
    struct store_watch dir_watch, name_watch;
    struct loop_work refresh;
    struct loop_timer later;
    struct bucket looks; /* at the store */
    struct log_limit complaints;
    bool ring_changed;
    bool name_changed;
    bool offered;      /* the worker has the ring, or has been told of it */
    bool answer_due;   /* it has not said yet whether it has it; the link's ping is the deadline */
    bool served;       /* it has; not yet told in the log when false */
    uint32_t serial;   /* of the last offer: an answer to another one is old */
    uint64_t frame;    /* of the last offer, for messages */
    uint32_t remote;   /* the same */
    unsigned int seat; /* in the ledger */
    struct figures_view figures; /* what stands there, once it is this console's */
    int port;                    /* our end of the channel; negative: none */
    char tty[CONS_TTY_MAX];
    int wd;           /* the terminal's in host->readers; negative: there is none */
    bool tty_written; /* this terminal's path stands in the store */
    bool seed;        /* was there before the daemon */
    cons_fn *fn;
    void *arg;
    /* For the owner: its pass over all domains, and whether the first look is still due. */
    unsigned int pass;
    bool first_look_due;
    UT_hash_handle hh;
};

/* Starts to follow domain @domid. Returns NULL with errno set. The owner frees it with cons_free().
 */
struct cons_console *cons_new(struct cons_host *host, unsigned int domid, bool seed, cons_fn *fn,
                              void *arg);

/* The configuration has changed: the worker hears what this guest has of it. */
void cons_reconfigure(struct cons_console *console);

/* The worker's answer to an offer. */
void cons_answered(struct cons_console *console, const struct cons_report *report);

/* Has the worker let go of the guest, and frees it. */
void cons_free(struct cons_console *console);

#endif
