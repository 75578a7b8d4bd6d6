/*
 * net.c - the table of interfaces, their users, and the calls under way to those.
 *
 * Owns the table (roster.h); a struct net_dev is its driver's memory and lives until its last
 * reference is gone. A call of a user's function is counted in dev->calls, made without a lock, and
 * net_close() waits for the count to drop. Locks: the table's and net_lock (spinlock: users,
 * calls), leaves.
 */
#include "io/net.h"

#include "kern/lock.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "kern/wait.h"

static spinlock_t net_lock = SPINLOCK("net users");
static struct roster interfaces = ROSTER(interfaces, "net");
static void (*arrival)(struct net_dev *dev);
static struct waitq calls_wq = WAITQ(calls_wq, "net-calls"); /* woken when a call ends */

static struct net_dev *net_of(struct rostered *d)
{
    return d != NULL ? CONTAINER_OF(d, struct net_dev, entry) : NULL;
}

/* Tells that @dev is there, once. */
static void announce(struct net_dev *dev)
{
    upcall_state_t s = spin_lock(&net_lock);
    void (*tell)(struct net_dev *) = dev->announced ? NULL : arrival;

    if (tell != NULL) {
        dev->announced = true;
    }
    spin_unlock(&net_lock, s);
    if (tell != NULL) {
        tell(dev);
    }
}

void net_init(struct net_dev *dev, const char *name, const struct net_ops *ops)
{
    *dev = (struct net_dev){.ops = ops};
    strlcpy(dev->name, name, sizeof(dev->name));
    rostered_init(&dev->entry, dev->name);
}

int net_register(struct net_dev *dev)
{
    int rc = roster_add(&interfaces, &dev->entry);

    if (rc == 0) {
        announce(dev);
    }
    return rc;
}

/* Begins a call: the user, or NULL if there is none. */
static const struct net_user *net_enter(struct net_dev *dev, void **arg)
{
    upcall_state_t s = spin_lock(&net_lock);
    const struct net_user *user = dev->user;

    if (user != NULL) {
        *arg = dev->user_arg;
        dev->calls++;
    }
    spin_unlock(&net_lock, s);
    return user;
}

static void net_leave(struct net_dev *dev)
{
    upcall_state_t s = spin_lock(&net_lock);
    bool closing = dev->user == NULL;

    dev->calls--;
    spin_unlock(&net_lock, s);
    if (closing) {
        waitq_wake_all(&calls_wq);
    }
}

void net_withdraw(struct net_dev *dev)
{
    bool listed = roster_remove(&interfaces, &dev->entry);
    void *arg;
    const struct net_user *user = listed ? net_enter(dev, &arg) : NULL;

    if (user != NULL) {
        WRITE_ONCE(dev->teller, thread_self());
        user->gone(arg);
        WRITE_ONCE(dev->teller, NULL);
        net_leave(dev);
    }
}

void net_receive(struct net_dev *dev, const struct net_frame *frame, const struct net_piece *pieces,
                 unsigned n)
{
    void *arg;
    const struct net_user *user = net_enter(dev, &arg);

    if (user != NULL) {
        user->receive(arg, frame, pieces, n);
        net_leave(dev);
    }
}

void net_writable(struct net_dev *dev)
{
    void *arg;
    const struct net_user *user = net_enter(dev, &arg);

    if (user != NULL) {
        user->writable(arg);
        net_leave(dev);
    }
}

void net_changed(struct net_dev *dev)
{
    void *arg;
    const struct net_user *user = net_enter(dev, &arg);

    if (user != NULL) {
        user->changed(arg);
        net_leave(dev);
    }
}

struct net_dev *net_get(const char *name)
{
    return net_of(roster_get(&interfaces, name));
}

void net_put(struct net_dev *dev)
{
    if (roster_put(&interfaces, &dev->entry)) {
        dev->ops->release(dev);
    }
}

struct net_dev *net_next(struct net_dev *prev)
{
    struct net_dev *next = net_of(roster_next(&interfaces, prev != NULL ? &prev->entry : NULL));

    if (prev != NULL) {
        net_put(prev);
    }
    return next;
}

void net_set_arrival(void (*arrived)(struct net_dev *dev))
{
    upcall_state_t s = spin_lock(&net_lock);

    arrival = arrived;
    spin_unlock(&net_lock, s);
    for (struct net_dev *dev = net_next(NULL); dev != NULL; dev = net_next(dev)) {
        announce(dev);
    }
}

/* The reference comes first: the user's functions may be called as soon as it is there. */
int net_open(struct net_dev *dev, const struct net_user *user, void *arg)
{
    roster_hold(&interfaces, &dev->entry);
    upcall_state_t s = spin_lock(&net_lock);
    int rc = dev->user != NULL ? -EBUSY : 0;

    if (!READ_ONCE(dev->entry.listed)) {
        rc = -ENODEV;
    }
    if (rc == 0) {
        dev->user = user;
        dev->user_arg = arg;
    }
    spin_unlock(&net_lock, s);
    if (rc != 0) {
        net_put(dev);
    }
    return rc;
}

/* The user's @gone may close: its own call is not waited for. */
static bool quiet(struct net_dev *dev)
{
    unsigned own = READ_ONCE(dev->teller) == thread_self() ? 1 : 0;

    return READ_ONCE(dev->calls) == own;
}

void net_close(struct net_dev *dev)
{
    upcall_state_t s = spin_lock(&net_lock);

    dev->user = NULL;
    spin_unlock(&net_lock, s);
    wait_event(&calls_wq, quiet(dev));
    net_put(dev);
}

void net_get_info(struct net_dev *dev, struct net_info *info)
{
    dev->ops->info(dev, info);
}

int net_transmit(struct net_dev *dev, const struct net_frame *frame, const struct net_piece *pieces,
                 unsigned n)
{
    if (n == 0 || n > NET_PIECES_MAX || frame->len < NET_HEADER_LEN || frame->len > NET_FRAME_MAX) {
        return -EMSGSIZE;
    }
    return READ_ONCE(dev->entry.listed) ? dev->ops->transmit(dev, frame, pieces, n) : -ENODEV;
}

int net_set_multicast(struct net_dev *dev, const uint8_t (*macs)[NET_MAC_LEN], unsigned n)
{
    return dev->ops->multicast != NULL ? dev->ops->multicast(dev, macs, n) : 0;
}
