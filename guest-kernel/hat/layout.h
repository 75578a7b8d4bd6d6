/*
 * layout.h - the kernel's address map.
 *
 *   0xffffffffffffffff  +---------------------------------------------+
 *                       |  (top of the kernel's 2 GiB, mcmodel=kernel) |
 *                       |  Xen's boot-time extras: p2m list, page      |
 *                       |  tables, start_info (given back or moved to  |
 *                       |  the direct map after boot)                  |
 *                       |  kernel image: text, rodata, data, bss       |
 *   KERNEL_BASE         +---------------------------------------------+  0xffffffff80000000
 *                       |  unused                                      |
 *   KVM_END             +---------------------------------------------+  0xffff910000000000
 *                       |  kvm: thread stacks with guard pages, grant  |
 *                       |  and foreign mappings, per-vCPU areas        |
 *   KVM_BASE            +---------------------------------------------+  0xffff900000000000
 *                       |  kpm: the direct map. pfn n at KPM_BASE +    |
 *                       |  n * 4096; page tables are read-only in it   |
 *   KPM_BASE            +---------------------------------------------+  0xffff880000000000
 *                       |  Xen's own: not ours to map. The m2p table   |
 *                       |  is readable at its start                    |
 *   XEN_BASE            +---------------------------------------------+  0xffff800000000000
 *                       |  (non-canonical)                             |
 *   USER_END            +---------------------------------------------+  0x0000800000000000
 *                       |  user slots: the lower half of each address  |
 *                       |  space's own L4s                             |
 *   0                   +---------------------------------------------+
 *
 * All L4 slots from KPM_BASE up are shared by every address space.
 */
#ifndef HAT_LAYOUT_H
#define HAT_LAYOUT_H

#define USER_END    0x0000800000000000
#define XEN_BASE    0xffff800000000000
#define KPM_BASE    0xffff880000000000
#define KPM_END     KVM_BASE
#define KVM_BASE    0xffff900000000000
#define KVM_END     0xffff910000000000
#define KERNEL_BASE 0xffffffff80000000

#endif /* HAT_LAYOUT_H */
