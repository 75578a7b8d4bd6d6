/*
 * How a worker begins: in place of libxenevtchn and libxengnttab stand functions that look whether
 * the lock on what an earlier worker left is held by then. That one may not have ended: until the
 * lock is there, neither its rings nor its event channels are free.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../backend-daemons/block/blk_worker.h"
#include "../../backend-daemons/net/net_worker.h"

enum { RETRIES = 3, LOCAL_PORT = 40 };

static _Alignas(4096) uint8_t page[4096];
static int kept_fd; /* the supervisor's */
static unsigned int calls, calls_unlocked, refusals;

/* Whether somebody holds the lock. */
static bool is_locked(void)
{
    char path[40];
    bool locked;
    int fd;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", kept_fd);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    locked = flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    close(fd);
    return locked;
}

static void look_at_lock(void)
{
    calls++;
    calls_unlocked += is_locked() ? 0 : 1;
}

void *xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t count, uint32_t domid,
                                      uint32_t *refs, int prot)
{
    (void)xgt;
    (void)count;
    (void)domid;
    (void)refs;
    (void)prot;
    look_at_lock();
    return page;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid,
                                                     evtchn_port_t remote)
{
    (void)xce;
    (void)domid;
    (void)remote;
    look_at_lock();
    if (refusals > 0) {
        refusals--;
        errno = EINVAL; /* what Xen says of a port that is bound elsewhere */
        return -1;
    }
    return LOCAL_PORT;
}

static int setup(void **state)
{
    (void)state;
    memset(page, 0, sizeof(page));
    calls = calls_unlocked = refusals = 0;
    return 0;
}

/* Leaves what a worker leaves that serves. */
static void leave_open(void)
{
    struct kept_head *head = mmap(NULL, sizeof(*head), PROT_WRITE, MAP_SHARED, kept_fd, 0);

    assert_true(head != MAP_FAILED);
    head->state = KEPT_OPEN;
    munmap(head, sizeof(*head));
}

/* Has a disk's worker connect. Returns what that returns. */
static int connect_disk(void)
{
    static struct blk_worker b;
    int err;

    memset(&b, 0, sizeof(b));
    b.base.class = &blk_worker_class;
    b.base.head = &b.config.head;
    b.config.nr_pages = 1;
    b.config.sectors = 8;
    b.config.block_device = true; /* no limit for this process */
    b.base.fds[BLK_WIRE_FD_IMAGE] = open("/dev/null", O_RDWR | O_CLOEXEC);
    b.base.fds[BLK_WIRE_FD_LOCK] = -1;
    b.base.fds[BLK_WIRE_FD_LOG] = kept_fd;
    err = blk_worker_class.connect(&b.base);
    if (err == 0) {
        assert_int_equal(b.port, LOCAL_PORT);
        io_uring_queue_exit(&b.base.uring);
        munmap(b.queue.slots[0].buf, (size_t)b.queue.nr_slots * BLK_QUEUE_SLOT_BYTES);
    }
    free(b.queue.copies.segs);
    free(b.queue.copies.tags);
    close(b.base.fds[BLK_WIRE_FD_IMAGE]);
    return err;
}

/* The same for an interface with one queue and two event channels. */
static int connect_interface(void)
{
    static struct net_worker n;

    memset(&n, 0, sizeof(n));
    n.base.class = &net_worker_class;
    n.base.head = &n.config.head;
    n.config.nr_queues = 1;
    n.config.queues[0] =
        (struct net_wire_queue){.tx_ref = 8, .rx_ref = 9, .tx_port = 1, .rx_port = 2};
    n.base.fds[0] = -1;
    n.base.fds[1] = kept_fd;
    return net_worker_class.connect(&n.base);
}

static void a_disk_is_locked_before_its_ring_is_touched(void **state)
{
    (void)state;
    kept_fd = inflight_create();
    assert_int_equal(connect_disk(), 0);
    assert_int_equal(calls, 2);
    assert_int_equal(calls_unlocked, 0);
    close(kept_fd);
}

static void an_interface_is_locked_before_its_rings_are_touched(void **state)
{
    (void)state;
    kept_fd = net_estate_create();
    assert_int_equal(connect_interface(), 0);
    assert_int_equal(calls, 4);
    assert_int_equal(calls_unlocked, 0);
    close(kept_fd);
}

/* Killed, it may be bound for a moment longer than it is locked. */
static void a_port_of_an_earlier_worker_is_waited_for(void **state)
{
    (void)state;
    kept_fd = inflight_create();
    leave_open();
    refusals = RETRIES;
    assert_int_equal(connect_disk(), 0);
    assert_int_equal(refusals, 0);
    close(kept_fd);
}

static void a_wrong_port_of_a_new_ring_is_refused_at_once(void **state)
{
    (void)state;
    kept_fd = inflight_create();
    refusals = RETRIES;
    assert_int_equal(connect_disk(), -EINVAL);
    assert_int_equal(refusals, RETRIES - 1);
    close(kept_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_disk_is_locked_before_its_ring_is_touched, setup),
        cmocka_unit_test_setup(an_interface_is_locked_before_its_rings_are_touched, setup),
        cmocka_unit_test_setup(a_port_of_an_earlier_worker_is_waited_for, setup),
        cmocka_unit_test_setup(a_wrong_port_of_a_new_ring_is_refused_at_once, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
