/*
 * duet-netd: its options. The rest of its life is the supervisor's (lib/supervisor.h). The taps
 * stay when it ends, so that the next daemon goes on with the same guests.
 */
#include "device.h"
#include "options.h"

int main(int argc, char **argv)
{
    struct netd d = {
        .sup = {.ops = &netd_ops, .worker_path = DUET_NET_WORKER, .uid_base = OPTIONS_UID_BASE},
        .tap_prefix = "vif",
        .max_queues = NET_WIRE_MAX_QUEUES,
        .stall_seconds = 60};
    const struct option_rule table[] = {
        OPTION_LOG_LEVEL,
        {.letter = 'q',
         .name = "max-queues",
         .argument = "N",
         .help = "queues that a guest may use, 1 to 8 (default 8)",
         .type = OPTION_NUMBER,
         .to = &d.max_queues,
         .min = 1,
         .max = NET_WIRE_MAX_QUEUES},
        {.letter = 't',
         .name = "stall",
         .argument = "SECONDS",
         .help = "the link is down for a guest that takes no packets for\nso long (default 60)",
         .type = OPTION_NUMBER,
         .to = &d.stall_seconds,
         .min = 1,
         .max = 86400},
        OPTION_UID_BASE(&d.sup.uid_base),
        OPTION_WORKER(&d.sup.worker_path, DUET_NET_WORKER),
    };
    int status = options_parse(
        "duet-netd",
        "Serves the network devices (vif) of Xen guests: each is a tap, vifD.N, of this domain.",
        table, sizeof(table) / sizeof(table[0]), argc, argv);

    return status >= 0 ? status : supervisor_run(&d.sup);
}
