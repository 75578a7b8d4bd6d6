/*
 * What test_crash_program.c makes a core of: a program without a library that has what duet-crash
 * knows our kernel by (the names of its structures and variables), three threads on stacks of their
 * own by the kernel's own kern/switch.S, and a page fault that its psm/entry.S takes. Two threads
 * wait for each other's mutexes. It ends at a breakpoint in trap_dispatch().
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STACK_SIZE 4096
#define DEPTH      60 /* of a chain of calls, in which each one's arguments are two of its caller's */

struct spinlock {
    const char *name;
    int16_t owner;
};

struct waitq {
    struct spinlock lock;
};

struct mutex {
    struct waitq waiters;
    struct thread *owner;
};

struct thread {
    uint64_t sp;
    uint64_t stack;
    struct mutex *wants;
    struct waitq *waits_for;
    unsigned int id, cpu, prio;
    enum { READY, RUNNING, BLOCKED, DEAD } state;
    char name[24];
    struct {
        struct thread *tqe_next;
    } all_link;
};

struct cpu {
    struct thread *current;
    struct spinlock *wants_lock;
    bool online;
    struct {
        struct {
            uint64_t cr2;
        } arch;
    } info;
};

struct trap_frame {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

/* What `print` is tried with. */
struct shown {
    int negative;
    unsigned int low : 3, high : 29;
    enum { RED, GREEN } colour;
    const char *text;
    char array[8];
    struct {
        uint16_t inner[3];
    } nested;
    struct shown *self;
};

void thread_switch(uint64_t *old_sp, uint64_t new_sp);
void thread_entry(void);
void thread_start(void);
void trap_dispatch(struct trap_frame *frame);
void program(void);
long chain(long a, long b);

struct spinlock spin = {.name = "spin", .owner = -1};
struct mutex left = {.waiters.lock = {"left", -1}}, right = {.waiters.lock = {"right", -1}};
struct thread runs = {.id = 1, .state = RUNNING, .name = "main"};
struct thread waits_a = {.id = 2, .state = BLOCKED, .name = "wait\x1b[31ma"};
struct thread waits_b = {.id = 3, .state = BLOCKED, .name = "wait-b"};
struct cpu boot_cpu = {.current = &runs, .online = true, .info.arch.cr2 = 0x18};
struct cpu *cpus[4] = {&boot_cpu};
struct {
    struct thread *tqh_first;
} all_threads = {&runs};
int panicking = -1;
struct shown shown = {.negative = -7,
                      .low = 5,
                      .high = 0x1234567,
                      .colour = GREEN,
                      .text = "bell\a",
                      .array = {'a', '\x1b', '\xff'},
                      .nested.inner = {1, 2, 3},
                      .self = &shown};
uint8_t stacks[3][STACK_SIZE] __attribute__((aligned(16)));
static volatile unsigned int depth = DEPTH;

/* Where the two threads leave the processor for good. */
__attribute__((noipa)) static void mutex_lock(struct mutex *m)
{
    thread_switch(m == &right ? &waits_a.sp : &waits_b.sp, runs.sp);
}

__attribute__((noipa)) static void take_both(struct thread *self, struct mutex *second)
{
    self->wants = second;
    mutex_lock(second);
}

void thread_start(void)
{
    if (waits_a.wants == NULL) {
        take_both(&waits_a, &right);
    } else {
        take_both(&waits_b, &left);
    }
}

static void begin(struct thread *t, uint8_t *stack, struct thread *next)
{
    uint64_t *sp = (uint64_t *)(void *)(stack + STACK_SIZE) - 8;

    sp[6] = (uint64_t)thread_entry; /* after six registers */
    t->stack = (uint64_t)stack;
    t->sp = (uint64_t)sp;
    t->all_link.tqe_next = next;
    thread_switch(&runs.sp, t->sp);
}

/* Reads address 24, as far as psm/entry.S can tell. */
__attribute__((noipa)) static void culprit(const int *pointer)
{
    __asm__ volatile("movq %%rsp, %%rax\n\t"
                     "andq $~15, %%rsp\n\t"
                     "pushq $0xe02b\n\t"
                     "pushq %%rax\n\t"
                     "pushfq\n\t"
                     "pushq $0xe033\n\t"
                     "pushq $1f\n\t"
                     "pushq $4\n\t"
                     "pushq %%r11\n\t"
                     "pushq %%rcx\n\t"
                     "jmp trap_page_fault\n"
                     "1:\tnop"
                     :
                     : "D"(pointer)
                     : "rax", "memory");
}

__attribute__((noipa)) void trap_dispatch(struct trap_frame *frame)
{
    __asm__ volatile("int3" : : "D"(frame) : "memory");
}

__attribute__((noipa)) long chain(long a, long b)
{
    if (--depth == 0) {
        culprit((const int *)24);
        return 0;
    }
    return chain(a + b, a - b) + 1;
}

void program(void)
{
    left.owner = &waits_a;
    right.owner = &waits_b;
    runs.all_link.tqe_next = &waits_a;
    begin(&waits_a, stacks[1], &waits_b);
    begin(&waits_b, stacks[2], NULL);
    chain(1, 2);
}

__asm__(".text\n"
        ".cfi_sections .debug_frame\n"
        ".globl _start, hypercall_page\n"
        "_start:\n"
        ".cfi_startproc\n"
        ".cfi_undefined %rip\n"
        "movq $stacks + 4096, %rsp\n"
        "xorl %ebp, %ebp\n"
        "call program\n"
        "ud2\n"
        ".cfi_endproc\n"
        "hypercall_page: .skip 4096\n");
