/*
 * sys_mem.c - calls on memory.
 *
 * Shared mappings are of files of the tree, also those that are of nothing: of a file without a
 * name. Nothing is writable and executable.
 */
#include "hat/layout.h"
#include "syscall/calls.h"
#include "syscall/rootfs.h"
#include "vm/vm.h"

#define PROT_READ  1u
#define PROT_WRITE 2u
#define PROT_EXEC  4u

#define MAP_SHARED          0x01u
#define MAP_PRIVATE         0x02u
#define MAP_TYPE            0x0fu
#define MAP_SHARED_VALIDATE 0x03u
#define MAP_FIXED           0x10u
#define MAP_ANONYMOUS       0x20u
#define MAP_FIXED_NOREPLACE 0x100000u

#define MREMAP_MAYMOVE 1u
#define MADV_DONTNEED  4u
#define MADV_FREE      8u

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
static int piece_of_node(struct node *n, uint64_t offset, struct vm_piece *piece)
{
    if (offset % PAGE_SIZE != 0 || offset > INT64_MAX - piece->len) {
        return -EINVAL;
    }
    piece->source = rootfs_source(n);
    piece->offset = offset;
    piece->bytes = piece->len; /* the source knows where it ends */
    return piece->source == NULL ? -ENOMEM : 0;
}

static int piece_of_file(const struct call *c, const struct file *f, struct vm_piece *piece)
{
    unsigned access = f->flags & O_ACCMODE;

    if (f->node == NULL || !node_is_plain(f->node)) {
        return -ENODEV;
    }
    if (access == O_WRONLY ||
        ((piece->flags & VM_SHARED) && (piece->prot & HAT_WRITE) && access != O_RDWR)) {
        return -EACCES;
    }
    piece->flags |= (piece->flags & VM_SHARED) && access != O_RDWR ? VM_READONLY : 0;
    return piece_of_node(f->node, c->a[5], piece);
}

/* Memory that is shared with those that are forked: a file that nobody else can find. */
static int piece_of_nothing(struct vm_piece *piece)
{
    struct node *n = node_new(NODE_FILE | 0600);
    int rc = n == NULL ? -ENOMEM : node_resize(n, piece->len);

    rc = rc == 0 ? piece_of_node(n, 0, piece) : rc;
    node_put(n);
    return rc;
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

    if (c->a[1] == 0 || (flags & MAP_TYPE) == 0 || (flags & MAP_TYPE) > MAP_SHARED_VALIDATE) {
        return -EINVAL;
    }
    piece.flags = flags & MAP_SHARED ? VM_SHARED : 0;
    if (c->a[1] > USER_END) {
        return -ENOMEM;
    }
    if ((piece.prot & HAT_WRITE) && (piece.prot & HAT_EXEC)) {
        return -EACCES; /* before what was there is unmapped */
    }
    if ((flags & MAP_ANONYMOUS) == 0) {
        rc = piece_of_descriptor(c, &piece);
    } else if (flags & MAP_SHARED) {
        rc = piece_of_nothing(&piece);
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

/* ---- ranges that are there ---- */

int64_t sys_mremap(struct call *c)
{
    struct proc *p = c->p;
    uint64_t to;

    if ((c->a[3] & ~(uint64_t)MREMAP_MAYMOVE) != 0 || c->a[1] > USER_END || c->a[2] > USER_END) {
        return c->a[2] > USER_END ? -ENOMEM : -EINVAL;
    }
    mutex_lock(&p->lock);
    int rc =
        vm_resize(p->space, c->a[0], ROUND_UP(c->a[1], PAGE_SIZE), ROUND_UP(c->a[2], PAGE_SIZE),
                  ADDRESS_MIN, c->a[3] & MREMAP_MAYMOVE ? p->map_top : 0, &to);
    mutex_unlock(&p->lock);
    return rc == 0 ? (int64_t)to : rc;
}

/* Hints are taken, and not acted on. */
int64_t sys_madvise(struct call *c)
{
    static const uint64_t hints = 1ull << 0 | 1ull << 1 | 1ull << 2 | 1ull << 3 | 1ull << 12 |
                                  1ull << 13 | 1ull << 14 | 1ull << 15 | 1ull << 16 | 1ull << 17 |
                                  1ull << 20 | 1ull << 21;
    uint64_t len = ROUND_UP(c->a[1], PAGE_SIZE);
    bool drops = c->a[2] == MADV_DONTNEED || c->a[2] == MADV_FREE;

    if (c->a[0] % PAGE_SIZE != 0 || c->a[1] > USER_END ||
        (!drops && (c->a[2] >= 64 || (hints >> c->a[2] & 1) == 0))) {
        return -EINVAL;
    }
    if (len == 0) {
        return 0;
    }
    if (drops) {
        return vm_discard(c->p->space, c->a[0], len);
    }
    return vm_is_mapped(c->p->space, c->a[0], len) ? 0 : -ENOMEM;
}

/* What is shared is the file's own pages: nothing is left to be written. */
int64_t sys_msync(struct call *c)
{
    uint64_t len = ROUND_UP(c->a[1], PAGE_SIZE);

    if (c->a[0] % PAGE_SIZE != 0 || c->a[1] > USER_END || c->a[2] > 7 || (c->a[2] & 5) == 5) {
        return -EINVAL;
    }
    return len == 0 || vm_is_mapped(c->p->space, c->a[0], len) ? 0 : -ENOMEM;
}
