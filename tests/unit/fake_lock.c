/*
 * The kernel's spinlocks for a test that has one thread and one processor: that nobody takes a lock
 * that is held is all there is to see.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kern/lock.h"

upcall_state_t spin_lock(spinlock_t *lock)
{
    assert_int_equal(lock->owner, -1);
    lock->owner = 0;
    return false;
}

void spin_unlock(spinlock_t *lock, upcall_state_t state)
{
    (void)state;
    lock->owner = -1;
}
