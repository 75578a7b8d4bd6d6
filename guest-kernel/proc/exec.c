/*
 * exec.c - a space with a program in it, and the stack that the program begins with.
 *
 *   USER_END - a page     stack, STACK_SIZE, at a random distance from the top
 *                         mappings, downwards
 *                         heap, above the program, upwards
 *   PIE_BASE + random     a program that may lie anywhere; others lie where they say
 *
 * No page is read before it is used: the regions name the program as their source.
 */
#include "proc/proc.h"

#include "hat/layout.h"
#include "kern/mem.h"
#include "kern/page.h"
#include "kern/sched.h"
#include "kern/string.h"
#include "os/hypercall.h"
#include "proc/elf.h"
#include "proc/table.h"
#include "psm/random.h"
#include "psm/trap.h"

#define STACK_SIZE   (8ull << 20)
#define STACK_GAP    (1ull << 20) /* between the stack and the highest mapping */
#define PIE_BASE     0x555555554000
#define RANDOM_PAGES (1ull << 24) /* for the places of stack and program */
#define HEAP_PAGES   (1ull << 12) /* for the heap's distance from the program */
#define USER_TOP     (USER_END - PAGE_SIZE)
#define RFLAGS_START 0x202 /* upcalls open */

/* Entries of the auxiliary vector, by their numbers in the ABI. */
#define AT_NULL   0
#define AT_PHDR   3
#define AT_PHENT  4
#define AT_PHNUM  5
#define AT_PAGESZ 6
#define AT_ENTRY  9
#define AT_UID    11
#define AT_EUID   12
#define AT_GID    13
#define AT_EGID   14
#define AT_CLKTCK 17
#define AT_SECURE 23
#define AT_RANDOM 25
#define AT_EXECFN 31

#define ELF_PHENT       56
#define CLOCK_TICKS     100 /* what sysconf(_SC_CLK_TCK) says; only times(2) counts in them */
#define RANDOM_BYTES    16
#define AUX_WORDS       30
#define STACK_ALIGNMENT 16
#define WORD            sizeof(uint64_t)

/* What is known of a program once it is mapped. */
struct loaded {
    uint64_t entry, phdr, end, stack_top;
    unsigned phnum;
};

int exec_args_init(struct exec_args *args)
{
    *args = (struct exec_args){.text = page_users_may_take() ? page_alloc(EXEC_ARGS_ORDER) : NULL};
    return args->text == NULL ? -ENOMEM : 0;
}

void exec_args_free(struct exec_args *args)
{
    if (args->text != NULL) {
        page_free(args->text, EXEC_ARGS_ORDER);
    }
    args->text = NULL;
}

int exec_args_add(struct exec_args *args, const char *text, size_t len, bool env)
{
    if (len >= EXEC_ARGS_SIZE - args->used) {
        return -E2BIG;
    }
    memcpy(args->text + args->used, text, len);
    args->text[args->used + len] = '\0';
    args->used += len + 1;
    args->argc += !env;
    args->envc += env;
    return 0;
}

static uint64_t random_pages(uint64_t limit)
{
    return random_u64() % limit * PAGE_SIZE;
}

/* ---- the program ---- */

static int map_segment(struct vm_space *space, const struct program *program,
                       const struct elf_segment *seg, uint64_t bias)
{
    uint64_t head = seg->vaddr % PAGE_SIZE;
    struct vm_piece piece = {.va = bias + seg->vaddr - head,
                             .len = ROUND_UP(head + seg->memsz, PAGE_SIZE),
                             .prot = (seg->writable ? HAT_WRITE : 0u) |
                                     (seg->executable ? HAT_EXEC : 0u),
                             .source = program->source,
                             .offset = seg->offset - head,
                             .bytes = head + seg->filesz};

    return vm_map_piece(space, &piece);
}

static int map_program(struct vm_space *space, const struct program *program,
                       const struct elf_image *image, struct loaded *out)
{
    uint64_t bias = image->pie ? PIE_BASE + random_pages(RANDOM_PAGES) - image->low : 0;
    struct vm_piece stack = {.len = STACK_SIZE, .prot = HAT_WRITE};
    int rc = 0;

    for (unsigned i = 0; i < image->nsegments && rc == 0; i++) {
        rc = map_segment(space, program, &image->segments[i], bias);
    }
    stack.va = USER_TOP - random_pages(RANDOM_PAGES) - STACK_SIZE;
    rc = rc == 0 ? vm_map_piece(space, &stack) : rc;
    *out = (struct loaded){.entry = bias + image->entry,
                           .phdr = image->phdr == 0 ? 0 : bias + image->phdr,
                           .phnum = image->phnum,
                           .end = bias + image->high,
                           .stack_top = stack.va + STACK_SIZE};
    return rc;
}

/* Read the headers into a page, and what they say into @image. */
static int read_headers(const struct program *program, struct elf_image *image, const char **why)
{
    char *head = page_alloc_zeroed(0); /* the file may be shorter by the time it is read */
    size_t len = MIN(program->size, ELF_HEAD_SIZE);

    if (head == NULL) {
        return -ENOMEM;
    }
    int rc = program->source->read(program->source, 0, head, len);
    rc = rc == 0 ? elf_parse(head, len, program->size, image, why) : rc;
    page_free(head, 0);
    return rc;
}

/* ---- the stack ---- */

/* Words on their way to the stack. */
struct vector {
    uint64_t words[64];
    unsigned n;
    uaddr_t at;
    int rc;
};

static void vector_flush(struct vector *v)
{
    if (v->rc == 0) {
        v->rc = copy_to_user(v->at, v->words, v->n * WORD);
    }
    v->at = uaddr_add(v->at, v->n * WORD);
    v->n = 0;
}

static void push(struct vector *v, uint64_t word)
{
    if (v->n == ARRAY_SIZE(v->words)) {
        vector_flush(v);
    }
    v->words[v->n++] = word;
}

/* The addresses of @count strings, and a zero. Return: where the next string is. */
static uint64_t push_strings(struct vector *v, const struct exec_args *args, uint64_t strings,
                             size_t at, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        push(v, strings + at);
        at += strlen(args->text + at) + 1;
    }
    push(v, 0);
    return at;
}

static void push_aux(struct vector *v, const struct loaded *l, uint64_t random, uint64_t name)
{
    const uint64_t aux[AUX_WORDS] = {
        AT_PHDR,     l->phdr,   AT_PHENT, ELF_PHENT, AT_PHNUM,  l->phnum, AT_PAGESZ,
        PAGE_SIZE,   AT_ENTRY,  l->entry, AT_UID,    0,         AT_EUID,  0,
        AT_GID,      0,         AT_EGID,  0,         AT_SECURE, 0,        AT_CLKTCK,
        CLOCK_TICKS, AT_RANDOM, random,   AT_EXECFN, name,      AT_NULL,  0,
    };

    for (unsigned i = 0; i < ARRAY_SIZE(aux); i++) {
        push(v, aux[i]);
    }
}

/*
 * From the top down: strings, random bytes, then (upwards) argc, argv, environment and the
 * auxiliary vector. The calling thread is in the space. Return: 0 or -EFAULT: no memory.
 */
static int make_stack(const struct loaded *l, const struct exec_args *args, uint64_t *sp)
{
    uint64_t strings = l->stack_top - ROUND_UP(args->used, STACK_ALIGNMENT);
    uint64_t random = strings - RANDOM_BYTES;
    uint64_t words = 1 + args->argc + 1 + args->envc + 1 + AUX_WORDS;
    char bytes[RANDOM_BYTES];
    struct vector v = {0};

    random_fill(bytes, sizeof(bytes));
    *sp = (random - words * WORD) & ~(uint64_t)(STACK_ALIGNMENT - 1);
    v.at = UADDR(*sp);
    v.rc = copy_to_user(UADDR(strings), args->text, args->used);
    v.rc = v.rc == 0 ? copy_to_user(UADDR(random), bytes, sizeof(bytes)) : v.rc;
    push(&v, args->argc);
    uint64_t env = push_strings(&v, args, strings, 0, args->argc);
    push_strings(&v, args, strings, env, args->envc);
    push_aux(&v, l, random, strings);
    vector_flush(&v);
    return v.rc;
}

/* ---- both ---- */

static void begin_frame(struct trap_frame *frame, uint64_t entry, uint64_t sp)
{
    *frame = (struct trap_frame){.rip = entry,
                                 .cs = FLAT_USER_CS64,
                                 .rflags = RFLAGS_START,
                                 .rsp = sp,
                                 .ss = FLAT_USER_SS64};
}

/* A space with program and stack; the thread leaves the one that it is in only while it writes. */
static int fill_space(struct vm_space *space, const struct program *program,
                      const struct exec_args *args, struct loaded *l, struct trap_frame *frame,
                      const char **why)
{
    struct vm_space *old = thread_self()->space;
    struct elf_image *image = kmalloc(sizeof(*image));
    uint64_t sp = 0;
    int rc = image == NULL ? -ENOMEM : read_headers(program, image, why);

    rc = rc == 0 ? map_program(space, program, image, l) : rc;
    kfree(image);
    if (rc != 0) {
        return rc;
    }
    vm_enter(space);
    rc = make_stack(l, args, &sp) == 0 ? 0 : -ENOMEM;
    vm_enter(old);
    if (rc == 0) {
        begin_frame(frame, l->entry, sp);
    }
    return rc;
}

/* What others may read of them. */
static void remember_args(struct proc *p, const char *name, const struct exec_args *args)
{
    size_t len = 0;

    for (unsigned i = 0; i < args->argc; i++) {
        len += strlen(args->text + len) + 1;
    }
    mutex_lock(&proc_table_lock);
    strlcpy(p->name, name, sizeof(p->name));
    p->args_len = (unsigned)MIN(len, sizeof(p->args));
    memcpy(p->args, args->text, p->args_len);
    p->args[sizeof(p->args) - 1] = '\0';
    mutex_unlock(&proc_table_lock);
}

int proc_load(struct uthread *t, const char *name, const struct program *program,
              const struct exec_args *args, struct trap_frame *frame, const char **why)
{
    struct proc *p = t->proc;
    bool runs = t == uthread_self();
    struct vm_space *space = vm_create();
    struct vm_space *old;
    struct loaded l;

    *why = NULL;
    if (space == NULL) {
        return -ENOMEM;
    }
    int rc = fill_space(space, program, args, &l, frame, why);
    rc = rc == 0 && runs ? thread_fpu_reset() : rc;
    rc = rc == 0 && runs ? uthread_alone(t) : rc;
    if (rc != 0) {
        vm_destroy(space);
        return rc;
    }
    remember_args(p, name, args);
    old = proc_set_space(p, space);
    p->execed = true;
    t->user = (struct user_cpu){0};
    t->clear_tid = t->robust_list = 0;
    p->brk_start = p->brk = l.end + random_pages(HEAP_PAGES);
    p->map_top = l.stack_top - STACK_SIZE - STACK_GAP;
    if (runs) {
        vm_enter(space);
        user_begin(&t->user);
        vm_destroy(old);
        proc_return_space(p);
    }
    return 0;
}
