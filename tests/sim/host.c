/*
 * The kernel of dom0: see host.h.
 */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "disk.h"
#include "log.h"
#include "notify.h"
#include "opener.h"
#include "sandbox.h"
#include "single.h"
#include "stopwatch.h"
#include "workerside.h"
#include "xen.h"

/* ---- memory ---- */

#define HEAPS    8U
#define SMALLEST 5U /* 32 bytes, of which 16 are the head's */

static struct heap heaps[HEAPS];

struct piece {
    struct heap *heap;
    uint32_t class;
    uint32_t size;
};

struct heap *heap_new(void)
{
    struct heap *h = heaps;

    while (h->used) {
        h++;
        sim_require(h < heaps + HEAPS);
    }
    h->used = true;
    h->top = h->live = 0;
    memset(h->free, 0, sizeof(h->free));
    return h;
}

void heap_drop(struct heap *h)
{
    h->used = false;
}

void *heap_alloc(struct heap *h, size_t size)
{
    uint32_t class = SMALLEST;
    struct piece *p;

    while ((1UL << class) < size + sizeof(*p)) {
        class ++;
    }
    sim_require(class < SMALLEST + 16);
    p = h->free[class - SMALLEST];
    if (p != NULL) {
        memcpy(&h->free[class - SMALLEST], p + 1, sizeof(void *));
    } else {
        sim_require(h->top + (1U << class) <= HEAP_BYTES);
        p = (struct piece *)(h->bytes + h->top);
        h->top += 1U << class;
    }
    *p = (struct piece){.heap = h, .class = class, .size = (uint32_t)size};
    h->live++;
    return p + 1;
}

void heap_free(void *mem)
{
    struct piece *p = (struct piece *)mem - 1;
    struct heap *h = p->heap;

    sim_require(h != NULL); /* freed twice */
    p->heap = NULL;
    h->live--;
    memset(mem, 0xa5, p->size);
    memcpy(mem, &h->free[p->class - SMALLEST], sizeof(void *));
    h->free[p->class - SMALLEST] = p;
}

void *__real_malloc(size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void __wrap_free(void *p);
char *__wrap_strdup(const char *s);
int __wrap_asprintf(char **out, const char *fmt, ...);

void *host_memory(size_t size)
{
    void *p = __real_malloc(size);

    sim_require(p != NULL);
    return p;
}

void host_memory_free(void *p)
{
    __real_free(p);
}

void *__wrap_malloc(size_t size)
{
    struct process *p = process_current();

    return p != NULL ? heap_alloc(p->heap, size) : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    void *p = __wrap_malloc(n * size);

    return p != NULL ? memset(p, 0, n * size) : NULL;
}

void __wrap_free(void *p)
{
    if ((char *)p >= (char *)heaps && (char *)p < (char *)(heaps + HEAPS)) {
        heap_free(p);
    } else {
        __real_free(p);
    }
}

char *__wrap_strdup(const char *s)
{
    size_t size = strlen(s) + 1;
    char *copy = __wrap_malloc(size);

    return copy != NULL ? memcpy(copy, s, size) : NULL;
}

int __wrap_asprintf(char **out, const char *fmt, ...)
{
    char text[4096];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    *out = __wrap_strdup(text);
    return n;
}

/* ---- files ---- */

#define FILES    256U
#define MEMORIES 32U

static struct file files[FILES];
static struct memory memories[MEMORIES];
static unsigned int memory_refs[MEMORIES];
static struct file *claimer; /* the description by which a worker has claimed the image */

struct file *file_new(enum file_type type)
{
    struct file *f = files;

    while (f->refs != 0) {
        f++;
        sim_require(f < files + FILES);
    }
    *f = (struct file){.refs = 1, .type = type};
    return f;
}

void file_get(struct file *f)
{
    f->refs++;
}

void file_put(struct file *f)
{
    sim_require(f->refs != 0);
    if (--f->refs != 0) {
        return;
    }
    if (f->passed != NULL) {
        file_put(f->passed);
    }
    if (claimer == f) {
        claimer = NULL;
    }
    if (f->memory != NULL) {
        if (f->memory->locker == f) {
            f->memory->locker = NULL;
        }
        memory_refs[f->memory - memories]--;
    }
}

static struct file *file_of_memory(struct memory *m)
{
    struct file *f = file_new(FILE_MEMORY);

    f->memory = m;
    memory_refs[m - memories]++;
    return f;
}

/* ---- descriptors ---- */

#define FDS      256U
#define FD_FIRST 100

static struct {
    void *owner;
    struct file *file;
} fds[FDS];

int fd_new(void *owner, struct file *f)
{
    unsigned int i = 0;

    while (fds[i].file != NULL) {
        i++;
        sim_require(i < FDS);
    }
    fds[i].owner = owner;
    fds[i].file = f;
    file_get(f);
    return FD_FIRST + (int)i;
}

struct file *fd_file(int fd)
{
    sim_require(fd >= FD_FIRST && fd < FD_FIRST + (int)FDS && fds[fd - FD_FIRST].file != NULL);
    return fds[fd - FD_FIRST].file;
}

static void fd_close(int fd)
{
    struct file *f = fd_file(fd);

    fds[fd - FD_FIRST].file = NULL;
    file_put(f);
}

void fds_close(void *owner)
{
    for (unsigned int i = 0; i < FDS; i++) {
        if (fds[i].file != NULL && fds[i].owner == owner) {
            fd_close(FD_FIRST + (int)i);
        }
    }
}

unsigned int fds_open(void)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < FDS; i++) {
        n += fds[i].file != NULL ? 1 : 0;
    }
    return n;
}

/* ---- processes ---- */

struct process processes[PROCESSES];
static unsigned int last_number;

struct process *process_current(void)
{
    return sim_task != NULL ? sim_task->process : NULL;
}

struct process *process_start(enum process_kind kind, const char *name, void (*run)(void *arg))
{
    struct process *p = processes;

    while (p->used) {
        p++;
        sim_require(p < processes + PROCESSES);
    }
    *p = (struct process){.used = true, .kind = kind, .number = ++last_number};
    p->heap = heap_new();
    p->task = task_start(name, run, p, p);
    return p;
}

static bool holds_lock(const struct file *f)
{
    return f == claimer || (f->type == FILE_MEMORY && f->memory->locker == f);
}

/* Its locks outlive it for a while: they are the last to be let go of. */
static void keep_locks(struct process *p)
{
    for (unsigned int i = 0; i < FDS; i++) {
        struct file *f = fds[i].file;

        if (f != NULL && fds[i].owner == p && holds_lock(f)) {
            sim_require(p->nr_held < PROCESS_FILES);
            file_get(f);
            p->held[p->nr_held++] = f;
        }
    }
}

static void orphan_children(void)
{
    for (unsigned int i = 0; i < PEERS; i++) {
        struct peer *c = &peers[i];

        if (!c->used || c->child == NULL) {
            continue;
        }
        c->child = NULL;
        if (c->kind == PEER_OPENER) {
            opener_kill(c); /* PR_SET_PDEATHSIG */
        }
        if (c->exited) {
            c->used = false;
        }
    }
}

void process_kill(struct process *p, int status)
{
    struct task *t = p->task;

    sim_trace("%s %u ends, status %d", t->name, p->number, status);
    p->dead = true;
    p->task = NULL;
    if (p->ring != NULL) {
        disk_ring_orphan(p);
    }
    keep_locks(p);
    fds_close(p);
    heap_drop(p->heap);
    if (p->pool != NULL) {
        munmap(p->pool, p->pool_bytes);
        p->pool = NULL;
    }
    if (p->kind == PROCESS_SUPERVISOR) {
        orphan_children();
        p->used = false;
    } else {
        p->peer->process = NULL;
        peer_exits(p->peer, status);
    }
    task_drop(t);
}

bool remains_exist(void)
{
    for (unsigned int i = 0; i < PROCESSES; i++) {
        if (processes[i].used && processes[i].dead) {
            return true;
        }
    }
    return false;
}

/* One thing of one dead process, in any order; its disk operations hold the lock themselves. */
bool remains_step(void)
{
    unsigned int first = sim_below(PROCESSES);

    for (unsigned int n = 0; n < PROCESSES; n++) {
        struct process *p = &processes[(first + n) % PROCESSES];

        if (!p->used || !p->dead) {
            continue;
        }
        if (p->nr_held != 0 && sim_chance(500)) {
            file_put(p->held[--p->nr_held]);
        } else if (!xen_release(p) && p->nr_held == 0) {
            p->used = false;
        } else {
            continue;
        }
        return true;
    }
    return remains_exist();
}

/* ---- messages ---- */

#define MESSAGES 192U

static struct message messages[MESSAGES];
static struct message *free_messages;
struct peer peers[PEERS];
static unsigned int last_pid;
bool host_spawn_fails;

struct message *message_new(const void *bytes, unsigned long len)
{
    struct message *m = free_messages;

    sim_require(m != NULL && len <= CHILD_MESSAGE_MAX);
    free_messages = m->next;
    m->next = NULL;
    m->len = len;
    m->nr_files = 0;
    memcpy(m->bytes, bytes, len);
    return m;
}

void message_free(struct message *m)
{
    for (unsigned int i = 0; i < m->nr_files; i++) {
        file_put(m->files[i]);
    }
    m->next = free_messages;
    free_messages = m;
}

void message_add(struct queue_of_messages *q, struct message *m)
{
    if (q->last == NULL) {
        q->last = &q->first;
    }
    *q->last = m;
    q->last = &m->next;
    q->nr++;
}

struct message *message_take(struct queue_of_messages *q)
{
    struct message *m = q->first;

    if (m != NULL) {
        q->first = m->next;
        q->last = q->first == NULL ? &q->first : q->last;
        q->nr--;
        m->next = NULL;
    }
    return m;
}

static void drop_messages(struct queue_of_messages *q)
{
    struct message *m;

    while ((m = message_take(q)) != NULL) {
        message_free(m);
    }
}

void peer_says(struct peer *p, const void *bytes, unsigned long len)
{
    if (p->child != NULL && p->child->socket.added) {
        message_add(&p->to_parent, message_new(bytes, len));
    }
}

void peer_exits(struct peer *p, int status)
{
    p->exited = true;
    p->status = status;
    drop_messages(&p->to_child);
    if (p->child == NULL) {
        drop_messages(&p->to_parent);
        p->used = false;
    }
}

bool peers_have_news(void)
{
    for (unsigned int i = 0; i < PEERS; i++) {
        if (peers[i].used && peers[i].child != NULL &&
            (peers[i].to_parent.nr != 0 || peers[i].exited)) {
            return true;
        }
    }
    return false;
}

static void peer_deliver(struct peer *p)
{
    struct message *m = message_take(&p->to_parent);
    struct child *c = p->child;

    if (m != NULL) {
        static uint8_t copy[CHILD_MESSAGE_MAX];
        unsigned long len = m->len;

        memcpy(copy, m->bytes, len);
        message_free(m);
        c->on_message(c->arg, copy, len);
        return;
    }
    p->used = false;
    p->child = NULL;
    fd_close(c->socket.fd);
    c->pid = 0;
    c->on_exit(c->arg, p->status);
}

void peers_deliver(void)
{
    unsigned int first = sim_below(PEERS);

    for (unsigned int n = 0; n < PEERS; n++) {
        struct peer *p = &peers[(first + n) % PEERS];

        if (p->used && p->child != NULL && (p->to_parent.nr != 0 || p->exited)) {
            peer_deliver(p);
            return;
        }
    }
}

/* ---- lib/child.h, for the supervisor ---- */

int child_find_program(const char *path)
{
    struct file *f = file_new(FILE_OTHER);
    int fd = fd_new(process_current(), f);

    (void)path;
    file_put(f);
    return fd;
}

static struct peer *peer_of(const struct child *c)
{
    for (unsigned int i = 0; i < PEERS; i++) {
        if (peers[i].used && peers[i].child == c) {
            return &peers[i];
        }
    }
    sim_found("a child that there is not");
}

int child_start(struct child *c, struct loop *loop, int program, char *const argv[],
                child_message_fn *on_message, child_exit_fn *on_exit, void *arg)
{
    struct peer *p = peers;
    struct file *f;

    (void)program;
    sim_require(c->pid == 0);
    if (host_spawn_fails) {
        host_spawn_fails = false;
        sim_trace("no process can be started");
        return -EAGAIN;
    }
    while (p->used) {
        p++;
        sim_require(p < peers + PEERS);
    }
    *p = (struct peer){.used = true, .pid = ++last_pid, .child = c};
    p->kind = strcmp(argv[0], "opener") == 0 ? PEER_OPENER : PEER_WORKER;
    f = file_new(FILE_SOCKET);
    f->peer = p;
    f->peer_pid = p->pid;
    *c = (struct child){.loop = loop,
                        .pid = (pid_t)p->pid,
                        .on_message = on_message,
                        .on_exit = on_exit,
                        .arg = arg,
                        .socket = {.fd = fd_new(process_current(), f), .added = true}};
    file_put(f);
    if (p->kind == PEER_OPENER) {
        opener_begin(p);
    } else {
        worker_begin(p);
    }
    return 0;
}

int child_send(struct child *c, const void *msg, unsigned long len, const int *fd,
               unsigned int nr_fds)
{
    struct peer *p = peer_of(c);
    struct message *m;

    if (p->exited) {
        return -EPIPE;
    }
    if (p->to_child.nr > 24) {
        return -EAGAIN;
    }
    m = message_new(msg, len);
    for (unsigned int i = 0; i < nr_fds; i++) {
        m->files[i] = fd_file(fd[i]);
        file_get(m->files[i]);
    }
    m->nr_files = nr_fds;
    message_add(&p->to_child, m);
    return 0;
}

void child_signal(struct child *c, int signo)
{
    struct peer *p;

    if (c->pid == 0) {
        return;
    }
    p = peer_of(c);
    if (p->exited) {
        return;
    }
    sim_trace("signal %d to %s", signo, p->kind == PEER_OPENER ? "the opener" : "the worker");
    if (signo == SIGKILL && p->kind == PEER_OPENER) {
        opener_kill(p);
    } else if (signo == SIGKILL) {
        process_kill(p->process, SIGKILL);
    } else if (p->process != NULL) {
        p->process->terminate = true;
    }
}

void child_give_up(struct child *c)
{
    c->socket.added = false;
    if (c->pid != 0) {
        drop_messages(&peer_of(c)->to_parent);
        child_signal(c, SIGKILL);
    }
}

void child_describe_status(int status, char *out, unsigned long size)
{
    snprintf(out, size, "ended with status %d", status);
}

/* ---- lib/notify.h: the service manager ---- */

#define KEPT_MAX 16U

static struct {
    char name[32];
    int fd;
} kept[KEPT_MAX];

void notify_ready(struct loop *loop)
{
    (void)loop;
}

void notify_status(const char *fmt, ...)
{
    (void)fmt;
}

void notify_stopping(void)
{
}

void notify_keep_fd(const char *name, int fd)
{
    unsigned int i = 0;

    while (kept[i].fd != 0) {
        i++;
        sim_require(i < KEPT_MAX);
    }
    snprintf(kept[i].name, sizeof(kept[i].name), "%s", name);
    kept[i].fd = fd_new(OWNER_MANAGER, fd_file(fd));
}

void notify_drop_fd(const char *name)
{
    for (unsigned int i = 0; i < KEPT_MAX; i++) {
        if (kept[i].fd != 0 && strcmp(kept[i].name, name) == 0) {
            fd_close(kept[i].fd);
            kept[i].fd = 0;
        }
    }
}

void manager_drop_all(void)
{
    for (unsigned int i = 0; i < KEPT_MAX; i++) {
        if (kept[i].fd != 0) {
            fd_close(kept[i].fd);
            kept[i].fd = 0;
        }
    }
}

unsigned int manager_kept(void)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < KEPT_MAX; i++) {
        n += kept[i].fd != 0 ? 1 : 0;
    }
    return n;
}

void notify_kept_fds(void (*fn)(void *arg, const char *name, int fd), void *arg)
{
    for (unsigned int i = 0; i < KEPT_MAX; i++) {
        if (kept[i].fd != 0) {
            fn(arg, kept[i].name, fd_new(process_current(), fd_file(kept[i].fd)));
        }
    }
}

/* ---- system calls ---- */

int __wrap_memfd_create(const char *name, unsigned int flags);
int __wrap_ftruncate(int fd, off_t size);
int __wrap_fcntl(int fd, int cmd, ...);
int __wrap_fstat(int fd, struct stat *st);
void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
int __wrap_munmap(void *at, size_t size);
int __wrap_open(const char *path, int flags, ...);
int __wrap_flock(int fd, int op);
int __wrap_close(int fd);
int __wrap_access(const char *path, int mode);
int __wrap_setrlimit(int what, const struct rlimit *limit);
int __wrap_prlimit(pid_t pid, int what, const struct rlimit *limit, struct rlimit *old);
int __wrap_socketpair(int domain, int type, int protocol, int sv[2]);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_isatty(int fd);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);
void __wrap_log_set_sink(log_sink_fn *sink);
FILE *__wrap_fopen(const char *path, const char *mode);
int __wrap_fprintf(FILE *f, const char *fmt, ...);
void *__real_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t size);

int __wrap_memfd_create(const char *name, unsigned int flags)
{
    unsigned int i = 0;
    struct file *f;
    int fd;

    (void)name;
    (void)flags;
    while (memory_refs[i] != 0) {
        i++;
        sim_require(i < MEMORIES);
    }
    memories[i].size = 0;
    memories[i].locker = NULL;
    f = file_of_memory(&memories[i]);
    fd = fd_new(process_current(), f);
    file_put(f);
    return fd;
}

int __wrap_ftruncate(int fd, off_t size)
{
    struct memory *m = fd_file(fd)->memory;

    sim_require(size > 0 && size <= (off_t)MEMORY_BYTES);
    m->size = (uint32_t)size;
    memset(m->bytes, 0, m->size);
    return 0;
}

static bool is_unclaimed(void *arg)
{
    (void)arg;
    return claimer == NULL;
}

/* Of the image, a worker's lock. */
static int claim(struct file *f, bool wait)
{
    sim_require(f->type == FILE_IMAGE);
    if (claimer != NULL && !wait) {
        errno = EAGAIN;
        return -1;
    }
    while (claimer != NULL) {
        sim_trace("waits for the image");
        task_wait(is_unclaimed, NULL, SIM_NEVER);
    }
    claimer = f;
    return 0;
}

/* Of a file in memory: its seals, which are those that the daemon puts. Of a port: non-blocking. */
int __wrap_fcntl(int fd, int cmd, ...)
{
    if (cmd == F_OFD_SETLK || cmd == F_OFD_SETLKW) {
        return claim(fd_file(fd), cmd == F_OFD_SETLKW);
    }
    return cmd == F_GET_SEALS ? F_SEAL_SHRINK | F_SEAL_GROW : 0;
}

int __wrap_fstat(int fd, struct stat *st)
{
    memset(st, 0, sizeof(*st));
    st->st_size = fd_file(fd)->memory->size;
    return 0;
}

void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
    struct process *p = process_current();
    void *mem;

    if (fd >= 0) {
        struct memory *m = fd_file(fd)->memory;

        sim_require(m != NULL && size <= m->size);
        return m->bytes;
    }
    mem = __real_mmap(at, size, prot, flags, fd, offset);
    if (p != NULL) {
        sim_require(p->pool == NULL);
        p->pool = mem;
        p->pool_bytes = size;
    }
    return mem;
}

int __wrap_munmap(void *at, size_t size)
{
    if ((char *)at >= (char *)memories && (char *)at < (char *)(memories + MEMORIES)) {
        return 0;
    }
    return __real_munmap(at, size);
}

/* /proc/self/fd/N: the same file by another description. */
int __wrap_open(const char *path, int flags, ...)
{
    struct file *f;
    int fd, own;

    (void)flags;
    sim_require(sscanf(path, "/proc/self/fd/%d", &fd) == 1);
    f = file_of_memory(fd_file(fd)->memory);
    own = fd_new(process_current(), f);
    file_put(f);
    return own;
}

static bool is_unlocked(void *arg)
{
    return ((struct file *)arg)->memory->locker == NULL;
}

int __wrap_flock(int fd, int op)
{
    struct file *f = fd_file(fd);

    if (f->memory->locker != NULL && (op & LOCK_NB) != 0) {
        errno = EWOULDBLOCK;
        return -1;
    }
    while (f->memory->locker != NULL) {
        sim_trace("waits for the lock of the log");
        task_wait(is_unlocked, f, SIM_NEVER);
    }
    f->memory->locker = f;
    return 0;
}

int __wrap_close(int fd)
{
    fd_close(fd);
    return 0;
}

int __wrap_access(const char *path, int mode)
{
    (void)path;
    (void)mode;
    errno = ENOENT;
    return -1;
}

int __wrap_setrlimit(int what, const struct rlimit *limit)
{
    (void)what;
    (void)limit;
    return 0;
}

int __wrap_prlimit(pid_t pid, int what, const struct rlimit *limit, struct rlimit *old)
{
    (void)pid;
    (void)what;
    (void)limit;
    (void)old;
    return 0;
}

/* Both ends, which are one: what goes between two openers is opener.c's business. */
int __wrap_socketpair(int domain, int type, int protocol, int sv[2])
{
    struct file *f = file_new(FILE_OTHER);

    (void)domain;
    (void)type;
    (void)protocol;
    sv[0] = fd_new(process_current(), f);
    sv[1] = fd_new(process_current(), f);
    file_put(f);
    return 0;
}

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
    (void)id;
    ts->tv_sec = (time_t)(sim_now / SIM_S);
    ts->tv_nsec = (long)(sim_now % SIM_S);
    return 0;
}

/* lib/stopwatch.h: a processor whose counter counts nanoseconds of the simulation. */
uint64_t stopwatch_ticks(void)
{
    return sim_now;
}

void stopwatch_look(struct stopwatch *s)
{
    (void)s;
}

uint64_t stopwatch_since(const struct stopwatch *s, uint64_t since)
{
    (void)s;
    return sim_now - since;
}

int __wrap_isatty(int fd)
{
    (void)fd;
    return 1;
}

/* All processes are one here: what a worker says is a line of the log at once. */
void __wrap_log_set_sink(log_sink_fn *sink)
{
    (void)sink;
}

/* A line of a daemon's log. */
ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
    (void)fd;
    sim_tell("log: %.*s", (int)len - 1, (const char *)bytes);
    return (ssize_t)len;
}

/* What a process says on standard error. */
int __wrap_fprintf(FILE *f, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (process_current() == NULL) {
        fputs(text, f);
    } else {
        sim_trace("says: %s", text);
    }
    return n;
}

/* /proc/PID/stat, which nobody asks for but of a worker that seems to hang: it is not there. */
FILE *__wrap_fopen(const char *path, const char *mode)
{
    (void)path;
    (void)mode;
    return NULL;
}

int single_claim(const char *dir, const char *name, char *why, unsigned long why_size)
{
    (void)dir;
    (void)name;
    (void)why;
    (void)why_size;
    return 0;
}

void host_reset(void)
{
    for (unsigned int i = 0; i < PROCESSES; i++) {
        if (processes[i].pool != NULL) {
            __real_munmap(processes[i].pool, processes[i].pool_bytes);
        }
    }
    for (unsigned int i = 0; i < HEAPS; i++) {
        heaps[i].used = false;
    }
    memset(processes, 0, sizeof(processes));
    memset(files, 0, sizeof(files));
    memset(memory_refs, 0, sizeof(memory_refs));
    memset(fds, 0, sizeof(fds));
    memset(peers, 0, sizeof(peers));
    memset(kept, 0, sizeof(kept));
    free_messages = NULL;
    for (unsigned int i = 0; i < MESSAGES; i++) {
        messages[i].next = free_messages;
        free_messages = &messages[i];
    }
    claimer = NULL;
    last_number = last_pid = 0;
    host_spawn_fails = false;
}
