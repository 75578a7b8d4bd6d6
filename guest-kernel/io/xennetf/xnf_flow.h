/*
 * xnf_flow.h - which frames belong together, for the choice of a queue.
 *
 * Pure; compiles on the host for tests/unit.
 */
#ifndef IO_XENNETF_XNF_FLOW_H
#define IO_XENNETF_XNF_FLOW_H

#include "kern/types.h"

/**
 * xnf_flow_hash() - a number that is the same for all frames of a flow
 * @data: the frame's first bytes, @len of them
 *
 * A flow is a pair of addresses and, of TCP and UDP, of ports. Frames that are neither IPv4 nor
 * IPv6, and what is cut short, go by their MAC addresses; fragments and other protocols by their
 * addresses alone, so that nothing overtakes its like. Any context.
 */
uint32_t xnf_flow_hash(const uint8_t *data, size_t len);

#endif /* IO_XENNETF_XNF_FLOW_H */
