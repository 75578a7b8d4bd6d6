/*
 * A supervisor's messages about a device, to the journal with fields, so that an administrator asks
 * for a guest by its name:
 *
 *     journalctl DUET_DOMAIN=web1            all that any of the daemons said of that guest
 *     journalctl DUET_DOMAIN=web1 DUET_DEVICE=vbd/51712
 *
 * DUET_DOMAIN is the domain's name (without what xl appends while it migrates), DUET_DOMID its
 * number, DUET_DEVICE class and device. A name that is not known, as in a driver domain, is left
 * out. The text is the same as on standard error.
 *
 * Only a supervisor has this socket. The journal finds the unit of a datagram's sender by its
 * process, which may have ended by then: so a worker's words go to its supervisor (WIRE_SAYS),
 * which also keeps a worker that was taken over from speaking in another guest's name.
 *
 * It is the protocol of systemd's "Native Journal Protocol", over a socket that is connected at the
 * start and never waits. libsystemd's own sd_journal_sendv() opens its socket when it is first
 * called, which would be behind a filter, and waits for a journal that does not read.
 */
#ifndef DUET_LIB_JOURNAL_H
#define DUET_LIB_JOURNAL_H

/* Where the journal listens. */
#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/*
 * From now on messages about a device go to the journal at `path`, if standard error is the
 * journal's: else, or without a journal, nothing changes. For the start of a daemon, before
 * filters.
 */
void journal_begin(const char *path);

/* They go to standard error again: the last words of a process that is about to end. */
void journal_end(void);

#endif
