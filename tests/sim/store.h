/*
 * xenstored, for three clients: the supervisor (by libxenstore's functions), the guest (by the
 * requests of its kernel, guest.c) and the toolstack. Nodes, watches and transactions are those of
 * docs/misc/xenstore.txt of Xen: a transaction sees what it wrote, nobody else does before its end,
 * and it fails with EAGAIN when somebody changed meanwhile what it read or wrote.
 *
 * Another client may come in between any two requests of one.
 *
 * Types: struct store_event.
 */
#ifndef DUET_SIM_STORE_H
#define DUET_SIM_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim.h"

#define STORE_PATH  160U
#define STORE_VALUE 1100U
#define STORE_TOKEN 24U

enum store_client { CLIENT_SUPERVISOR, CLIENT_GUEST, CLIENT_TOOLS, NR_CLIENTS };

/* Each returns 0 or -errno. `t` is a transaction of the client's; 0: none. */
int sim_store_read(enum store_client c, uint32_t t, const char *path, const char **value);
int sim_store_write(enum store_client c, uint32_t t, const char *path, const char *value);
int sim_store_rm(enum store_client c, uint32_t t, const char *path);
uint32_t sim_store_begin(enum store_client c);
int sim_store_end(enum store_client c, uint32_t t, bool commit);

/* The names below a path, each with its NUL, one after the other. Returns their length or -ENOENT.
 */
int sim_store_list(uint32_t t, const char *path, char *out, size_t size);

int sim_store_watch(enum store_client c, const char *path, const char *token);
int sim_store_unwatch(enum store_client c, const char *path, const char *token);

struct store_event {
    char path[STORE_PATH];
    char token[STORE_TOKEN];
};

/* The next event for a client; false: there is none. */
bool sim_store_event(enum store_client c, struct store_event *event);
bool sim_store_has_event(enum store_client c);

/* A client's session ends: its watches, events and transactions go. */
void sim_store_leave(enum store_client c);

/* Chance, in thousands, that the end of a transaction conflicts; that a request fails. */
extern uint32_t sim_store_conflicts, sim_store_fails;
extern unsigned int sim_store_failed; /* requests so far */

/* Told of each change. */
extern void (*sim_store_on_change)(enum store_client c, const char *path, const char *value);

/* For the toolstack, which is never refused. */
const char *store_look(const char *path);
void store_put(const char *path, const char *value);
void store_remove(const char *path);

void store_reset(void);

#endif
