/*
 * The guest kernel below its front ends, for tests that are the back end: grants that it may map
 * and hold on to, event channels that it may kick, keys that it may write. All of it begins anew
 * with fake_guest_begin(). Nothing sleeps: what waits finds that its time is over.
 */
#ifndef TESTS_UNIT_FAKE_GUEST_H
#define TESTS_UNIT_FAKE_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "xendev/xendev.h"

#define FAKE_OTHEREND 7u
#define FAKE_BACK     "/back"

/** fake_guest_begin() - nothing is granted, bound, written, under way; no memory is in use. */
void fake_guest_begin(void);

/** fake_guest_left() - what was made and not given back: pages, grants, ports, memory; 0: nothing.
 */
unsigned fake_guest_left(void);

/** fake_key() - a key of the back end's, or of the front end's, by its whole path; NULL: none. */
void fake_key(const char *path, const char *value);

/** fake_number() - a number that the front end has published below its node. */
uint32_t fake_number(const char *key);

/** fake_page() - what the back end finds behind a grant; NULL: nothing that it may have. */
void *fake_page(uint32_t gref, bool write);

/** fake_hold() - the back end maps a page, or lets go of it: its grant cannot end meanwhile. */
void fake_hold(uint32_t gref, bool held);

/** fake_kick() - the back end notifies. */
void fake_kick(uint32_t port);

/** fake_time() - all timers that are armed fire. */
void fake_time(void);

/** fake_device() - the device, for a driver's probe(); otherwise as the nexus made it. */
struct xendev *fake_device(const char *class, const char *id);

extern bool fake_poked;       /* the watch thread was asked to look */
extern const char *fake_said; /* the last line of the log */

#endif
