/*
 * evtchn_ops.h - the two ways in which Xen signals event channels, behind one table.
 *
 * evtchn.c knows ports, handlers and priorities; how pending and mask bits look in shared memory
 * is the business of one of these: evtchn_2l.c (two-level bitmaps of shared_info) or the FIFO
 * queues. Suspend: the operations are initialised again at resume.
 */
#ifndef OS_EVTCHN_OPS_H
#define OS_EVTCHN_OPS_H

#include "os/evtchn.h"

#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen_list.h>

struct cpu;
struct evtchn;
XEN_TAILQ_HEAD(evtchn_queue, struct evtchn);

/* What waits for one CPU. Used by that CPU with upcalls masked. */
struct cpu_events {
    struct evtchn_queue deferred[IPL_COUNT]; /* ports that wait for the level to drop */
    unsigned deferred_levels;                /* bit n: deferred[n] is not empty */
    nsec_t thread_time;   /* how long no handler ran here, but for the time since... */
    nsec_t threads_since; /* ...the last upcall's end */
    struct evtchn_fifo_control_block *fifo; /* shared with Xen: evtchn_fifo.c */
    evtchn_port_t fifo_heads[EVTCHN_FIFO_MAX_QUEUES];
};

struct evtchn_ops {
    const char *name;
    evtchn_port_t limit; /* one past the highest port */
    bool queue_per_cpu;  /* collect() finds a port on the one vCPU that was signalled */

    /* All in any context. */
    void (*mask)(evtchn_port_t port);
    bool (*is_masked)(evtchn_port_t port);
    bool (*is_pending)(evtchn_port_t port);
    void (*clear_pending)(evtchn_port_t port);

    /* Unmask a port that is bound to this CPU; upcalls are masked; a pending event is raised. */
    void (*unmask_local)(struct cpu *cpu, evtchn_port_t port);

    /* Hand pending, unmasked ports of this CPU (and perhaps others') to @fn. Upcalls masked. */
    void (*collect)(struct cpu *cpu, void (*fn)(struct cpu *cpu, evtchn_port_t port));

    /* Make the shared memory reach up to @port. 0 or -errno. Thread context. */
    int (*cover)(evtchn_port_t port);

    /* Give Xen a CPU's own shared memory, before its first upcall. 0 or -errno. */
    int (*cpu_init)(struct cpu *cpu);

    /* After a restore: shared memory of all CPUs as at boot, all ports masked. 0 or -errno. */
    int (*resume)(void);

    /* Tell Xen a port's urgency. */
    void (*set_level)(evtchn_port_t port, enum ipl level);
};

extern const struct evtchn_ops evtchn_2l_ops, evtchn_fifo_ops;

#endif /* OS_EVTCHN_OPS_H */
