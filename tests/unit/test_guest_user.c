/*
 * The guest kernel's gate to a program's memory: whatever address a program gives, nothing behind
 * USER_END is touched, no word that does not lie in one piece, and what faults is -EFAULT.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "hat/layout.h"
#include "proc/user.h"
#include "psm/trap.h"

static unsigned touched; /* how often memory was */
static int answer;

int user_copy(void *to, const void *from, size_t n)
{
    (void)to;
    (void)from;
    (void)n;
    touched++;
    return answer;
}

int user_load32(const void *from, uint32_t *value)
{
    (void)from;
    *value = 7;
    touched++;
    return answer;
}

int user_exchange32(void *to, uint32_t old, uint32_t value, uint32_t *seen)
{
    (void)to;
    (void)value;
    *seen = old;
    touched++;
    return answer;
}

static int begin(void **state)
{
    (void)state;
    touched = 0;
    answer = 0;
    return 0;
}

static void what_is_not_the_programs_is_not_touched(void **state)
{
    static const uint64_t bad[] = {USER_END, USER_END + 64, XEN_BASE,
                                   KPM_BASE, KERNEL_BASE,   UINT64_MAX - 3};
    uint32_t word = 0;
    char text[8];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(load_user(UADDR(bad[i]), &word), -EFAULT);
        assert_int_equal(exchange_user(UADDR(bad[i]), 0, 1, &word), -EFAULT);
        assert_int_equal(copy_from_user(text, UADDR(bad[i]), sizeof(text)), -EFAULT);
        assert_int_equal(copy_to_user(UADDR(bad[i]), text, sizeof(text)), -EFAULT);
        assert_int_equal(string_from_user(text, UADDR(bad[i]), sizeof(text)), -EFAULT);
    }
    /* Across the end, and so long that the sum begins again at zero. */
    assert_int_equal(copy_from_user(text, UADDR(USER_END - 4), sizeof(text)), -EFAULT);
    assert_int_equal(copy_to_user(UADDR(64), text, UINT64_MAX), -EFAULT);
    assert_int_equal(touched, 0);
}

static void words_lie_in_one_piece(void **state)
{
    uint32_t word = 0;

    (void)state;
    for (unsigned off = 1; off < 4; off++) {
        assert_int_equal(load_user(UADDR(0x10000 + off), &word), -EFAULT);
        assert_int_equal(exchange_user(UADDR(0x10000 + off), 0, 1, &word), -EFAULT);
    }
    assert_int_equal(touched, 0);
    assert_int_equal(load_user(UADDR(USER_END - 4), &word), 0);
    assert_int_equal(word, 7);
    assert_int_equal(exchange_user(UADDR(USER_END - 4), 3, 1, &word), 0);
    assert_int_equal(word, 3);
    assert_int_equal(touched, 2);
}

static void faults_are_told(void **state)
{
    uint32_t word = 0;

    (void)state;
    answer = -EFAULT;
    assert_int_equal(load_user(UADDR(0x10000), &word), -EFAULT);
    assert_int_equal(exchange_user(UADDR(0x10000), 0, 1, &word), -EFAULT);
    assert_int_equal(copy_to_user(UADDR(0x10000), &word, sizeof(word)), -EFAULT);
    assert_int_equal(touched, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_is_not_the_programs_is_not_touched, begin),
        cmocka_unit_test_setup(words_lie_in_one_piece, begin),
        cmocka_unit_test_setup(faults_are_told, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
