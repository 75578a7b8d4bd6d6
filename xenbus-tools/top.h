/*
 * What the daemons tell of their devices, read from Prometheus' text, without any I/O; and what
 * went by between two looks.
 *
 * One set of figures for all classes, as seen from the guest: a disk's reads, an interface's
 * received packets and a console's input go to the guest, the rest comes from it.
 *
 * Types: struct top_device, top_view.
 */
#ifndef DUET_XENBUS_TOP_H
#define DUET_XENBUS_TOP_H

#include <stdbool.h>
#include <stddef.h>

enum top_figure {
    TOP_UP,
    TOP_CONNECTED,
    TOP_RESTARTS,
    TOP_OPERATIONS, /* requests, packets */
    TOP_TO_GUEST,   /* bytes */
    TOP_FROM_GUEST, /* bytes */
    TOP_ERRORS,     /* that failed, were refused, or lost */
    TOP_QUEUED,
    TOP_SECONDS, /* that the timed ones took, together */
    TOP_TIMED,
    TOP_FIGURES,
};

enum top_key {
    TOP_BY_DOMAIN,
    TOP_BY_DEVICE,
    TOP_BY_OPERATIONS,
    TOP_BY_TO_GUEST,
    TOP_BY_FROM_GUEST,
    TOP_BY_ERRORS,
    TOP_BY_QUEUED,
    TOP_BY_LATENCY,
    TOP_BY_RESTARTS,
    TOP_KEYS,
};

extern const char *const top_key_names[TOP_KEYS];

#define TOP_NAME_MAX 128

struct top_device {
    unsigned int domid;
    char domain[TOP_NAME_MAX]; /* as the daemon tells it: a guest's, to be escaped */
    char device[TOP_NAME_MAX]; /* "vbd/51712" */
    double total[TOP_FIGURES];
    double rate[TOP_FIGURES]; /* a second since the look before; 0 at the first */
    double latency_ms;        /* the mean of those; 0: none */
};

/* All devices at one moment. Zero-initialise. */
struct top_view {
    struct top_device *devices;
    size_t nr;
};

/*
 * Adds what a daemon told. Returns false when a line is none that the format knows; the others are
 * taken all the same.
 */
bool top_add(struct top_view *view, const char *text);

/* Works out what went by since `before`, `seconds` ago. A device that is new, or counted anew, has
 * no rates. */
void top_compare(struct top_view *view, const struct top_view *before, double seconds);

/* Puts those first of which there is most; domains and devices in order. */
void top_sort(struct top_view *view, enum top_key key);

void top_free(struct top_view *view);

#endif
