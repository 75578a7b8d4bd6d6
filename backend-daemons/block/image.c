/*
 * Disk images: see image.h.
 *
 * When a user closes while its opener still runs, the two come apart: the opener is killed, and its
 * entry stays until it is reaped. As long as the opener lives it may hold the lock, so the image
 * counts it (`leaving`), and whoever wants the same image waits.
 */
#include "image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uthash.h>

#include "../lib/lacks.h"
#include "../lib/wire.h"

#define NS_PER_MS UINT64_C(1000000)

_Static_assert(sizeof(struct image_key) == 2 * sizeof(uint64_t), "hashed as a whole");

struct image {
    struct image_key key;
    XEN_TAILQ_HEAD(image_users, struct image_user) users;
    unsigned int leaving; /* openers of former users that are not gone yet */
    UT_hash_handle hh;
};

struct image_opener {
    struct child child;
    struct image_table *table;
    struct image_user *user; /* NULL: closed */
    struct image *image;     /* NULL: not known */
    struct loop_timer late;
    char busy[256]; /* who else has it locked, if that is waited for */
    XEN_LIST_ENTRY(struct image_opener) link;
    char path[];
};

/* Whether two users may not have taken the same image at the same time. */
static bool exclude(const struct image_user *a, const struct image_user *b)
{
    return a != b && !(a->read_only && b->read_only) && !a->forced && !b->forced;
}

/* Whether the image cannot even be promised to both: they are not two ends of a migration. */
static bool conflict(const struct image_user *a, const struct image_user *b)
{
    return exclude(a, b) &&
           (a->id.domid == b->id.domid || a->vm[0] == '\0' || strcmp(a->vm, b->vm) != 0);
}

static int check_users(const struct image *image, const struct image_user *user, const char *path,
                       char *why, unsigned long size)
{
    const struct image_user *other = NULL;

    XEN_TAILQ_FOREACH (other, &image->users, link) {
        if (conflict(user, other)) {
            snprintf(
                why, size, "image %s: in use %s by %s %d/%d, and so not available %s to %s %d/%d",
                path, other->read_only ? "read-only" : "read-write", other->id.class,
                other->id.domid, other->id.device, user->read_only ? "read-only" : "read-write",
                user->id.class, user->id.domid, user->id.device);
            return -EBUSY;
        }
    }
    return 0;
}

static struct image *find_image(struct image_table *table, const struct image_key *key)
{
    struct image *image;

    HASH_FIND(hh, table->images, key, sizeof(*key), image);
    if (image == NULL) {
        image = calloc(1, sizeof(*image));
        if (image != NULL) {
            image->key = *key;
            XEN_TAILQ_INIT(&image->users);
            HASH_ADD(hh, table->images, key, sizeof(image->key), image);
        }
    }
    return image;
}

static int order(struct image_opener *o, enum image_order_kind kind, const int *fds,
                 unsigned int nr_fds)
{
    const struct image_order message = {.kind = kind};

    return child_send(&o->child, &message, sizeof(message), fds, nr_fds);
}

/* Has the lock go from one opener to another. Returns 0 or -errno. */
static int join(struct image_opener *from, struct image_opener *to)
{
    int sv[2];
    int err;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0) {
        return -errno;
    }
    err = order(from, IMAGE_ORDER_SHARE, &sv[0], 1);
    if (err == 0) {
        err = order(to, IMAGE_ORDER_JOIN, &sv[1], 1);
    }
    close(sv[0]);
    close(sv[1]);
    return err;
}

/* Who has the lock that `user` has to share, or is about to have it. NULL: nobody. */
static const struct image_user *lock_owner(const struct image_user *user)
{
    const struct image_user *other = NULL, *found = NULL;

    XEN_TAILQ_FOREACH (other, &user->image->users, link) {
        if (exclude(user, other) && other->stage >= IMAGE_LOCKING &&
            (found == NULL || found->stage < other->stage)) {
            found = other;
        }
    }
    return found;
}

/* Lets `user` lock the image if nobody has to be waited for. */
static void advance(struct image_user *user)
{
    const struct image_user *owner = lock_owner(user);
    int err;

    if (owner != NULL ? owner->stage == IMAGE_LOCKING : user->image->leaving != 0) {
        return;
    }
    err = owner != NULL ? join(owner->opener, user->opener)
                        : order(user->opener, IMAGE_ORDER_LOCK, NULL, 0);
    user->stage = IMAGE_LOCKING;
    if (err != 0) {
        child_give_up(&user->opener->child); /* its end tells the user */
    }
}

/* Something was let go: who waits for it goes on. */
static void advance_all(struct image *image)
{
    struct image_user *user = NULL;

    XEN_TAILQ_FOREACH (user, &image->users, link) {
        if (user->stage == IMAGE_WAITING) {
            advance(user);
        }
    }
}

static void free_if_unused(struct image_table *table, struct image *image)
{
    if (XEN_TAILQ_EMPTY(&image->users) && image->leaving == 0) {
        HASH_DEL(table->images, image);
        free(image);
    }
}

/* The user has no opener any more. The opener, which ends, may still hold the lock. */
static void part(struct image_user *user)
{
    struct image_opener *o = user->opener;
    struct image *image = user->image;

    image_drop(user);
    loop_timer_cancel(o->table->loop, &o->late);
    o->user = NULL;
    user->opener = NULL;
    user->image = NULL;
    user->stage = IMAGE_NONE;
    if (image != NULL) {
        XEN_TAILQ_REMOVE(&image->users, user, link);
        image->leaving++;
        advance_all(image);
    }
}

static void tell_end(struct image_opener *o, enum image_event event, int err, const char *why)
{
    struct image_user *user = o->user;

    part(user);
    o->table->on_event(user, event, err, why);
}

/* What this host lacks for a moment takes no image from a guest that waits for it. */
static void fail(struct image_opener *o, int err, const char *why)
{
    tell_end(o, o->user->patient && lacks_for_now(err) ? IMAGE_LOST : IMAGE_FAILED, err, why);
}

/* The image is known; or its lock did not come from where it was to be had. */
static void on_found(struct image_opener *o, const struct image_report *r)
{
    struct image_user *user = o->user;
    char why[IMAGE_PATH_MAX + 256];

    user->stage = IMAGE_WAITING;
    if (user->known && memcmp(&user->key, &r->key, sizeof(r->key)) != 0) {
        snprintf(why, sizeof(why), "image %s: is another file than before", o->path);
        child_give_up(&o->child);
        fail(o, -ESTALE, why);
        return;
    }
    if (o->image == NULL) {
        o->image = find_image(o->table, &r->key);
        if (o->image == NULL) {
            child_give_up(&o->child);
            fail(o, -ENOMEM, "out of memory");
            return;
        }
        user->image = o->image;
        XEN_TAILQ_INSERT_TAIL(&o->image->users, user, link);
    }
    if (check_users(o->image, user, o->path, why, sizeof(why)) != 0) {
        child_give_up(&o->child);
        fail(o, -EBUSY, why);
        return;
    }
    advance(user);
}

static void on_opened(struct image_opener *o, const struct image_report *r)
{
    struct image_user *user = o->user;

    loop_timer_cancel(o->table->loop, &o->late);
    if (r->facts.dead) {
        user->facts.dead = true; /* the rest is as it was */
    } else {
        user->facts = r->facts;
    }
    user->stage = IMAGE_OPEN;
    advance_all(user->image);
    o->table->on_event(user, IMAGE_OPENED, 0, NULL);
}

static void on_late(void *arg)
{
    struct image_opener *o = arg;
    char why[IMAGE_PATH_MAX + 256];

    if (o->busy[0] != '\0') {
        o->table->on_event(o->user, IMAGE_LATE, -EBUSY, o->busy);
        return;
    }
    snprintf(why, sizeof(why), "image %s: %s for %u s: %s", o->path,
             o->user->stage == IMAGE_WAITING ? "has not been let go of" : "has not opened",
             o->table->patience_ms / 1000,
             o->user->stage == IMAGE_WAITING
                 ? "the process that closes it for its last user waits for the storage"
                 : "the storage does not answer, or another program holds a lease on it");
    o->table->on_event(o->user, IMAGE_LATE, -ETIMEDOUT, why);
}

static void on_message(void *arg, const void *msg, unsigned long len)
{
    struct image_opener *o = arg;
    struct image_report r;

    if (o->user == NULL || len != sizeof(r)) {
        return;
    }
    memcpy(&r, msg, sizeof(r));
    r.text[sizeof(r.text) - 1] = '\0';
    if (r.kind == IMAGE_REPORT_FOUND && o->user->stage < IMAGE_OPEN) {
        on_found(o, &r);
    } else if (r.kind == IMAGE_REPORT_OPENED && o->user->stage == IMAGE_LOCKING) {
        on_opened(o, &r);
    } else if (r.kind == IMAGE_REPORT_BUSY && o->user->stage == IMAGE_LOCKING) {
        snprintf(o->busy, sizeof(o->busy), "%.*s", (int)sizeof(o->busy) - 1, r.text);
        if (!o->late.armed) {
            on_late(o); /* it was told already, without this reason */
        }
    } else if (r.kind == IMAGE_REPORT_FAILED) {
        fail(o, wire_errno(r.err), r.text);
    } else if (r.kind == IMAGE_REPORT_LOST && o->user->stage == IMAGE_OPEN) {
        tell_end(o, IMAGE_LOST, wire_errno(r.err), r.text);
    } else if (r.kind == IMAGE_REPORT_SIZE && o->user->stage == IMAGE_OPEN) {
        o->user->facts.sectors = r.facts.sectors;
        o->table->on_event(o->user, IMAGE_RESIZED, 0, NULL);
    }
}

static void on_exit_(void *arg, int status)
{
    struct image_opener *o = arg;
    struct image_table *table = o->table;

    if (o->user != NULL) {
        char how[128];
        char why[IMAGE_PATH_MAX + 256];
        bool open = o->user->stage == IMAGE_OPEN;
        bool lost = open || (o->user->patient && WIFSIGNALED(status)); /* a guest waits for it */

        child_describe_status(status, how, sizeof(how));
        snprintf(why, sizeof(why), "image %s: the process that %s it %s", o->path,
                 open ? "locked" : "was to open", how);
        if (open) {
            o->user->key = o->image->key;
            o->user->known = true;
        }
        tell_end(o, lost ? IMAGE_LOST : IMAGE_FAILED, -EIO, why);
    }
    XEN_LIST_REMOVE(o, link);
    if (o->image != NULL) {
        o->image->leaving--;
        advance_all(o->image);
        free_if_unused(table, o->image);
    }
    free(o);
}

static int send_open(struct image_opener *o)
{
    struct {
        struct image_order head;
        char path[IMAGE_PATH_MAX];
    } message = {.head = {.kind = IMAGE_ORDER_OPEN,
                          .read_only = o->user->read_only,
                          .forced = o->user->forced,
                          .patient = o->user->patient,
                          .wait_s = o->user->facts.sectors != 0 ? o->table->server_wait_s : 0}};

    snprintf(message.path, sizeof(message.path), "%s", o->path);
    return child_send(&o->child, &message, sizeof(message.head) + strlen(message.path) + 1, NULL,
                      0);
}

/* Starts an opener's process. Returns 0 or -errno. */
static int start(struct image_opener *o)
{
    char *argv[] = {(char *)o->table->opener_path, NULL};
    int err = child_start(&o->child, o->table->loop, o->table->opener_program, argv, on_message,
                          on_exit_, o);

    if (err != 0) {
        return err;
    }
    XEN_LIST_INSERT_HEAD(&o->table->openers, o, link);
    err = send_open(o);
    if (err != 0) {
        o->user = NULL;
        child_give_up(&o->child);
        return err;
    }
    loop_timer_set(o->table->loop, &o->late, o->table->patience_ms * NS_PER_MS, on_late, o);
    return 0;
}

int image_open(struct image_table *table, const char *path, struct image_user *user, char *why,
               unsigned long why_size)
{
    const bool named = path[0] == '/' || image_is_remote(path);
    struct image_opener *o;
    int err;

    if (!named || strlen(path) >= IMAGE_PATH_MAX) {
        snprintf(why, why_size, "image %.200s: is %s", path,
                 !named ? "not an absolute path" : "too long a path");
        return -EINVAL;
    }
    o = calloc(1, sizeof(*o) + strlen(path) + 1);
    if (o == NULL) {
        snprintf(why, why_size, "image %s: out of memory", path);
        return -ENOMEM;
    }
    memcpy(o->path, path, strlen(path) + 1);
    o->table = table;
    o->user = user;
    err = start(o);
    if (err != 0) {
        snprintf(why, why_size, "image %s: cannot start %s: %s", path, table->opener_path,
                 strerror(-err));
        if (o->child.pid == 0) {
            free(o);
        }
        return err;
    }
    user->opener = o;
    user->stage = IMAGE_FINDING;
    return 0;
}

const char *image_path(const struct image_user *user)
{
    return user->opener != NULL ? user->opener->path : "";
}

struct image_user *image_rival(const struct image_user *user, bool holding)
{
    struct image_user *other = NULL;

    if (user->image == NULL) {
        return NULL;
    }
    XEN_TAILQ_FOREACH (other, &user->image->users, link) {
        if (exclude(user, other) && (other->taken || !holding)) {
            return other;
        }
    }
    return NULL;
}

void image_each_rival(const struct image_user *user, void (*fn)(struct image_user *rival))
{
    struct image_user *other = NULL;

    if (user->image == NULL) {
        return;
    }
    XEN_TAILQ_FOREACH (other, &user->image->users, link) {
        if (exclude(user, other)) {
            fn(other);
        }
    }
}

int image_take(struct image_user *user, int worker_socket, const void *message, unsigned long len,
               const int *fds, unsigned int nr_fds, char *why, unsigned long why_size)
{
    struct {
        struct image_order head;
        char message[IMAGE_REST_MAX];
    } give = {.head = {.kind = IMAGE_ORDER_GIVE}};
    int all[CHILD_FDS_MAX];
    int err = -E2BIG;

    if (len <= sizeof(give.message) && nr_fds + IMAGE_GIVEN_FDS <= CHILD_FDS_MAX) {
        memcpy(give.message, message, len);
        all[0] = worker_socket;
        memcpy(&all[1], fds, nr_fds * sizeof(int));
        err = child_send(&user->opener->child, &give, sizeof(give.head) + len, all, nr_fds + 1);
    }
    if (err != 0) {
        snprintf(why, why_size, "image %s: cannot be handed to the worker: %s", user->opener->path,
                 strerror(-err));
        return err;
    }
    user->taken = true;
    blk_trail_return(&user->opener->table->trail, user->vm, user->opener->path);
    return 0;
}

void image_drop(struct image_user *user)
{
    if (user->taken) {
        blk_trail_leave(&user->opener->table->trail, user->vm, user->opener->path);
        user->taken = false;
    }
}

int64_t image_written_since(const struct image_user *user)
{
    const struct image_opener *o = user->opener;
    const int64_t left = blk_trail_left(&o->table->trail, user->vm, o->path);

    return left != 0 && user->facts.changed_ns > left ? user->facts.changed_ns - left : 0;
}

void image_close(struct image_user *user)
{
    struct image_opener *o = user->opener;

    user->known = false;
    if (o != NULL) {
        part(user);
        child_give_up(&o->child);
    }
}

void image_device_changed(struct image_table *table, dev_t dev)
{
    struct image_user *user = NULL;
    struct image *image;
    struct image_key key;

    memset(&key, 0, sizeof(key));
    key.dev = dev;
    HASH_FIND(hh, table->images, &key, sizeof(key), image);
    if (image == NULL) {
        return;
    }
    XEN_TAILQ_FOREACH (user, &image->users, link) {
        if (user->stage == IMAGE_OPEN) {
            order(user->opener, IMAGE_ORDER_MEASURE, NULL, 0);
        }
    }
}
