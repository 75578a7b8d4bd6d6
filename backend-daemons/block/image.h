/*
 * Disk images: having them opened, and knowing who uses which.
 *
 * An image is identified by what it is (device and inode, or the block device's number) and not by
 * its name. It may be used read-write by one guest, or read-only by any number. Against other
 * programs an open-file-description lock is held for as long as somebody uses the image (QEMU
 * understands those), and a block device that is to be written is claimed exclusively, so that
 * neither mount(8) nor another claim works on it. What this host itself uses is refused (inuse.h).
 *
 * The supervisor never opens, looks at or closes an image, because any of these may take for ever.
 * A child process does, one for each user (opener.h); it holds the lock, and hands the image to the
 * workers. So everything here returns at once, and the table's callback tells what came of it. An
 * opener that cannot be ended, because the kernel waits for the storage, stays in the table until
 * it can be reaped, and holds up nobody but later users of the same image.
 *
 * Using an image has two steps. image_open() has it found, checked, locked and measured: then it is
 * promised to the user. image_take() hands it to a worker. Domains that are the same virtual
 * machine (same `vm` path in the store: the two ends of a migration) may both have the promise, as
 * the stock block script allows. But only one of them can have taken the image, and the other waits
 * until it was dropped (image_rival()). They share one lock, which goes from opener to opener.
 *
 * Types: struct image_table (all images in use), struct image_user (one device's use of one image;
 * lives in the device).
 */
#ifndef DUET_BLOCK_IMAGE_H
#define DUET_BLOCK_IMAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <xen_list.h>

#include "image_wire.h"
#include "log.h"
#include "loop.h"
#include "trail.h"

struct image;
struct image_opener;
struct image_user;

enum image_event {
    IMAGE_OPENED,  /* the promise is there, what was found is filled in */
    IMAGE_LATE,    /* it has not opened in time; it is still tried, and another event will come */
    IMAGE_LOST,    /* its server has closed; or who locked it was killed, or was to, or lacked
                      something that this host may have again, for a user who is patient: as after
                      image_close(), and it may be opened again: no other file is taken for it then */
    IMAGE_FAILED,  /* it could not be opened or handed to a worker: as after image_close() */
    IMAGE_RESIZED, /* `facts.sectors` has changed */
};

/* For IMAGE_LATE, IMAGE_LOST and IMAGE_FAILED `err` is -errno, and `why` a sentence for people. */
typedef void image_event_fn(struct image_user *user, enum image_event event, int err,
                            const char *why);

/* Zero-initialise an empty one, and set the first five. */
struct image_table {
    struct loop *loop;
    const char *opener_path; /* the program of an opener */
    int opener_program;      /* the same, from child_find_program(); -1: by its path */
    image_event_fn *on_event;
    unsigned int patience_ms;   /* until IMAGE_LATE */
    unsigned int server_wait_s; /* until an NBD server that has gone is taken for dead; 0: never */
    struct image *images;       /* uthash by identity */
    XEN_LIST_HEAD(image_openers, struct image_opener) openers;
    struct blk_trail trail; /* the owner's to free at the end */
};

enum image_stage {
    IMAGE_NONE,
    IMAGE_FINDING, /* nobody knows yet which image it is */
    IMAGE_WAITING, /* until another opener has let it go, or has it to share */
    IMAGE_LOCKING,
    IMAGE_OPEN,
};

/* Zero-initialise. */
struct image_user {
    enum image_stage stage;
    bool taken;
    bool read_only;
    bool forced;  /* the toolstack takes the responsibility for other users (mode `w!`) */
    bool patient; /* whoever has it locked is about to let go: that is waited for */
    struct log_id id;
    char vm[64];
    struct image_facts facts; /* valid from IMAGE_OPENED on */
    /* private */
    bool known; /* which image it is, by `key`: it was lost */
    struct image_key key;
    struct image *image;
    struct image_opener *opener;
    XEN_TAILQ_ENTRY(struct image_user) link;
};

/*
 * Starts to open `path` for `user`, whose id, vm, read_only, forced and patient are set and whose
 * stage is IMAGE_NONE. Returns 0, or -errno with a sentence for people in `why` and no event to
 * come.
 */
int image_open(struct image_table *table, const char *path, struct image_user *user, char *why,
               unsigned long why_size);

/* The path that it was opened by; "" at IMAGE_NONE. */
const char *image_path(const struct image_user *user);

/*
 * Finds another user who excludes `user`: the two may not have taken the image at the same time.
 * With `holding` only one who has taken it. It belongs to the same virtual machine, because any
 * other was refused. Returns NULL when there is none.
 */
struct image_user *image_rival(const struct image_user *user, bool holding);

/* Calls fn for every user who excludes `user`. */
void image_each_rival(const struct image_user *user, void (*fn)(struct image_user *rival));

/*
 * Has the image, which must be open, handed to a worker: it receives `message` on the other end of
 * `worker_socket`, with the image and its lock before the `nr_fds` descriptors. No rival may have
 * taken it.
 * Returns 0, or -errno with a sentence in `why`; a failure may also come as IMAGE_FAILED later.
 */
int image_take(struct image_user *user, int worker_socket, const void *message, unsigned long len,
               const int *fds, unsigned int nr_fds, char *why, unsigned long why_size);

/* The worker is gone. The image stays promised to `user`. Harmless when it is not taken. */
void image_drop(struct image_user *user);

/*
 * How long after the virtual machine of `user` had let go of the image somebody wrote to it, in
 * nanoseconds. 0: nobody did, as far as is known (trail.h). The image is open.
 */
int64_t image_written_since(const struct image_user *user);

/* Drops the image and gives it back, or gives up opening it. Harmless at IMAGE_NONE. */
void image_close(struct image_user *user);

/* A block device has changed: the size of the image that it is may have changed, too. */
void image_device_changed(struct image_table *table, dev_t dev);

#endif
