/*
 * What all consoles have in common on the supervisor's side: the loop, the store, Xen's devices,
 * the watch for readers, the worker, the configuration.
 *
 * Types: struct cons_host, one per daemon.
 */
#ifndef DUET_CONSOLE_HOST_H
#define DUET_CONSOLE_HOST_H

#include "conf.h"
#include "cons_wire.h"
#include "ledger.h"
#include "link.h"
#include "loop.h"
#include "store.h"
#include "xen_supervisor.h"

struct cons_host {
    struct loop *loop;
    struct store *store;
    struct cons_doors doors;
    int readers; /* inotify; the worker listens */
    struct cons_link link;
    struct cons_ledger ledger;
    struct conf conf;
    struct cons_terms terms; /* of guests for whom the configuration has none of their own */
};

#endif
