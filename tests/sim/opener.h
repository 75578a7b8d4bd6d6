/*
 * An opener of an image, a model of block/opener.c by its protocol (block/image_wire.h): it finds
 * the image, locks it when nobody else has it locked, hands it on, and closes all when it ends.
 * That may take its time.
 */
#ifndef DUET_SIM_OPENER_H
#define DUET_SIM_OPENER_H

#include "host.h"

void opener_begin(struct peer *p);

/* SIGKILL. Its lock goes with its last file. */
void opener_kill(struct peer *p);

/* Whether one has something to do, and does it. */
bool opener_has_work(void);
void opener_step(void);

void opener_reset(void);

#endif
