/*
 * Runs a program under ptrace and takes its registers and memory: see program_core.h.
 */
#include "program_core.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE   4096u
#define TABLES 4u /* that fake_core_map() fills */

static void require(int condition, const char *what)
{
    if (!condition) {
        perror(what);
        abort();
    }
}

/* Returns the process, which stands at its breakpoint. */
static pid_t run_to_breakpoint(const char *path)
{
    int status;
    pid_t child = fork();

    require(child >= 0, "fork");
    if (child == 0) {
        (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        execl(path, path, (char *)NULL);
        _exit(127);
    }
    for (int stops = 0; stops < 2; stops++) { /* after exec, and at the breakpoint */
        if (stops > 0) {
            require(ptrace(PTRACE_CONT, child, NULL, NULL) == 0, "PTRACE_CONT");
        }
        require(waitpid(child, &status, 0) == child, "waitpid");
        require(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP, path);
    }
    return child;
}

static void take_registers(pid_t child, struct cpu_user_regs *to)
{
    struct user_regs_struct r;

    require(ptrace(PTRACE_GETREGS, child, NULL, &r) == 0, "PTRACE_GETREGS");
    *to = (struct cpu_user_regs){.rax = r.rax,
                                 .rbx = r.rbx,
                                 .rcx = r.rcx,
                                 .rdx = r.rdx,
                                 .rsi = r.rsi,
                                 .rdi = r.rdi,
                                 .rbp = r.rbp,
                                 .rsp = r.rsp,
                                 .r8 = r.r8,
                                 .r9 = r.r9,
                                 .r10 = r.r10,
                                 .r11 = r.r11,
                                 .r12 = r.r12,
                                 .r13 = r.r13,
                                 .r14 = r.r14,
                                 .r15 = r.r15,
                                 .rip = r.rip,
                                 .rflags = r.eflags};
}

void program_core_make(struct fake_core *c, const char *path)
{
    char memory[64];
    pid_t child = run_to_breakpoint(path);
    unsigned int taken = 0;

    fake_core_make(c, 1, TABLES + PROGRAM_PAGES);
    take_registers(child, &c->vcpus[0].user_regs);
    snprintf(memory, sizeof(memory), "/proc/%d/mem", (int)child);
    int fd = open(memory, O_RDONLY | O_CLOEXEC);
    require(fd >= 0, memory);
    for (unsigned int i = 0; i < PROGRAM_PAGES; i++) {
        uint64_t address = PROGRAM_BASE + (uint64_t)i * PAGE;

        if (pread(fd, fake_core_page(c, TABLES + i), PAGE, (off_t)address) == (ssize_t)PAGE) {
            fake_core_map(c, address, fake_core_mfn(c, TABLES + i), 3);
            taken++;
        }
    }
    require(taken > 0, "no page of the program's");
    close(fd);
    kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
}

void *program_core_at(const struct fake_core *c, uint64_t address)
{
    require(address >= PROGRAM_BASE && address < PROGRAM_BASE + PROGRAM_PAGES * PAGE, "address");
    return fake_core_page(c, TABLES) + (address - PROGRAM_BASE);
}
