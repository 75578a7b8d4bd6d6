/*
 * user.c - loading what ring 3 needs: see user.h.
 */
#include "psm/user.h"

#include "kern/sched.h"
#include "os/hypercall.h"
#include "os/panic.h"

void user_load(const struct user_cpu *user, const void *stack_top)
{
    struct multicall_entry calls[] = {
        {.op = __HYPERVISOR_stack_switch, .args = {FLAT_KERNEL_SS, (unsigned long)stack_top}},
        {.op = __HYPERVISOR_set_segment_base, .args = {SEGBASE_FS, user->fs_base}},
        {.op = __HYPERVISOR_set_segment_base, .args = {SEGBASE_GS_USER, user->gs_base}},
    };
    long rc = HYPERVISOR_multicall(calls, ARRAY_SIZE(calls));

    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        ASSERT(rc == 0 && calls[i].result == 0);
    }
}

void user_begin(struct user_cpu *user)
{
    upcall_state_t state = upcalls_save();
    struct thread *self = this_cpu()->current;

    self->user = user;
    if (user != NULL) {
        user_load(user, self->stack + THREAD_STACK_SIZE);
    }
    upcalls_restore(state);
}
