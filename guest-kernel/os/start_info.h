/*
 * start_info.h - the page that Xen's domain builder hands over, and the shared page.
 *
 * Both pointers are valid from the first C function on. start_info is written by the toolstack at
 * resume; read its fields anew then. Its layout is struct start_info of xen/xen.h.
 */
#ifndef OS_START_INFO_H
#define OS_START_INFO_H

#include "kern/types.h"

#include <xen/xen.h>
#include <xen/features.h>

extern struct start_info *start_info;
extern struct shared_info *shared_info;

/** shared_info_map() - map the page that start_info names; panics if Xen refuses. */
void shared_info_map(void);

/**
 * shared_info_unmap() - before a suspend: the toolstack cannot save a mapping of Xen's page
 *
 * A page of ours takes its place, so that readers see stale numbers instead of a fault.
 */
void shared_info_unmap(void);

/**
 * start_info_to_pfns() - name the store's and the console's page as the toolstack wants it
 *
 * It makes frames of them again when it restores us; after a cancelled suspend that is for
 * start_info_to_mfns(). Return: 0, -ENXIO if one of them is no page of ours (nothing is changed).
 */
int start_info_to_pfns(void) __must_check;
void start_info_to_mfns(void);

/** is_dom0() - whether Xen itself built this domain, and gave it the machine. Any context. */
static inline bool is_dom0(void)
{
    return start_info->flags & SIF_INITDOMAIN;
}

/** xen_has_feature() - a XENFEAT_* flag of this hypervisor (xen/features.h). Any context. */
bool xen_has_feature(unsigned feature);

#endif /* OS_START_INFO_H */
