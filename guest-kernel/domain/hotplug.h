/*
 * hotplug.h - vCPUs come and go as `xl vcpu-set` says.
 */
#ifndef DOMAIN_HOTPLUG_H
#define DOMAIN_HOTPLUG_H

/** hotplug_init() - start the vCPUs that cpu/N/availability wants, and follow it. After xenbus. */
void hotplug_init(void);

#endif /* DOMAIN_HOTPLUG_H */
