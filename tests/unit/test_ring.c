/*
 * The back end's ring against a front end that plays by the rules and one that does not. The
 * "shared" page is ordinary memory here; the front end's side is written out by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "ring.h"

static _Alignas(4096) uint8_t page[4096];
static struct ring_shared *const shared = (struct ring_shared *)page;
static struct ring_back ring;

static int setup(void **state)
{
    (void)state;
    memset(page, 0, sizeof(page));
    shared->req_event = 1;
    shared->rsp_event = 1;
    ring_attach(&ring, page, sizeof(page), 112);
    return 0;
}

static void a_page_holds_as_many_entries_as_the_macros_say(void **state)
{
    (void)state;
    assert_int_equal(ring.nr_entries, 32);
    ring_attach(&ring, page, sizeof(page), 108);
    assert_int_equal(ring.nr_entries, 32);
    ring_attach(&ring, page, 16 * 4096, 112);
    assert_int_equal(ring.nr_entries, 512);
}

static void requests_are_copied_once_and_in_order(void **state)
{
    uint64_t raw[14];

    (void)state;
    page[64] = 0xaa;
    page[64 + 112] = 0xbb;
    shared->req_prod = 2;
    assert_int_equal(ring_pending(&ring), 2);
    ring_copy(&ring, raw);
    page[64] = 0xcc; /* the guest changes its mind: too late */
    assert_int_equal(*(uint8_t *)raw, 0xaa);
    ring_copy(&ring, raw);
    assert_int_equal(*(uint8_t *)raw, 0xbb);
    assert_int_equal(ring_pending(&ring), 0);
}

static void indices_wrap_around(void **state)
{
    uint64_t raw[14];
    uint32_t rsp[4] = {0};

    (void)state;
    shared->rsp_prod = shared->req_prod = UINT32_MAX - 1;
    ring_attach(&ring, page, sizeof(page), 112);
    assert_int_equal(ring_pending(&ring), 0);
    shared->req_prod += 3;
    assert_int_equal(ring_pending(&ring), 3);
    for (int i = 0; i < 3; i++) {
        ring_copy(&ring, raw);
        ring_respond(&ring, rsp, sizeof(rsp));
    }
    ring_publish(&ring);
    assert_int_equal(shared->rsp_prod, 1);
    assert_int_equal(ring_pending(&ring), 0);
}

static void more_requests_than_the_ring_holds_break_it(void **state)
{
    (void)state;
    shared->req_prod = 32;
    assert_int_equal(ring_pending(&ring), 32);
    shared->req_prod = 33;
    assert_int_equal(ring_pending(&ring), -EPROTO);
    shared->req_prod = UINT32_MAX; /* backwards */
    assert_int_equal(ring_pending(&ring), -EPROTO);
}

static void unanswered_requests_count_too(void **state)
{
    uint64_t raw[14];

    (void)state;
    shared->req_prod = 32;
    for (int i = 0; i < 32; i++) {
        ring_copy(&ring, raw);
    }
    shared->req_prod = 33; /* would overwrite a request that is not answered */
    assert_int_equal(ring_pending(&ring), -EPROTO);
}

static void taking_back_a_request_breaks_it(void **state)
{
    uint64_t raw[14];

    (void)state;
    shared->req_prod = 5;
    for (int i = 0; i < 5; i++) {
        ring_copy(&ring, raw);
    }
    shared->req_prod = 3;
    assert_int_equal(ring_pending(&ring), -EPROTO);
}

static void the_front_end_is_notified_only_when_it_asks(void **state)
{
    uint64_t raw[14];
    uint32_t rsp[4] = {0};

    (void)state;
    shared->req_prod = 3;
    shared->rsp_event = 2; /* "wake me at the second response" */
    for (int i = 0; i < 3; i++) {
        ring_copy(&ring, raw);
        ring_respond(&ring, rsp, sizeof(rsp));
        assert_int_equal(ring_publish(&ring), i == 1);
    }
}

static void a_front_end_that_writes_rsp_prod_changes_nothing(void **state)
{
    uint64_t raw[14];
    uint32_t rsp[4] = {0};

    (void)state;
    shared->req_prod = 1;
    ring_copy(&ring, raw);
    shared->rsp_prod = 1000;
    ring_respond(&ring, rsp, sizeof(rsp));
    assert_true(ring_publish(&ring));
    assert_int_equal(shared->rsp_prod, 1);
}

static void no_wake_up_is_lost(void **state)
{
    (void)state;
    assert_false(ring_final_check(&ring));
    assert_int_equal(shared->req_event, 1);
    shared->req_prod = 1;
    assert_true(ring_final_check(&ring));
    shared->req_prod = 77; /* broken: must not be slept on either */
    assert_true(ring_final_check(&ring));
}

static void a_message_of_several_requests_is_looked_at_before_it_is_taken(void **state)
{
    uint64_t raw[14];

    (void)state;
    page[64] = 0xaa;
    page[64 + 112] = 0xbb;
    shared->req_prod = 3;
    ring_peek(&ring, 1, raw);
    assert_int_equal(*(uint8_t *)raw, 0xbb);
    assert_int_equal(ring_pending(&ring), 3);
    ring_consume(&ring, 2);
    assert_int_equal(ring_pending(&ring), 1);
}

static void who_wants_several_requests_sleeps_until_they_are_there(void **state)
{
    (void)state;
    shared->req_prod = 2;
    assert_false(ring_final_check_many(&ring, 3));
    assert_int_equal(shared->req_event, 3);
    shared->req_prod = 3;
    assert_true(ring_final_check_many(&ring, 3));
    shared->req_prod = 77;
    assert_true(ring_final_check_many(&ring, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_page_holds_as_many_entries_as_the_macros_say, setup),
        cmocka_unit_test_setup(requests_are_copied_once_and_in_order, setup),
        cmocka_unit_test_setup(indices_wrap_around, setup),
        cmocka_unit_test_setup(more_requests_than_the_ring_holds_break_it, setup),
        cmocka_unit_test_setup(unanswered_requests_count_too, setup),
        cmocka_unit_test_setup(taking_back_a_request_breaks_it, setup),
        cmocka_unit_test_setup(the_front_end_is_notified_only_when_it_asks, setup),
        cmocka_unit_test_setup(a_front_end_that_writes_rsp_prod_changes_nothing, setup),
        cmocka_unit_test_setup(no_wake_up_is_lost, setup),
        cmocka_unit_test_setup(a_message_of_several_requests_is_looked_at_before_it_is_taken,
                               setup),
        cmocka_unit_test_setup(who_wants_several_requests_sleeps_until_they_are_there, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
