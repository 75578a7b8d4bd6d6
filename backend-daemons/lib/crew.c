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
#define BEAT_MS       5000U
#define SILENT_BEATS  2U

/* Below the back end's directory, where only this domain writes: the ring's last worker ended in
 * good order, and nothing is in flight. */
#define AT_REST_KEY "duet-at-rest"

void crew_init(struct crew *crew)
{
    crew->log_fd = -1;
    crew->report_log = (struct log_limit){.burst = 5, .interval_ms = 5000};
    crew->says = (struct log_limit){.burst = 60, .interval_ms = 5000};
}

static void crew_close_log(struct crew *crew)
{
    kept_look_away(crew->kept);
    crew->kept = NULL;
    if (crew->log_fd >= 0) {
        close(crew->log_fd);
        crew->log_fd = -1;
    }
}

static void crew_drop_log(struct supervised *dev)
{
    if (dev->crew.log_fd >= 0) {
        notify_drop_fd(dev->name);
        crew_close_log(&dev->crew);
    }
}

void crew_release(struct supervised *dev)
{
    loop_timer_cancel(dev->sup->loop, &dev->crew.beat);
    crew_close_log(&dev->crew);
    figures_release(&dev->crew.figures);
}

void crew_dismiss(struct supervised *dev)
{
    crew_drop_log(dev);
    dev->crew.deaths = 0;
    dev->crew.refusing = false;
}

/* Whether the workers of this daemon can read it; one that nobody has written, any can. */
static bool crew_reads_log(const struct supervised *dev)
{
    const struct kept_head *kept = dev->crew.kept;

    return kept != NULL &&
           (kept->state == KEPT_FRESH || (kept->magic == dev->sup->ops->log_magic &&
                                          kept->version == dev->sup->ops->log_version));
}

/*
 * Has a log for the ring: the one at hand, or a fresh one when nothing can be in flight. One of
 * another version is of use only to say that; the worker that cannot read it does.
 */
static int crew_find_log(struct supervised *dev, char *why, unsigned long size)
{
    struct crew *crew = &dev->crew;
    int at_rest = store_has(dev->sup->store, STORE_NO_TX, dev->back, AT_REST_KEY);
    int fd;

    if (crew->log_fd >= 0 && crew->kept == NULL) {
        crew->kept = kept_look(crew->log_fd); /* an earlier daemon had it kept */
    }
    if (store_error_passes(at_rest)) {
        snprintf(why, size, "%s", store_error(dev->sup->store));
        return at_rest;
    }
    if (crew->log_fd >= 0 && (at_rest == 1 || dev->sup->ops->forgives) && !crew_reads_log(dev)) {
        log_msg(LOG_NOTICE, &dev->id, "goes on after a daemon of another version");
        crew_drop_log(dev);
    }
    if (crew->log_fd >= 0) {
        return 0;
    }
    if (dev->in_use && at_rest != 1 && !dev->sup->ops->forgives) {
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
    crew->kept = kept_look(fd);
    notify_keep_fd(dev->name, fd);
    return 0;
}

/* A message of the worker's, in its device's name. Returns false for what is none. */
static bool crew_hears(struct supervised *dev, const struct wire_report *r, unsigned long len)
{
    if (r->kind != WIRE_SAYS || len != sizeof(*r) || r->err < LOG_ERR || r->err > LOG_DEBUG) {
        return false;
    }
    log_limited(&dev->crew.says, r->err, &dev->id, "%s", r->text);
    return true;
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
    if (crew_hears(dev, &r, len) || crew->told) {
        return; /* told: its last count, say: why it ends is known, and it has until the deadline */
    }
    if (r.kind == WIRE_READY && len == sizeof(r)) {
        life_happens(&dev->life, LIFE_ON_SERVING);
    } else if (r.kind == WIRE_FAILED && len == sizeof(r) && dev->life.phase == LIFE_STARTING &&
               lacks_for_now(wire_errno(r.err))) {
        log_limited(&crew->report_log, LOG_WARNING, &dev->id, "%s: %s", dev->front, r.text);
    } else if ((r.kind == WIRE_FAILED || r.kind == WIRE_BROKEN) && len == sizeof(r)) {
        snprintf(sentence, sizeof(sentence), "%s: %s", dev->front, r.text);
        crew->told = true;
        supervised_tell_error(dev, wire_errno(r.err), sentence);
        life_happens(&dev->life, LIFE_ON_FAILED);
    } else if (r.kind < WIRE_CLASS_REPORT || dev->sup->ops->report == NULL ||
               !dev->sup->ops->report(dev, &r, msg, len)) {
        log_limited(&crew->report_log, LOG_ERR, &dev->id,
                    "worker sent %lu bytes that are no report; killed", len);
        crew->told = true;
        child_give_up(&crew->child);
    }
}

/* Counts a death that nobody ordered. Who did something before has not lived in vain. */
static enum life_event crew_count_death(struct supervised *dev, const char *how)
{
    struct crew *crew = &dev->crew;
    bool soon = loop_now_ns() - crew->starts.last_ns < SHORT_LIFE_NS;
    bool useful = crew->kept != NULL && crew->kept->progress != crew->progress;
    char sentence[SUPERVISED_SENTENCE_MAX];

    crew->replaces = true;
    if (useful) {
        crew->starts.hurry = 0;
    }
    crew->deaths = soon && !useful ? crew->deaths + 1 : 1;
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

    loop_timer_cancel(dev->sup->loop, &dev->crew.beat);
    child_describe_status(status, how, sizeof(how));
    if (!ordered) {
        event = crew_count_death(dev, how);
    } else if (status != 0 && !dev->crew.told) {
        log_limited(&dev->guest_log, LOG_WARNING, &dev->id, "worker %s while it was stopping", how);
        event = LIFE_ON_DEATH;
    } else if (status == 0 && phase != LIFE_KILLED && !dev->crew.told &&
               dev->life.after != LIFE_CLOSED && dev->crew.log_fd >= 0) {
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
    int err = child_start(&crew->child, dev->sup->loop, dev->sup->worker_program, argv,
                          crew_on_message, crew_on_exit, dev);

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

/* No worker was started. A guest that is connected has nobody else, so that is tried again. */
static void crew_fails(struct supervised *dev, int err, bool may_pass, const char *why)
{
    char how[SUPERVISED_SENTENCE_MAX + 32];

    if (dev->in_use && may_pass) {
        snprintf(how, sizeof(how), "not started (%s)", why);
        life_happens(&dev->life, crew_count_death(dev, how));
        return;
    }
    supervised_tell_error(dev, err, why);
    life_happens(&dev->life, LIFE_ON_REFUSED);
}

/* Adds the memory in which the worker counts. Returns 0, or -errno with a sentence. */
static int crew_add_figures(struct supervised *dev, struct crew_orders *o, int *fd, char *why,
                            unsigned long size)
{
    dev->crew.figures.id = &dev->id;
    *fd = figures_renew(&dev->crew.figures, &dev->sup->bounds);
    if (*fd < 0) {
        snprintf(why, size, "no memory for what is counted: %s", strerror(-*fd));
        return *fd;
    }
    o->fds[o->nr_fds++] = *fd;
    return 0;
}

/* Starts it, with memory in which to count, as its last descriptor. 0 or -errno with a sentence. */
static int crew_spawn_counting(struct supervised *dev, struct crew_orders *o, char *why,
                               unsigned long size)
{
    struct crew *crew = &dev->crew;
    int fd, err = crew_add_figures(dev, o, &fd, why, size);

    if (err != 0) {
        return err;
    }
    err = crew_spawn(dev, o, why, size);
    close(fd);
    if (err == 0 && crew->replaces) {
        crew->restarts++;
        crew->replaces = false;
    }
    return err;
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
    crew->told = crew->serves = false;
    err = supervised_configure(dev, &o, why, sizeof(why));
    if (err == 0 && ops->create_log != NULL) {
        err = crew_find_log(dev, why, sizeof(why));
        o.fds[o.log_at] = crew->log_fd;
        crew->progress = crew->kept != NULL ? crew->kept->progress : 0;
    }
    if (err == 0 && ops->create_log != NULL) {
        /* a mark that outlived the rest would have a later daemon forget what is in flight */
        err = supervised_remove_key(dev, AT_REST_KEY, why, sizeof(why));
    }
    if (err != 0) {
        crew_fails(dev, err, lacks_for_now(err) || store_error_passes(err), why);
        return;
    }
    err = crew_spawn_counting(dev, &o, why, sizeof(why));
    if (err != 0) {
        crew_fails(dev, err, true, why);
        return;
    }
    dev->in_use = true;
    life_happens(&dev->life, LIFE_ON_STARTED);
}

/* What the kernel says of a process ('R', 'S', 'D', ...), or '\0'. */
static char crew_process_state(pid_t pid)
{
    char path[32], text[256];
    const char *end = NULL;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    f = fopen(path, "re");
    if (f != NULL) {
        end = fgets(text, sizeof(text), f) != NULL ? strrchr(text, ')') : NULL;
        fclose(f);
    }
    return end != NULL && end[1] == ' ' ? end[2] : '\0';
}

/* The worker has not turned for too long. Returns whether it is to be replaced. */
static bool crew_hangs(struct supervised *dev)
{
    struct crew *crew = &dev->crew;

    if (crew_process_state(crew->child.pid) != 'D') {
        return true;
    }
    if (!crew->held) {
        crew->held = true;
        supervised_tell_error(dev, -ETIMEDOUT,
                              "the kernel holds the worker: its storage does not answer; waits");
    }
    return false;
}

static void crew_on_beat(void *arg)
{
    struct supervised *dev = arg;
    struct crew *crew = &dev->crew;
    const uint32_t order = WIRE_BEAT;

    if (dev->life.phase != LIFE_CONNECTED || crew->kept == NULL) {
        return;
    }
    if (crew->kept->turns != crew->turns) {
        crew->turns = crew->kept->turns;
        crew->silent = 0;
        if (crew->held) {
            crew->held = false;
            log_msg(LOG_NOTICE, &dev->id, "the storage answers again");
        }
    } else if (++crew->silent > SILENT_BEATS && crew_hangs(dev)) {
        life_happens(&dev->life, LIFE_ON_HUNG);
        return;
    }
    crew_order(crew, &order, sizeof(order)); /* one that does not read has got enough of them */
    loop_timer_set(dev->sup->loop, &crew->beat,
                   (dev->sup->beat_ms != 0 ? dev->sup->beat_ms : BEAT_MS) * NS_PER_MS, crew_on_beat,
                   dev);
}

void crew_watch(struct supervised *dev)
{
    struct crew *crew = &dev->crew;

    crew->serves = true;
    crew->held = false;
    crew->silent = 0;
    crew->turns = crew->kept != NULL ? crew->kept->turns - 1 : 0;
    crew_on_beat(dev);
}

bool crew_moves(const struct crew *crew)
{
    return crew->serves && crew->silent < SILENT_BEATS && !crew->held && !crew->figures.lies;
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
