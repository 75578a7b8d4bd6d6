/*
 * journal.h - numbered, checksummed blocks written to a disk all the while, and read back.
 *
 * For tests that do something to the domain meanwhile: a save, a migration, a restart of its back
 * end. A block that is lost, torn or elsewhere is found here, and by whoever reads the disk
 * afterwards. Format, little-endian, in blocks of 4096 bytes: the disk is cut into JOURNAL_LANES
 * equal lanes, each a round of slots; the block with sequence s (from 1) lies in slot
 * (s - 1) modulo their number; see struct journal_block.
 *
 * A timer ticks beside the writing, and tells how long the domain stood still.
 */
#ifndef SELFTEST_JOURNAL_H
#define SELFTEST_JOURNAL_H

#include "selftest/selftest.h"

#define JOURNAL_LANES 4u
#define JOURNAL_BLOCK 4096u
#define JOURNAL_MAGIC "duet-jnl"
#define JOURNAL_SHA   32u

/* The body repeats the sequence, so that a torn block shows where. */
struct journal_block {
    char magic[8];
    uint64_t lane, slot, sequence;
    uint64_t body[(JOURNAL_BLOCK - 32 - JOURNAL_SHA) / 8];
    uint8_t sha256[JOURNAL_SHA]; /* of all before */
};
_Static_assert(sizeof(struct journal_block) == JOURNAL_BLOCK, "as written");

struct journal_report {
    uint64_t slots;               /* per lane */
    uint64_t last[JOURNAL_LANES]; /* highest sequence that is written */
    uint64_t written, read, wrong;
    uint64_t ticks, early; /* of a timer that is set for 10 ms again and again; too early ones */
    nsec_t pause; /* longest time between two ticks by the wall clock since the last report */
};

/**
 * journal_start() - write to a disk, from its start, until journal_stop()
 *
 * Return: 0; -EBUSY if one is running, -ENODEV, -EROFS, -ENOSPC (a disk of less than a block per
 * lane), -ENOMEM. Thread context.
 */
int journal_start(const char *disk);

/** journal_status() - what was done so far. -ENOENT if none is running. Thread context. */
int journal_status(struct journal_report *report);

/** journal_stop() - end it, flush, and read back every block. Else as above. May sleep long. */
int journal_stop(struct journal_report *report);

#endif /* SELFTEST_JOURNAL_H */
