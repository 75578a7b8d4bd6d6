/*
 * What the lives of devices under a supervisor have in common (host_faults.h): what they wait for,
 * and what a device that is closed is judged by.
 */
#ifndef HOST_FAULTS_DEVICE_H
#define HOST_FAULTS_DEVICE_H

#include "host_faults.h"
#include "supervisor.h"

/* The one device, which a test sets. */
struct faults_device {
    struct supervisor *sup;
    const char *back_state, *error; /* paths in the store */
    pid_t worker_before;            /* see faults_served_anew() */
    bool was_connected;
};

extern struct faults_device faults_device;

/* Whether the store's `path` has `value`. */
bool faults_store_has(const char *path, const char *value);

/* For run_until(). A device that is closed is waited for no longer. */
bool faults_closed(void);
bool faults_offered(void);
bool faults_connected(void);
bool faults_served_anew(void); /* by another worker than worker_before */
bool faults_forgotten(void);
bool faults_stopped(void); /* the supervisor has no device */

/* faults_run() of the supervisor's loop. */
void faults_until(bool (*reached)(void), const char *what);

/*
 * Whether the life goes on. A device that is closed is so for a reason that stands in the store;
 * and what passes closes none that was connected.
 */
bool faults_goes_on(void);

/* The supervisor stops its devices. */
void faults_stop(void);

/* As if nothing had been started, or died, for long. */
void faults_forgive(void);

/* Kills a process that serves the device, and waits until it is served anew. */
void faults_lose(pid_t pid, const char *what);

#endif
