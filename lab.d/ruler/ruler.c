/*
 * ruler.c - a plugin of QEMU's emulator that counts what a Xen host executes, and for whom.
 *
 * Every processor adds the length of each translated block to one of three counters, by the block's
 * address: Xen, a kernel, a user's program. That costs an addition per block and has no locks. Who
 * it was for is settled only when it changes: where Xen switches to another vCPU, where dom0's
 * Linux switches to another task, and where either begins or ends the work of its clock, what a
 * processor has counted since the last time goes to the account of who had it.
 *
 * Where these places are, the plugin learns from marks: an instruction that does nothing, executed
 * by a program in dom0 (mark.c), with a text for us. `hook KIND START SIZE` names a function,
 * `go` looks at all code anew, `note TEXT` writes all accounts, as one line of JSON, to the file
 * that `out=` has named. After `profile` and `go` an account has also what was executed of each
 * block of code since the last note. That takes a call per block, and a table of MANY_BLOCKS for
 * each account.
 *
 * Locks: one, around accounts and hooks; a processor's own counters are its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu-plugin.h"
#include "mark.h"

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

#define XEN_BEGIN 0xffff82d000000000ull
#define XEN_END   0xffff82e000000000ull
#define KERNELS   0x8000000000000000ull

/* Xen 4.17: where a struct vcpu points to its domain, which begins with its number. */
#define VCPU_DOMAIN 16

/* Linux: how far into a task its name is looked for, and how long it is. */
#define TASK_SIZE 8192
#define TASK_NAME 16

/* struct gnttab_copy: its size and where its length is. */
#define COPY_SIZE   40
#define COPY_LENGTH 32
#define COPY_MOST   4096 /* of one call */

#define MANY_CPUS     64
#define MANY_HOOKS    64
#define MANY_VCPUS    256
#define MANY_ACCOUNTS 1024
#define MANY_BLOCKS   (1u << 17) /* of code in a profile */
#define MANY_PROFILES 64         /* accounts that have one; of another the profile is lost */
#define PROGRAMS      1          /* the address that a profile has for all their blocks */
#define BLOCK_BITS    16         /* of how many instructions a block has */

enum counter {
    XEN_INSNS,
    KERNEL_INSNS,
    USER_INSNS,
    HYPERCALLS,
    SYSCALLS,
    TASK_SWITCHES,
    VCPU_SWITCHES,
    EVENTS,
    GRANT_COPIES,
    GRANT_BYTES,
    KERNEL_BYTES,
    COUNTERS
};

static const char *const counter_names[COUNTERS] = {
    "xen",           "kernel", "user",         "hypercalls",  "syscalls",     "task-switches",
    "vcpu-switches", "events", "grant-copies", "grant-bytes", "kernel-bytes",
};

struct counts {
    uint64_t n[COUNTERS];
};

/* For whom: a domain, in dom0 also a task; the clock of each is apart. */
struct account {
    int domain;
    bool clock;
    char task[TASK_NAME];
    struct counts sum;
    uint64_t *profile; /* instructions by block of `blocks`, NULL: none yet */
};

/* One of Xen's vCPUs. */
struct vcpu {
    uint64_t address;
    int domain;
    char task[TASK_NAME];
    unsigned clock; /* how deep in its kernel's clock */
};

/* A processor of the machine. */
struct cpu {
    struct vcpu *vcpu; /* that it runs, NULL until it is known */
    unsigned clock;    /* how deep in Xen's clock */
    struct account *account;
    struct counts seen; /* what is in the accounts already */
};

enum hook_kind {
    HOOK_VCPU,        /* Xen switches to the vCPU in rsi */
    HOOK_TASK,        /* Linux switches to the task in rsi */
    HOOK_INIT_TASK,   /* data: Linux' first task */
    HOOK_XEN_CLOCK,   /* from its beginning to its end */
    HOOK_LINUX_CLOCK, /* the same */
    HOOK_HYPERCALL,
    HOOK_SYSCALL,
    HOOK_EVENT,
    HOOK_GRANT,     /* rdi: array of copies, esi: how many */
    HOOK_BYTES_RSI, /* a copy of as many bytes */
    HOOK_BYTES_RDX,
    HOOK_KINDS
};

static const char *const hook_names[HOOK_KINDS] = {
    "vcpu",    "task",  "init-task", "xen-clock", "linux-clock", "hypercall",
    "syscall", "event", "grant",     "bytes-rsi", "bytes-rdx",
};

struct hook {
    enum hook_kind kind;
    uint64_t begin, end;
};

enum reg { RDI, RSI, RDX, REGS };

static const char *const reg_names[REGS] = {"rdi", "rsi", "rdx"};

static GMutex lock;
static qemu_plugin_id_t self;
static FILE *out;
static struct qemu_plugin_scoreboard *board; /* of struct counts */
static struct qemu_plugin_register *regs[REGS];
static struct cpu cpus[MANY_CPUS];
static struct vcpu vcpus[MANY_VCPUS];
static struct account accounts[MANY_ACCOUNTS];
static struct hook hooks[MANY_HOOKS];
static unsigned n_vcpus, n_accounts, n_hooks;
static bool profiling;
static uint64_t blocks[MANY_BLOCKS]; /* addresses; the first, 0, is of all that find no place */
static unsigned n_blocks, n_profiles;
static uint64_t init_task;
static unsigned name_offset; /* of a task's name; 0: not known yet */

/* Reads a register of the processor that is in a callback. 0 if that fails. */
static uint64_t read_reg(enum reg reg)
{
    GByteArray *buf = g_byte_array_new();
    uint64_t value = 0;

    if (regs[reg] != NULL && qemu_plugin_read_register(regs[reg], buf) == sizeof(value)) {
        memcpy(&value, buf->data, sizeof(value));
    }
    g_byte_array_free(buf, TRUE);
    return value;
}

/* Reads memory as that processor sees it now. */
static bool read_memory(uint64_t address, void *to, size_t size)
{
    GByteArray *buf = g_byte_array_new();
    bool done = qemu_plugin_read_memory_vaddr(address, buf, size);

    if (done) {
        memcpy(to, buf->data, size);
    }
    g_byte_array_free(buf, TRUE);
    return done;
}

/* Makes a text one that can stand in JSON. */
static void clean(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\') {
            *text = '?';
        }
    }
}

/* The account of whom a processor works for now. The last one takes all that find no place. */
static struct account *find_account(const struct cpu *cpu)
{
    const struct vcpu *vcpu = cpu->vcpu;
    int domain = vcpu != NULL ? vcpu->domain : -1;
    const char *task = vcpu != NULL ? vcpu->task : "";
    bool clock = cpu->clock > 0 || (vcpu != NULL && vcpu->clock > 0);
    struct account *a;

    for (a = accounts; a < accounts + n_accounts; a++) {
        if (a->domain == domain && a->clock == clock && strcmp(a->task, task) == 0) {
            return a;
        }
    }
    if (n_accounts == MANY_ACCOUNTS) {
        return &accounts[MANY_ACCOUNTS - 1];
    }
    n_accounts++;
    a->domain = domain;
    a->clock = clock;
    memcpy(a->task, task, TASK_NAME);
    return a;
}

/* Gives what a processor has counted to whom it has worked for. Called locked. */
static void settle(unsigned index)
{
    struct cpu *cpu = &cpus[index];
    const struct counts *now = qemu_plugin_scoreboard_find(board, index);

    if (cpu->account == NULL) {
        cpu->account = find_account(cpu);
    }
    for (unsigned i = 0; i < COUNTERS; i++) {
        cpu->account->sum.n[i] += now->n[i] - cpu->seen.n[i];
        cpu->seen.n[i] = now->n[i];
    }
}

static struct vcpu *find_vcpu(uint64_t address)
{
    struct vcpu *v;

    for (v = vcpus; v < vcpus + n_vcpus; v++) {
        if (v->address == address) {
            return v;
        }
    }
    if (n_vcpus == MANY_VCPUS) {
        return NULL;
    }
    n_vcpus++;
    v->address = address;
    return v;
}

/* Xen switches. A struct vcpu may have become another domain's. */
static void on_vcpu(struct cpu *cpu)
{
    uint64_t address = read_reg(RSI);
    uint64_t domain;
    uint16_t domid;
    struct vcpu *v = NULL;

    if (read_memory(address + VCPU_DOMAIN, &domain, sizeof(domain)) &&
        read_memory(domain, &domid, sizeof(domid))) {
        v = find_vcpu(address);
    }
    if (v != NULL && v->domain != domid) {
        *v = (struct vcpu){.address = address, .domain = domid};
    }
    cpu->vcpu = v;
    cpu->clock = 0;
}

/* Finds where a task has its name: the first one is called swapper. */
static void find_name(void)
{
    static const char swapper[] = "swapper/";
    static char task[TASK_SIZE];

    if (init_task == 0 || !read_memory(init_task, task, sizeof(task))) {
        return;
    }
    const char *found = memmem(task, sizeof(task), swapper, sizeof(swapper) - 1);
    name_offset = found != NULL ? (unsigned)(found - task) : 0;
}

/* dom0's Linux switches; a guest that runs the same kernel comes here as well. */
static void on_task(struct cpu *cpu)
{
    struct vcpu *v = cpu->vcpu;

    if (v != NULL) {
        v->clock = 0; /* a clock's work does not switch */
    }
    if (v == NULL || v->domain != 0) {
        return;
    }
    if (name_offset == 0) {
        find_name();
    }
    if (name_offset != 0 && read_memory(read_reg(RSI) + name_offset, v->task, TASK_NAME)) {
        v->task[TASK_NAME - 1] = '\0';
        /* What follows the end of a name may be anything, and find_account() keeps all of it. */
        memset(v->task + strlen(v->task), 0, TASK_NAME - strlen(v->task));
        clean(v->task);
    }
}

/* Something changes for the processor that executes this: called at a hook's first instruction. */
static void on_switch(unsigned index, void *data)
{
    const struct hook *hook = data;
    struct counts *mine = qemu_plugin_scoreboard_find(board, index);
    struct cpu *cpu = &cpus[index];

    g_mutex_lock(&lock);
    mine->n[VCPU_SWITCHES] += hook->kind == HOOK_VCPU;
    mine->n[TASK_SWITCHES] += hook->kind == HOOK_TASK;
    settle(index);
    if (hook->kind == HOOK_VCPU) {
        on_vcpu(cpu);
    } else if (hook->kind == HOOK_TASK) {
        on_task(cpu);
    } else if (hook->kind == HOOK_XEN_CLOCK) {
        cpu->clock++;
    } else if (cpu->vcpu != NULL) {
        cpu->vcpu->clock++;
    }
    cpu->account = find_account(cpu);
    g_mutex_unlock(&lock);
}

/* Called where a hook's function ends. */
static void on_end(unsigned index, void *data)
{
    const struct hook *hook = data;
    struct cpu *cpu = &cpus[index];
    unsigned *depth = hook->kind == HOOK_XEN_CLOCK ? &cpu->clock
                      : cpu->vcpu != NULL          ? &cpu->vcpu->clock
                                                   : NULL;

    if (depth == NULL || *depth == 0) {
        return;
    }
    g_mutex_lock(&lock);
    settle(index);
    --*depth;
    cpu->account = find_account(cpu);
    g_mutex_unlock(&lock);
}

/* Called where bytes are copied. */
static void on_copy(unsigned index, void *data)
{
    const struct hook *hook = data;
    struct counts *mine = qemu_plugin_scoreboard_find(board, index);

    if (hook->kind == HOOK_BYTES_RSI || hook->kind == HOOK_BYTES_RDX) {
        mine->n[KERNEL_BYTES] += read_reg(hook->kind == HOOK_BYTES_RSI ? RSI : RDX);
        return;
    }
    uint64_t at = read_reg(RDI) + COPY_LENGTH;
    unsigned many = (unsigned)read_reg(RSI);
    for (unsigned i = 0; i < many && i < COPY_MOST; i++) {
        uint16_t length = 0;

        read_memory(at + i * (uint64_t)COPY_SIZE, &length, sizeof(length));
        mine->n[GRANT_BYTES] += length;
    }
    mine->n[GRANT_COPIES] += many;
}

/* The place of a block of code in a profile: one for all of the programs'. Called locked. */
static unsigned find_block(uint64_t address)
{
    address = address < KERNELS ? PROGRAMS : address;

    unsigned at = (unsigned)((address * 0x9e3779b97f4a7c15ull) >> 32) % MANY_BLOCKS;
    while (at == 0 || (blocks[at] != 0 && blocks[at] != address)) {
        at = (at + 1) % MANY_BLOCKS;
    }
    if (blocks[at] == 0) {
        if (n_blocks > MANY_BLOCKS / 4 * 3) {
            return 0;
        }
        n_blocks++;
        blocks[at] = address;
    }
    return at;
}

/* A block of code is executed, in a lab that profiles: `data` is its place and its size. */
static void on_block(unsigned index, void *data)
{
    struct account *a = cpus[index].account;
    uintptr_t block = (uintptr_t)data;

    g_mutex_lock(&lock);
    if (a != NULL && a->profile == NULL && n_profiles < MANY_PROFILES) {
        n_profiles++;
        a->profile = g_new0(uint64_t, MANY_BLOCKS);
    }
    if (a != NULL && a->profile != NULL) {
        a->profile[block >> BLOCK_BITS] += block & ((1u << BLOCK_BITS) - 1);
    }
    g_mutex_unlock(&lock);
}

/* Writes what an account has in its profile, which ends. Called locked. */
static void write_profile(struct account *a)
{
    const char *comma = "";

    fprintf(out, ", \"profile\": {");
    for (unsigned i = 0; i < MANY_BLOCKS; i++) {
        if (a->profile[i] != 0) {
            fprintf(out, "%s\"%" PRIx64 "\": %" PRIu64, comma, blocks[i], a->profile[i]);
            comma = ", ";
        }
    }
    fputc('}', out);
    g_free(a->profile);
    a->profile = NULL;
    n_profiles--;
}

/* Writes all accounts under a heading. Called locked. */
static void write_accounts(char *heading)
{
    clean(heading);
    for (int i = 0; i < qemu_plugin_num_vcpus() && i < MANY_CPUS; i++) {
        settle((unsigned)i);
    }
    fprintf(out, "{\"note\": \"%s\", \"accounts\": [", heading);
    for (struct account *a = accounts; a < accounts + n_accounts; a++) {
        fprintf(out, "%s{\"domain\": %d, \"task\": \"%s\", \"clock\": %d", a > accounts ? ", " : "",
                a->domain, a->task, a->clock);
        for (unsigned i = 0; i < COUNTERS; i++) {
            fprintf(out, ", \"%s\": %" PRIu64, counter_names[i], a->sum.n[i]);
        }
        if (a->profile != NULL) {
            write_profile(a);
        }
        fputc('}', out);
    }
    fprintf(out, "]}\n");
    fflush(out);
}

static bool have_hook(unsigned kind, uint64_t begin)
{
    for (unsigned i = 0; i < n_hooks; i++) {
        if (hooks[i].kind == kind && hooks[i].begin == begin) {
            return true;
        }
    }
    return false;
}

/* `KIND START SIZE`, the numbers in hexadecimal. Called locked. */
static void add_hook(const char *text)
{
    unsigned kind = 0;
    size_t length = strcspn(text, " ");
    char *end;

    while (kind < HOOK_KINDS &&
           (strncmp(text, hook_names[kind], length) != 0 || hook_names[kind][length] != '\0')) {
        kind++;
    }
    uint64_t begin = strtoull(text + length, &end, 16);
    uint64_t size = strtoull(end, &end, 16);
    if (kind == HOOK_KINDS || n_hooks == MANY_HOOKS || *end != '\0' || size == 0) {
        fprintf(out, "{\"error\": \"no hook\"}\n");
        fflush(out);
    } else if (kind == HOOK_INIT_TASK) {
        init_task = begin;
    } else if (!have_hook(kind, begin)) {
        hooks[n_hooks++] = (struct hook){kind, begin, begin + size};
    }
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);

static void begin(qemu_plugin_id_t id)
{
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
}

/* Called at a mark: rdi has the address of its text. */
static void on_mark(unsigned index, void *data)
{
    char text[MARK_SIZE] = "";
    uint64_t at = read_reg(RDI);

    (void)index;
    (void)data;
    for (unsigned i = 0; i + 1 < sizeof(text) && read_memory(at + i, text + i, 1); i++) {
        if (text[i] == '\0') {
            break;
        }
    }
    g_mutex_lock(&lock);
    if (strncmp(text, "hook ", 5) == 0) {
        add_hook(text + 5);
    } else if (strncmp(text, "note ", 5) == 0) {
        write_accounts(text + 5);
    } else if (strcmp(text, "profile") == 0) {
        profiling = true;
    }
    g_mutex_unlock(&lock);
    if (strcmp(text, "go") == 0) {
        qemu_plugin_reset(self, begin);
    }
}

/* Whether an instruction of a function leaves it for good: it returns, or jumps elsewhere. */
static bool leaves(const struct qemu_plugin_insn *insn, const struct hook *hook)
{
    uint8_t code[5] = {0};
    size_t size = qemu_plugin_insn_data(insn, code, sizeof(code));
    int32_t distance;

    if (code[0] == 0xc3) {
        return true;
    }
    if (code[0] != 0xe9 || size != sizeof(code)) {
        return false;
    }
    memcpy(&distance, code + 1, sizeof(distance));
    uint64_t target = qemu_plugin_insn_vaddr(insn) + size + (uint64_t)(int64_t)distance;
    return target < hook->begin || target >= hook->end;
}

static void plant(struct qemu_plugin_insn *insn, const struct hook *hook)
{
    qemu_plugin_vcpu_udata_cb_t call = NULL;
    bool first = qemu_plugin_insn_vaddr(insn) == hook->begin;
    enum counter counter = COUNTERS;

    switch (hook->kind) {
    case HOOK_HYPERCALL:
        counter = HYPERCALLS;
        break;
    case HOOK_SYSCALL:
        counter = SYSCALLS;
        break;
    case HOOK_EVENT:
        counter = EVENTS;
        break;
    case HOOK_GRANT:
    case HOOK_BYTES_RSI:
    case HOOK_BYTES_RDX:
        call = on_copy;
        break;
    default:
        call = on_switch;
        break;
    }
    if (first && counter != COUNTERS) {
        qemu_plugin_u64 entry = {board, counter * sizeof(uint64_t)};

        qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(insn, QEMU_PLUGIN_INLINE_ADD_U64, entry,
                                                            1);
    } else if (first) {
        qemu_plugin_register_vcpu_insn_exec_cb(insn, call, QEMU_PLUGIN_CB_R_REGS, (void *)hook);
    } else if ((hook->kind == HOOK_XEN_CLOCK || hook->kind == HOOK_LINUX_CLOCK) &&
               leaves(insn, hook)) {
        qemu_plugin_register_vcpu_insn_exec_cb(insn, on_end, QEMU_PLUGIN_CB_R_REGS, (void *)hook);
    }
}

static bool is_mark(const struct qemu_plugin_insn *insn)
{
    static const uint8_t wanted[] = MARK_CODE;
    uint8_t code[sizeof(wanted)];

    return qemu_plugin_insn_size(insn) == sizeof(wanted) &&
           qemu_plugin_insn_data(insn, code, sizeof(code)) == sizeof(code) &&
           memcmp(code, wanted, sizeof(code)) == 0;
}

/* QEMU has translated a block of instructions: says what is to be done whenever it is executed. */
static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    uint64_t at = qemu_plugin_tb_vaddr(tb);
    size_t many = qemu_plugin_tb_n_insns(tb);
    enum counter whose = at >= XEN_BEGIN && at < XEN_END ? XEN_INSNS
                         : at >= KERNELS                 ? KERNEL_INSNS
                                                         : USER_INSNS;
    qemu_plugin_u64 entry = {board, whose * sizeof(uint64_t)};

    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb, QEMU_PLUGIN_INLINE_ADD_U64, entry, many);
    g_mutex_lock(&lock);
    if (profiling) {
        uintptr_t block = (uintptr_t)find_block(at) << BLOCK_BITS | many;

        qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, QEMU_PLUGIN_CB_NO_REGS, (void *)block);
    }
    for (size_t i = 0; i < many; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uint64_t address = qemu_plugin_insn_vaddr(insn);

        if (whose == USER_INSNS && is_mark(insn)) {
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, QEMU_PLUGIN_CB_R_REGS, NULL);
        }
        for (const struct hook *h = hooks; whose != USER_INSNS && h < hooks + n_hooks; h++) {
            if (address >= h->begin && address < h->end) {
                plant(insn, h);
            }
        }
    }
    g_mutex_unlock(&lock);
}

/* A processor begins to run: its registers are known by name now, the same in all. */
static void on_cpu(qemu_plugin_id_t id, unsigned index)
{
    GArray *list = qemu_plugin_get_registers();

    (void)id;
    (void)index;
    g_mutex_lock(&lock);
    for (guint i = 0; i < list->len; i++) {
        const qemu_plugin_reg_descriptor *r = &g_array_index(list, qemu_plugin_reg_descriptor, i);

        for (unsigned reg = 0; reg < REGS; reg++) {
            if (strcmp(r->name, reg_names[reg]) == 0) {
                regs[reg] = r->handle;
            }
        }
    }
    g_mutex_unlock(&lock);
    g_array_free(list, TRUE);
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
                                           char **argv)
{
    if (argc != 1 || strncmp(argv[0], "out=", 4) != 0 || info->system.max_vcpus > MANY_CPUS) {
        fprintf(stderr, "ruler: wants out=FILE and at most %d processors\n", MANY_CPUS);
        return -1;
    }
    out = fopen(argv[0] + 4, "w");
    if (out == NULL) {
        perror(argv[0] + 4);
        return -1;
    }
    self = id;
    board = qemu_plugin_scoreboard_new(sizeof(struct counts));
    qemu_plugin_register_vcpu_init_cb(id, on_cpu);
    begin(id);
    return 0;
}
