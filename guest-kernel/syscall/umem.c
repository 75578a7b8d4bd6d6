/*
 * umem.c - ranges of a program's memory: see umem.h.
 */
#include "syscall/umem.h"

#include "kern/mem.h"
#include "kern/page.h"

void umem_one(struct umem *m, uint64_t base, uint64_t len)
{
    m->few[0] = (struct abi_iovec){.base = base, .len = len};
    m->iov = m->few;
    m->all = NULL;
    m->left = MIN(len, COUNT_MAX);
}

/* The sum of what a vector tells of. */
static int umem_measure(struct umem *m, uint64_t n)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < n; i++) {
        if (m->iov[i].len > INT64_MAX || sum + m->iov[i].len > INT64_MAX) {
            return -EINVAL;
        }
        sum += m->iov[i].len;
    }
    m->left = MIN(sum, COUNT_MAX);
    return 0;
}

int umem_vector(struct umem *m, uint64_t vector, uint64_t n)
{
    if (n > IOV_MAX) {
        return -EINVAL;
    }
    m->all = NULL;
    m->iov = m->few;
    if (n > IOV_FEW) {
        m->all = page_users_may_take() ? kmalloc(n * sizeof(*m->all)) : NULL;
        m->iov = m->all;
        if (m->all == NULL) {
            return -ENOMEM;
        }
    }
    int rc = copy_from_user(m->iov, UADDR(vector), n * sizeof(*m->iov));
    rc = rc == 0 ? umem_measure(m, n) : rc;
    if (rc != 0) {
        umem_free(m);
    }
    return rc;
}

void umem_free(struct umem *m)
{
    kfree(m->all);
    m->all = NULL;
}

/* The next bytes that lie together, at most @n. */
static size_t next_part(struct umem *m, size_t n, uaddr_t *at)
{
    while (m->iov->len == 0) {
        m->iov++;
    }
    size_t part = MIN(n, m->iov->len);
    *at = UADDR(m->iov->base);
    m->iov->base += part;
    m->iov->len -= part;
    m->left -= part;
    return part;
}

int umem_put(void *arg, const void *data, size_t n)
{
    struct umem *m = arg;
    const char *from = data;
    uaddr_t at;
    int rc = 0;

    while (n != 0 && rc == 0) {
        size_t part = next_part(m, n, &at);

        rc = copy_to_user(at, from, part);
        from += part;
        n -= part;
    }
    m->left = rc == 0 ? m->left : 0;
    return rc;
}

int umem_get(struct umem *m, void *data, size_t n)
{
    char *to = data;
    uaddr_t at;
    int rc = 0;

    while (n != 0 && rc == 0) {
        size_t part = next_part(m, n, &at);

        rc = copy_from_user(to, at, part);
        to += part;
        n -= part;
    }
    m->left = rc == 0 ? m->left : 0;
    return rc;
}
