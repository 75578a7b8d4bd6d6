/*
 * The console's gate: bytes come out in order and whole, and no index that a guest could write
 * makes it touch a byte outside of the ring. The page stands alone between two inaccessible ones,
 * so that a step outside ends the test.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cons_ring.h"

static struct xencons_interface *ring;

/* The struct ends exactly where the inaccessible page begins. */
static int setup(void **state)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *base = mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)state;
    if (base == MAP_FAILED || mprotect(base + page, page, PROT_READ | PROT_WRITE) < 0) {
        return -1;
    }
    ring = (struct xencons_interface *)(base + 2 * page - sizeof(*ring));
    return 0;
}

static void guest_prints(const char *text)
{
    for (; *text; text++) {
        ring->out[MASK_XENCONS_IDX(ring->out_prod++, ring->out)] = *text;
    }
}

static void set_indices(XENCONS_RING_IDX value)
{
    memset(ring, 0, sizeof(*ring));
    ring->in_cons = ring->in_prod = ring->out_cons = ring->out_prod = value;
}

static void output_comes_out_in_order(void **state)
{
    struct cons_batch batch;

    (void)state;
    set_indices(0);
    guest_prints("hello");
    assert_int_equal(cons_peek(ring, CONS_OUT_SIZE, &batch), 0);
    assert_int_equal(batch.len, 5);
    assert_memory_equal(batch.data, "hello", 5);
    /* Nothing is given back before it is consumed. */
    assert_int_equal(ring->out_cons, 0);
    cons_consume(ring, &batch);
    assert_int_equal(ring->out_cons, 5);
    assert_int_equal(cons_peek(ring, CONS_OUT_SIZE, &batch), 0);
    assert_int_equal(batch.len, 0);
}

static void a_limit_leaves_the_rest(void **state)
{
    struct cons_batch batch;

    (void)state;
    set_indices(0);
    guest_prints("abcdef");
    cons_peek(ring, 4, &batch);
    assert_int_equal(batch.len, 4);
    cons_consume(ring, &batch);
    cons_peek(ring, 4, &batch);
    assert_int_equal(batch.len, 2);
    assert_memory_equal(batch.data, "ef", 2);
}

static void indices_wrap(void **state)
{
    struct cons_batch batch;

    (void)state;
    set_indices(UINT32_MAX - 2);
    guest_prints("123456");
    assert_int_equal(cons_peek(ring, CONS_OUT_SIZE, &batch), 0);
    assert_int_equal(batch.len, 6);
    assert_memory_equal(batch.data, "123456", 6);
    cons_consume(ring, &batch);
    assert_int_equal(ring->out_cons, 3);
}

static void a_full_ring_comes_whole(void **state)
{
    struct cons_batch batch;

    (void)state;
    set_indices(1000);
    for (size_t i = 0; i < CONS_OUT_SIZE; i++) {
        guest_prints((const char[]){(char)('a' + i % 26), '\0'});
    }
    assert_int_equal(cons_peek(ring, CONS_OUT_SIZE, &batch), 0);
    assert_int_equal(batch.len, CONS_OUT_SIZE);
    for (size_t i = 0; i < CONS_OUT_SIZE; i++) {
        assert_int_equal(batch.data[i], 'a' + i % 26);
    }
}

static void impossible_output_indices_are_refused(void **state)
{
    static const XENCONS_RING_IDX ahead[] = {CONS_OUT_SIZE + 1, 4096, 1U << 31, UINT32_MAX};
    struct cons_batch batch;

    (void)state;
    for (size_t i = 0; i < sizeof(ahead) / sizeof(ahead[0]); i++) {
        set_indices(77);
        ring->out_prod += ahead[i];
        assert_int_equal(cons_peek(ring, CONS_OUT_SIZE, &batch), -EPROTO);
        assert_int_equal(batch.len, 0);
    }
    /* A guest that puts them right again is heard again. */
    set_indices(0);
    guest_prints("back");
    assert_int_equal(cons_peek(ring, CONS_OUT_SIZE, &batch), 0);
    assert_int_equal(batch.len, 4);
}

static void input_goes_in_while_there_is_room(void **state)
{
    char data[CONS_IN_SIZE + 10];

    (void)state;
    memset(data, 'x', sizeof(data));
    set_indices(UINT32_MAX - 5);
    assert_int_equal(cons_input_room(ring), CONS_IN_SIZE);
    assert_int_equal(cons_input(ring, "ab", 2), 2);
    assert_int_equal(ring->in[MASK_XENCONS_IDX(UINT32_MAX - 5, ring->in)], 'a');
    assert_int_equal(cons_input(ring, data, sizeof(data)), CONS_IN_SIZE - 2);
    assert_int_equal(cons_input_room(ring), 0);
    assert_int_equal(cons_input(ring, "c", 1), 0);
    ring->in_cons += 3;
    assert_int_equal(cons_input_room(ring), 3);
}

static void impossible_input_indices_leave_no_room(void **state)
{
    static const XENCONS_RING_IDX behind[] = {CONS_IN_SIZE + 1, 1U << 31, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(behind) / sizeof(behind[0]); i++) {
        set_indices(5);
        ring->in_cons -= behind[i];
        assert_int_equal(cons_input_room(ring), 0);
        assert_int_equal(cons_input(ring, "abc", 3), 0);
        assert_int_equal(ring->in_prod, 5);
    }
}

/* Every page a guest could leave behind, sampled: no call steps outside (the guard pages tell). */
static void random_pages_do_no_harm(void **state)
{
    uint64_t seed = 0x9e3779b97f4a7c15ULL;
    struct cons_batch batch;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        uint32_t *words = (uint32_t *)ring;

        for (size_t i = sizeof(*ring) / sizeof(*words) - 4; i < sizeof(*ring) / sizeof(*words);
             i++) {
            seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
            words[i] = (uint32_t)(seed >> 32) >> (seed % 32);
        }
        if (cons_peek(ring, (seed >> 7) % 4096, &batch) == 0) {
            assert_true(batch.len <= CONS_OUT_SIZE);
            cons_consume(ring, &batch);
        }
        assert_true(cons_input_room(ring) <= CONS_IN_SIZE);
        assert_true(cons_input(ring, batch.data, CONS_OUT_SIZE) <= CONS_IN_SIZE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_comes_out_in_order),
        cmocka_unit_test(a_limit_leaves_the_rest),
        cmocka_unit_test(indices_wrap),
        cmocka_unit_test(a_full_ring_comes_whole),
        cmocka_unit_test(impossible_output_indices_are_refused),
        cmocka_unit_test(input_goes_in_while_there_is_room),
        cmocka_unit_test(impossible_input_indices_leave_no_room),
        cmocka_unit_test(random_pages_do_no_harm),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
