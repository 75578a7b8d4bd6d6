/*
 * sys_arch.c - lwIP's operating system layer (lwip/sys.h) on the kernel's threads.
 *
 * One lock, lock_tcpip_core (mutex), covers all of lwIP. Commands call lwIP in their own threads
 * with it held; the thread "tcpip" runs timers and takes received frames. So a call costs no switch
 * of threads, and received frames are taken in batches by one who may sleep for the lock. Locks, in
 * order: lock_tcpip_core, then a semaphore's or mailbox's own spinlock, then its wait queue's;
 * prot_lock is a leaf that nests. Suspend: lwIP's time is clock_now(), which stands still.
 */
#include "lwip/sys.h"

#include "kern/thread.h"
#include "lwip/tcpip.h"
#include "psm/clock.h"
#include "psm/cpu.h"

static spinlock_t prot_lock = SPINLOCK("lwip protect");
static unsigned prot_depth; /* under prot_lock */

void sys_init(void)
{
}

u32_t sys_now(void)
{
    return (u32_t)(clock_now() / NSEC_PER_MSEC);
}

sys_prot_t sys_arch_protect(void)
{
    upcall_state_t state = upcalls_save();

    if (READ_ONCE(prot_lock.owner) != (int16_t)this_cpu()->id) {
        spin_acquire(&prot_lock);
    }
    prot_depth++;
    return state;
}

void sys_arch_unprotect(sys_prot_t state)
{
    if (--prot_depth == 0) {
        spin_release(&prot_lock);
    }
    upcalls_restore(state);
}

sys_thread_t sys_thread_new(const char *name, lwip_thread_fn fn, void *arg, int stacksize, int prio)
{
    struct thread *t = thread_create(name, fn, arg, PRIO_NORMAL);

    (void)stacksize;
    (void)prio;
    if (t != NULL) {
        thread_detach(t);
    }
    return t;
}

/* ---- locks ---- */

err_t sys_mutex_new(sys_mutex_t *mutex)
{
    mutex_init(&mutex->m, "lwip");
    mutex->valid = true;
    return ERR_OK;
}

void sys_mutex_lock(sys_mutex_t *mutex)
{
    mutex_lock(&mutex->m);
}

void sys_mutex_unlock(sys_mutex_t *mutex)
{
    mutex_unlock(&mutex->m);
}

void sys_mutex_free(sys_mutex_t *mutex)
{
    mutex->valid = false;
}

/* Before the thread runs, while lwIP sets itself up, nobody else can call it. */
void port_assert_core_locked(void)
{
    ASSERT(!lock_tcpip_core.valid || !lock_tcpip_core.m.owner ||
           lock_tcpip_core.m.owner == thread_self());
}

/* ---- semaphores ---- */

err_t sys_sem_new(sys_sem_t *sem, u8_t count)
{
    spin_init(&sem->lock, "lwip semaphore");
    waitq_init(&sem->wq, "lwip semaphore");
    sem->count = count;
    sem->valid = true;
    return ERR_OK;
}

void sys_sem_signal(sys_sem_t *sem)
{
    upcall_state_t state = spin_lock(&sem->lock);

    sem->count++;
    waitq_wake_one(&sem->wq);
    spin_unlock(&sem->lock, state);
}

static bool sem_take(sys_sem_t *sem)
{
    upcall_state_t state = spin_lock(&sem->lock);
    bool taken = sem->count != 0;

    sem->count -= taken;
    spin_unlock(&sem->lock, state);
    return taken;
}

/* lwIP's timeouts: milliseconds from now, 0 for none. */
static nsec_t deadline_of(u32_t timeout)
{
    return timeout != 0 ? clock_now() + timeout * NSEC_PER_MSEC : NSEC_FOREVER;
}

u32_t sys_arch_sem_wait(sys_sem_t *sem, u32_t timeout)
{
    u32_t start = sys_now();

    if (wait_event_until(&sem->wq, sem_take(sem), deadline_of(timeout))) {
        return SYS_ARCH_TIMEOUT;
    }
    return sys_now() - start;
}

void sys_sem_free(sys_sem_t *sem)
{
    sem->valid = false;
}

/* ---- mailboxes ---- */

err_t sys_mbox_new(sys_mbox_t *mbox, int size)
{
    mbox->ring = heap_calloc((size_t)size, sizeof(*mbox->ring));
    if (mbox->ring == NULL) {
        return ERR_MEM;
    }
    spin_init(&mbox->lock, "lwip mailbox");
    waitq_init(&mbox->filled, "lwip mailbox");
    waitq_init(&mbox->drained, "lwip mailbox");
    mbox->size = (unsigned)size;
    mbox->head = mbox->count = 0;
    return ERR_OK;
}

err_t sys_mbox_trypost(sys_mbox_t *mbox, void *msg)
{
    upcall_state_t state = spin_lock(&mbox->lock);
    bool room = mbox->count < mbox->size;

    if (room) {
        mbox->ring[(mbox->head + mbox->count++) % mbox->size] = msg;
        waitq_wake_one(&mbox->filled);
    }
    spin_unlock(&mbox->lock, state);
    return room ? ERR_OK : ERR_MEM;
}

err_t sys_mbox_trypost_fromisr(sys_mbox_t *mbox, void *msg)
{
    return sys_mbox_trypost(mbox, msg);
}

void sys_mbox_post(sys_mbox_t *mbox, void *msg)
{
    wait_event(&mbox->drained, sys_mbox_trypost(mbox, msg) == ERR_OK);
}

static bool mbox_take(sys_mbox_t *mbox, void **msg)
{
    upcall_state_t state = spin_lock(&mbox->lock);
    bool taken = mbox->count != 0;

    if (taken) {
        void *found = mbox->ring[mbox->head];

        mbox->head = (mbox->head + 1) % mbox->size;
        mbox->count--;
        waitq_wake_one(&mbox->drained);
        if (msg != NULL) {
            *msg = found;
        }
    }
    spin_unlock(&mbox->lock, state);
    return taken;
}

u32_t sys_arch_mbox_fetch(sys_mbox_t *mbox, void **msg, u32_t timeout)
{
    u32_t start = sys_now();

    if (wait_event_until(&mbox->filled, mbox_take(mbox, msg), deadline_of(timeout))) {
        if (msg != NULL) {
            *msg = NULL;
        }
        return SYS_ARCH_TIMEOUT;
    }
    return sys_now() - start;
}

u32_t sys_arch_mbox_tryfetch(sys_mbox_t *mbox, void **msg)
{
    return mbox_take(mbox, msg) ? 0 : SYS_MBOX_EMPTY;
}

void sys_mbox_free(sys_mbox_t *mbox)
{
    heap_free(mbox->ring);
    mbox->ring = NULL;
}
