/*
 * The back end of one device, whatever its class: which device it is, its two directories in the
 * store, its life (life.h) and its worker (crew.h). A daemon's own device begins with a struct
 * supervised, which the supervisor (supervisor.h) makes and fills in. What only the class knows, it
 * is asked through struct supervisor_ops.
 *
 * Whatever happens in the store only asks for an evaluation, supervised_reconsider(). That reads
 * afresh what matters and makes one event of it. So no order of events is assumed, and many at once
 * cost one evaluation. A state that stands in the store already is not written again, so an
 * evaluation that our own write caused finds nothing to do. A device whose guest causes them
 * without end waits between them.
 *
 * Everything that a guest can cause to be written to the journal goes through its device's
 * `guest_log`.
 *
 * Types: struct device_key, supervised, supervised_view. A guest that is saved loses its devices,
 * and has others when it is back.
 */
#ifndef DUET_LIB_SUPERVISED_H
#define DUET_LIB_SUPERVISED_H

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "bucket.h"
#include "crew.h"
#include "domname.h"
#include "keys.h"
#include "life.h"
#include "log.h"
#include "loop.h"
#include "store.h"
#include "wire.h"
#include "xenbus.h"

#define SUPERVISED_SENTENCE_MAX 1024
#define SUPERVISED_DOMAIN_MAX   256

struct supervisor;

/* Identifies a device. No padding: it is hashed as a whole. */
struct device_key {
    int class; /* index in supervisor.classes */
    int domid;
    int device;
};

/* What the store said at the last evaluation; `back` also what we wrote since. */
struct supervised_view {
    enum xenbus_state back;
    enum xenbus_state front; /* Unknown: it is not there; Closing: nonsense stands there */
    bool online;             /* the toolstack wants the device to stay */
};

struct supervised {
    struct device_key key;
    UT_hash_handle hh;
    struct supervisor *sup;
    struct log_id id;
    char name[32];                      /* "vbd-5-51712" */
    char domain[SUPERVISED_DOMAIN_MAX]; /* its name, or the beginning of it, for messages */
    char uuid[DOMNAME_UUID];
    char *back;  /* absolute directory of the back end */
    char *front; /* of the front end; NULL until it is learnt */
    struct supervised_view view;
    enum xenbus_state written; /* by this back end, now or before a restart; Unknown: none yet */
    struct life life;
    struct crew crew;
    bool opened;                /* the class has what it serves */
    bool unusable;              /* it never will: nothing to wait for but removal */
    bool adopted;               /* found in use: what is published stays */
    bool in_use;                /* a worker has had its ring, in this life or a daemon's before */
    char *verdict;              /* what the offer has to say against it; NULL: nothing */
    struct log_limit guest_log; /* for all messages that a guest can cause */
    /* private */
    struct pace lives;
    struct store_watch front_watch;
    struct loop_work work;
    struct loop_timer retry;
    struct bucket looks;
    struct loop_timer later; /* the next look, when there have been too many */
};

/* The front end's side of a connection while it is read, in one transaction. */
struct supervised_front {
    struct supervised *dev;
    struct store *st;
    xs_transaction_t t;
    char *why; /* for the sentence of a refusal */
    unsigned long why_size;
};

/* Whether a worker may be started. */
enum supervised_turn {
    SUPERVISED_GO,
    SUPERVISED_WAIT,  /* the device is reconsidered when that changes */
    SUPERVISED_YIELD, /* the guest is not here */
};

/* Prepares what the supervisor made. */
void supervised_init(struct supervised *dev);

/* Asks for an evaluation before the loop waits again. */
void supervised_reconsider(struct supervised *dev);

/* The same, with another look at the domain's name, which may have been changed (xl rename). */
void supervised_look_anew(struct supervised *dev);

/* The same, `ns` nanoseconds from now, or earlier. */
void supervised_reconsider_later(struct supervised *dev, uint64_t ns);

/* The same, in a second: what did not work now may work then. */
void supervised_reconsider_soon(struct supervised *dev);

/* The same of a step that failed for the reason `why`, which the journal gets. Returns -EAGAIN, the
 * step's answer. */
int supervised_try_again(struct supervised *dev, const char *why);

/* The same as a watch's callback; `arg` is the struct supervised. */
void supervised_on_store(void *arg, const char *path);

/*
 * Watches one more path for a device, in place of what `watch` watched. Returns 0, or -errno with a
 * sentence.
 */
int supervised_watch(struct supervised *dev, struct store_watch *watch, const char *path, char *why,
                     unsigned long why_size);

/*
 * An opening has ended: `err` is 0, or -errno with the sentence `why`. Called by a class whose
 * open() returned -EINPROGRESS.
 */
void supervised_opened(struct supervised *dev, int err, const char *why);

/* The opening takes longer than others wait for the offer. supervised_opened() follows in any case.
 */
void supervised_opening_late(struct supervised *dev, int err, const char *why);

/* What was opened is lost: the device cannot be served any more. */
void supervised_lost(struct supervised *dev, int err, const char *why);

/*
 * What was opened is lost, but can be opened again: a worker that has it finishes, and another
 * follows as soon as it is.
 */
void supervised_open_anew(struct supervised *dev, const char *why);

/* The guest goes on at another end: the worker ends, without a word in the store. */
void supervised_yield(struct supervised *dev, const char *why);

/*
 * Publishes keys, and a state (Unknown: none) with them in one transaction, unless the directory is
 * gone; an error becomes a log line. A state that stands there already is not written again. When
 * another stands there than was seen last, nothing is written, and the device is reconsidered.
 * Returns false when the keys have to be published again: the device is reconsidered.
 */
bool supervised_publish(struct supervised *dev, const struct key_value *values, unsigned int nr,
                        enum xenbus_state state);

/* The same with the state that stands there, which is written again: who watches it looks. */
bool supervised_publish_again(struct supervised *dev, const struct key_value *values,
                              unsigned int nr);

/* Writes a key of ours below the back end's directory, while that exists. */
void supervised_write_key(struct supervised *dev, const char *key, const char *text);

/* Removes it, if it is there. Returns 0, or -errno with a sentence. */
int supervised_remove_key(struct supervised *dev, const char *key, char *why,
                          unsigned long why_size);

/* Says wherever people look (log, store) that something went wrong; `err` is -errno. */
void supervised_tell_error(struct supervised *dev, int err, const char *sentence);

/*
 * Has the class read the front end's side, and fill in what a worker is to have. Returns 0, or
 * -errno with a sentence.
 */
int supervised_configure(struct supervised *dev, struct crew_orders *orders, char *why,
                         unsigned long why_size);

/* The first half of it: the configuration is read from the front end's directory. */
int supervised_read_front(struct supervised *dev, char *why, unsigned long why_size);

/* Reads keys of `dir`, which is the front end's or below it, into `out`: keys_read(). */
int supervised_front_keys(const struct supervised_front *front, const char *dir,
                          const struct key_rule *rules, unsigned int nr, void *out);

/* Whether the key is there. */
bool supervised_front_has(const struct supervised_front *front, const char *key);

/* What this guest has of a number of the configuration, in place of `general` (conf.h). */
uint64_t supervised_conf(const struct supervised *dev, const char *key, uint64_t general);

/* The daemon ends, and so does the device, in good order. The store is left as it is. */
void supervised_leave(struct supervised *dev);

/* Logs the device's phase and states, and what its class has to add. */
void supervised_count(struct supervised *dev);

/* Gives up what the functions above got. */
void supervised_release(struct supervised *dev);

#endif
