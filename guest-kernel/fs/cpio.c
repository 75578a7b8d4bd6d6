/*
 * cpio.c - reading an archive's table of contents: see cpio.h.
 */
#include "fs/cpio.h"

#include "kern/mem.h"
#include "kern/string.h"

#define MAGIC       "070701"
#define HEADER_SIZE 110u
#define FIELDS      13
#define TRAILER     "TRAILER!!!"
#define ALIGNMENT   4u

/* The fields that matter here, by their place in the header. */
enum { F_INO, F_MODE, F_UID, F_GID, F_NLINK, F_MTIME, F_SIZE, F_NAMESIZE = 11 };

static int bad_archive(const char **why, const char *what)
{
    *why = what;
    return -EINVAL;
}

/* Eight hexadecimal digits. */
static bool parse_field(const uint8_t *text, uint32_t *out)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < 8; i++) {
        uint8_t c = text[i];
        uint8_t low = c | 0x20;

        if (c >= '0' && c <= '9') {
            value = value << 4 | (uint32_t)(c - '0');
        } else if (low >= 'a' && low <= 'f') {
            value = value << 4 | (uint32_t)(low - 'a' + 10);
        } else {
            return false;
        }
    }
    *out = value;
    return true;
}

/* The name as cpio_find() wants it. */
static void trim_name(struct cpio_entry *e)
{
    while (e->name_len != 0 &&
           (e->name[0] == '/' || (e->name[0] == '.' && e->name_len > 1 && e->name[1] == '/'))) {
        size_t cut = e->name[0] == '/' ? 1 : 2;

        e->name += cut;
        e->name_len -= cut;
    }
    if (e->name_len == 1 && e->name[0] == '.') {
        e->name_len = 0;
    }
}

/* Read the entry at *@at and move on behind it. 0 or -EINVAL. */
static int read_entry(const uint8_t *data, size_t size, size_t *at, struct cpio_entry *e,
                      const char **why)
{
    uint32_t field[FIELDS];

    if (size - *at < HEADER_SIZE || memcmp(data + *at, MAGIC, sizeof(MAGIC) - 1) != 0) {
        return bad_archive(why, "it is no cpio archive of the format newc, or is cut off");
    }
    for (unsigned i = 0; i < FIELDS; i++) {
        if (!parse_field(data + *at + sizeof(MAGIC) - 1 + 8ul * i, &field[i])) {
            return bad_archive(why, "a number in it is none");
        }
    }
    size_t name_at = *at + HEADER_SIZE;
    size_t name_len = field[F_NAMESIZE];
    if (name_len == 0 || name_len > size - name_at || data[name_at + name_len - 1] != '\0') {
        return bad_archive(why, "a name in it is cut off");
    }
    size_t data_at = ROUND_UP(name_at + name_len, ALIGNMENT);
    if (data_at > size || field[F_SIZE] > size - data_at) {
        return bad_archive(why, "a file in it is cut off");
    }
    *e = (struct cpio_entry){.name = (const char *)data + name_at,
                             .name_len = strlen((const char *)data + name_at),
                             .data = data + data_at,
                             .size = field[F_SIZE],
                             .ino = field[F_INO],
                             .mode = field[F_MODE],
                             .uid = field[F_UID],
                             .gid = field[F_GID],
                             .nlink = field[F_NLINK],
                             .mtime = field[F_MTIME]};
    *at = MIN(ROUND_UP(data_at + e->size, ALIGNMENT), size);
    return 0;
}

static bool is_trailer(const struct cpio_entry *e)
{
    return e->name_len == sizeof(TRAILER) - 1 && memcmp(e->name, TRAILER, e->name_len) == 0;
}

/* Walk over all archives; entries go into @out if it is not NULL. Return: how many, or -EINVAL. */
static ssize_t walk(const uint8_t *data, size_t size, struct cpio_entry *out, const char **why)
{
    struct cpio_entry e;
    ssize_t count = 0;
    size_t at = 0;

    while (at < size) {
        if (data[at] == '\0') {
            at++; /* between two archives, and behind the last */
            continue;
        }
        if (read_entry(data, size, &at, &e, why) != 0) {
            return -EINVAL;
        }
        if (!is_trailer(&e)) {
            trim_name(&e);
            if (out != NULL) {
                out[count] = e;
            }
            count++;
        }
    }
    return count;
}

/* Of files with several names only the last has the contents. */
static void share_contents(struct cpio *archive)
{
    for (size_t i = 0; i < archive->count; i++) {
        struct cpio_entry *e = &archive->entries[i];

        for (size_t j = i + 1; e->nlink > 1 && e->size == 0 && j < archive->count; j++) {
            const struct cpio_entry *other = &archive->entries[j];

            if (other->ino == e->ino && other->nlink == e->nlink && other->mode == e->mode) {
                e->data = other->data;
                e->size = other->size;
            }
        }
    }
}

int cpio_open(const void *data, size_t size, struct cpio *archive, const char **why)
{
    ssize_t count = walk(data, size, NULL, why);

    *archive = (struct cpio){0};
    if (count < 0) {
        return (int)count;
    }
    archive->entries = kmalloc(MAX((size_t)count, 1u) * sizeof(*archive->entries));
    if (archive->entries == NULL) {
        return -ENOMEM;
    }
    archive->count = (size_t)count;
    (void)walk(data, size, archive->entries, why);
    share_contents(archive);
    return 0;
}

void cpio_close(struct cpio *archive)
{
    kfree(archive->entries);
    *archive = (struct cpio){0};
}

const struct cpio_entry *cpio_find(const struct cpio *archive, const char *path, size_t len)
{
    for (size_t i = archive->count; i-- > 0;) {
        const struct cpio_entry *e = &archive->entries[i];

        if (e->name_len == len && memcmp(e->name, path, len) == 0) {
            return e;
        }
    }
    return NULL;
}
