/*
 * range.h - a disk and a part of it, as the words of a command name them.
 */
#ifndef SHELL_RANGE_H
#define SHELL_RANGE_H

#include "io/blk.h"
#include "shell/shell.h"

/* A part of a disk, in bytes; ends within it. */
struct range {
    struct blk_dev *dev; /* held: blk_put() */
    struct blk_info info;
    uint64_t offset, length;
};

/**
 * range_open() - find the disk, check the part
 * @offset, @length: numbers as text with k, M, G; NULL: from the start, to the end
 *
 * Return: SH_OK, or SH_FAIL with the reason written.
 */
int range_open(struct shell *sh, const char *disk, const char *offset, const char *length,
               struct range *r);

/**
 * range_fit() - check that @offset and @length lie within the disk and on its sectors
 * @r: dev and info are set
 *
 * Return: SH_OK with the range taken over, or SH_FAIL with the reason written.
 */
int range_fit(struct shell *sh, struct range *r, uint64_t offset, uint64_t length);

/** range_get() - find the disk alone. Return: SH_OK or SH_FAIL with the reason written. */
int range_get(struct shell *sh, const char *disk, struct range *r);

#endif /* SHELL_RANGE_H */
