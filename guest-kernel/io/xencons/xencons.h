/*
 * xencons.h - the primary console: what is read and written by the one at the keyboard.
 *
 * Output goes through a buffer in memory to the device; log lines that find the buffer full are
 * dropped (the log keeps them), threads that write wait for room. A newline goes out as CR LF.
 * Input is bytes as they come; a ^C also sets a flag that long commands look at.
 * Locks: cons_lock (spinlock), a leaf under log_lock. Suspend: after a restore
 * xencons_resume() finds the ring again; buffers stay.
 */
#ifndef IO_XENCONS_XENCONS_H
#define IO_XENCONS_XENCONS_H

#include "kern/types.h"

/**
 * xencons_init() - find the console, print what the log holds, become its sink and panic's console
 *
 * Event channels work; threads need not exist. Without a console the kernel runs silently.
 */
void xencons_init(void);

/** xencons_write() - write bytes, sleeping while the buffer is full. Thread context. */
void xencons_write(const char *text, size_t len);

/**
 * xencons_read() - sleep until something was typed, then take it
 *
 * Return: the number of bytes in @buf, at least 1; 0 when @deadline passed, or when log lines were
 * written over the line that is being typed: show it again. Thread context.
 */
size_t xencons_read(char *buf, size_t size, nsec_t deadline);

/**
 * xencons_tell() - whom to tell when something was typed, or xencons_put(), xencons_writable() or
 * xencons_drained() found too little room and there is more now
 *
 * @fn is called as an event handler. Once.
 */
void xencons_tell(void (*fn)(void));

/** xencons_put() - write what there is room for now. Return: how many bytes. Any context. */
size_t xencons_put(const char *text, size_t len);

/** xencons_put_raw() - the same, but a newline stays one byte. */
size_t xencons_put_raw(const char *text, size_t len);

/** xencons_drained() - whether the console's reader has taken everything. Any context. */
bool xencons_drained(void);

/** xencons_writable() - whether there is room that is worth writing to. Any context. */
bool xencons_writable(void);

/** xencons_take() - take what was typed, if there is any. Return: how many bytes. Any context. */
size_t xencons_take(char *buf, size_t size);

/** xencons_interrupted() - whether ^C was typed since xencons_clear_interrupt(). Any context. */
bool xencons_interrupted(void);

/** xencons_clear_interrupt() - forget it, with the ^C itself if nobody read it yet. Any context. */
void xencons_clear_interrupt(void);

/** xencons_wait_interrupt() - sleep until ^C was typed (true) or @deadline. Thread context. */
bool xencons_wait_interrupt(nsec_t deadline);

/**
 * xencons_claim() - from here on, or no more, all that is typed is for programs: ^C is a byte like
 * any. Any context.
 */
void xencons_claim(bool by_programs);

/** xencons_typed() - whether xencons_take() would find something. Any context. */
bool xencons_typed(void);

/** xencons_wait_until() - sleep until @cond(@arg), which is looked at when something was typed. */
void xencons_wait_until(bool (*cond)(void *arg), void *arg);

/** xencons_give_back() - what was taken and not used is there to be read again, if it fits. */
void xencons_give_back(const char *buf, size_t n);

/** xencons_look_again() - some @cond may have become true. Any context. */
void xencons_look_again(void);

/** xencons_flush() - sleep until the console's reader has taken everything, or @deadline. */
void xencons_flush(nsec_t deadline);

/** xencons_resume() - find the console of the domain that we are now. 0 or -errno. Any context. */
int xencons_resume(void) __must_check;

#endif /* IO_XENCONS_XENCONS_H */
