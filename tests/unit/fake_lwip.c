/*
 * fake_lwip.c - what lwIP and the sockets stand on: see fake_lwip.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fake_lwip.h"
#include "lwip/init.h"
#include "lwip/netif.h"
#include "kern/thread.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcpip.h"
#include "lwip/timeouts.h"
#include "net/heap.h"
#include "net/port/hooks.h"
#include "net/sock_impl.h"
#include "net/stack.h"

static u32_t now = 1000;
size_t fake_used;
bool fake_no_memory, fake_short_of_memory, fake_no_packets;
bool fake_core_locked, fake_reader_locked;
sys_mutex_t lock_tcpip_core;

struct thread *thread_self(void)
{
    return NULL;
}

void mutex_init(struct mutex *m, const char *name)
{
    (void)m;
    (void)name;
}

void mutex_lock(struct mutex *m)
{
    (void)m;
    assert_false(fake_reader_locked || fake_core_locked);
    fake_reader_locked = true;
}

void mutex_unlock(struct mutex *m)
{
    (void)m;
    assert_true(fake_reader_locked);
    fake_reader_locked = false;
}

void sys_mutex_lock(sys_mutex_t *m)
{
    (void)m;
    assert_false(fake_core_locked);
    fake_core_locked = true;
}

void sys_mutex_unlock(sys_mutex_t *m)
{
    (void)m;
    assert_true(fake_core_locked);
    fake_core_locked = false;
}

void port_assert_core_locked(void)
{
    assert_true(fake_core_locked);
}

void *heap_alloc(size_t size)
{
    bool refuse = fake_no_memory || (fake_no_packets && size == sizeof(struct sock_packet));
    size_t *p = refuse ? NULL : malloc(16 + size);

    if (p == NULL) {
        return NULL;
    }
    *p = size;
    fake_used += size;
    return p + 2;
}

void *heap_calloc(size_t count, size_t size)
{
    void *p = heap_alloc(count * size);

    return p == NULL ? NULL : memset(p, 0, count * size);
}

void heap_free(void *p)
{
    if (p != NULL) {
        size_t *size = (size_t *)p - 2;

        fake_used -= *size;
        free(size);
    }
}

bool heap_users_may_take(void)
{
    return !fake_short_of_memory;
}

int net_stack_start(void)
{
    return 0;
}

bool net_stack_runs(void)
{
    return true;
}

u32_t sys_now(void)
{
    return now;
}

void sys_init(void)
{
}

sys_prot_t sys_arch_protect(void)
{
    return false;
}

void sys_arch_unprotect(sys_prot_t state)
{
    (void)state;
}

uint32_t random_u32(void)
{
    static uint32_t state = 1;

    return state = state * 1664525 + 1013904223;
}

u32_t random_isn(const ip_addr_t *local, u16_t local_port, const ip_addr_t *remote,
                 u16_t remote_port)
{
    (void)local;
    (void)remote;
    return random_u32() + local_port + remote_port;
}

u32_t *ethif_segment(struct pbuf *p, const struct tcp_pcb *pcb, u32_t *opts)
{
    (void)p;
    (void)pcb;
    return opts;
}

void tcp_timer_needed(void)
{
}

_Noreturn void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vprint_error(fmt, ap);
    va_end(ap);
    abort();
}

/* The loopback asks for a turn by this; it has them in pump(). */
err_t tcpip_try_callback(tcpip_callback_fn fn, void *ctx)
{
    (void)fn;
    (void)ctx;
    return ERR_OK;
}

err_t tcpip_inpkt(struct pbuf *p, struct netif *inp, netif_input_fn fn)
{
    return fn(p, inp);
}

err_t tcpip_input(struct pbuf *p, struct netif *inp)
{
    return ip_input(p, inp);
}

void fake_pump(unsigned ms)
{
    for (unsigned i = 0; i <= ms / TCP_TMR_INTERVAL; i++) {
        struct netif *netif;

        LOCK_TCPIP_CORE();
        for (unsigned k = 0; k < 50; k++) {
            NETIF_FOREACH(netif)
            {
                netif_poll(netif);
            }
        }
        if (i != 0) {
            now += TCP_TMR_INTERVAL;
            tcp_tmr();
        }
        UNLOCK_TCPIP_CORE();
    }
}

/* Not called: nobody waits here. */
void sys_timeouts_init(void)
{
}

err_t sys_sem_new(sys_sem_t *sem, u8_t count)
{
    (void)sem;
    (void)count;
    return ERR_MEM;
}

u32_t sys_arch_sem_wait(sys_sem_t *sem, u32_t timeout)
{
    (void)sem;
    return timeout;
}

void sys_sem_free(sys_sem_t *sem)
{
    (void)sem;
}

void fake_lwip_begin(void)
{
    static bool started;

    if (!started) {
        sys_mutex_lock(&lock_tcpip_core);
        lwip_init();
        sys_mutex_unlock(&lock_tcpip_core);
        started = true;
    }
    fake_no_memory = fake_short_of_memory = fake_no_packets = false;
}
