/*
 * cmd_disk.c - commands that look at disks: sha256, hexdump, sync.
 */
#include "kern/mem.h"
#include "kern/string.h"
#include "lib/sha256.h"
#include "shell/commands.h"
#include "shell/range.h"
#include "shell/stream.h"

#define LINE_BYTES 16

/**
 * each_chunk() - read a range and hand each piece to @fn
 * @fn: @offset is the piece's on the disk
 *
 * Return: an exit status; the reason is written.
 */
static int each_chunk(struct shell *sh, const struct range *r,
                      void (*fn)(void *arg, const void *data, size_t len, uint64_t offset),
                      void *arg)
{
    struct sh_progress p;
    struct stream *s = kmalloc(sizeof(*s));
    uint64_t sector = r->offset >> BLK_SECTOR_SHIFT;
    uint64_t count = r->length >> BLK_SECTOR_SHIFT;
    int status = SH_OK;
    ssize_t n;
    void *data;

    if (s == NULL || stream_open(s, r->dev, sector, count, STREAM_CHUNK_MAX) != 0) {
        kfree(s);
        return sh_error(sh, "%s: no memory to read with", r->dev->name);
    }
    sh_progress_begin(&p);
    while (status == 0 && (n = stream_next(s, &data, &sector)) != 0) {
        uint64_t offset = sector << BLK_SECTOR_SHIFT;

        if (n < 0) {
            sh_progress_end(sh, &p);
            status = sh_error(sh, "%s: read at byte %lu: %s", r->dev->name, (unsigned long)offset,
                              errno_name((int)n));
        } else if (sh_interrupted(sh)) {
            status = SH_INTERRUPTED;
        } else {
            fn(arg, data, (size_t)n, offset);
            sh_progress(sh, &p, offset + (uint64_t)n - r->offset, r->length);
        }
    }
    sh_progress_end(sh, &p);
    stream_close(s);
    kfree(s);
    return status;
}

static void hash_chunk(void *arg, const void *data, size_t len, uint64_t offset __unused)
{
    sha256_update(arg, data, len);
}

static int cmd_sha256(struct shell *sh, int argc, char **argv)
{
    struct sha256 hash;
    struct range r;
    uint8_t digest[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1];

    if (argc < 2 || argc > 4) {
        return SH_USAGE;
    }
    if (range_open(sh, argv[1], argc > 2 ? argv[2] : NULL, argc > 3 ? argv[3] : NULL, &r) != 0) {
        return SH_FAIL;
    }
    sha256_init(&hash);
    int status = each_chunk(sh, &r, hash_chunk, &hash);
    if (status == 0) {
        sha256_final(&hash, digest);
        sha256_hex(digest, hex);
        sh_printf(sh, "%s  %s\n", hex, argv[1]);
    }
    blk_put(r.dev);
    return status;
}

/* State of a dump: equal lines are shown once, then as "*". */
struct dump {
    struct shell *sh;
    uint64_t first, end; /* bytes to show; the disk is read in whole sectors */
    bool any, star;
    uint8_t last[LINE_BYTES];
};

static void dump_line(struct dump *d, const uint8_t *p, size_t n, uint64_t offset)
{
    static const char digits[] = "0123456789abcdef";
    char hex[3 * LINE_BYTES + 2];
    char text[LINE_BYTES + 1];
    char *h = hex;

    if (d->any && n == LINE_BYTES && memcmp(d->last, p, n) == 0) {
        if (!d->star) {
            sh_printf(d->sh, "*\n");
        }
        d->star = true;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (i == LINE_BYTES / 2) {
            *h++ = ' ';
        }
        *h++ = digits[p[i] >> 4];
        *h++ = digits[p[i] & 15];
        *h++ = ' ';
        text[i] = p[i] >= ' ' && p[i] < 0x7f ? (char)p[i] : '.';
    }
    *h = text[n] = '\0';
    sh_printf(d->sh, "%08lx  %-*s |%s|\n", (unsigned long)offset, 3 * LINE_BYTES + 1, hex, text);
    memcpy(d->last, p, n);
    d->any = true;
    d->star = false;
}

static void dump_chunk(void *arg, const void *data, size_t len, uint64_t offset)
{
    struct dump *d = arg;
    const uint8_t *bytes = data;
    uint64_t from = MAX(offset, d->first);
    uint64_t to = MIN(offset + len, d->end);

    for (uint64_t at = from; at < to && !sh_interrupted(d->sh); at += LINE_BYTES) {
        dump_line(d, bytes + (at - offset), MIN(to - at, LINE_BYTES), at);
    }
}

/* The range is widened to whole sectors to be read, and shown as it was asked for. */
static int cmd_hexdump(struct shell *sh, int argc, char **argv)
{
    struct range r;
    uint64_t first = 0;
    uint64_t length = 256;

    if (argc < 2 || argc > 4) {
        return SH_USAGE;
    }
    if ((argc > 2 && parse_u64(argv[2], &first) != 0) ||
        (argc > 3 && parse_u64(argv[3], &length) != 0) || length > UINT64_MAX / 2 - PAGE_SIZE ||
        first > UINT64_MAX / 2) {
        return sh_error(sh, "offset and length are numbers");
    }
    if (range_get(sh, argv[1], &r) != 0) {
        return SH_FAIL;
    }
    struct dump d = {.sh = sh, .first = first, .end = first + length};
    uint64_t start = first - first % r.info.sector_size;
    int status = range_fit(sh, &r, start, ROUND_UP(d.end, r.info.sector_size) - start);
    if (status == 0) {
        status = each_chunk(sh, &r, dump_chunk, &d);
    }
    if (status == 0 && sh_interrupted(sh)) {
        status = SH_INTERRUPTED;
    } else if (status == 0) {
        sh_printf(sh, "%08lx\n", (unsigned long)d.end);
    }
    blk_put(r.dev);
    return status;
}

static int sync_one(struct shell *sh, struct blk_dev *dev)
{
    int rc = blk_flush(dev);

    return rc != 0 ? sh_error(sh, "%s: flush: %s", dev->name, errno_name(rc)) : SH_OK;
}

static int cmd_sync(struct shell *sh, int argc, char **argv)
{
    int status = SH_OK;

    for (int i = 1; i < argc; i++) {
        struct range r;
        int one = range_get(sh, argv[i], &r);

        if (one == 0) {
            one = sync_one(sh, r.dev);
            blk_put(r.dev);
        }
        status = one != 0 ? one : status;
    }
    for (struct blk_dev *dev = NULL; argc == 1 && (dev = blk_next(dev));) {
        int one = sync_one(sh, dev);

        status = one != 0 ? one : status;
    }
    return status;
}

const struct sh_command disk_commands[] = {
    {"sha256", "sha256 DISK [OFFSET [LENGTH]]", "hash a disk or a part of it",
     "OFFSET and LENGTH are bytes, multiples of the disk's sectors; k, M and G may follow.\n",
     ARGS_DISK, cmd_sha256},
    {"hexdump", "hexdump DISK [OFFSET [LENGTH]]", "show bytes of a disk (256 by default)",
     "OFFSET and LENGTH are bytes; k, M and G may follow.\n", ARGS_DISK, cmd_hexdump},
    {"sync", "sync [DISK]...", "flush disks' write caches (all by default)", NULL, ARGS_DISK,
     cmd_sync},
    {0},
};
