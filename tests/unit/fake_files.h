/*
 * fake_files.h - what open files stand on in the kernel: mutexes, memory, sleepers. For tests that
 * have one thread.
 */
#ifndef TESTS_UNIT_FAKE_FILES_H
#define TESTS_UNIT_FAKE_FILES_H

#include <stdbool.h>
#include <stdint.h>

extern bool fake_locked;         /* some mutex is held: nobody may take another */
extern bool fake_users_may_take; /* there is memory for programs */
extern unsigned fake_held;       /* pieces of memory in use */
extern unsigned fake_woken;      /* how often sleepers were told to look */
extern bool fake_interrupted;    /* the program's thread has a signal */
extern void (*fake_sleep)(void); /* what happens while somebody sleeps; NULL: nobody may */

extern void (*fake_next_sleep)(void); /* the same, the next time; NULL: as before */
extern bool fake_times_out;           /* who sleeps next does so until its deadline */
extern uint64_t fake_deadline;        /* which is, of who slept last */

/** fake_files_begin() - as it is at first: there is memory, and nobody may sleep. */
void fake_files_begin(void);

#endif /* TESTS_UNIT_FAKE_FILES_H */
