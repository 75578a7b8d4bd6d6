/*
 * The toolstack: makes the device, takes it away, saves the domain and restores it as another one,
 * waiting for the back end as libxl does.
 */
#ifndef DUET_SIM_TOOLS_H
#define DUET_SIM_TOOLS_H

#include <stdbool.h>
#include <stdint.h>

enum tools_job { TOOLS_IDLE, TOOLS_DETACHING, TOOLS_SUSPENDING, TOOLS_LEAVING };

extern enum tools_job tools_job;

/* A domain with a disk, whose kernel boots. */
void tools_create(void);

void tools_detach(void);
void tools_attach(void);
bool tools_has_device(void);

/* Whether the one that was taken away had never been used by its guest. */
bool tools_was_unused(void);
void tools_save(bool cancel);

/* Goes on with what it has begun, if that is possible now. Returns whether it did anything. */
bool tools_step(void);

/* What the store has below the back end's directory; "" if nothing. */
const char *tools_back(const char *key);
const char *tools_front(const char *key);

/* The sentence that the back end left for people; NULL: none. */
const char *tools_error(void);

/* Whether a path is the back end's state; whether the toolstack or the guest have it move. */
bool tools_is_back_state(const char *path);

void tools_reset(void);

#endif
