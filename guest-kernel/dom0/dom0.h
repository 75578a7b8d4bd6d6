/*
 * dom0.h - the start as the initial domain.
 *
 * Suspend: a dom0 is not saved.
 */
#ifndef DOM0_DOM0_H
#define DOM0_DOM0_H

/** dom0_init() - look at the machine and take over its power; nothing in a domU. Thread context. */
void dom0_init(void);

#endif /* DOM0_DOM0_H */
