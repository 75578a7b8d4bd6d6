/*
 * The kernel of dom0, as far as the daemons notice it: processes that can be killed at any point,
 * their memory, their descriptors, files in memory with locks, the messages between a supervisor
 * and its children, and the service manager that keeps descriptors from one daemon to the next.
 *
 * The daemons' system calls come here by the linker's --wrap, their sources are built as they are.
 *
 * What a process leaves behind (locks, event channels, mappings, operations of the disk) the kernel
 * takes down in an order of its own: see remains_step().
 *
 * Types: struct process, file, peer, message.
 */
#ifndef DUET_SIM_HOST_H
#define DUET_SIM_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "child.h"
#include "sim.h"

/* ---- memory of a process, all of which goes with it ---- */

#define HEAP_BYTES (1024U * 1024)

struct heap {
    bool used;
    uint32_t top;
    uint32_t live; /* pieces that were not freed */
    void *free[16];
    _Alignas(64) uint8_t bytes[HEAP_BYTES];
};

struct heap *heap_new(void);
void heap_drop(struct heap *h);
void *heap_alloc(struct heap *h, size_t size);
void heap_free(void *p);

/* Memory that is no process's, whoever asks. */
void *host_memory(size_t size);
void host_memory_free(void *p);

/* ---- files ---- */

enum file_type { FILE_MEMORY, FILE_SOCKET, FILE_IMAGE, FILE_LOCK, FILE_OTHER };

#define MEMORY_BYTES 16384U

struct memory {
    uint32_t size;
    struct file *locker;
    _Alignas(128) uint8_t bytes[MEMORY_BYTES];
};

/* An open file description. */
struct file {
    unsigned int refs;
    enum file_type type;
    struct memory *memory; /* counted by `memory_refs` */
    struct peer *peer;     /* whose socket it is, */
    unsigned int peer_pid; /* if that is still it */
    struct file *passed;   /* of a socket between two openers: the lock that goes through */
    uint64_t wb_seen;      /* of an image: the last write-back error that it was told (disk.c) */
};

struct file *file_new(enum file_type type);
void file_get(struct file *f);
void file_put(struct file *f);

/* ---- descriptors ---- */

/* Owners that are no process. */
#define OWNER_MANAGER ((void *)1)

int fd_new(void *owner, struct file *f); /* takes its own reference */
struct file *fd_file(int fd);
void fds_close(void *owner);
unsigned int fds_open(void);

/* ---- processes ---- */

enum process_kind { PROCESS_SUPERVISOR, PROCESS_WORKER };

struct disk_ring;

#define PROCESS_FILES 8U

struct process {
    bool used, dead;
    enum process_kind kind;
    unsigned int number;
    struct task *task;
    struct heap *heap;
    struct peer *peer; /* a worker's */
    bool terminate;    /* SIGTERM is pending */
    void *pool;        /* memory that it mapped */
    size_t pool_bytes;
    struct disk_ring *ring;
    /* what the kernel holds for it when it is dead */
    struct file *held[PROCESS_FILES];
    unsigned int nr_held;
};

#define PROCESSES 8U
extern struct process processes[PROCESSES];

struct process *process_current(void);
struct process *process_start(enum process_kind kind, const char *name, void (*run)(void *arg));

/* It ends at once, wherever it is. `status` as waitpid() gives it. May not return. */
void process_kill(struct process *p, int status);

/* What dead processes left: lets go of one thing. Returns false when there is nothing. */
bool remains_step(void);
bool remains_exist(void);

/* ---- a supervisor's children ---- */

struct message {
    struct message *next;
    unsigned long len;
    unsigned int nr_files;
    struct file *files[CHILD_FDS_MAX];
    _Alignas(8) uint8_t bytes[CHILD_MESSAGE_MAX];
};

struct queue_of_messages {
    struct message *first, **last;
    unsigned int nr;
};

enum peer_kind { PEER_WORKER, PEER_OPENER };

struct peer {
    bool used;
    enum peer_kind kind;
    unsigned int pid;
    struct child *child; /* NULL: its parent is gone */
    struct process *process;
    struct queue_of_messages to_child, to_parent;
    bool exited; /* and the parent was not told */
    int status;
    bool stopped; /* SIGSTOP, or the kernel holds it: it is not run */
};

#define PEERS 24U
extern struct peer peers[PEERS];

struct message *message_new(const void *bytes, unsigned long len);
void message_add(struct queue_of_messages *q, struct message *m);
struct message *message_take(struct queue_of_messages *q);
void message_free(struct message *m);

/* The child of a peer says something to its parent. */
void peer_says(struct peer *p, const void *bytes, unsigned long len);
void peer_exits(struct peer *p, int status);

/* For the supervisor's loop: something of a child is there; delivers one thing. */
bool peers_have_news(void);
void peers_deliver(void);

extern bool host_spawn_fails; /* the next child cannot be started */

/* The service manager's store of descriptors. */
void manager_drop_all(void);
unsigned int manager_kept(void);

void host_reset(void);

#endif
