/*
 * SHA-256 of the guest kernel: the examples of FIPS 180-2 (appendix B) and NIST's long one, in one
 * piece, byte by byte, and in pieces that straddle blocks.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/sha256.h"

static void expect_digest(struct sha256 *s, const char *want)
{
    uint8_t digest[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1];

    sha256_final(s, digest);
    sha256_hex(digest, hex);
    assert_string_equal(hex, want);
}

/* Hashes @text in pieces of @piece bytes. */
static void hash_in_pieces(const char *text, size_t piece, const char *want)
{
    struct sha256 s;
    size_t len = strlen(text);

    sha256_init(&s);
    for (size_t at = 0; at < len; at += piece) {
        sha256_update(&s, text + at, len - at < piece ? len - at : piece);
    }
    expect_digest(&s, want);
}

static void published_examples(void **state)
{
    static const struct {
        const char *text, *digest;
    } examples[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmno"
         "ijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        hash_in_pieces(examples[i].text, 1000, examples[i].digest);
        hash_in_pieces(examples[i].text, 1, examples[i].digest);
        hash_in_pieces(examples[i].text, 61, examples[i].digest);
    }
}

/* A million times 'a'; long enough to go the way of the large pieces. */
static void million(void **state)
{
    static const char want[] = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
    char *text = malloc(1000001);

    (void)state;
    assert_non_null(text);
    memset(text, 'a', 1000000);
    text[1000000] = '\0';
    hash_in_pieces(text, 1000000, want);
    hash_in_pieces(text, 4097, want);
    hash_in_pieces(text, 63, want);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_examples),
        cmocka_unit_test(million),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
