/*
 * range.c - a disk and a part of it; see range.h.
 */
#include "shell/range.h"

#include "kern/string.h"

int range_get(struct shell *sh, const char *disk, struct range *r)
{
    r->dev = blk_get(disk);
    if (r->dev == NULL) {
        return sh_error(sh, "%s: no such disk; `lsdev` lists them", disk);
    }
    blk_get_info(r->dev, &r->info);
    return SH_OK;
}

int range_fit(struct shell *sh, struct range *r, uint64_t offset, uint64_t length)
{
    uint64_t size = r->info.sectors << BLK_SECTOR_SHIFT;

    if ((offset % r->info.sector_size) != 0 || (length % r->info.sector_size) != 0) {
        return sh_error(sh,
                        "%s: offset %lu and length %lu are not multiples of its sectors of %u "
                        "bytes",
                        r->dev->name, (unsigned long)offset, (unsigned long)length,
                        r->info.sector_size);
    }
    if (offset > size || length > size - offset) {
        return sh_error(sh, "%s: offset %lu and length %lu reach past its end at %lu", r->dev->name,
                        (unsigned long)offset, (unsigned long)length, (unsigned long)size);
    }
    r->offset = offset;
    r->length = length;
    return SH_OK;
}

int range_open(struct shell *sh, const char *disk, const char *offset, const char *length,
               struct range *r)
{
    uint64_t at = 0;
    uint64_t n;

    if (range_get(sh, disk, r) != 0) {
        return SH_FAIL;
    }
    uint64_t size = r->info.sectors << BLK_SECTOR_SHIFT;
    int rc = offset != NULL ? parse_u64(offset, &at) : 0;
    n = at < size ? size - at : 0;
    if (rc == 0 && length != NULL) {
        rc = parse_u64(length, &n);
    }
    int status = rc != 0 ? sh_error(sh, "%s %s: not numbers", offset, length != NULL ? length : "")
                         : range_fit(sh, r, at, n);
    if (status != 0) {
        blk_put(r->dev);
    }
    return status;
}
