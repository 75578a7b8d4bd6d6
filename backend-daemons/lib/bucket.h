/*
 * A token bucket: so many tokens in each interval, at most a burst of them at once. Whoever spends
 * faster has to wait, and others do not notice. What a token stands for is the user's choice:
 * bytes, packets, events.
 *
 * Who learns what something costs only when it has been begun may owe tokens: what comes in pays
 * for that first.
 *
 * Types: struct bucket. Time is CLOCK_MONOTONIC in nanoseconds, given by the caller.
 */
#ifndef DUET_LIB_BUCKET_H
#define DUET_LIB_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
    uint64_t amount; /* tokens per interval; 0: no limit */
    uint64_t interval_ns;
    uint64_t burst; /* the most that it holds */
    uint64_t tokens;
    uint64_t owed;      /* spent before they were there; `tokens` is 0 then */
    uint64_t filled_ns; /* up to when the tokens have been counted */
    uint64_t next_ns;   /* after bucket_take() refused: when to try again */
};

/*
 * Sets the limit, from now on: `amount` tokens in `interval_ns`, of which the first are there. An
 * interval of 0 means no limit; a burst below `amount` counts as `amount`.
 */
void bucket_set(struct bucket *b, uint64_t amount, uint64_t interval_ns, uint64_t burst,
                uint64_t now_ns);

/* How many tokens there are now; UINT64_MAX without a limit. */
uint64_t bucket_tokens(struct bucket *b, uint64_t now_ns);

/* Spends tokens; more than there are empties the bucket. */
void bucket_spend(struct bucket *b, uint64_t tokens);

/* Spends tokens that need not be there: those that are not are owed. Nothing without a limit. */
void bucket_owe(struct bucket *b, uint64_t tokens);

/* Gives tokens back that were spent in vain. */
void bucket_give_back(struct bucket *b, uint64_t tokens);

/*
 * Spends all of `tokens`, or none: returns false when they are not there, with `next_ns` set to
 * when they will be. More than the burst never are.
 */
bool bucket_take(struct bucket *b, uint64_t tokens, uint64_t now_ns);

/*
 * Nanoseconds from `now_ns` until `wanted` tokens are there, by the last count of them; 0 when they
 * are, or can be counted by now.
 */
uint64_t bucket_wait_ns(const struct bucket *b, uint64_t wanted, uint64_t now_ns);

#endif
