/*
 * mark.c - `mark TEXT...`, the program in dom0 that tells the ruler something, see ruler.c; and
 * `mark --work N`, which executes 1000 N instructions and N system calls between the notes `begin
 * work` and `end work`, so that the ruler can be measured itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mark.h"

#define LOOP_INSNS 4 /* of work()'s inner loop */

/* N times 1000 instructions and a system call. */
static void work(unsigned long n)
{
    for (unsigned long i = 0; i < n; i++) {
        unsigned long rounds = 1000 / LOOP_INSNS;

        syscall(SYS_getppid);
        __asm__ volatile("1: nop; nop; dec %0; jnz 1b" : "+r"(rounds) : : "cc");
    }
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--work") == 0) {
        unsigned long n = strtoul(argv[2], NULL, 10);

        char text[MARK_SIZE];

        snprintf(text, sizeof(text), "note begin work ops=%lu tasks=mark", n);
        ruler_mark(text);
        work(n);
        ruler_mark("note end work");
        return 0;
    }
    if (argc < 2) {
        fprintf(stderr, "usage: mark TEXT... | mark --work N\n");
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        if (strlen(argv[i]) >= MARK_SIZE) {
            fprintf(stderr, "mark: '%s' is too long\n", argv[i]);
            return 1;
        }
        ruler_mark(argv[i]);
    }
    return 0;
}
