/*
 * GDB's remote protocol, the answers: threads, their registers and memory of what stands still.
 * Nothing can be changed, and nothing runs. Packets are anybody's, names and memory a guest's.
 */
#ifndef DUET_CRASH_GDB_STUB_H
#define DUET_CRASH_GDB_STUB_H

#include "gdb_wire.h"
#include "walk.h"

#define GDB_REGISTERS                                                          \
    42 /* as the target description has them: rax to gs, x87, fs_base, gs_base \
        */
#define GDB_NAME_MAX 128

struct gdb_thread {
    char name[GDB_NAME_MAX]; /* printable */
    uint64_t known;          /* bits: which registers are */
    uint64_t registers[GDB_REGISTERS];
};

/* GDB's number of a thread is its index and 1. */
struct gdb_target {
    const struct space *space;
    const struct gdb_thread *threads;
    unsigned int nthreads; /* at least 1 */
    unsigned int first;    /* the thread that GDB is to begin with */
    const char *exec_file; /* where GDB finds symbols; "": nowhere */
};

struct gdb_reply {
    char data[GDB_PACKET_MAX + 1];
    size_t len;
};

struct gdb_stub {
    const struct gdb_target *target;
    char *features, *threads; /* XML */
    unsigned int chosen;      /* the thread that g and p are about */
    unsigned int next;        /* of the list of threads */
    bool no_ack, ended;       /* no acknowledgements any more; GDB has gone */
};

/* Sets a register by name, of those that have 64 bits at most. */
void gdb_set_register(struct gdb_thread *thread, const char *name, uint64_t value);

/* Both stay with @target, which must outlive them. Returns 0 or -ENOMEM. */
int gdb_stub_init(struct gdb_stub *g, const struct gdb_target *target);
void gdb_stub_free(struct gdb_stub *g);

/* Answers a packet of @len bytes, which NUL follows. */
void gdb_answer(struct gdb_stub *g, const char *packet, size_t len, struct gdb_reply *reply);

/* Answers an attempt to interrupt what stands still. */
void gdb_answer_stop(const struct gdb_stub *g, struct gdb_reply *reply);

#endif
