/*
 * sysrq.h - `xl sysrq DOM LETTER`: what an administrator can ask a guest for that listens to
 * nothing else. Watches control/sysrq. Locks: none. Suspend: the watch is set anew by xenbus.
 */
#ifndef DOMAIN_SYSRQ_H
#define DOMAIN_SYSRQ_H

/** sysrq_init() - watch control/sysrq. Thread context, once. */
void sysrq_init(void);

#endif /* DOMAIN_SYSRQ_H */
