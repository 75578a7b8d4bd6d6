/*
 * vbd_name.c - names of virtual disks; see vbd_name.h.
 */
#include "io/xvbd/vbd_name.h"

#include "kern/string.h"

#define EXTENDED (1u << 28)
#define LETTERS  26

/* Disk 0 is "a", 25 "z", 26 "aa": numbers without a zero. */
static void disk_letters(uint32_t disk, char *out)
{
    char reversed[8];
    size_t n = 0;

    for (uint32_t d = disk + 1; d != 0; d = (d - 1) / LETTERS) {
        reversed[n++] = (char)('a' + (d - 1) % LETTERS);
    }
    while (n != 0) {
        *out++ = reversed[--n];
    }
    *out = '\0';
}

int vbd_name(uint32_t vdev, char *buf, size_t size)
{
    const char *prefix = "xvd";
    char letters[8];
    uint32_t disk, part;

    if (vdev & EXTENDED && vdev < EXTENDED << 1) {
        disk = (vdev & (EXTENDED - 1)) >> 8;
        part = vdev & 0xff;
    } else if (vdev >> 8 == 202 || vdev >> 8 == 8) {
        prefix = vdev >> 8 == 8 ? "sd" : "xvd";
        disk = (vdev & 0xff) >> 4;
        part = vdev & 0xf;
    } else if (vdev >> 8 == 3 || vdev >> 8 == 22) {
        prefix = "hd";
        disk = ((vdev & 0xff) >> 6) + (vdev >> 8 == 22 ? 2 : 0);
        part = vdev & 0x3f;
        if (((vdev & 0xff) >> 6) > 1) {
            return -EINVAL;
        }
    } else {
        return -EINVAL;
    }
    disk_letters(disk, letters);
    if (part != 0) {
        snprintf(buf, size, "%s%s%u", prefix, letters, part);
    } else {
        snprintf(buf, size, "%s%s", prefix, letters);
    }
    return 0;
}
