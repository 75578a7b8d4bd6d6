/*
 * duet-netd: its options. The rest of its life is the supervisor's (lib/supervisor.h). The taps
 * stay when it ends, so that the next daemon goes on with the same guests.
 */
#include <sched.h>

#include "device.h"

/* How many processors this daemon may use: what Linux' back end goes by. At least one. */
static unsigned int own_vcpus(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned int)CPU_COUNT(&set) : 1;
}

int main(int argc, char **argv)
{
    struct netd d = {.sup = {.ops = &netd_ops,
                             .conf = {.class = "net"},
                             .purpose = "Serves the network devices (vif) of Xen guests: each is a "
                                        "tap, vifD.N, of this domain.",
                             .worker_path = DUET_NET_WORKER},
                     .tap_prefix = "vif",
                     .max_queues = NET_WIRE_MAX_QUEUES,
                     .own_vcpus = own_vcpus(),
                     .stall_seconds = 60};
    const struct option_rule table[] = {
        {.letter = 'q',
         .name = "max-queues",
         .argument = "N",
         .help = "queues that a guest may use, 1 to 8 (default 8)",
         .type = OPTION_NUMBER,
         .to = &d.max_queues,
         .min = 1,
         .max = NET_WIRE_MAX_QUEUES,
         .scope = OPTION_OF_GUEST},
        {.letter = 't',
         .name = "stall",
         .argument = "SECONDS",
         .help = "the link is down for a guest that takes no packets for\nso long (default 60)",
         .type = OPTION_NUMBER,
         .to = &d.stall_seconds,
         .min = 1,
         .max = 86400,
         .scope = OPTION_OF_GUEST},
    };

    return supervisor_main(&d.sup, table, sizeof(table) / sizeof(table[0]), argc, argv);
}
