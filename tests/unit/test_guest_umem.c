/*
 * Where in a program's memory a call of the guest kernel's puts and takes bytes: ranges in turn,
 * and none beyond the one that is not there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fake_user.h"
#include "kern/errno.h"
#include "kern/mem.h"
#include "kern/page.h"
#include "syscall/umem.h"

#define MEMORY  0x7f0000000000
#define NOWHERE 8

static unsigned char memory[0x8000];
static struct abi_iovec *const vector = (struct abi_iovec *)memory;
static bool users_may_take;
static unsigned held;

bool page_users_may_take(void)
{
    return users_may_take;
}

void *kmalloc(size_t size)
{
    held++;
    return malloc(size);
}

void kfree(void *ptr)
{
    held -= ptr != NULL;
    free(ptr);
}

static int begin(void **state)
{
    (void)state;
    memset(memory, 0, sizeof(memory));
    fake_user_is(MEMORY, memory, sizeof(memory));
    users_may_take = true;
    return 0;
}

static int nothing_is_left(void **state)
{
    (void)state;
    assert_int_equal(held, 0);
    return 0;
}

static void range(unsigned i, uint64_t offset, uint64_t len)
{
    vector[i] = (struct abi_iovec){.base = MEMORY + offset, .len = len};
}

static void ranges_are_filled_in_turn(void **state)
{
    struct umem m;

    (void)state;
    range(0, 0x5000, 3);
    range(1, 0x5100, 0);
    range(2, 0x5200, 5);
    assert_int_equal(umem_vector(&m, MEMORY, 3), 0);
    memset(vector, 0xff, 3 * sizeof(*vector)); /* another thread writes: it was read once */
    assert_int_equal(m.left, 8);
    assert_int_equal(umem_put(&m, "abcd", 4), 0);
    assert_int_equal(umem_put(&m, "efgh", 4), 0);
    assert_int_equal(m.left, 0);
    assert_memory_equal(memory + 0x5000, "abc\0", 4);
    assert_memory_equal(memory + 0x5200, "defgh\0", 6);
    umem_free(&m);
}

static void nothing_goes_beyond_what_is_not_there(void **state)
{
    struct umem m;
    char in[4];

    (void)state;
    for (unsigned takes = 0; takes < 2; takes++) {
        range(0, 0x5000, 4);
        vector[1] = (struct abi_iovec){.base = NOWHERE, .len = 4};
        range(2, 0x5200, 4);
        assert_int_equal(umem_vector(&m, MEMORY, 3), 0);
        assert_int_equal(takes ? umem_get(&m, in, 4) : umem_put(&m, "abcd", 4), 0);
        assert_int_equal(m.left, 8);
        assert_int_equal(takes ? umem_get(&m, in, 4) : umem_put(&m, "efgh", 4), -EFAULT);
        assert_int_equal(m.left, 0);
        umem_free(&m);
    }
    assert_int_equal(memory[0x5200], 0);
}

static void vectors_have_limits(void **state)
{
    struct umem m;

    (void)state;
    assert_int_equal(umem_vector(&m, MEMORY, IOV_MAX + 1), -EINVAL);
    assert_int_equal(umem_vector(&m, NOWHERE, 1), -EFAULT);
    assert_int_equal(umem_vector(&m, NOWHERE, IOV_MAX), -EFAULT);
    range(0, 0x5000, INT64_MAX);
    range(1, 0x5000, 1);
    assert_int_equal(umem_vector(&m, MEMORY, 2), -EINVAL);
    vector[0].len = UINT64_MAX;
    assert_int_equal(umem_vector(&m, MEMORY, 1), -EINVAL);
    vector[0].len = INT64_MAX;
    assert_int_equal(umem_vector(&m, MEMORY, 1), 0);
    assert_int_equal(m.left, COUNT_MAX);
    umem_free(&m);
    for (unsigned i = 0; i < IOV_MAX; i++) {
        range(i, 0x5000 + i, 1);
    }
    assert_int_equal(umem_vector(&m, MEMORY, IOV_MAX), 0);
    assert_int_equal(m.left, IOV_MAX);
    umem_free(&m);
    users_may_take = false;
    assert_int_equal(umem_vector(&m, MEMORY, IOV_MAX), -ENOMEM);
    assert_int_equal(umem_vector(&m, MEMORY, IOV_FEW), 0);
    umem_free(&m);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, nothing_is_left)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ranges_are_filled_in_turn),
        TEST(nothing_goes_beyond_what_is_not_there),
        TEST(vectors_have_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
