/*
 * One daemon of a kind on this host: two would serve the same devices, and close them for each
 * other. Whoever comes first holds a lock for as long as it lives.
 */
#ifndef DUET_LIB_SINGLE_H
#define DUET_LIB_SINGLE_H

/* Where the locks are. */
#define SINGLE_DIR "/run/duet"

/*
 * Makes this process the only `name` of the host: locks DIR/NAME.lock. The descriptor is never
 * closed, and no child has it. Returns 0, or -errno with a sentence in `why`, which for -EBUSY
 * names the process that is the only one already.
 */
int single_claim(const char *dir, const char *name, char *why, unsigned long why_size);

/* The same by a lock on a folder that the daemon has open. The descriptor stays the caller's. */
int single_claim_folder(int folder, const char *name, char *why, unsigned long why_size);

#endif
