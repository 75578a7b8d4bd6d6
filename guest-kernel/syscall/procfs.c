/*
 * procfs.c - /proc: see procfs.h.
 *
 * Its nodes are made as they are looked for, and go when nobody looks any more. Two tables say
 * which files there are: of the system, and of each process. What of a process is the business of
 * its own calls alone (descriptors, folder, program) only itself sees.
 * Locks: "tree" is held by who asks a folder. A text is made with "processes" held if it is of a
 * process, with its "address space" alone if it is of what that maps, else with nothing; the text's
 * memory is there before.
 */
#include "syscall/procfs.h"

#include "kern/mem.h"
#include "kern/page.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "proc/proc.h"
#include "psm/clock.h"
#include "psm/cpu.h"
#include "syscall/rootfs.h"
#include "syscall/task.h"

#define TEXT_MAX    (256u << 10)
#define TICK        (NSEC_PER_SEC / 100) /* what times are told in */
#define PIDS_FROM   1000                 /* numbers of names in /proc: below are files */
#define NAME_DIGITS 12

/* What is being written. */
struct text {
    char *buf;
    size_t size, used; /* bytes there, and how many it needs */
};

__printf_like(2, 3) static void text_put(struct text *t, const char *fmt, ...)
{
    size_t left = t->used < t->size ? t->size - t->used : 0;
    va_list ap;

    va_start(ap, fmt);
    t->used += (size_t)vsnprintf(left != 0 ? t->buf + t->used : NULL, left, fmt, ap);
    va_end(ap);
}

/* ---- the system ---- */

typedef unsigned long ul;

static ul in_kib(uint64_t pages)
{
    return (ul)pages * (PAGE_SIZE / 1024);
}

static void put_meminfo(struct text *t)
{
    struct mem_stats m;

    mem_get_stats(&m);
    text_put(t,
             "MemTotal: %11lu kB\nMemFree: %12lu kB\nMemAvailable: %7lu kB\nBuffers: %12u kB\n"
             "Cached: %13lu kB\nShmem: %14lu kB\nSlab: %15lu kB\nPageTables: %9lu kB\n"
             "SwapTotal: %10u kB\nSwapFree: %11u kB\n",
             in_kib(m.pages_total), in_kib(m.pages_free), in_kib(m.pages_free), 0,
             in_kib(node_taken()), in_kib(node_taken()), in_kib(m.pages_slab),
             in_kib(m.pages_pagetable), 0, 0);
}

/* One vCPU's times, or all vCPUs': what it did is not told apart. */
static void put_times(struct text *t, nsec_t idle, nsec_t all)
{
    text_put(t, " %lu 0 0 %lu 0 0 0 0 0 0\n", (ul)((all - MIN(idle, all)) / TICK),
             (ul)(idle / TICK));
}

static bool cpu_is_on(unsigned id)
{
    const struct cpu *cpu = cpu_by_id(id);

    return cpu != NULL && READ_ONCE(cpu->online);
}

static void put_stat(struct text *t)
{
    nsec_t now = clock_now(), idle = 0, all = 0;

    for (unsigned id = 0; id < CPU_MAX; id++) {
        idle += cpu_is_on(id) ? thread_idle_time(id) : 0;
        all += cpu_is_on(id) ? now : 0;
    }
    text_put(t, "cpu ");
    put_times(t, idle, all);
    for (unsigned id = 0; id < CPU_MAX; id++) {
        if (cpu_is_on(id)) {
            text_put(t, "cpu%u", id);
            put_times(t, thread_idle_time(id), now);
        }
    }
    text_put(t, "btime %lu\nprocesses %u\n",
             (ul)((clock_wall() - clock_since_boot()) / NSEC_PER_SEC), proc_last_id());
}

static void put_uptime(struct text *t)
{
    nsec_t up = clock_since_boot(), idle = 0;

    for (unsigned id = 0; id < CPU_MAX; id++) {
        idle += cpu_is_on(id) ? thread_idle_time(id) : 0;
    }
    text_put(t, "%lu.%02lu %lu.%02lu\n", (ul)(up / NSEC_PER_SEC), (ul)(up / TICK % 100),
             (ul)(idle / NSEC_PER_SEC), (ul)(idle / TICK % 100));
}

static void count_running(const struct proc *p, void *arg)
{
    bool runs;

    (void)proc_usage(p, &runs);
    *(unsigned *)arg += runs;
}

/* Averages are not kept. */
static void put_loadavg(struct text *t)
{
    unsigned running = 0;

    for (unsigned pid = 0; (pid = proc_next(pid + 1)) != 0;) {
        (void)proc_visit(pid, count_running, &running);
    }
    text_put(t, "0.00 0.00 0.00 %u/%u %u\n", running, proc_count(), proc_last_id());
}

static void put_cpuinfo(struct text *t)
{
    uint32_t brand[3][4];

    for (uint32_t i = 0; i < 3; i++) {
        cpu_brand(i, brand[i]);
    }
    for (unsigned id = 0; id < CPU_MAX; id++) {
        if (cpu_is_on(id)) {
            text_put(t, "processor\t: %u\nmodel name\t: %.48s\n\n", id, (const char *)brand);
        }
    }
}

static void put_mounts(struct text *t)
{
    text_put(t, "tmpfs / tmpfs rw,noatime 0 0\nproc /proc proc rw 0 0\n");
}

/* ---- a process ---- */

/* How it is: runs, sleeps, has ended. */
static char state_of(const struct proc *p, bool runs)
{
    return p->ended ? 'Z' : READ_ONCE(p->signals.stop) != 0 ? 'T' : runs ? 'R' : 'S';
}

static void put_pid_stat(struct text *t, const struct proc *p)
{
    bool runs;
    ul used = (ul)(proc_usage(p, &runs) / TICK);
    unsigned parent = p->parent != NULL ? p->parent->pid : 0;

    text_put(t, "%u (%s) %c %u %u %u 0 -1 0 0 0 0 0 %lu 0 0 0 20 0 %u 0 %lu %lu %lu", p->pid,
             p->name, state_of(p, runs), parent, p->group, p->session, used, p->live,
             (ul)(p->began / TICK), p->space != NULL ? (ul)vm_size(p->space) : 0,
             p->space != NULL ? (ul)vm_resident(p->space) : 0);
    for (unsigned i = 25; i <= 52; i++) {
        text_put(t, i == 38 ? " 17" : " 0"); /* SIGCHLD tells of its end */
    }
    text_put(t, "\n");
}

static void put_pid_status(struct text *t, const struct proc *p)
{
    bool runs;

    (void)proc_usage(p, &runs);
    text_put(t, "Name:\t%s\nState:\t%c\nTgid:\t%u\nPid:\t%u\nPPid:\t%u\n", p->name,
             state_of(p, runs), p->pid, p->pid, p->parent != NULL ? p->parent->pid : 0);
    text_put(t, "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n");
    if (p->space != NULL) {
        text_put(t, "VmSize:\t%8lu kB\nVmRSS:\t%8lu kB\n", (ul)(vm_size(p->space) >> 10),
                 in_kib(vm_resident(p->space)));
    }
    text_put(t, "Threads:\t%u\n", p->live);
}

static void put_pid_statm(struct text *t, const struct proc *p)
{
    ul size = p->space != NULL ? (ul)(vm_size(p->space) / PAGE_SIZE) : 0;
    ul resident = p->space != NULL ? (ul)vm_resident(p->space) : 0;

    text_put(t, "%lu %lu 0 0 0 %lu 0\n", size, resident, size);
}

static void put_pid_cmdline(struct text *t, const struct proc *p)
{
    for (unsigned i = 0; i < p->args_len; i++) {
        text_put(t, "%c", p->args[i]);
    }
}

static void put_pid_comm(struct text *t, const struct proc *p)
{
    text_put(t, "%s\n", p->name);
}

/* What is known of a process's memory once "processes" is given back. */
struct memory {
    struct vm_space *space; /* shared; NULL: it has none */
    uint64_t brk_start, brk, map_top;
};

/* Whoever changes a space may hold it for long, and nobody may wait for him with "processes". */
static void share_memory(const struct proc *p, struct memory *m)
{
    *m = (struct memory){.space = p->space != NULL ? vm_share(p->space) : NULL,
                         .brk_start = p->brk_start,
                         .brk = p->brk,
                         .map_top = p->map_top};
}

struct maps {
    struct text *t;
    const struct memory *m;
};

static bool put_map(const struct vm_piece *r, void *arg)
{
    const struct maps *maps = arg;
    const struct memory *m = maps->m;
    uint64_t end = r->va + r->len;
    bool none = r->prot & VM_NONE;

    text_put(maps->t, "%lx-%lx %c%c%c%c %08lx 00:01 0", (ul)r->va, (ul)end, none ? '-' : 'r',
             !none && (r->prot & HAT_WRITE) ? 'w' : '-', !none && (r->prot & HAT_EXEC) ? 'x' : '-',
             r->flags & VM_SHARED ? 's' : 'p', r->source != NULL ? (ul)r->offset : 0);
    text_put(maps->t, "%s\n",
             r->va >= m->map_top                    ? " [stack]"
             : r->va < m->brk && end > m->brk_start ? " [heap]"
                                                    : "");
    return true;
}

static void put_maps(struct text *t, const struct memory *m)
{
    struct maps maps = {.t = t, .m = m};

    vm_each(m->space, put_map, &maps);
}

/* ---- the tables ---- */

/* One of the three makes it. */
struct proc_file {
    const char *name;
    void (*system)(struct text *t);
    void (*process)(struct text *t, const struct proc *p);
    void (*memory)(struct text *t, const struct memory *m);
};

static const struct proc_file system_files[] = {
    {.name = "cpuinfo", .system = put_cpuinfo}, {.name = "loadavg", .system = put_loadavg},
    {.name = "meminfo", .system = put_meminfo}, {.name = "mounts", .system = put_mounts},
    {.name = "stat", .system = put_stat},       {.name = "uptime", .system = put_uptime},
};

static const struct proc_file process_files[] = {
    {.name = "cmdline", .process = put_pid_cmdline},
    {.name = "comm", .process = put_pid_comm},
    {.name = "maps", .memory = put_maps},
    {.name = "mounts", .system = put_mounts},
    {.name = "stat", .process = put_pid_stat},
    {.name = "statm", .process = put_pid_statm},
    {.name = "status", .process = put_pid_status},
};

/* ---- texts as files ---- */

struct making {
    struct text text;
    const struct proc_file *file;
    struct memory memory;
};

static void visit_process(const struct proc *p, void *arg)
{
    struct making *m = arg;

    if (m->file->process != NULL) {
        m->file->process(&m->text, p);
    } else {
        share_memory(p, &m->memory);
    }
}

/* Return: whether its process is there. */
static bool make_process_text(unsigned pid, struct making *m)
{
    if (!proc_visit(pid, visit_process, m)) {
        return false;
    }
    if (m->memory.space != NULL) {
        m->file->memory(&m->text, &m->memory);
        vm_destroy(m->memory.space);
    }
    return true;
}

/* 0, -ENOMEM, -ESRCH: its process is gone. */
static int make_text(const struct node *n, struct text *t)
{
    struct making m = {.file = n->own};

    for (size_t size = PAGE_SIZE; size <= TEXT_MAX; size *= 2) {
        m.text = (struct text){.buf = page_users_may_take() ? kmalloc(size) : NULL, .size = size};
        if (m.text.buf == NULL) {
            return -ENOMEM;
        }
        if (m.file->system != NULL) {
            m.file->system(&m.text);
        } else if (!make_process_text(n->tag, &m)) {
            kfree(m.text.buf);
            return -ESRCH;
        }
        if (m.text.used < size || size == TEXT_MAX) {
            break;
        }
        kfree(m.text.buf);
    }
    m.text.used = MIN(m.text.used, m.text.size - 1);
    *t = m.text;
    return 0;
}

static void forget_text(struct file *f)
{
    struct text *old = f->own;

    f->own = NULL;
    if (old != NULL) {
        kfree(old->buf);
        kfree(old);
    }
}

/* Threads that read it at once take turns. */
static struct mutex reading;

static ssize_t text_read(struct file *f, uint64_t pos, void *buf, size_t n)
{
    struct text *t = f->own;

    if (pos == 0 || t == NULL) {
        struct text made;
        int rc = make_text(f->node, &made);

        if (rc != 0) {
            return rc;
        }
        forget_text(f);
        f->own = t = kmalloc(sizeof(*t));
        if (t == NULL) {
            kfree(made.buf);
            return -ENOMEM;
        }
        *t = made;
    }
    n = pos < t->used ? MIN(n, t->used - pos) : 0;
    memcpy(buf, t->buf + (n != 0 ? pos : 0), n);
    return (ssize_t)n;
}

static ssize_t proc_read(struct file *f, uint64_t pos, void *buf, size_t n)
{
    mutex_lock(&reading);
    ssize_t rc = text_read(f, pos, buf, n);
    mutex_unlock(&reading);
    return rc;
}

static void proc_stat(const struct file *f, struct abi_stat *st)
{
    rootfs_stat(f->node, st);
}

static void proc_close(struct file *f)
{
    forget_text(f);
    node_put(f->node);
}

const struct file_ops proc_ops = {
    .read = proc_read, .stat = proc_stat, .close = proc_close, .seekable = true};

void procfs_boot(void)
{
    mutex_init(&reading, "procfs");
}

/* ---- folders ---- */

static struct node *fleeting(uint32_t mode, const void *own, unsigned tag, struct node *parent)
{
    struct node *n = node_new_fleeting(mode);

    if (n != NULL) {
        n->own = own;
        n->tag = tag;
        n->nlink = 1;
        if (node_is(n, NODE_DIR)) {
            n->parent = node_get(parent);
        }
    }
    return n;
}

static struct node *link_to(const char *target)
{
    struct node *n = target == NULL ? NULL : fleeting(NODE_SYMLINK | 0777, NULL, 0, NULL);

    if (n != NULL && node_set_target(n, target, strlen(target)) != 0) {
        node_put(n);
        return NULL;
    }
    return n;
}

/* A link to where a node is; NULL: nowhere. */
static struct node *link_to_node(const struct node *to)
{
    char *room = kmalloc(TREE_PATH_SIZE);
    struct node *n =
        room == NULL || to == NULL ? NULL : link_to(tree_path(to, room, TREE_PATH_SIZE));

    kfree(room);
    return n;
}

static struct node *proc_file_find(const struct proc_file *files, size_t count, const char *name,
                                   size_t len, unsigned tag)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(files[i].name) == len && memcmp(files[i].name, name, len) == 0) {
            return fleeting(NODE_FILE | 0444, &files[i], tag, NULL);
        }
    }
    return NULL;
}

/* A number without zeroes in front; UINT32_MAX: it is none. @zero: 0 is one as well. */
static unsigned number_of(const char *name, size_t len, bool zero)
{
    uint64_t n = 0;

    for (size_t i = 0; i < len; i++) {
        if (name[i] < '0' || name[i] > '9' || len >= NAME_DIGITS) {
            return UINT32_MAX;
        }
        n = n * 10 + (uint64_t)(name[i] - '0');
    }
    return (name[0] == '0' && (len != 1 || !zero)) || n >= UINT32_MAX ? UINT32_MAX : (unsigned)n;
}

/* Tell of a name that is a number. */
static bool list_number(unsigned number, uint64_t at, uint32_t mode, tree_fn *fn, void *arg)
{
    char name[NAME_DIGITS];
    struct tree_entry e = {.name = name, .ino = at, .next = at + 1, .mode = mode};

    e.len = (size_t)snprintf(name, sizeof(name), "%u", number);
    return fn(&e, arg);
}

static bool list_name(const char *name, uint64_t at, uint32_t mode, tree_fn *fn, void *arg)
{
    return fn(
        &(struct tree_entry){
            .name = name, .len = strlen(name), .ino = at, .next = at + 1, .mode = mode},
        arg);
}

/* The process that asks, if it is a folder's. */
static struct task *own_task(const struct node *dir)
{
    const struct proc *p = proc_self();

    return p != NULL && p->pid == dir->tag ? p->own : NULL;
}

static struct node *fd_find(struct node *dir, const char *name, size_t len)
{
    struct task *t = own_task(dir);
    struct node *to;
    char text[sizeof("anon:") + NAME_DIGITS];
    unsigned fd = number_of(name, len, true);

    if (t == NULL || !fd_node(&t->fds, fd, &to)) {
        return NULL;
    }
    struct node *n = link_to_node(to);
    node_put(to);
    (void)snprintf(text, sizeof(text), "anon:%u", fd);
    return n != NULL ? n : link_to(text);
}

static void fd_list(struct node *dir, uint64_t from, tree_fn *fn, void *arg)
{
    struct task *t = own_task(dir);
    bool more = t != NULL;

    for (uint64_t fd = MAX(from, 2u) - 2; more && fd < FD_MAX; fd++) {
        struct node *to;

        if (fd_node(&t->fds, fd, &to)) {
            node_put(to);
            more = list_number((unsigned)fd, fd + 2, NODE_SYMLINK, fn, arg);
        }
    }
}

static const struct folder fd_folder = {.find = fd_find, .list = fd_list};

/* What only the process itself finds, by its place in the list. */
static const char *const own_names[] = {"fd", "exe", "cwd"};

static struct node *pid_find(struct node *dir, const char *name, size_t len)
{
    struct task *t = own_task(dir);

    if (t != NULL && len == 2 && memcmp(name, own_names[0], len) == 0) {
        return fleeting(NODE_DIR | 0500, &fd_folder, dir->tag, dir);
    }
    if (t != NULL && len == 3 && memcmp(name, own_names[1], len) == 0) {
        return link_to_node(t->exe);
    }
    if (t != NULL && len == 3 && memcmp(name, own_names[2], len) == 0) {
        return link_to_node(t->cwd);
    }
    return proc_file_find(process_files, ARRAY_SIZE(process_files), name, len, dir->tag);
}

static void pid_list(struct node *dir, uint64_t from, tree_fn *fn, void *arg)
{
    size_t files = ARRAY_SIZE(process_files);
    size_t count = files + (own_task(dir) != NULL ? ARRAY_SIZE(own_names) : 0);
    bool more = true;

    for (size_t i = MAX(from, 2u) - 2; more && i < count; i++) {
        more = i < files ? list_name(process_files[i].name, i + 2, NODE_FILE, fn, arg)
                         : list_name(own_names[i - files], i + 2,
                                     i == files ? NODE_DIR : NODE_SYMLINK, fn, arg);
    }
}

static const struct folder pid_folder = {.find = pid_find, .list = pid_list};

static struct node *proc_find(struct node *dir, const char *name, size_t len)
{
    const struct proc *p = proc_self();
    unsigned pid = number_of(name, len, false);
    char self[NAME_DIGITS];

    if (pid != UINT32_MAX) {
        return proc_visit(pid, NULL, NULL) ? fleeting(NODE_DIR | 0555, &pid_folder, pid, dir)
                                           : NULL;
    }
    if (p != NULL && len == 4 && memcmp(name, "self", len) == 0) {
        (void)snprintf(self, sizeof(self), "%u", p->pid);
        return link_to(self);
    }
    return proc_file_find(system_files, ARRAY_SIZE(system_files), name, len, 0);
}

static void proc_list(struct node *dir __unused, uint64_t from, tree_fn *fn, void *arg)
{
    size_t files = ARRAY_SIZE(system_files);
    bool more = true;

    for (size_t i = MAX(from, 2u) - 2; more && i <= files; i++) {
        more = i < files ? list_name(system_files[i].name, i + 2, NODE_FILE, fn, arg)
                         : list_name("self", i + 2, NODE_SYMLINK, fn, arg);
    }
    unsigned pid = from > PIDS_FROM ? (unsigned)(from - PIDS_FROM) : 1;
    while (more && (pid = proc_next(pid)) != 0) {
        more = list_number(pid, PIDS_FROM + (uint64_t)pid, NODE_DIR, fn, arg);
        pid++;
    }
}

const struct folder proc_folder = {.find = proc_find, .list = proc_list};
