/*
 * duet-block-worker: a worker (lib/worker.h) of the class of block devices.
 */
#include "blk_worker.h"

int main(int argc, char **argv)
{
    static struct blk_worker b = {.base = {.class = &blk_worker_class, .head = &b.config.head}};

    return worker_main(&b.base, argc, argv);
}
