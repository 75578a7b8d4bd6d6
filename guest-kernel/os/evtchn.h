/*
 * evtchn.h - event channels as prioritised interrupts.
 *
 * A port is bound to a handler and an interrupt priority level (IPL). When Xen signals the vCPU,
 * the upcall collects pending ports and runs handlers from the highest level down, each with
 * upcalls open, so that a higher level pre-empts a lower one's handler; ports at or below the
 * running level are kept and replayed when the level drops. A port's event is masked while its
 * handler runs, so a handler never nests with itself.
 * Handlers do little: they look at shared memory and wake a thread (wait.h). Who has more to do
 * does a part of it and asks for another call (evtchn_again()). Ports that fire all the while,
 * whatever their handlers do, are held back now and then, so that threads get their turns. Locks:
 * evtchn_lock over the port table. Suspend: all ports are gone afterwards, and evtchn_resume()
 * forgets them; their owners bind anew.
 */
#ifndef OS_EVTCHN_H
#define OS_EVTCHN_H

#include "kern/types.h"

typedef uint32_t evtchn_port_t;
#define EVTCHN_NONE 0u /* Xen never hands out port 0 */

enum ipl {
    IPL_NONE,  /* threads run here */
    IPL_SOFT,  /* deferred work */
    IPL_STORE, /* xenbus */
    IPL_BLOCK,
    IPL_NET,
    IPL_CONSOLE,
    IPL_TIMER,
    IPL_IPI,
    IPL_DEBUG, /* the debugger's stop request: pre-empts all else */
    IPL_COUNT,
};

#define EVTCHN_BURST 256 /* calls of handlers after which the threads' share is looked at */

typedef void (*evtchn_handler_t)(evtchn_port_t port, void *arg);

/**
 * evtchn_alloc_unbound() - a port that @otherend may bind to (EVTCHNOP_alloc_unbound)
 *
 * Return: the port with @handler bound to it and unmasked, or -errno. Owned by the caller until
 * evtchn_close(). Thread context.
 */
int evtchn_alloc_unbound(uint16_t otherend, const char *name, enum ipl ipl,
                         evtchn_handler_t handler, void *arg);

/**
 * evtchn_set_home() - have a vCPU take a device's events (EVTCHNOP_bind_vcpu)
 * @vcpu: need not be there; as long as it is not online vCPU 0, where every port begins, does it
 *
 * The handler may run on another vCPU once more while the port moves, but never on two at once.
 * Not for ports of VIRQs and IPIs. Thread context.
 */
void evtchn_set_home(evtchn_port_t port, unsigned vcpu);

/** evtchn_bind_interdomain() - connect to a port that @otherend offered. Else as above. */
int evtchn_bind_interdomain(uint16_t otherend, evtchn_port_t remote, const char *name, enum ipl ipl,
                            evtchn_handler_t handler, void *arg);

/** evtchn_bind_virq() - a virtual interrupt (VIRQ_*) of vCPU @vcpu. Else as above. */
int evtchn_bind_virq(unsigned virq, unsigned vcpu, const char *name, enum ipl ipl,
                     evtchn_handler_t handler, void *arg);

/**
 * evtchn_bind_pirq() - a physical interrupt, on vCPU 0 (EVTCHNOP_bind_pirq)
 * @pirq: from PHYSDEVOP_map_pirq
 * @shared: others may use the line as well
 */
int evtchn_bind_pirq(unsigned pirq, bool shared, const char *name, enum ipl ipl,
                     evtchn_handler_t handler, void *arg);

/** evtchn_bind_ipi() - a port on which vCPU @vcpu can be notified by the others. */
int evtchn_bind_ipi(unsigned vcpu, const char *name, enum ipl ipl, evtchn_handler_t handler,
                    void *arg);

/**
 * evtchn_bind_existing() - attach a handler to a port that the domain builder made
 *
 * For the store's and console's ports of start_info. Return: 0 or -errno (-EBUSY: has one).
 */
int evtchn_bind_existing(evtchn_port_t port, const char *name, enum ipl ipl,
                         evtchn_handler_t handler, void *arg);

/**
 * evtchn_close() - unbind the handler and close the port
 *
 * Waits for a running handler. Thread context, no lock held that the handler takes.
 */
void evtchn_close(evtchn_port_t port);

/** evtchn_unbind() - remove the handler, leave the port open to Xen. Else as evtchn_close(). */
void evtchn_unbind(evtchn_port_t port);

/** evtchn_notify() - send an event to the other end. Any context. */
void evtchn_notify(evtchn_port_t port);

/**
 * evtchn_again() - have a port's handler called once more, as if it had fired
 *
 * For a handler that has done as much as it may at once: threads whose turn it is run first. Any
 * context; nothing if the port is not bound.
 */
void evtchn_again(evtchn_port_t port);

/** evtchn_mask() / evtchn_unmask() - hold a port's events back; unmask delivers what is pending. */
void evtchn_mask(evtchn_port_t port);
void evtchn_unmask(evtchn_port_t port);

struct cpu;

/** evtchn_boot() - mask every port. Boot CPU, before upcalls are unmasked for the first time. */
void evtchn_boot(void);

/**
 * evtchn_select() - go over to FIFO events where Xen has them
 *
 * Boot CPU, when memory works and no port is bound. `evtchn=2l` on the command line prevents it.
 */
void evtchn_select(void);

/**
 * evtchn_resume() - forget every port, and give Xen the shared memory again
 *
 * After a restore an old port's number means nothing, or belongs to somebody else. Owners must not
 * close their old ports; they bind new ones. On vCPU 0, the others parked, upcalls masked,
 * vcpu_info registered. Panics if Xen refuses.
 */
void evtchn_resume(void);

/** evtchn_abi() - "FIFO" or "2-level". Any context. */
const char *evtchn_abi(void);

/** evtchn_cpu_init() - queues for a CPU, before it takes its first upcall. 0 or -errno. */
int evtchn_cpu_init(struct cpu *cpu);

/**
 * evtchn_cpu_joins(), evtchn_cpu_leaves() - a vCPU takes the events of the ports whose home it is
 *
 * The vCPU must be running. For each vCPU the caller calls the two in turn. Thread context.
 */
void evtchn_cpu_joins(struct cpu *cpu);
void evtchn_cpu_leaves(struct cpu *cpu);

/**
 * evtchn_cpu_drain() - signal to the other vCPUs the events that one left in its queue
 *
 * That vCPU has left and is down, its own ports are closed, and it is not started meanwhile.
 * Thread context.
 */
void evtchn_cpu_drain(struct cpu *cpu);

/* For `lsevt` and the debugger. */
struct evtchn_info {
    evtchn_port_t port;
    const char *name;
    enum ipl ipl;
    unsigned vcpu;
    uint64_t count; /* handler calls so far */
    unsigned rests; /* how often it was held back for threads to have their turn */
    bool masked, pending;
};
/** evtchn_foreach() - visit every bound port; @fn must not sleep. */
void evtchn_foreach(void (*fn)(const struct evtchn_info *info, void *arg), void *arg);

#endif /* OS_EVTCHN_H */
