/*
 * cmd_dd.c - the command `dd`: bytes from a disk or a source of known bytes to a disk, or compared.
 *
 * Reading is done ahead and writing behind (stream.h), so that several blocks are under way.
 */
#include "kern/mem.h"
#include "kern/string.h"
#include "lib/pattern.h"
#include "shell/commands.h"
#include "shell/range.h"
#include "shell/stream.h"

#define DEFAULT_BS (64 * 1024u)

/* Where bytes come from or go to. */
enum end_kind { END_NONE, END_DISK, END_ZERO, END_PATTERN };

struct dd_end {
    enum end_kind kind;
    const char *text; /* as it was given */
    uint32_t seed;
    struct range disk;
};

struct dd {
    struct shell *sh;
    struct dd_end in, out, verify;
    uint64_t bs, count, skip, seek; /* bs in bytes, the rest in blocks; count UINT64_MAX: all */
    uint64_t total, done;           /* bytes */
    bool sync;
    struct stream *stream; /* reading from a disk */
    struct sink *sink;     /* writing to one */
};

static int parse_end(struct dd *d, struct dd_end *e, const char *text)
{
    static const char pattern[] = "pattern:";
    uint64_t seed;

    e->text = text;
    if (strcmp(text, "zero") == 0) {
        e->kind = END_ZERO;
    } else if (strncmp(text, pattern, sizeof(pattern) - 1) == 0) {
        if (parse_u64(text + sizeof(pattern) - 1, &seed) || seed > UINT32_MAX) {
            return sh_error(d->sh, "%s: the seed is a number below 2^32", text);
        }
        e->kind = END_PATTERN;
        e->seed = (uint32_t)seed;
    } else if (range_get(d->sh, text, &e->disk) == 0) {
        e->kind = END_DISK;
    } else {
        return SH_FAIL;
    }
    return SH_OK;
}

/* One operand, key=value. */
static int parse_operand(struct dd *d, const char *word)
{
    const struct {
        const char *key;
        struct dd_end *end;
        uint64_t *number;
    } keys[] = {
        {"if=", &d->in, NULL},     {"of=", &d->out, NULL},      {"verify=", &d->verify, NULL},
        {"bs=", NULL, &d->bs},     {"count=", NULL, &d->count}, {"skip=", NULL, &d->skip},
        {"seek=", NULL, &d->seek},
    };

    if (strcmp(word, "conv=fsync") == 0) {
        d->sync = true;
        return SH_OK;
    }
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        size_t n = strlen(keys[i].key);

        if (strncmp(word, keys[i].key, n) != 0) {
            continue;
        }
        if (keys[i].end != NULL) {
            return keys[i].end->kind != 0 ? SH_USAGE : parse_end(d, keys[i].end, word + n);
        }
        return parse_u64(word + n, keys[i].number) != 0 ? sh_error(d->sh, "%s: not a number", word)
                                                        : SH_OK;
    }
    return SH_USAGE;
}

/* Whether what was asked for fits together. */
static int check_operands(struct dd *d)
{
    bool source = d->in.kind != END_NONE;
    bool target = d->out.kind == END_DISK;

    if (!source || (!target && d->verify.kind == 0) || (d->out.kind != 0 && !target)) {
        return SH_USAGE;
    }
    if (d->verify.kind == END_DISK || (d->verify.kind != 0 && d->in.kind != END_DISK)) {
        return sh_error(d->sh, "verify= takes zero or pattern:SEED, to compare a disk with");
    }
    if (d->bs < PATTERN_RECORD || d->bs > STREAM_CHUNK_MAX || (d->bs % BLK_SECTOR_SIZE) != 0) {
        return sh_error(d->sh, "bs=%lu: a multiple of %u, at most %u", (unsigned long)d->bs,
                        BLK_SECTOR_SIZE, STREAM_CHUNK_MAX);
    }
    return SH_OK;
}

static uint64_t disk_bytes(const struct dd_end *e)
{
    return e->disk.info.sectors << BLK_SECTOR_SHIFT;
}

/* Sets one side's range: from block @at on, @bytes long. */
static int dd_place(struct dd *d, struct dd_end *e, uint64_t at, uint64_t bytes)
{
    uint64_t offset;

    if (__builtin_mul_overflow(at, d->bs, &offset)) {
        return sh_error(d->sh, "%s: block %lu is past any disk's end", e->text, (unsigned long)at);
    }
    return range_fit(d->sh, &e->disk, offset, bytes);
}

/* Without count=: as much as both sides have. */
static int compute_total(struct dd *d)
{
    uint64_t room = UINT64_MAX;
    uint64_t offset;

    if (d->count != UINT64_MAX) {
        return __builtin_mul_overflow(d->count, d->bs, &d->total)
                   ? sh_error(d->sh, "count=%lu is too large", (unsigned long)d->count)
                   : SH_OK;
    }
    if (d->in.kind == END_DISK && !__builtin_mul_overflow(d->skip, d->bs, &offset) &&
        offset <= disk_bytes(&d->in)) {
        room = MIN(room, disk_bytes(&d->in) - offset);
    }
    if (d->out.kind == END_DISK && !__builtin_mul_overflow(d->seek, d->bs, &offset) &&
        offset <= disk_bytes(&d->out)) {
        room = MIN(room, disk_bytes(&d->out) - offset);
    }
    if (room == UINT64_MAX) {
        return sh_error(d->sh, "say how much: count=");
    }
    d->total = room;
    return SH_OK;
}

static int open_disks(struct dd *d)
{
    int rc = 0;

    if (d->in.kind == END_DISK) {
        d->stream = kzalloc(sizeof(*d->stream));
        rc = d->stream != NULL
                 ? stream_open(d->stream, d->in.disk.dev, d->in.disk.offset >> BLK_SECTOR_SHIFT,
                               d->total >> BLK_SECTOR_SHIFT, (uint32_t)d->bs)
                 : -ENOMEM;
    }
    if (rc == 0 && d->out.kind == END_DISK) {
        d->sink = kzalloc(sizeof(*d->sink));
        rc = d->sink != NULL ? sink_open(d->sink, d->out.disk.dev, (uint32_t)d->bs) : -ENOMEM;
    }
    return rc != 0 ? sh_error(d->sh, "no memory for blocks of %lu bytes", (unsigned long)d->bs)
                   : SH_OK;
}

static int prepare(struct dd *d)
{
    int status = compute_total(d);

    if (status == 0 && d->in.kind == END_DISK) {
        status = dd_place(d, &d->in, d->skip, d->total);
    }
    if (status == 0 && d->out.kind == END_DISK) {
        status = dd_place(d, &d->out, d->seek, d->total);
    }
    return status != 0 ? status : open_disks(d);
}

/* What a source that is no disk has for the place it goes to. */
static void generate(struct dd *d, void *buf, size_t n)
{
    if (d->in.kind == END_PATTERN) {
        pattern_fill(buf, n, d->in.seed, d->out.disk.offset + d->done);
    } else {
        memset(buf, 0, n);
    }
}

static int read_failed(struct dd *d, uint64_t sector, int rc)
{
    return sh_error(d->sh, "%s: read at byte %lu: %s", d->in.text,
                    (unsigned long)(sector << BLK_SECTOR_SHIFT), errno_name(rc));
}

static int write_failed(struct dd *d, uint64_t sector, int rc)
{
    return sh_error(d->sh, "%s: write at byte %lu: %s%s", d->out.text,
                    (unsigned long)(sector << BLK_SECTOR_SHIFT), errno_name(rc),
                    rc == -EROFS ? " (the disk is read-only)" : "");
}

static ssize_t first_nonzero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != 0) {
            return (ssize_t)i;
        }
    }
    return -1;
}

/* Compares a block with what it should hold. */
static int check_block(struct dd *d, const void *data, size_t n)
{
    uint64_t offset = d->in.disk.offset + d->done;
    ssize_t bad = d->verify.kind == END_ZERO ? first_nonzero(data, n)
                                             : pattern_check(data, n, d->verify.seed, offset);

    if (bad < 0) {
        return SH_OK;
    }
    return sh_error(d->sh, "%s: differs from %s at byte %lu", d->in.text, d->verify.text,
                    (unsigned long)(offset + (uint64_t)bad));
}

/* One block from the source to wherever it goes. */
static int one_block(struct dd *d)
{
    size_t n = MIN(d->bs, d->total - d->done);
    uint64_t sector = 0;
    void *buf = NULL;
    void *data;

    int rc = d->sink != NULL ? sink_buffer(d->sink, &buf, &sector) : 0;
    if (rc != 0) {
        return write_failed(d, sector, rc);
    }
    if (d->stream != NULL) {
        ssize_t got = stream_next(d->stream, &data, &sector);

        if (got < 0) {
            return read_failed(d, sector, (int)got);
        }
        n = (size_t)got;
        if (d->verify.kind != 0 && check_block(d, data, n) != 0) {
            return SH_FAIL;
        }
        if (buf != NULL) {
            memcpy(buf, data, n);
        }
    } else if (buf != NULL) {
        generate(d, buf, n);
    }
    sector = (d->out.disk.offset + d->done) >> BLK_SECTOR_SHIFT;
    rc = d->sink != NULL ? sink_write(d->sink, sector, n) : 0;
    if (rc != 0) {
        return write_failed(d, sector, rc);
    }
    d->done += n;
    return SH_OK;
}

/* Waits for what is still being written; with conv=fsync, until it is stable. */
static int dd_finish(struct dd *d)
{
    uint64_t sector;
    int rc = sink_drain(d->sink, &sector);

    if (rc != 0) {
        return write_failed(d, sector, rc);
    }
    rc = d->sync ? blk_flush(d->out.disk.dev) : 0;
    return rc != 0 ? sh_error(d->sh, "%s: flush: %s", d->out.text, errno_name(rc)) : SH_OK;
}

static int dd_copy(struct dd *d, struct sh_progress *p)
{
    int status = SH_OK;

    while (status == 0 && d->done < d->total) {
        status = sh_interrupted(d->sh) ? SH_INTERRUPTED : one_block(d);
        sh_progress(d->sh, p, d->done, d->total);
    }
    return status == 0 && d->sink != NULL ? dd_finish(d) : status;
}

static void dd_release(struct dd *d)
{
    struct dd_end *const ends[] = {&d->in, &d->out, &d->verify};

    if (d->stream != NULL) {
        stream_close(d->stream);
    }
    if (d->sink != NULL) {
        sink_close(d->sink);
    }
    kfree(d->stream);
    kfree(d->sink);
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        if (ends[i]->kind == END_DISK) {
            blk_put(ends[i]->disk.dev);
        }
    }
}

static int cmd_dd(struct shell *sh, int argc, char **argv)
{
    struct dd d = {.sh = sh, .bs = DEFAULT_BS, .count = UINT64_MAX};
    struct sh_progress p;
    int status = SH_OK;

    for (int i = 1; status == 0 && i < argc; i++) {
        status = parse_operand(&d, argv[i]);
    }
    if (status == 0) {
        status = check_operands(&d);
    }
    if (status == 0) {
        status = prepare(&d);
    }
    if (status == 0) {
        sh_progress_begin(&p);
        status = dd_copy(&d, &p);
        uint64_t ms = sh_progress_end(sh, &p) / NSEC_PER_MSEC;

        sh_printf(sh, "%lu bytes %s in %lu.%03lu s, %lu KiB/s\n", (unsigned long)d.done,
                  d.out.kind != 0 ? "copied" : "verified", (unsigned long)(ms / 1000),
                  (unsigned long)(ms % 1000), (unsigned long)(d.done / 1024 * 1000 / MAX(ms, 1ul)));
    }
    dd_release(&d);
    return status;
}

const struct sh_command dd_commands[] = {
    {"dd", "dd if=SOURCE [of=DISK] [verify=KNOWN] [bs=N] [count=N] [skip=N] [seek=N] [conv=fsync]",
     "copy to a disk, or compare a disk with known bytes",
     "SOURCE is a disk, zero, or pattern:SEED; KNOWN is zero or pattern:SEED. Blocks are of bs\n"
     "bytes (64k by default, 128k at most); skip= of them are left out of a source disk, seek= of\n"
     "the target; without count= all that fits is copied. A pattern's bytes say their seed and\n"
     "their offset on the disk, so that any part of it can be verified by itself:\n"
     "  dd if=pattern:7 of=xvda count=16 conv=fsync; dd if=xvda verify=pattern:7 count=16\n",
     ARGS_DD, cmd_dd},
    {0},
};
