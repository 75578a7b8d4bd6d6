/*
 * net.c - the table of interfaces, their users, and the calls under way to those.
 *
 * Owns the table; a struct net_dev is its driver's memory and lives until its last reference is
 * gone. A call of a user's function is counted in dev->calls, made without a lock, and net_close()
 * waits for the count to drop.
 * Locks: net_lock (spinlock), a leaf. Suspend: nothing to do here.
 */
#include "io/net.h"

#include "io/name.h"
#include "kern/lock.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "kern/wait.h"

static spinlock_t net_lock = SPINLOCK("net");
static XEN_TAILQ_HEAD(net_list, struct net_dev) interfaces = XEN_TAILQ_HEAD_INITIALIZER(interfaces);
static void (*arrival)(struct net_dev *dev);
static struct waitq calls_wq = WAITQ(calls_wq, "net-calls"); /* woken when a call ends */

/* Caller holds net_lock. */
static struct net_dev *find(const char *name)
{
    struct net_dev *dev;

    XEN_TAILQ_FOREACH (dev, &interfaces, link) {
        if (!strcmp(dev->name, name)) {
            return dev;
        }
    }
    return NULL;
}

/* Who is to be told that @dev is there, once. Caller holds net_lock. */
static void (*claim_arrival(struct net_dev *dev))(struct net_dev *dev)
{
    if (!arrival || dev->announced) {
        return NULL;
    }
    dev->announced = true;
    return arrival;
}

void net_init(struct net_dev *dev, const char *name, const struct net_ops *ops)
{
    *dev = (struct net_dev){.ops = ops, .refs = 1};
    strlcpy(dev->name, name, sizeof(dev->name));
}

int net_register(struct net_dev *dev)
{
    void (*arrived)(struct net_dev *) = NULL;
    upcall_state_t s = spin_lock(&net_lock);
    int rc = find(dev->name) ? -EEXIST : 0;

    if (!rc) {
        struct net_dev *after;

        dev->listed = true;
        XEN_TAILQ_FOREACH (after, &interfaces, link) {
            if (name_sorts_before(dev->name, after->name)) {
                break;
            }
        }
        if (after) {
            XEN_TAILQ_INSERT_BEFORE(after, dev, link);
        } else {
            XEN_TAILQ_INSERT_TAIL(&interfaces, dev, link);
        }
        arrived = claim_arrival(dev);
    }
    spin_unlock(&net_lock, s);
    if (arrived) {
        arrived(dev);
    }
    return rc;
}

/* Begins a call: the user, or NULL if there is none. */
static const struct net_user *enter(struct net_dev *dev, void **arg)
{
    upcall_state_t s = spin_lock(&net_lock);
    const struct net_user *user = dev->user;

    if (user) {
        *arg = dev->user_arg;
        dev->calls++;
    }
    spin_unlock(&net_lock, s);
    return user;
}

static void leave(struct net_dev *dev)
{
    upcall_state_t s = spin_lock(&net_lock);
    bool closing = !dev->user;

    dev->calls--;
    spin_unlock(&net_lock, s);
    if (closing) {
        waitq_wake_all(&calls_wq);
    }
}

void net_withdraw(struct net_dev *dev)
{
    upcall_state_t s = spin_lock(&net_lock);
    bool listed = dev->listed;

    if (listed) {
        dev->listed = false;
        XEN_TAILQ_REMOVE(&interfaces, dev, link);
    }
    spin_unlock(&net_lock, s);

    void *arg;
    const struct net_user *user = listed ? enter(dev, &arg) : NULL;
    if (user) {
        WRITE_ONCE(dev->teller, thread_self());
        user->gone(arg);
        WRITE_ONCE(dev->teller, NULL);
        leave(dev);
    }
}

void net_receive(struct net_dev *dev, const struct net_frame *frame, const struct net_piece *pieces,
                 unsigned n)
{
    void *arg;
    const struct net_user *user = enter(dev, &arg);

    if (user) {
        user->receive(arg, frame, pieces, n);
        leave(dev);
    }
}

void net_writable(struct net_dev *dev)
{
    void *arg;
    const struct net_user *user = enter(dev, &arg);

    if (user) {
        user->writable(arg);
        leave(dev);
    }
}

void net_changed(struct net_dev *dev)
{
    void *arg;
    const struct net_user *user = enter(dev, &arg);

    if (user) {
        user->changed(arg);
        leave(dev);
    }
}

struct net_dev *net_get(const char *name)
{
    upcall_state_t s = spin_lock(&net_lock);
    struct net_dev *dev = find(name);

    if (dev) {
        dev->refs++;
    }
    spin_unlock(&net_lock, s);
    return dev;
}

void net_put(struct net_dev *dev)
{
    upcall_state_t s = spin_lock(&net_lock);
    bool last = --dev->refs == 0;

    spin_unlock(&net_lock, s);
    if (last) {
        dev->ops->release(dev);
    }
}

struct net_dev *net_next(struct net_dev *prev)
{
    upcall_state_t s = spin_lock(&net_lock);
    struct net_dev *dev;

    XEN_TAILQ_FOREACH (dev, &interfaces, link) {
        if (!prev || name_sorts_before(prev->name, dev->name)) {
            dev->refs++;
            break;
        }
    }
    spin_unlock(&net_lock, s);
    if (prev) {
        net_put(prev);
    }
    return dev;
}

void net_set_arrival(void (*arrived)(struct net_dev *dev))
{
    upcall_state_t s = spin_lock(&net_lock);

    arrival = arrived;
    spin_unlock(&net_lock, s);
    for (struct net_dev *dev = net_next(NULL); dev; dev = net_next(dev)) {
        s = spin_lock(&net_lock);
        void (*tell)(struct net_dev *) = claim_arrival(dev);
        spin_unlock(&net_lock, s);
        if (tell) {
            tell(dev);
        }
    }
}

int net_open(struct net_dev *dev, const struct net_user *user, void *arg)
{
    upcall_state_t s = spin_lock(&net_lock);
    int rc = dev->user ? -EBUSY : 0;

    if (!dev->listed) {
        rc = -ENODEV;
    }
    if (!rc) {
        dev->user = user;
        dev->user_arg = arg;
        dev->refs++;
    }
    spin_unlock(&net_lock, s);
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
    return READ_ONCE(dev->listed) ? dev->ops->transmit(dev, frame, pieces, n) : -ENODEV;
}

int net_set_multicast(struct net_dev *dev, const uint8_t (*macs)[NET_MAC_LEN], unsigned n)
{
    return dev->ops->multicast ? dev->ops->multicast(dev, macs, n) : 0;
}
