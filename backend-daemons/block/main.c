/*
 * duet-blockd: its options. The rest of its life is the supervisor's (lib/supervisor.h).
 */
#include "device.h"

#define HOTPLUG_SCRIPT "/etc/xen/scripts/block-duet"

/* A row that one guest alone may have otherwise. */
#define LIMIT(NAME, ARGUMENT, HELP, TYPE, TO, MIN, MAX)                                     \
    {                                                                                       \
        .name = (NAME), .argument = (ARGUMENT), .help = (HELP), .type = (TYPE), .to = (TO), \
        .min = (MIN), .max = (MAX), .scope = OPTION_OF_GUEST                                \
    }

int main(int argc, char **argv)
{
    struct blockd d = {.sup = {.ops = &blockd_ops,
                               .conf = {.class = "block"},
                               .purpose = "Serves the block devices (vbd, vbd3) of Xen guests from "
                                          "raw files, block devices and NBD servers.",
                               .worker_path = DUET_BLOCK_WORKER},
                       .images = {.opener_path = DUET_BLOCK_OPENER, .patience_ms = 8000},
                       .qdisks = {.patience_ms = 10000},
                       .hotplug_script = HOTPLUG_SCRIPT,
                       .burst_s = 1};
    const struct option_rule rules[] = {
        {.letter = 'o',
         .name = "opener",
         .argument = "PATH",
         .help = "program that opens and locks one image\n(default " DUET_BLOCK_OPENER ")",
         .to = &d.images.opener_path},
        {.letter = 's',
         .name = "hotplug-script",
         .argument = "PATH",
         .help = "script that tells xl our verdict about an image\n(default " HOTPLUG_SCRIPT ")",
         .to = &d.hotplug_script},
        {.letter = 'n',
         .name = "nbd-wait",
         .argument = "SECONDS",
         .help = "how long a guest waits for an NBD server that has gone\nuntil its requests fail "
                 "(default 0: as long as it takes)",
         .type = OPTION_NUMBER,
         .to = &d.images.server_wait_s,
         .max = 86400,
         .scope = OPTION_OF_CLASS},
        LIMIT("iops", "NUMBER",
              "requests that a guest may make of each of its disks\nin a second (default 0: no "
              "limit)",
              OPTION_NUMBER, &d.iops, 0, 100000000),
        LIMIT("bytes-per-second", "BYTES",
              "bytes that it may read and write there in a second;\nK, M or G behind it multiplies "
              "(default 0: no limit)",
              OPTION_BYTES, &d.bytes_per_second, 0, UINT64_C(1) << 40),
        LIMIT("burst", "SECONDS", "of either limit, how much may be saved up (default 1)",
              OPTION_NUMBER, &d.burst_s, 1, 3600),
    };

    return supervisor_main(&d.sup, rules, sizeof(rules) / sizeof(rules[0]), argc, argv);
}
