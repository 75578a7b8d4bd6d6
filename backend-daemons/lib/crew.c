/*
 * A device's worker: see crew.h.
 */
#include "crew.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "notify.h"
#include "supervised.h"
#include "supervisor.h"

#define NS_PER_MS     UINT64_C(1000000)
#define MAX_DEATHS    5U
#define SHORT_LIFE_NS (10000 * NS_PER_MS)

/* Below the back end's directory, where only this domain writes: the ring's last worker ended in
 * good order, and nothing is in flight. */
#define AT_REST_KEY "duet-at-rest"

void crew_init(struct crew *crew)
{
    crew->log_fd = -1;
    crew->report_log = (struct log_limit){.burst = 5, .interval_ms = 5000};
}

void crew_release(struct crew *crew)
{
    if (crew->log_fd >= 0) {
        close(crew->log_fd);
        crew->log_fd = -1;
    }
}

void crew_dismiss(struct supervised *dev)
{
    struct crew *crew = &dev->crew;

    if (crew->log_fd >= 0) {
        notify_drop_fd(dev->name);
        crew_release(crew);
    }
    crew->deaths = 0;
    crew->refusing = false;
}

/* Has a log for the ring: the one at hand, or a fresh one when nothing can be in flight. */
static int crew_find_log(struct supervised *dev, char *why, unsigned long size)
{
    struct crew *crew = &dev->crew;
    bool at_rest = store_exists(dev->sup->store, STORE_NO_TX, dev->back, AT_REST_KEY);
    int fd;

    if (crew->log_fd >= 0) {
        return 0;
    }
    if (dev->in_use && !at_rest) {
        snprintf(why, size,
                 "its ring is in use, and nobody has kept what is in flight: not taken over");
        return -ESTALE;
    }
    fd = dev->sup->ops->create_log();
    if (fd < 0) {
        snprintf(why, size, "no memory for what is in flight: %s", strerror(-fd));
        return fd;
    }
    crew->log_fd = fd;
    notify_keep_fd(dev->name, fd);
    return 0;
}

/* A report, as the worker, which is not trusted, sent it. */
static void crew_on_message(void *arg, const void *msg, unsigned long len)
{
    struct supervised *dev = arg;
    struct crew *crew = &dev->crew;
    struct wire_report r = {.kind = 0};
    char sentence[SUPERVISED_SENTENCE_MAX];

    if (len >= sizeof(r)) {
        memcpy(&r, msg, sizeof(r));
        r.text[sizeof(r.text) - 1] = '\0';
    }
    if (crew->told || crew->given_up) {
        log_limited(&crew->report_log, LOG_WARNING, &dev->id,
                    "a worker that is about to end goes on reporting");
    } else if (r.kind == WIRE_READY && len == sizeof(r)) {
        life_happens(&dev->life, LIFE_ON_SERVING);
    } else if ((r.kind == WIRE_FAILED || r.kind == WIRE_BROKEN) && len == sizeof(r)) {
        snprintf(sentence, sizeof(sentence), "%s: %s", dev->front, r.text);
        crew->told = true;
        supervised_tell_error(dev, wire_errno(r.err), sentence);
        life_happens(&dev->life, LIFE_ON_FAILED);
    } else if (r.kind < WIRE_CLASS_REPORT || dev->sup->ops->report == NULL ||
               !dev->sup->ops->report(dev, &r, msg, len)) {
        log_limited(&crew->report_log, LOG_ERR, &dev->id,
                    "worker sent %lu bytes that are no report; killed", len);
        crew->given_up = true;
        child_signal(&crew->child, SIGKILL);
    }
}

/* Counts a death that nobody ordered. */
static enum life_event crew_count_death(struct supervised *dev, const char *how)
{
    struct crew *crew = &dev->crew;
    bool soon = loop_now_ns() - crew->starts.last_ns < SHORT_LIFE_NS;
    char sentence[SUPERVISED_SENTENCE_MAX];

    crew->deaths = soon ? crew->deaths + 1 : 1;
    if (crew->deaths < MAX_DEATHS && !crew->refusing) {
        log_limited(&dev->guest_log, LOG_ERR, &dev->id, "worker %s; starting another", how);
        return LIFE_ON_DEATH;
    }
    if (dev->sup->ops->refuses && !crew->refusing) {
        snprintf(sentence, sizeof(sentence),
                 "worker %s, %u times in a row; from now on every request is answered by an error",
                 how, crew->deaths);
        crew->refusing = true;
        supervised_tell_error(dev, -EIO, sentence);
        return LIFE_ON_DEATH;
    }
    snprintf(sentence, sizeof(sentence), "worker %s, %u times in a row; the device is closed", how,
             crew->deaths);
    supervised_tell_error(dev, -EIO, sentence);
    return LIFE_ON_GIVEN_UP;
}

static void crew_on_exit(void *arg, int status)
{
    struct supervised *dev = arg;
    const enum life_phase phase = dev->life.phase;
    bool ordered = phase == LIFE_STOPPING || phase == LIFE_TERMINATED ||
                   (phase == LIFE_KILLED && dev->life.after != LIFE_PAUSING);
    enum life_event event = LIFE_ON_EXIT;
    char how[128];

    child_describe_status(status, how, sizeof(how));
    if (!ordered) {
        event = crew_count_death(dev, how);
    } else if (status != 0 && !dev->crew.told) {
        log_limited(&dev->guest_log, LOG_WARNING, &dev->id, "worker %s while it was stopping", how);
        event = LIFE_ON_DEATH;
    } else if (status == 0 && phase == LIFE_STOPPING && dev->life.after != LIFE_CLOSED &&
               dev->crew.log_fd >= 0) {
        supervised_write_key(dev, AT_REST_KEY, "1");
    }
    supervised_reconsider(dev); /* before the event, which may free it */
    life_happens(&dev->life, event);
}

/* Spawns it, and hands it what it needs. Returns 0, or -errno with a sentence. */
static int crew_spawn(struct supervised *dev, const struct crew_orders *o, char *why,
                      unsigned long size)
{
    struct crew *crew = &dev->crew;
    char *argv[] = {(char *)dev->sup->worker_path, (char *)o->args[0], (char *)o->args[1],
                    (char *)o->args[2], NULL};
    int err = child_start(&crew->child, dev->sup->loop, argv, crew_on_message, crew_on_exit, dev);

    if (err != 0) {
        snprintf(why, size, "%s: cannot be started: %s", argv[0], strerror(-err));
        return err;
    }
    if (dev->sup->ops->deliver != NULL) {
        err = dev->sup->ops->deliver(dev, o, why, size);
    } else {
        err = child_send(&crew->child, o->config, o->size, o->fds, o->nr_fds);
        snprintf(why, size, "%s", strerror(-err));
    }
    if (err != 0) {
        /* its end is dealt with in crew_on_exit() */
        log_limited(&dev->guest_log, LOG_ERR, &dev->id, "no configuration for the worker: %s", why);
        child_signal(&crew->child, SIGKILL);
    }
    return 0;
}

void crew_start(struct supervised *dev)
{
    struct crew *crew = &dev->crew;
    const struct supervisor_ops *ops = dev->sup->ops;
    struct crew_orders o = {.nr_fds = 0};
    char why[SUPERVISED_SENTENCE_MAX];
    int err;

    dev->life.pause_ns = pace_ask(&crew->starts, loop_now_ns());
    if (dev->life.pause_ns != 0) {
        if (crew->deaths == 0) {
            log_limited(&dev->guest_log, LOG_INFO, &dev->id,
                        "connects again too soon: waits %" PRIu64 " ms",
                        dev->life.pause_ns / NS_PER_MS + 1);
        }
        life_happens(&dev->life, LIFE_ON_TOO_SOON);
        return;
    }
    crew->told = crew->given_up = false;
    err = ops->configure(dev, &o, why, sizeof(why));
    if (err == 0 && ops->create_log != NULL) {
        err = crew_find_log(dev, why, sizeof(why));
        o.fds[o.log_at] = crew->log_fd;
        supervised_remove_key(dev, AT_REST_KEY);
    }
    if (err == 0) {
        err = crew_spawn(dev, &o, why, sizeof(why));
    }
    if (err != 0) {
        supervised_tell_error(dev, err, why);
        life_happens(&dev->life, LIFE_ON_REFUSED);
        return;
    }
    dev->in_use = true;
    life_happens(&dev->life, LIFE_ON_STARTED);
}

int crew_order(struct crew *crew, const void *order, unsigned long size)
{
    return child_send(&crew->child, order, size, NULL, 0);
}

void crew_stop(struct supervised *dev)
{
    const uint32_t order = WIRE_STOP;

    if (crew_order(&dev->crew, &order, sizeof(order)) != 0) {
        child_signal(&dev->crew.child, SIGTERM);
    }
}
