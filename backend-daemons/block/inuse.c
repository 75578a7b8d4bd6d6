/*
 * Who uses an image on this host: see inuse.h. The kernel's own tables are asked, never a file
 * system, which might not answer.
 */
#include "inuse.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MOUNTINFO "/proc/self/mountinfo"
#define SWAPS     "/proc/swaps"

/* Whether `path` is a device node of `dev`. Only looks below /dev, where nothing can hang. */
static bool is_node_of(const char *path, dev_t dev)
{
    struct stat st;

    return strncmp(path, "/dev/", 5) == 0 && stat(path, &st) == 0 && S_ISBLK(st.st_mode) &&
           st.st_rdev == dev;
}

/* Undoes the octal escapes of mountinfo (\040 for a space), in place. */
static void unescape(char *text)
{
    char *to = text;

    for (const char *from = text; *from != '\0'; to++) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
            from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
            *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

/* Whether a list of options, separated by commas, has `rw`. */
static bool has_rw(const char *options)
{
    return strcmp(options, "rw") == 0 || strncmp(options, "rw,", 3) == 0;
}

/* What is looked for in a table of the kernel's, and where a mount's place goes. */
struct inuse_query {
    dev_t dev;
    bool writable;
    char *where;
    unsigned long where_size;
};

typedef bool inuse_line_fn(char *line, const struct inuse_query *q);

/*
 * One line: ID PARENT MAJOR:MINOR ROOT POINT OPTIONS TAG... - TYPE SOURCE SUPER-OPTIONS. Some file
 * systems (btrfs) show a number of their own; their source has the device.
 */
static bool inuse_is_mount(char *line, const struct inuse_query *q)
{
    char *tail = strstr(line, " - ");
    char number[32], point[1024], source[1024], super[1024], shown[32];

    if (tail == NULL || sscanf(line, "%*s %*s %31s %*s %1023s", number, point) != 2 ||
        sscanf(tail, " - %*s %1023s %1023s", source, super) != 2) {
        return false;
    }
    snprintf(shown, sizeof(shown), "%u:%u", major(q->dev), minor(q->dev));
    unescape(source);
    if (strcmp(number, shown) != 0 && !is_node_of(source, q->dev)) {
        return false;
    }
    if (q->writable && !has_rw(super)) {
        return false;
    }
    unescape(point);
    snprintf(q->where, q->where_size, "%s", point);
    return true;
}

/* One line: PATH TYPE SIZE USED PRIORITY. */
static bool inuse_is_swap(char *line, const struct inuse_query *q)
{
    char path[1024];

    if (sscanf(line, "%1023s", path) != 1) {
        return false;
    }
    unescape(path);
    return is_node_of(path, q->dev);
}

/* Whether one of the table's lines says so. */
static bool inuse_look(const char *table, inuse_line_fn *says_so, const struct inuse_query *q)
{
    FILE *f = fopen(table, "re");
    char *line = NULL;
    size_t size = 0;
    bool found = false;

    if (f == NULL) {
        return false;
    }
    while (!found && getline(&line, &size, f) >= 0) {
        found = says_so(line, q);
    }
    free(line);
    fclose(f);
    return found;
}

bool inuse_mounted(const char *mountinfo, dev_t dev, bool writable, char *where,
                   unsigned long where_size)
{
    const struct inuse_query q = {dev, writable, where, where_size};

    return inuse_look(mountinfo, inuse_is_mount, &q);
}

bool inuse_swap(const char *swaps, dev_t dev)
{
    const struct inuse_query q = {.dev = dev};

    return inuse_look(swaps, inuse_is_swap, &q);
}

/* Whether the block device `dev` is used in a forbidden way; `by` continues a sentence then. */
static bool device_in_use(dev_t dev, bool read_only, char *by, unsigned long by_size)
{
    char where[INUSE_TEXT_MAX / 2];

    if (inuse_mounted(MOUNTINFO, dev, read_only, where, sizeof(where))) {
        snprintf(by, by_size, "mounted on %s", where);
        return true;
    }
    if (inuse_swap(SWAPS, dev)) {
        snprintf(by, by_size, "swapped on");
        return true;
    }
    return false;
}

/* Whether a loop device is made of the file. */
static bool is_loop_of(const char *name, const struct stat *st, dev_t *dev, bool *read_only)
{
    struct loop_info64 info;
    struct stat node;
    char path[300];
    bool found;
    int fd;

    /* A loop device without a file has no such entry; this spares us to open it. */
    snprintf(path, sizeof(path), "/sys/block/%s/loop/backing_file", name);
    if (access(path, F_OK) != 0) {
        return false;
    }
    snprintf(path, sizeof(path), "/dev/%s", name);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return false;
    }
    found = ioctl(fd, LOOP_GET_STATUS64, &info) == 0 && info.lo_device == st->st_dev &&
            info.lo_inode == st->st_ino && fstat(fd, &node) == 0;
    close(fd);
    if (found) {
        *dev = node.st_rdev;
        *read_only = (info.lo_flags & LO_FLAGS_READ_ONLY) != 0;
    }
    return found;
}

/* Whether a loop device of the file forbids to use the file. */
static bool loop_forbids(const char *name, const struct stat *st, bool read_only, char *by,
                         unsigned long by_size)
{
    char use[INUSE_TEXT_MAX - 64] = "";
    bool loop_read_only, used;
    dev_t dev;

    if (!is_loop_of(name, st, &dev, &loop_read_only) || (read_only && loop_read_only)) {
        return false;
    }
    used = device_in_use(dev, read_only, use, sizeof(use));
    if (read_only && !used) {
        return false;
    }
    snprintf(by, by_size, "loop device /dev/%.32s%s%s", name, used ? ", " : "", use);
    return true;
}

static bool file_in_use(const struct stat *st, bool read_only, char *by, unsigned long by_size)
{
    DIR *dir = opendir("/sys/block");
    const struct dirent *entry;
    bool found = false;

    while (dir != NULL && !found && (entry = readdir(dir)) != NULL) {
        found = strncmp(entry->d_name, "loop", 4) == 0 &&
                loop_forbids(entry->d_name, st, read_only, by, by_size);
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return found;
}

bool inuse(const struct stat *st, bool read_only, char *by, unsigned long by_size)
{
    return S_ISBLK(st->st_mode) ? device_in_use(st->st_rdev, read_only, by, by_size)
                                : file_in_use(st, read_only, by, by_size);
}
