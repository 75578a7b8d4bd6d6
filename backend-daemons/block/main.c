/*
 * duet-blockd: its options. The rest of its life is the supervisor's (lib/supervisor.h).
 */
#include "device.h"
#include "options.h"

#define HOTPLUG_SCRIPT "/etc/xen/scripts/block-duet"

int main(int argc, char **argv)
{
    struct blockd d = {
        .sup = {.ops = &blockd_ops, .worker_path = DUET_BLOCK_WORKER, .uid_base = OPTIONS_UID_BASE},
        .images = {.opener_path = DUET_BLOCK_OPENER, .patience_ms = 8000},
        .qdisks = {.patience_ms = 10000},
        .hotplug_script = HOTPLUG_SCRIPT};
    const struct option_rule rules[] = {
        OPTION_LOG_LEVEL,
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
        OPTION_UID_BASE(&d.sup.uid_base),
        OPTION_WORKER(&d.sup.worker_path, DUET_BLOCK_WORKER),
    };
    int status = options_parse(
        "duet-blockd",
        "Serves the block devices (vbd, vbd3) of Xen guests from raw files and block devices.",
        rules, sizeof(rules) / sizeof(rules[0]), argc, argv);

    return status >= 0 ? status : supervisor_run(&d.sup);
}
