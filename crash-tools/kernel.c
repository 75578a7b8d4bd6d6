/*
 * The kernel's structures, by their names: see kernel.h. Lists may be damaged, so each is followed
 * so far and no further.
 */
#include "kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOADS_MAX 5 /* of what may change while it is read */

void kernel_escape(const char *from, size_t len, char *to, size_t size)
{
    size_t at = 0;

    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)from[i];
        bool plain = byte >= ' ' && byte < 0x7f;

        if (at + (plain ? 1 : sizeof("\\xHH") - 1) >= size) {
            break;
        }
        at += (size_t)snprintf(to + at, size - at, plain ? "%c" : "\\x%02x", byte);
    }
    to[at] = '\0';
}

bool kernel_string(const struct session *s, uint64_t address, char *to, size_t size)
{
    char raw[256];

    if (space_read_string(&s->space, address, raw, sizeof(raw)) != 0) {
        snprintf(to, size, "?");
        return false;
    }
    kernel_escape(raw, strlen(raw), to, size);
    return true;
}

static int type_by_name(struct session *s, const char *name, Dwarf_Die *type)
{
    for (unsigned int i = 0; i < s->ntypes; i++) {
        if (strcmp(s->types[i].name, name) == 0) {
            *type = s->types[i].type;
            return 0;
        }
    }
    int err = image_type(s->image, name, type);
    if (err == 0 && s->ntypes < sizeof(s->types) / sizeof(s->types[0])) {
        s->types[s->ntypes].name = name;
        s->types[s->ntypes++].type = *type;
    }
    return err;
}

/* Reads what has that type, if it is a number. */
static int read_scalar(const struct session *s, uint64_t address, Dwarf_Die *type, uint64_t *value)
{
    Dwarf_Word size;

    *value = 0;
    if (dwarf_aggregate_size(type, &size) != 0 || size > sizeof(*value)) {
        return -EINVAL;
    }
    return space_read(&s->space, address, value, size);
}

int kernel_member(struct session *s, const char *type, uint64_t address, const char *path,
                  uint64_t *value)
{
    Dwarf_Die die, member;
    uint64_t offset = 0;
    int err = type_by_name(s, type, &die);

    if (err == 0) {
        err = image_member(&die, path, &offset, &member);
    }
    return err == 0 ? read_scalar(s, address + offset, &member, value) : err;
}

int kernel_find(const struct session *s, const char *path, uint64_t *address, Dwarf_Die *type)
{
    char first[256];
    const char *colon = strchr(path, ':'); /* a file's name has points, too */
    size_t len = colon != NULL ? (size_t)(colon - path) : 0;
    Dwarf_Die whole;

    len += strcspn(path + len, ".[");
    if (len >= sizeof(first)) {
        return -ENOENT;
    }
    snprintf(first, sizeof(first), "%.*s", (int)len, path);
    int err = image_variable(s->image, first, address, &whole);
    return err == 0 ? image_member(&whole, path + len, address, type) : err;
}

int kernel_variable(struct session *s, const char *name, uint64_t *value)
{
    Dwarf_Die type;
    uint64_t address;
    int err = kernel_find(s, name, &address, &type);

    return err == 0 ? read_scalar(s, address, &type, value) : err;
}

void kernel_lock_name(struct session *s, const char *type, uint64_t lock, char *to, size_t size)
{
    const char *path = strcmp(type, "mutex") == 0 ? "waiters.lock.name" : "name";
    uint64_t name = 0;

    if (kernel_member(s, type, lock, path, &name) != 0) {
        name = 0;
    }
    (void)kernel_string(s, name, to, size);
}

int kernel_spin_owner(struct session *s, uint64_t lock)
{
    uint64_t owner = 0;

    return kernel_member(s, "spinlock", lock, "owner", &owner) == 0 ? (int16_t)owner : -1;
}

static int load_cpu(struct session *s, uint64_t address, unsigned int id, struct kcpu *cpu)
{
    uint64_t online = 0;

    *cpu = (struct kcpu){.address = address, .id = id};
    int err = kernel_member(s, "cpu", address, "current", &cpu->current);
    if (err == 0) {
        err = kernel_member(s, "cpu", address, "wants_lock", &cpu->wants_lock);
    }
    if (err == 0) {
        err = kernel_member(s, "cpu", address, "online", &online);
    }
    if (err == 0) {
        err = kernel_member(s, "cpu", address, "info.arch.cr2", &cpu->cr2);
    }
    cpu->online = online != 0;
    return err;
}

static int load_cpus(struct session *s, struct kernel *k)
{
    Dwarf_Die type;
    Dwarf_Word size = 0;
    uint64_t table, address;
    int err = image_variable(s->image, "cpus", &table, &type);

    if (err == 0 && dwarf_aggregate_size(&type, &size) != 0) {
        err = -EINVAL;
    }
    for (unsigned int id = 0; err == 0 && id < KERNEL_CPUS_MAX && id < size / sizeof(address);
         id++) {
        if (space_read(&s->space, table + id * sizeof(address), &address, sizeof(address)) != 0 ||
            address == 0) {
            continue;
        }
        int lost = load_cpu(s, address, id, &k->cpus[k->ncpus]);
        if (lost == 0) {
            k->ncpus++;
        } else if (lost == -EFAULT) {
            k->cut = true; /* the others may tell enough */
        } else {
            err = lost;
        }
    }
    return err;
}

static int load_thread(struct session *s, const struct kernel *k, uint64_t address,
                       struct kthread *t)
{
    static const char *const numbers[] = {"id", "cpu", "prio", "state"};
    unsigned int *const to[] = {&t->id, &t->cpu, &t->prio, &t->state};
    static const char *const addresses[] = {"sp", "stack", "wants", "waits_for"};
    uint64_t *const places[] = {&t->sp, &t->stack, &t->wants, &t->waits_for};
    Dwarf_Die type, member;
    uint64_t value, offset = 0;
    int err = type_by_name(s, "thread", &type);

    *t = (struct kthread){.address = address, .running = -1};
    for (size_t i = 0; err == 0 && i < sizeof(to) / sizeof(to[0]); i++) {
        err = kernel_member(s, "thread", address, numbers[i], &value);
        *to[i] = err == 0 ? (unsigned int)value : 0;
    }
    for (size_t i = 0; err == 0 && i < sizeof(places) / sizeof(places[0]); i++) {
        err = kernel_member(s, "thread", address, addresses[i], places[i]);
    }
    if (err == 0) {
        err = image_member(&type, "name", &offset, &member);
    }
    if (err == 0) {
        (void)kernel_string(s, address + offset, t->name, sizeof(t->name));
    }
    for (unsigned int i = 0; i < k->ncpus; i++) {
        if (k->cpus[i].current == address && k->cpus[i].online) {
            t->running = (int)k->cpus[i].id;
        }
    }
    return err;
}

static int load_all(struct session *s, struct kernel *k)
{
    uint64_t address;
    int err = core_refresh(s->core);

    *k = (struct kernel){.threads = k->threads};
    if (err == 0) {
        err = load_cpus(s, k);
    }
    if (err == 0) {
        err = kernel_variable(s, "all_threads.tqh_first", &address);
    }
    while (err == 0 && address != 0) {
        if (k->nthreads == KERNEL_THREADS_MAX || kernel_thread(k, address) != NULL ||
            load_thread(s, k, address, &k->threads[k->nthreads]) != 0 ||
            kernel_member(s, "thread", address, "all_link.tqe_next", &address) != 0) {
            k->cut = true;
            break;
        }
        k->nthreads++;
    }
    return err;
}

int kernel_load(struct session *s, struct kernel *k)
{
    int err = 0;

    *k = (struct kernel){.threads = calloc(KERNEL_THREADS_MAX, sizeof(*k->threads))};
    if (k->threads == NULL) {
        return -ENOMEM;
    }
    for (unsigned int left = LOADS_MAX; left > 0; left--) {
        err = load_all(s, k);
        if ((err == 0 && !k->cut) || !core_moves(s->core)) {
            break;
        }
    }
    return err;
}

void kernel_free(struct kernel *k)
{
    free(k->threads);
    k->threads = NULL;
}

void kernel_vcpu_title(const struct kernel *k, unsigned int id, char *to, size_t size)
{
    const struct kcpu *cpu = kernel_cpu(k, id);
    const struct kthread *t = cpu != NULL ? kernel_thread(k, cpu->current) : NULL;

    snprintf(to, size, "vCPU %u, thread \"%s\"%s", id, t != NULL ? t->name : "?",
             cpu == NULL ? ", never started" : "");
}

void kernel_thread_title(const struct kthread *t, char *to, size_t size)
{
    snprintf(to, size, "thread %u \"%s\"", t->id, t->name);
}

int kernel_panicked(struct session *s)
{
    uint64_t panicking;

    return kernel_variable(s, "panicking", &panicking) == 0 && (int32_t)panicking >= 0 &&
                   core_vcpu(s->core, (unsigned int)panicking) != NULL
               ? (int)panicking
               : -1;
}

const struct kthread *kernel_thread(const struct kernel *k, uint64_t address)
{
    for (unsigned int i = 0; i < k->nthreads; i++) {
        if (k->threads[i].address == address) {
            return &k->threads[i];
        }
    }
    return NULL;
}

const struct kcpu *kernel_cpu(const struct kernel *k, unsigned int id)
{
    for (unsigned int i = 0; i < k->ncpus; i++) {
        if (k->cpus[i].id == id) {
            return &k->cpus[i];
        }
    }
    return NULL;
}

int kernel_thread_regs(const struct session *s, const struct kthread *t, struct regs *regs)
{
    const struct vcpu_guest_context *vcpu =
        t->running >= 0 ? core_vcpu(s->core, (unsigned int)t->running) : NULL;

    if (vcpu != NULL) {
        regs_of_vcpu(vcpu, regs);
        return 0;
    }
    /* It goes on in kern/switch.S, whose frame .debug_frame tells of. */
    *regs = (struct regs){.known = 1u << REG_RIP | 1u << REG_RSP};
    regs->value[REG_RSP] = t->sp;
    return image_address(s->image, "thread_switched", &regs->value[REG_RIP]);
}
