/*
 * Fuzzes the block back end's gate. Whatever bytes a ring entry and an indirect page hold, a
 * request that passes lies within the disk, its segments lie within their pages, and a read-only
 * disk is not changed. Input: one byte of choices, a ring entry, an indirect page.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition) {
        abort();
    }
}

/* What the code behind the gate relies on. */
static void check(const struct blk_limits *limits, const struct blk_request *req)
{
    uint64_t sum = 0;

    require(!limits->read_only || (req->op != BLK_WRITE && req->op != BLK_DISCARD));
    if (req->op == BLK_FLUSH) {
        return;
    }
    require(req->nr_sectors > 0 && req->nr_sectors <= limits->sectors);
    require(req->sector <= limits->sectors - req->nr_sectors);
    if (req->op == BLK_DISCARD) {
        require(limits->discard);
        return;
    }
    require(req->nr_segments > 0 && req->nr_segments <= BLK_MAX_SEGMENTS);
    for (unsigned int i = 0; i < req->nr_segments; i++) {
        require(req->segments[i].sectors > 0);
        require(req->segments[i].first + req->segments[i].sectors <= BLK_SECTORS_PER_PAGE);
        sum += req->segments[i].sectors;
    }
    require(sum == req->nr_sectors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t sizes[] = {1, 8, 1000, UINT64_MAX / 512};
    uint8_t entry[BLK_ENTRY_BYTES_MAX] = {0};
    uint8_t page[4096] = {0};
    struct blk_limits limits;
    struct blk_request req;
    const struct blk_layout *layout;

    if (size < 1) {
        return 0;
    }
    layout = data[0] & 1 ? &blk_layout_x86_32 : &blk_layout_x86_64;
    limits = (struct blk_limits){.sectors = sizes[data[0] >> 1 & 3],
                                 .handle = 51712,
                                 .read_only = (data[0] & 8) != 0,
                                 .discard = (data[0] & 16) != 0};
    data++;
    size--;
    memcpy(entry, data, size < sizeof(entry) ? size : sizeof(entry));
    if (size > sizeof(entry)) {
        size -= sizeof(entry);
        memcpy(page, data + sizeof(entry), size < sizeof(page) ? size : sizeof(page));
    }
    if (blk_gate_request(layout, &limits, entry, &req) != 0) {
        return 0;
    }
    if (req.indirect && blk_gate_indirect_segments(&limits, page, &req) != 0) {
        return 0;
    }
    check(&limits, &req);
    return 0;
}
