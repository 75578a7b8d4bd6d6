/*
 * A disk for unit tests: see fake_disk.h.
 */
#include "fake_disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kern/lock.h"
#include "kern/mem.h"

struct blk_dev fake_disk = {.name = "fake"};
static uint8_t *disk;
static size_t disk_size;
static unsigned reads, pages;

void fake_disk_set(uint8_t *bytes, size_t size)
{
    disk = bytes;
    disk_size = size;
    reads = 0;
}

unsigned fake_disk_reads(void)
{
    return reads;
}

unsigned fake_pages_held(void)
{
    return pages;
}

void blk_get_info(struct blk_dev *dev, struct blk_info *info)
{
    (void)dev;
    *info =
        (struct blk_info){.sectors = disk_size >> BLK_SECTOR_SHIFT, .sector_size = BLK_SECTOR_SIZE};
}

int blk_rw(struct blk_dev *dev, enum blk_op op, uint64_t sector, uint64_t nsectors, void *buf)
{
    uint64_t all = disk_size >> BLK_SECTOR_SHIFT;

    (void)dev;
    if (op != BLK_READ || !nsectors || ((uintptr_t)buf & (PAGE_SIZE - 1))) {
        abort();
    }
    reads++;
    if (sector >= all || nsectors > all - sector) {
        return -ENXIO;
    }
    memcpy(buf, disk + (sector << BLK_SECTOR_SHIFT), nsectors << BLK_SECTOR_SHIFT);
    return 0;
}

void *page_alloc(unsigned order)
{
    pages += 1u << order;
    return aligned_alloc(PAGE_SIZE, PAGE_SIZE << order);
}

void *page_alloc_zeroed(unsigned order)
{
    void *page = page_alloc(order);

    return page == NULL ? NULL : memset(page, 0, PAGE_SIZE << order);
}

void page_free(void *page, unsigned order)
{
    pages -= 1u << order;
    free(page);
}

void *kzalloc(size_t size)
{
    return calloc(1, size);
}

void kfree(void *ptr)
{
    free(ptr);
}

void spin_init(spinlock_t *lock, const char *name)
{
    *lock = (spinlock_t){.owner = -1, .name = name};
}

upcall_state_t spin_lock(spinlock_t *lock)
{
    if (lock->owner != -1) {
        abort();
    }
    lock->owner = 0;
    return false;
}

void spin_unlock(spinlock_t *lock, upcall_state_t state)
{
    (void)state;
    lock->owner = -1;
}

/* Makes the folder and the image of it in @top. */
static const char script[] =
    "set -e; cd \"$0\"; mkdir -p tree/dir/sub tree/many; cd tree; echo hello > hello; "
    "printf deep > dir/sub/deep; ln -s hello link; truncate -s 4999997 hole; printf end >> hole; "
    "for i in $(seq 0 299); do : > many/$i; done; cp ../big big; cd ..; "
    "exec mke2fs -q -F $1 -d tree image \"$2\"";

static bool write_big(const char *top)
{
    char path[128];
    bool ok = false;

    snprintf(path, sizeof(path), "%s/big", top);
    FILE *f = fopen(path, "we");
    if (f) {
        for (unsigned i = 0; i < 100000; i++) {
            putc((int)(i * 31 >> 3 & 0xff), f);
        }
        ok = fclose(f) == 0;
    }
    return ok;
}

static uint8_t *read_image(const char *top, size_t size)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/image", top);
    FILE *f = fopen(path, "re");
    if (!f) {
        return NULL;
    }
    uint8_t *bytes = calloc(1, size);
    if (bytes && fread(bytes, 1, size, f) != size) {
        free(bytes);
        bytes = NULL;
    }
    fclose(f);
    return bytes;
}

uint8_t *fake_image(const char *options, size_t size)
{
    char top[] = "/tmp/duet-ext-XXXXXX";
    char command[2048];
    uint8_t *bytes = NULL;

    if (!mkdtemp(top)) {
        return NULL;
    }
    snprintf(command, sizeof(command), "PATH=$PATH:/sbin:/usr/sbin sh -c '%s' %s '%s' %zuk", script,
             top, options, size / 1024);
    if (write_big(top) && system(command) == 0) {
        bytes = read_image(top, size);
    }
    snprintf(command, sizeof(command), "rm -rf %s", top);
    return system(command) == 0 ? bytes : NULL;
}
