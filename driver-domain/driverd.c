/*
 * duet-driverd: in dom0, keeps the devices of guests served when a driver domain dies and is
 * started anew. What it does with them is reattach.c's; this is its command line and its life as a
 * service.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "journal.h"
#include "notify.h"
#include "options.h"
#include "reattach.h"
#include "single.h"

#define NAME "duet-driverd"

static void on_terminate(void *arg, int signo)
{
    log_msg(LOG_INFO, NULL, "%s", strsignal(signo));
    journal_end();
    notify_stopping();
    loop_stop(arg, 0);
}

static void on_store_lost(void *arg)
{
    log_msg(LOG_ERR, NULL, "lost the connection to xenstored");
    loop_stop(arg, 1);
}

static bool is_the_only_one(void)
{
    char why[256];

    if (mkdir(SINGLE_DIR, 0755) < 0 && errno != EEXIST) {
        log_msg(LOG_ERR, NULL, SINGLE_DIR ": cannot be created: %s", strerror(errno));
        return false;
    }
    if (single_claim(SINGLE_DIR, NAME, why, sizeof(why)) != 0) {
        log_msg(LOG_ERR, NULL, "%s", why);
        return false;
    }
    return true;
}

static struct store *connect_store(struct loop *loop)
{
    struct store *store = store_open(loop, on_store_lost, loop);

    if (store == NULL) {
        log_msg(LOG_ERR, NULL,
                "cannot connect to xenstored: %s (is this a Xen domain, and does xenstored run?)",
                strerror(errno));
    } else if (store_self_domid(store) != 0) {
        log_msg(LOG_ERR, NULL, "this is domain %u: only dom0 can give devices to others",
                store_self_domid(store));
        store_close(store);
        store = NULL;
    }
    return store;
}

static int serve(struct loop *loop)
{
    static struct reattach reattach;
    int status = 1;

    reattach.loop = loop;
    reattach.store = connect_store(loop);
    if (reattach.store == NULL) {
        return status;
    }
    if (reattach_start(&reattach) == 0) {
        notify_ready(loop);
        status = loop_run(loop);
    }
    reattach_stop(&reattach);
    store_close(reattach.store);
    return status;
}

int main(int argc, char **argv)
{
    static const struct option_rule rules[] = {OPTION_LOG_LEVEL};
    static const struct loop_signal_rule signals[] = {{SIGTERM, on_terminate},
                                                      {SIGINT, on_terminate}};
    static struct options options = {
        .program = NAME,
        .what = "Gives guests' devices to the driver domain that took the place of one that died."};
    int status;
    struct loop *loop;

    options_add(&options, rules, sizeof(rules) / sizeof(rules[0]));
    status = options_parse(&options, argc, argv);
    if (status >= 0) {
        return status;
    }
    status = 1;
    journal_begin(JOURNAL_SOCKET);
    loop = loop_new();
    if (loop == NULL || loop_signals(loop, signals, 2, loop) != 0) {
        log_msg(LOG_ERR, NULL, "cannot set up the event loop: %s", strerror(errno));
    } else if (is_the_only_one()) {
        status = serve(loop);
    }
    loop_free(loop);
    return status == 0 ? 0 : 1;
}
