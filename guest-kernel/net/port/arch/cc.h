/*
 * cc.h - what lwIP must know of the compiler and of the kernel around it.
 */
#ifndef ARCH_CC_H
#define ARCH_CC_H

#include <limits.h>

#include "kern/types.h"
#include "net/heap.h"
#include "psm/random.h"
#include "os/panic.h"

#define SSIZE_MAX                  LONG_MAX /* ssize_t is kern/types.h's */
#define LWIP_NO_UNISTD_H           1
#define LWIP_NO_INTTYPES_H         1
#define LWIP_NO_CTYPE_H            1
#define BYTE_ORDER                 LITTLE_ENDIAN
#define X8_F                       "02x"
#define U16_F                      "u"
#define S16_F                      "d"
#define X16_F                      "x"
#define U32_F                      "u"
#define S32_F                      "d"
#define X32_F                      "x"
#define SZT_F                      "zu"
#define LWIP_RAND()                random_u32()
#define LWIP_PLATFORM_DIAG(x)      ((void)0)
#define LWIP_PLATFORM_ASSERT(text) panic("lwIP, %s line %d: %s", __FILE_NAME__, __LINE__, (text))

/** port_assert_core_locked() - panics unless the caller holds lwIP's lock. */
void port_assert_core_locked(void);

#endif /* ARCH_CC_H */
