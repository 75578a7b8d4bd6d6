/*
 * Locks: see locks.h. A lock that is part of an object on the heap is found if somebody waits for
 * it; those that are variables, or members of some, are found in any case.
 */
#include "locks.h"

#include <dwarf.h>
#include <stdio.h>
#include <string.h>

#include "value.h"

#define DEPTH_MAX    4
#define ELEMENTS_MAX 256

struct finder {
    struct session *s;
    const struct kernel *k;
    struct klock *locks;
    unsigned int count;
    const struct image_variable *variable;
};

const struct kthread *lock_owner(struct session *s, const struct kernel *k, uint64_t mutex)
{
    uint64_t owner;

    return kernel_member(s, "mutex", mutex, "owner", &owner) == 0 ? kernel_thread(k, owner) : NULL;
}

static void add_lock(struct finder *f, uint64_t address, bool mutex, bool wanted)
{
    struct klock lock = {.address = address, .mutex = mutex, .cpu = -1};

    if (mutex) {
        lock.owner = lock_owner(f->s, f->k, address);
    } else {
        uint64_t name;

        lock.cpu = kernel_spin_owner(f->s, address);
        if (kernel_member(f->s, "spinlock", address, "name", &name) != 0 || name == 0) {
            lock.cpu = -1; /* nobody has made it usable yet */
        }
    }
    bool held = lock.owner != NULL || lock.cpu >= 0;
    if ((!held && !wanted) || f->count == LOCKS_MAX) {
        return;
    }
    for (unsigned int i = 0; i < f->count; i++) {
        if (f->locks[i].address == address && f->locks[i].mutex == mutex) {
            return;
        }
    }
    kernel_lock_name(f->s, mutex ? "mutex" : "spinlock", address, lock.name, sizeof(lock.name));
    if (f->variable != NULL) {
        const struct image_variable *v = f->variable;

        snprintf(lock.place, sizeof(lock.place), "%s%s%s", v->function != NULL ? v->function : "",
                 v->function != NULL ? ": " : "", v->name);
    }
    f->locks[f->count++] = lock;
}

static void look_into(struct finder *f, Dwarf_Die *type, uint64_t address, unsigned int depth)
{
    const char *name = dwarf_diename(type);
    int tag = dwarf_tag(type);
    Dwarf_Die child, inner;

    if (depth > DEPTH_MAX) {
        return;
    }
    if (tag == DW_TAG_array_type && image_type_of(type, &inner) == 0) {
        unsigned int each = value_size(&inner);
        unsigned int count = each != 0 ? value_size(type) / each : 0;

        if (dwarf_tag(&inner) == DW_TAG_structure_type) {
            for (unsigned int i = 0; i < count && i < ELEMENTS_MAX; i++) {
                look_into(f, &inner, address + (uint64_t)i * each, depth + 1);
            }
        }
        return;
    }
    if (tag != DW_TAG_structure_type) {
        return;
    }
    if (name != NULL && (strcmp(name, "mutex") == 0 || strcmp(name, "spinlock") == 0)) {
        add_lock(f, address, name[0] == 'm', false);
        return;
    }
    if (dwarf_child(type, &child) != 0) {
        return;
    }
    do {
        Dwarf_Attribute attribute;
        Dwarf_Word at = 0;

        if (dwarf_tag(&child) == DW_TAG_member && image_type_of(&child, &inner) == 0) {
            (void)dwarf_formudata(dwarf_attr(&child, DW_AT_data_member_location, &attribute), &at);
            look_into(f, &inner, address + at, depth + 1);
        }
    } while (dwarf_siblingof(&child, &child) == 0);
}

static void look_at_variable(void *context, const struct image_variable *v)
{
    struct finder *f = context;
    Dwarf_Die type = v->type;

    f->variable = v;
    look_into(f, &type, v->address, 0);
    f->variable = NULL;
}

unsigned int locks_find(struct session *s, const struct kernel *k, struct klock locks[LOCKS_MAX])
{
    struct finder f = {.s = s, .k = k, .locks = locks};

    image_each_variable(s->image, look_at_variable, &f);
    for (unsigned int i = 0; i < k->nthreads; i++) {
        if (k->threads[i].wants != 0) {
            add_lock(&f, k->threads[i].wants, true, true);
        }
    }
    for (unsigned int i = 0; i < k->ncpus; i++) {
        if (k->cpus[i].wants_lock != 0) {
            add_lock(&f, k->cpus[i].wants_lock, false, true);
        }
    }
    return f.count;
}

unsigned int lock_circle(struct session *s, const struct kernel *k, const struct kthread *first,
                         const struct kthread *circle[CIRCLE_MAX])
{
    const struct kthread *t = first;

    for (unsigned int n = 0; n < CIRCLE_MAX; n++) {
        circle[n] = t;
        t = t->wants != 0 ? lock_owner(s, k, t->wants) : NULL;
        if (t == first) {
            return n + 1;
        }
        if (t == NULL || t->address < first->address) {
            return 0;
        }
    }
    return 0;
}

unsigned int lock_spin_circle(struct session *s, const struct kernel *k, const struct kcpu *first,
                              const struct kcpu *circle[CIRCLE_MAX])
{
    const struct kcpu *cpu = first;

    for (unsigned int n = 0; n < CIRCLE_MAX; n++) {
        circle[n] = cpu;
        int owner = cpu->wants_lock != 0 ? kernel_spin_owner(s, cpu->wants_lock) : -1;
        cpu = owner >= 0 ? kernel_cpu(k, (unsigned int)owner) : NULL;
        if (cpu == first) {
            return n + 1;
        }
        if (cpu == NULL || cpu->id < first->id) {
            return 0;
        }
    }
    return 0;
}
