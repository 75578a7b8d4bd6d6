/*
 * duet-block-open: the program of an opener (opener.h). Started by duet-blockd, once for each
 * device that has an image.
 */
#include <stdio.h>

#include "child.h"
#include "opener.h"

int main(int argc, char **argv)
{
    if (argc != 1) {
        fprintf(stderr, "%s is started by duet-blockd(8), not by hand\n", argv[0]);
        return 2;
    }
    return opener_run(CHILD_SOCKET_FD);
}
