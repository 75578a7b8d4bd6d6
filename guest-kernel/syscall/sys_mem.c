/*
 * sys_mem.c - calls on memory.
 *
 * Mappings are private; a shared one is offered where nobody can tell the difference: of a file,
 * which is read only here, and not writable. Nothing is writable and executable.
 */
#include "hat/layout.h"
#include "syscall/calls.h"
#include "vm/vm.h"

#define PROT_READ  1u
#define PROT_WRITE 2u
#define PROT_EXEC  4u

#define MAP_SHARED          0x01u
#define MAP_PRIVATE         0x02u
#define MAP_FIXED           0x10u
#define MAP_ANONYMOUS       0x20u
#define MAP_FIXED_NOREPLACE 0x100000u

#define ADDRESS_MIN 0x10000ull /* below it, null pointers point */
#define HEAP_MAX    (1ull << 30)

static unsigned prot_of(uint64_t prot)
{
    if ((prot & (PROT_READ | PROT_WRITE | PROT_EXEC)) == 0) {
        return VM_NONE;
    }
    return (prot & PROT_WRITE ? HAT_WRITE : 0u) | (prot & PROT_EXEC ? HAT_EXEC : 0u);
}

static int64_t move_break(const struct call *c)
{
    struct proc *p = c->p;
    uint64_t from = ROUND_UP(p->brk, PAGE_SIZE);
    uint64_t to = ROUND_UP(c->a[0], PAGE_SIZE);
    int rc = 0;

    if (c->a[0] < p->brk_start || c->a[0] - p->brk_start > HEAP_MAX) {
        return (int64_t)p->brk;
    }
    if (to > from) {
        rc = vm_map(p->space, from, to - from, HAT_WRITE);
    } else if (to < from) {
        rc = vm_unmap(p->space, to, from - to);
    }
    p->brk = rc == 0 ? c->a[0] : p->brk;
    return (int64_t)p->brk;
}

/* The break if it could not be moved. */
int64_t sys_brk(struct call *c)
{
    mutex_lock(&c->p->lock);
    int64_t rc = move_break(c);
    mutex_unlock(&c->p->lock);
    return rc;
}

/* What of a file is mapped. @piece refers to it; the reference is the caller's. */
static int piece_of_file(const struct call *c, const struct file *f, struct vm_piece *piece)
{
    bool shared = (c->a[3] & MAP_PRIVATE) == 0;

    if (f->ops->source == NULL || f->entry == NULL) {
        return -ENODEV;
    }
    if (c->a[5] % PAGE_SIZE != 0 || c->a[5] > INT64_MAX - piece->len ||
        (shared && (c->a[2] & PROT_WRITE))) {
        return -EINVAL;
    }
    piece->source = f->ops->source(f);
    piece->offset = c->a[5];
    piece->bytes = f->entry->size > c->a[5] ? f->entry->size - c->a[5] : 0;
    return piece->source == NULL ? -ENOMEM : 0;
}

static int piece_of_descriptor(struct call *c, struct vm_piece *piece)
{
    struct file *f = fd_get(&c->t->fds, c->a[4]);

    if (f == NULL) {
        return -EBADF;
    }
    int rc = piece_of_file(c, f, piece);
    file_put(f);
    return rc;
}

static int map_where_asked(struct call *c, struct vm_piece *piece)
{
    int rc = 0;

    piece->va = c->a[0];
    if (piece->va % PAGE_SIZE != 0 || piece->va >= USER_END || piece->len > USER_END - piece->va) {
        return -EINVAL;
    }
    if (piece->va < ADDRESS_MIN) {
        return -EPERM;
    }
    if ((c->a[3] & MAP_FIXED_NOREPLACE) == 0) {
        rc = vm_unmap(c->p->space, piece->va, piece->len);
    }
    return rc == 0 ? vm_map_piece(c->p->space, piece) : rc;
}

int64_t sys_mmap(struct call *c)
{
    uint64_t flags = c->a[3];
    struct vm_piece piece = {.len = ROUND_UP(c->a[1], PAGE_SIZE), .prot = prot_of(c->a[2])};
    int rc = 0;

    if (c->a[1] == 0 || (flags & (MAP_SHARED | MAP_PRIVATE)) == 0 ||
        ((flags & MAP_ANONYMOUS) && (flags & MAP_PRIVATE) == 0)) {
        return -EINVAL;
    }
    if (c->a[1] > USER_END) {
        return -ENOMEM;
    }
    if ((piece.prot & HAT_WRITE) && (piece.prot & HAT_EXEC)) {
        return -EACCES; /* before what was there is unmapped */
    }
    if ((flags & MAP_ANONYMOUS) == 0) {
        rc = piece_of_descriptor(c, &piece);
    }
    if (rc == 0) {
        mutex_lock(&c->p->lock); /* between what is unmapped and what is mapped */
        rc = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)
                 ? map_where_asked(c, &piece)
                 : vm_place_piece(c->p->space, &piece, ADDRESS_MIN, c->p->map_top);
        mutex_unlock(&c->p->lock);
        vm_source_put(piece.source);
    }
    return rc == 0 ? (int64_t)piece.va : rc;
}

int64_t sys_munmap(struct call *c)
{
    mutex_lock(&c->p->lock);
    int rc = vm_unmap(c->p->space, c->a[0], ROUND_UP(c->a[1], PAGE_SIZE));
    mutex_unlock(&c->p->lock);
    return rc;
}

int64_t sys_mprotect(struct call *c)
{
    if (c->a[1] == 0) {
        return c->a[0] % PAGE_SIZE == 0 ? 0 : -EINVAL;
    }
    return vm_protect(c->p->space, c->a[0], ROUND_UP(c->a[1], PAGE_SIZE), prot_of(c->a[2]));
}
