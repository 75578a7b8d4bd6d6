/*
 * A live domain by Xen's hypercalls: finding it, reading it, and keeping it paused.
 *
 * Xen's control interface (domctl) belongs to one version of Xen, and no library of Xen's hides
 * that: libxenctrl itself is another one with each version. What is used of it is here alone, by
 * libxencall, whose interface is stable; another Xen refuses by the number in each call, and that
 * is told as such.
 */
#ifndef DUET_CRASH_LIVE_XEN_H
#define DUET_CRASH_LIVE_XEN_H

#include "live.h"

/* The number of the domain called @text, or whose number it is. Returns 0 or -errno with @why. */
int live_xen_find(const char *text, unsigned int *domid, char *why, unsigned long why_size);

/* Whether domain @domid can be read. Returns 0, or -errno with a sentence in @why. */
int live_xen_check(unsigned int domid, char *why, unsigned long why_size);

/* Opens a domain that can be read. Returns 0, or -errno with a sentence in @why. */
int live_xen_open(unsigned int domid, struct core **out, char *why, unsigned long why_size);

/* Pauses or unpauses; Xen counts, so nobody else's pause is undone. Returns 0 or -errno. */
int live_xen_pause(unsigned int domid, bool pause);

#endif
