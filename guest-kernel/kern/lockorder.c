/*
 * lockorder.c - looking things up in the table of locks.
 */
#include "kern/lockorder.h"

#include "kern/string.h"
#include "os/panic.h"

#define ONE  false
#define PAIR true

static const struct lock_class_info classes[LOCK_CLASSES] = {
#define LOCK_CLASS(id, kind_, name_, pair_, where_, covers_) \
    [LOCK_##id] = {LOCK_KIND_##kind_, (name_), pair_, (where_), (covers_)},
#include "kern/lockorder.def"
#undef LOCK_CLASS
};

enum lock_class lock_class_of(enum lock_kind kind, const char *name)
{
    for (enum lock_class c = LOCK_UNKNOWN + 1; c < LOCK_CLASSES; c++) {
        if (classes[c].kind == kind && strcmp(classes[c].name, name) == 0) {
            return c;
        }
    }
    return LOCK_UNKNOWN;
}

const struct lock_class_info *lock_class_info(enum lock_class c)
{
    ASSERT(c > LOCK_UNKNOWN && c < LOCK_CLASSES);
    return &classes[c];
}
