/*
 * The alias of a network interface: a text for people and programs that the kernel keeps with it,
 * whatever its name becomes. `ip link show` prints it.
 */
#ifndef DUET_NET_ALIAS_H
#define DUET_NET_ALIAS_H

#define ALIAS_MAX 256 /* with the final NUL, as the kernel has it */

/* Sets the alias of an interface. Returns 0 or -errno. */
int alias_set(const char *interface, const char *text);

/* Reads it; empty: there is none. Returns 0 or -errno. */
int alias_get(const char *interface, char *text, unsigned long size);

#endif
