/*
 * xvb_trial.h - one case of xvb_requests.h tried on a live disk, and what the back end made of it.
 *
 * For `blkabuse`. Besides the answers, a trial looks at what has to stay as it is: the disk outside
 * of the scratch sectors, our pages outside of what a read named, the unused bytes of the ring; and
 * at whether the disk is served as before. Answers are polled for: there is no event for a ring
 * that is not served. Thread context; may sleep.
 *
 * Types: struct xvb_trial, owned by its caller, one thread. Suspend: ends what is tried.
 */
#ifndef HOSTILE_XVB_TRIAL_H
#define HOSTILE_XVB_TRIAL_H

#include "hostile/xvb_abuse.h"

struct xvb_trial {
    struct xvb_abuse ring;
    struct xvb_batch batch;
    nsec_t duration;                /* of what is repeated */
    bool (*interrupted)(void *arg); /* whether to repeat it no more */
    void *arg;
    uint64_t *before; /* sums of the disk's chunks */
    void *chunk;
    uint64_t page_sums[XVB_PAGES]; /* of pages that were taken back */
    struct xvb_answers sum;        /* from here on: of the last trial */
    uint64_t kicks;
    unsigned outcome;  /* XVB_* bits */
    bool usable;       /* the ring can be used for another */
    const char *after; /* what was found behind it; NULL: nothing */
    const char *wrong; /* what was not right of it; NULL: nothing */
};

/**
 * xvb_trial_open() - begin with a disk, which is read once
 * @t: zeroed but for @interrupted and @arg
 *
 * Return: as xvb_abuse_open(), or the error of a read.
 */
int xvb_trial_open(struct xvb_trial *t, const char *disk) __must_check;

/** xvb_trial_close() - the reverse. */
void xvb_trial_close(struct xvb_trial *t);

/** xvb_trial_run() - try a case that applies to the disk; the result is in @t. */
void xvb_trial_run(struct xvb_trial *t, const struct xvb_case *c);

#endif /* HOSTILE_XVB_TRIAL_H */
