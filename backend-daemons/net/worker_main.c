/*
 * duet-net-worker: a worker (lib/worker.h) of the class of network devices.
 */
#include "net_worker.h"

int main(int argc, char **argv)
{
    static struct net_worker n = {.base = {.class = &net_worker_class, .head = &n.config.head}};

    return worker_main(&n.base, argc, argv);
}
