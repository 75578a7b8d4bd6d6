/*
 * stack.c - starting lwIP; names, addresses and errors for its users. See stack.h.
 *
 * Locks: start_lock (mutex), over lwIP's.
 */
#include "net/stack.h"

#include "kern/string.h"
#include "kern/wait.h"
#include "lwip/api.h"
#include "lwip/dns.h"
#include "lwip/ip.h"
#include "lwip/sys.h"
#include "lwip/tcpip.h"
#include "net/ethif.h"
#include "net/heap.h"
#include "psm/clock.h"

#define QUOTA_MIN (128 * 1024) /* bytes: with less there is no memory for its thread, either */
#define LOOK_UP   (200 * NSEC_PER_MSEC) /* how often a waiting command looks whether to give up */

/* Else what a full window brings would be dropped, and the peer would take it for lost. */
_Static_assert(TCP_WND / 1460 < DEFAULT_TCP_RECVMBOX_SIZE, "a window fits the mailbox");

static struct mutex start_lock;
static bool started; /* under start_lock; who sees it without that may take lwIP's lock */

void net_stack_init(void)
{
    mutex_init(&start_lock, "net start");
    net_set_arrival(ethif_arrived);
}

static void is_up(void *arg)
{
    sys_sem_signal(arg);
}

bool net_stack_runs(void)
{
    return __atomic_load_n(&started, __ATOMIC_ACQUIRE);
}

int net_stack_start(void)
{
    sys_sem_t up;

    mutex_lock(&start_lock);
    if (!started) {
        heap_boot();
        if (heap_quota() >= QUOTA_MIN && sys_sem_new(&up, 0) == ERR_OK) {
            tcpip_init(is_up, &up);
            sys_sem_wait(&up);
            __atomic_store_n(&started, true, __ATOMIC_RELEASE);
        }
    }
    int rc = started ? 0 : -ENOMEM;
    mutex_unlock(&start_lock);
    return rc;
}

const char *net_if_name(const struct netif *netif)
{
    const struct ethif *e = ethif_of(netif);

    return e != NULL ? e->name : "lo";
}

struct netif *net_if_find(const char *name)
{
    struct netif *netif;

    NETIF_FOREACH(netif)
    {
        if (strcmp(net_if_name(netif), name) == 0) {
            return netif;
        }
    }
    return NULL;
}

bool net_if_info(const struct netif *netif, struct net_info *info)
{
    const struct ethif *e = ethif_of(netif);

    if (e != NULL) {
        net_get_info(e->dev, info);
    }
    return e != NULL;
}

void net_addr_text(const ip_addr_t *addr, char *text, size_t size)
{
    if (ipaddr_ntoa_r(addr, text, (int)size) == NULL) {
        strlcpy(text, "?", size);
    }
    for (char *c = text; *c != '\0' && *c != '%'; c++) {
        *c = lwip_tolower(*c);
    }
}

struct netconn *net_listen(uint16_t port, int timeout, err_t *err)
{
    struct netconn *conn = netconn_new(NETCONN_TCP_IPV6);

    *err = ERR_MEM;
    if (conn == NULL) {
        return NULL;
    }
    LOCK_TCPIP_CORE();
    ip_set_option(conn->pcb.ip, SOF_REUSEADDR);
    UNLOCK_TCPIP_CORE();
    netconn_set_recvtimeout(conn, timeout);
    *err = netconn_bind(conn, IP6_ADDR_ANY, port);
    if (*err == 0) {
        *err = netconn_listen(conn);
    }
    if (*err != 0) {
        netconn_delete(conn);
        return NULL;
    }
    return conn;
}

void net_bulk(struct netconn *conn)
{
    LOCK_TCPIP_CORE();
    if (conn->pcb.tcp != NULL) {
        ethif_bulk(conn->pcb.tcp);
    }
    UNLOCK_TCPIP_CORE();
}

/* In the order of lwip/err.h, from ERR_OK down. */
static const char *const errors[] = {
    "no error",
    "out of the network's memory",
    "out of the network's buffers",
    "timed out",
    "no route to it",
    "in progress",
    "not a valid value",
    "would block",
    "the address is in use",
    "connecting already",
    "connected already",
    "not connected",
    "the interface cannot send",
    "the connection was aborted",
    "the peer refused or reset the connection",
    "the connection is closed",
    "not a valid argument",
};

const char *net_strerror(err_t err)
{
    unsigned index = (unsigned)-err;

    return index < ARRAY_SIZE(errors) ? errors[index] : "an unknown error";
}

/* A question to DNS: its asker may leave before the answer comes. All under lwIP's lock. */
struct question {
    sys_sem_t answered;
    ip_addr_t addr;
    bool found, abandoned;
};

static void stack_answer(const char *name, const ip_addr_t *addr, void *arg)
{
    struct question *q = arg;

    (void)name;
    if (q->abandoned) {
        heap_free(q);
        return;
    }
    q->found = addr != NULL;
    if (addr != NULL) {
        q->addr = *addr;
    }
    sys_sem_signal(&q->answered);
}

/* Waits for the answer, or until the asker gives up; then the question is the answerer's. */
static int wait_answer(struct question *q, bool (*give_up)(void *arg), void *arg)
{
    while (sys_arch_sem_wait(&q->answered, LOOK_UP / NSEC_PER_MSEC) == SYS_ARCH_TIMEOUT) {
        if (give_up != NULL && give_up(arg)) {
            LOCK_TCPIP_CORE();
            bool late = q->answered.count == 0;
            q->abandoned = late;
            UNLOCK_TCPIP_CORE();
            if (late) {
                return -EAGAIN;
            }
        }
    }
    return q->found ? 0 : -ENOENT;
}

int net_resolve(const char *host, uint8_t type, bool (*give_up)(void *arg), void *arg,
                ip_addr_t *addr)
{
    struct question *q = heap_calloc(1, sizeof(*q));

    if (q == NULL || sys_sem_new(&q->answered, 0) != ERR_OK) {
        heap_free(q);
        return -ENOMEM;
    }
    LOCK_TCPIP_CORE();
    err_t err = dns_gethostbyname_addrtype(host, addr, stack_answer, q, type);
    UNLOCK_TCPIP_CORE();
    int rc = err == ERR_OK ? 0 : err == ERR_INPROGRESS ? wait_answer(q, give_up, arg) : -ENOENT;
    if (err == ERR_INPROGRESS && rc == 0) {
        *addr = q->addr;
    }
    if (rc != -EAGAIN) {
        heap_free(q);
    }
    return rc;
}
