/*
 * ioport.h - I/O ports.
 *
 * A dom0's in and out instructions fault into Xen, which looks whether the kernel has the privilege
 * level (IOPL) and the domain the port, and does the access. A port that Xen keeps for itself reads
 * as all ones and swallows what is written, as a port does behind which nothing is. Accesses are
 * allowed in any context after ioport_init(). Suspend: a dom0 is not saved.
 */
#ifndef DOM0_IOPORT_H
#define DOM0_IOPORT_H

#include "kern/types.h"

/** ioport_init() - get the privilege level. Once, before any access. */
void ioport_init(void);

uint8_t ioport_read8(uint16_t port);
uint16_t ioport_read16(uint16_t port);
uint32_t ioport_read32(uint16_t port);
void ioport_write8(uint16_t port, uint8_t value);
void ioport_write16(uint16_t port, uint16_t value);
void ioport_write32(uint16_t port, uint32_t value);

#endif /* DOM0_IOPORT_H */
