/*
 * Which device of a class an event is for. One watch on `backend/CLASS` of this domain reports
 * every change below it, and the path of an event names the domain, the device and the key. So an
 * event costs the same with one guest and with a thousand. An event for a whole domain's directory,
 * or for the class's, walks what the store has there.
 *
 * Types: struct backend_class, which lives in its user's structure.
 */
#ifndef DUET_LIB_BACKENDS_H
#define DUET_LIB_BACKENDS_H

#include "loop.h"
#include "store.h"

/*
 * Something below the device's directory changed: `key` is the path below it, "" for the directory
 * itself. Called for devices that exist, are new, or are gone.
 */
typedef void backend_event_fn(void *arg, int domid, int device, const char *key);

/* A directory above devices changed: all that are known of `domid` (-1: of all) have to look. */
typedef void backend_look_fn(void *arg, int domid);

/* Zero-initialise. */
struct backend_class {
    struct loop *loop;
    struct store *store;
    char root[64]; /* absolute path of the class's directory */
    backend_event_fn *on_event;
    backend_look_fn *on_look;
    void *arg;
    struct store_watch watch;
    struct loop_timer again;
};

/* Starts to watch `backend/NAME`. All devices that exist are reported. Returns 0 or -errno. */
int backend_class_watch(struct backend_class *c, struct loop *loop, struct store *st,
                        const char *name, backend_event_fn *on_event, backend_look_fn *on_look,
                        void *arg);

/*
 * All devices that exist are reported again in a second: for who could not take one in, because
 * this host lacked something. What the store could not tell is looked for again without being
 * asked.
 */
void backend_class_look_again(struct backend_class *c);

/* Ends it. Harmless when it is not watched. */
void backend_class_unwatch(struct backend_class *c);

#endif
