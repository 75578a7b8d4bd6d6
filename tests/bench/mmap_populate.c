/*
 * What a Linux guest pays for mapping pages: mmap() with MAP_POPULATE.
 *
 * The counterpart of the kernel's `mmubench`. Statically linked, so that it runs in any guest.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE   4096
#define ROUNDS 5

static long now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000L + t.tv_nsec / 1000;
}

/* The best time of several rounds, in microseconds. */
static long measure(size_t pages)
{
    long best = -1;

    for (int i = 0; i < ROUNDS; i++) {
        long start = now_us();
        void *at = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        long time = now_us() - start;

        if (at == MAP_FAILED) {
            perror("mmap");
            exit(1);
        }
        munmap(at, pages * PAGE);
        best = best < 0 || time < best ? time : best;
    }
    return best;
}

int main(void)
{
    static const size_t counts[] = {1, 64, 4096};

    printf("%6s  %12s\n", "pages", "us");
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        printf("%6zu  %12ld\n", counts[i], measure(counts[i]));
    }
    return 0;
}
