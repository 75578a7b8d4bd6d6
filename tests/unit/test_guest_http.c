/*
 * The guest's HTTP parser: requests as clients send them, ranges, requests that are refused, and
 * the heads of answers.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "net/httpd/request.h"

static struct http_request req;

static int parse(const char *text)
{
    char copy[8192];
    size_t len = strlen(text);

    memcpy(copy, text, len + 1);
    return http_parse(copy, len, &req);
}

static void heads(void **state)
{
    (void)state;
    assert_int_equal(http_head_length("GET / HTTP/1.1\r\n\r\nrest", 22), 18);
    assert_int_equal(http_head_length("GET / HTTP/1.1\r\n\r", 17), 0);
    assert_int_equal(http_head_length("GET / HTTP/1.0\n\nrest", 20), 16);
    assert_int_equal(http_head_length("GET / HTTP/1.0\n", 15), 0);
    assert_int_equal(http_head_length("", 0), 0);
}

static void good_requests(void **state)
{
    (void)state;
    assert_int_equal(parse("GET /a%20b/c?x=1 HTTP/1.1\r\nHost: h\r\n\r\n"), 0);
    assert_string_equal(req.path, "/a b/c");
    assert_true(req.keep && !req.head);
    assert_int_equal(req.range, RANGE_NONE);
    assert_int_equal(parse("HEAD / HTTP/1.1\r\nCONNECTION:  Close\r\n\r\n"), 0);
    assert_true(req.head && !req.keep);
    assert_int_equal(parse("GET / HTTP/1.0\n\n"), 0);
    assert_false(req.keep);
    assert_int_equal(parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), 0);
    assert_true(req.keep);
    assert_int_equal(parse("GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"), 0);
}

static void bad_requests(void **state)
{
    char text[4096] = "GET /";

    (void)state;
    assert_int_equal(parse("GET /\r\n\r\n"), 400);
    assert_int_equal(parse("GET x HTTP/1.1\r\n\r\n"), 400);
    assert_int_equal(parse("GET /%0 HTTP/1.1\r\n\r\n"), 400);
    assert_int_equal(parse("GET /%00 HTTP/1.1\r\n\r\n"), 400);
    assert_int_equal(parse("GET /%zz HTTP/1.1\r\n\r\n"), 400);
    assert_int_equal(parse("GET / HTTP/1.1\r\nnonsense\r\n\r\n"), 400);
    assert_int_equal(parse("GET / SMTP\r\n\r\n"), 400);
    assert_int_equal(parse("GET / HTTP/2.0\r\n\r\n"), 505);
    assert_int_equal(parse("POST / HTTP/1.1\r\n\r\n"), 501);
    assert_int_equal(parse("GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n"), 501);
    assert_int_equal(parse("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), 501);
    assert_false(req.keep);
    memset(text + 5, 'a', HTTP_PATH_MAX);
    snprintf(text + 5 + HTTP_PATH_MAX, 32, " HTTP/1.1\r\n\r\n");
    assert_int_equal(parse(text), 414);
}

static int range(const char *value, uint64_t size, uint64_t *first, uint64_t *count)
{
    char text[256];

    snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nRange: %s\r\n\r\n", value);
    assert_int_equal(parse(text), 0);
    return http_range(&req, size, first, count);
}

static void ranges(void **state)
{
    static const struct {
        const char *value;
        uint64_t size;
        int status;
        uint64_t first, count;
    } cases[] = {
        {"bytes=0-0", 10, 206, 0, 1},
        {"bytes=2-5", 10, 206, 2, 4},
        {"bytes=2-", 10, 206, 2, 8},
        {"bytes=-3", 10, 206, 7, 3},
        {"bytes=-30", 10, 206, 0, 10},
        {"bytes=5-500", 10, 206, 5, 5},
        {"bytes=9-18446744073709551615", 10, 200, 0, 10}, /* no number of ours: ignored */
        {"bytes=10-", 10, 416, 0, 0},
        {"bytes=-0", 10, 416, 0, 0},
        {"bytes=0-", 0, 416, 0, 0},
        {"bytes=5-2", 10, 200, 0, 10},
        {"bytes=1-2,4-5", 10, 200, 0, 10},
        {"lines=1-2", 10, 200, 0, 10},
        {"bytes=a-b", 10, 200, 0, 10},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t first, count;

        assert_int_equal(range(cases[i].value, cases[i].size, &first, &count), cases[i].status);
        if (cases[i].status != 416) {
            assert_int_equal(first, cases[i].first);
            assert_int_equal(count, cases[i].count);
        }
    }
}

static int reply(const char *text, struct http_reply *r)
{
    char copy[1024];
    size_t len = strlen(text);

    assert_true(len < sizeof(copy));
    memcpy(copy, text, len + 1);
    return http_parse_reply(copy, len, r);
}

static void replies(void **state)
{
    struct http_reply r;

    (void)state;
    assert_int_equal(reply("HTTP/1.0 200 OK\r\nContent-Length: 123\r\n\r\n", &r), 0);
    assert_true(r.status == 200 && r.sized && r.length == 123);
    assert_int_equal(reply("HTTP/1.1 404 Not Found\n\n", &r), 0);
    assert_true(r.status == 404 && !r.sized);
    assert_int_equal(reply("HTTP/1.1 200\r\n\r\n", &r), 0);
    assert_int_equal(reply("HTTP/1.1 x\r\n\r\n", &r), -EINVAL);
    assert_int_equal(reply("SSH-2.0\r\n\r\n", &r), -EINVAL);
    assert_int_equal(reply("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", &r), -EINVAL);
    assert_int_equal(reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &r), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads),  cmocka_unit_test(good_requests), cmocka_unit_test(bad_requests),
        cmocka_unit_test(ranges), cmocka_unit_test(replies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
