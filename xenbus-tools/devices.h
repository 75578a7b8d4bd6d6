/*
 * The devices of a host, read out of the store: each backend directory paired with its frontend.
 *
 * Types: struct device, device_filter.
 */
#ifndef DUET_XENBUS_DEVICES_H
#define DUET_XENBUS_DEVICES_H

#include <stdbool.h>
#include <uthash.h>

#include "pairs.h"
#include "view.h"

struct device {
    /* Paths of the two ends; the one that is missing is NULL. @key is the backend's path, or the
     * frontend's when that names no backend. */
    char *key;
    char *front_path;
    char *back_path;
    /* vbd, vif, console, ...: what the frontend's side calls it, else the backend's. */
    char *class;
    /* What the backend's side calls it: vbd, vbd3, qdisk, ... NULL without a backend. */
    char *kind;
    unsigned int domid;
    unsigned int backend_domid;
    char *name;
    char *device;
    struct device_end front, back;
    /* Console 0: there is no handshake, so states say nothing. */
    bool stateless;
    char *details;
    /* What the drivers have left below error/, and where (the paths only with an error). */
    char *front_error, *back_error;
    char *front_error_path, *back_error_path;
    enum fit fit;
    char *why;
    UT_hash_handle hh;
};

/* Which devices are wanted. */
struct device_filter {
    /* A domain's id or name, NULL for all. */
    const char *domain;
    const char *class;
    bool problems_only;
};

/*
 * Reads the devices that @filter wants, sorted by domain, class and device, as a uthash list.
 * A handful of requests per device and per domain, none of them repeated. The caller frees the list
 * with devices_free(). Returns NULL when there are none.
 */
struct device *devices_read(const struct store_view *view, const struct device_filter *filter);

/* Frees the list and all its devices. NULL is fine. */
void devices_free(struct device *list);

/* Reads a domain's id, decimal; false if @text is none. */
bool parse_domid(const char *text, unsigned int *domid);

/* The domain below whose home @path stands; 0 for any other path. */
unsigned int domid_of(const char *path);

#endif
