/*
 * lockorder.h - the classes of locks, by rank: see lockorder.def.
 */
#ifndef KERN_LOCKORDER_H
#define KERN_LOCKORDER_H

#include "kern/types.h"

enum lock_kind { LOCK_KIND_MUTEX, LOCK_KIND_CALLBACK, LOCK_KIND_SPIN };

/* A class's number is its rank: whoever holds one may take those with a higher one. */
enum lock_class {
    LOCK_UNKNOWN, /* not looked up yet */
#define LOCK_CLASS(id, kind, name, pair, where, covers) LOCK_##id,
#include "kern/lockorder.def"
#undef LOCK_CLASS
    LOCK_CLASSES,
};

struct lock_class_info {
    enum lock_kind kind;
    const char *name;
    bool pair; /* two of the class may be held at once */
    const char *where, *covers;
};

/** lock_class_of() - the class of a lock by its kind and name; LOCK_UNKNOWN: there is none. */
enum lock_class lock_class_of(enum lock_kind kind, const char *name);

/** lock_class_info() - a row of the table, other than LOCK_UNKNOWN's. */
const struct lock_class_info *lock_class_info(enum lock_class c);

#endif /* KERN_LOCKORDER_H */
