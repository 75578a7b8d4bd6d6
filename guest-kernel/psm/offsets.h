/*
 * offsets.h - what assembly needs to know of C structures; checked where those are defined.
 */
#ifndef PSM_OFFSETS_H
#define PSM_OFFSETS_H

#define CPU_STACK_LIMIT 72 /* struct cpu: stack_limit */

#endif /* PSM_OFFSETS_H */
