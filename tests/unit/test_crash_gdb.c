/*
 * duet-crash's stub of GDB's protocol: frames, answers, and that it takes any bytes. Over a core of
 * which one page is mapped and the next is not.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_core.h"
#include "gdb_stub.h"

#define PAGES 8
#define VA    0xffffffff80001000ull
#define MANY  3000 /* threads: more than one packet lists */

struct fixture {
    struct fake_core file;
    struct core *core;
    struct space space;
    struct gdb_thread *threads;
    struct gdb_target target;
    struct gdb_stub stub;
    struct gdb_reply reply;
};

static int make(void **state)
{
    static const uint8_t edge[] = {0x01, 0xab, '$', '#'};
    struct fixture *f = calloc(1, sizeof(*f));
    char why[128];

    assert_non_null(f);
    *state = f;
    fake_core_make(&f->file, 1, PAGES);
    fake_core_map(&f->file, VA, fake_core_mfn(&f->file, 4), PTE_PRESENT);
    memcpy(fake_core_page(&f->file, 4) + 4092, edge, sizeof(edge));
    assert_int_equal(core_parse(f->file.data, f->file.size, &f->core, why, sizeof(why)), 0);
    assert_int_equal(space_of_vcpu(f->core, 0, &f->space), 0);
    f->threads = calloc(MANY, sizeof(*f->threads));
    assert_non_null(f->threads);
    strcpy(f->threads[0].name, "vCPU 0, thread \"<&'>\"");
    gdb_set_register(&f->threads[0], "rip", 0xffffffff80001234);
    gdb_set_register(&f->threads[0], "cs", 0xe033);
    gdb_set_register(&f->threads[0], "gs_base", 0x1122334455667788);
    gdb_set_register(&f->threads[1], "rsp", 0x55);
    f->target = (struct gdb_target){
        .space = &f->space, .threads = f->threads, .nthreads = 2, .exec_file = "/boot/kernel"};
    assert_int_equal(gdb_stub_init(&f->stub, &f->target), 0);
    return 0;
}

static int drop(void **state)
{
    struct fixture *f = *state;

    gdb_stub_free(&f->stub);
    core_close(f->core);
    fake_core_free(&f->file);
    free(f->threads);
    free(f);
    return 0;
}

/* The answer to @packet, which ASan sees to be no longer than it is. */
static const char *ask(struct fixture *f, const char *packet)
{
    size_t len = strlen(packet);
    char *copy = malloc(len + 1);

    assert_non_null(copy);
    memcpy(copy, packet, len + 1);
    gdb_answer(&f->stub, copy, len, &f->reply);
    free(copy);
    return f->reply.data;
}

static void expect(struct fixture *f, const char *packet, const char *answer)
{
    assert_string_equal(ask(f, packet), answer);
}

static void expect_refusal(struct fixture *f, const char *packet, const char *words)
{
    const char *answer = ask(f, packet);

    assert_memory_equal(answer, "E.", 2);
    if (strstr(answer, words) == NULL) {
        fail_msg("'%s' is answered '%s', not '%s'", packet, answer, words);
    }
}

static void registers_are_of_the_chosen_thread(void **state)
{
    struct fixture *f = *state;

    expect(f, "?", "T05thread:1;");
    expect(f, "p10",
           "3412008"
           "0ffffffff");
    expect(f, "p12", "33e00000");
    expect(f, "p29", "8877665544332211");
    expect(f, "p0", "xxxxxxxxxxxxxxxx");
    expect(f, "p18", "xxxxxxxxxxxxxxxxxxxx"); /* st0 */
    expect(f, "Hg2", "OK");
    expect(f, "p7", "5500000000000000");
    expect(f, "qC", "QC2");
    expect(f, "Hg0", "OK");
    expect(f, "qC", "QC2");
    expect(f, "Hc-1", "OK");
    expect(f, "T2", "OK");
    expect_refusal(f, "T3", "no such thread");
    expect_refusal(f, "Hg3", "no such thread");
    expect_refusal(f, "Hgffffffffffffffffff", "no such thread");
    expect_refusal(f, "p2a", "no such register");
    expect_refusal(f, "pffffffffffffffff", "no such register");
    assert_int_equal(strlen(ask(f, "g")), 2 * (17 * 8 + 7 * 4 + 8 * 10 + 8 * 4 + 2 * 8));
}

static void memory_ends_at_a_hole(void **state)
{
    struct fixture *f = *state;

    expect(f, "mffffffff80001ffc,4", "01ab2423");
    expect(f, "mffffffff80001ffc,100", "01ab2423");
    expect(f, "mffffffff80002000,1", "E14");
    expect(f, "mffffffff80001ffc,0", "");
    expect(f, "mffffffffffffffff,ffffffffffffffff", "E14");
    expect_refusal(f, "m", "address");
    expect_refusal(f, "m1", "address");
    expect_refusal(f, "m1,2,3", "address");
    assert_int_equal(strlen(ask(f, "mffffffff80001000,ffffffffffffffff")), GDB_PACKET_MAX);
}

static void nothing_is_changed(void **state)
{
    struct fixture *f = *state;
    static const char *const changes[] = {"Gff",    "P0=00",  "Mffffffff80001ffc,1:00",
                                          "X1,1:a", "Z0,1,1", "z0,1,1"};
    static const char *const runs[] = {"c", "s", "C05", "S05", "vCont;c", "vRun;", "R00"};

    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        expect_refusal(f, changes[i], "can be changed");
    }
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        expect_refusal(f, runs[i], "can run");
    }
    expect(f, "mffffffff80001ffc,1", "01");
    expect(f, "vMustReplyEmpty", "");
    expect(f, "vCont?", "");
    expect(f, "vFile:open:00,0,0", ""); /* so that GDB takes the kernel from its own disk */
    expect(f, "D", "OK");
    assert_true(f->stub.ended);
}

static void transfers_are_in_pieces(void **state)
{
    struct fixture *f = *state;
    char whole[8192] = "";
    size_t at = 0;

    expect(f, "qXfer:exec-file:read:1:0,1000", "l/boot/kernel");
    expect(f, "qXfer:exec-file:read::5,3", "m/ke");
    expect(f, "qXfer:exec-file:read::ffffffffffffffff,ffffffffffffffff", "l");
    expect_refusal(f, "qXfer:exec-file:read:1", "offset");
    assert_non_null(strstr(ask(f, "qXfer:threads:read::0,1000"),
                           "name=\"vCPU 0, thread &#34;&#60;&#38;&#39;&#62;&#34;\"/>"));
    do {
        char packet[64];

        snprintf(packet, sizeof(packet), "qXfer:features:read:target.xml:%zx,100", at);
        (void)ask(f, packet);
        memcpy(whole + at, f->reply.data + 1, f->reply.len - 1);
        at += f->reply.len - 1;
    } while (f->reply.data[0] == 'm');
    assert_string_equal(whole, f->stub.features);
    assert_non_null(strstr(whole, "\"gs_base\""));
}

static void every_thread_is_listed(void **state)
{
    struct fixture *f = *state;
    unsigned int listed = 0;

    f->target.nthreads = MANY;
    for (const char *answer = ask(f, "qfThreadInfo"); answer[0] != 'l';
         answer = ask(f, "qsThreadInfo")) {
        assert_int_equal(answer[0], 'm');
        for (const char *comma = answer; comma != NULL; comma = strchr(comma + 1, ',')) {
            assert_int_equal(strtoul(comma + 1, NULL, 16), ++listed);
        }
    }
    assert_int_equal(listed, MANY);
    expect(f, "qThreadExtraInfo,1",
           "76435055"
           "20302c20746872656164"
           "20223c26273e22");
}

/* ---- frames ---- */

static enum gdb_event feed(struct gdb_reader *r, const char *bytes, size_t len)
{
    enum gdb_event event = GDB_NOTHING;

    for (size_t i = 0; i < len; i++) {
        event = gdb_feed(r, (uint8_t)bytes[i]);
    }
    return event;
}

static void frames_are_read(void **state)
{
    struct gdb_reader r = {0};
    char frame[GDB_FRAME_MAX], data[GDB_PACKET_MAX];

    (void)state;
    assert_int_equal(feed(&r, "+$g#67", 6), GDB_PACKET);
    assert_string_equal(r.data, "g");
    assert_int_equal(feed(&r, "$g#68", 5), GDB_BAD);
    assert_int_equal(feed(&r, "$g#6x", 5), GDB_BAD);
    assert_int_equal(feed(&r, "$gar$qC#b4", 10), GDB_PACKET); /* the first one broke off */
    assert_string_equal(r.data, "qC");
    assert_int_equal(feed(&r, "-", 1), GDB_AGAIN);
    assert_int_equal(feed(&r, "\x03", 1), GDB_BREAK);
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = "$#}*\0\xff"[i % 6];
    }
    size_t len = gdb_frame(data, sizeof(data), frame);
    assert_in_range(len, sizeof(data), sizeof(frame));
    assert_int_equal(feed(&r, frame, len), GDB_PACKET);
    assert_int_equal(r.len, sizeof(data));
    assert_memory_equal(r.data, data, sizeof(data));
}

static void long_packets_are_bad(void **state)
{
    struct gdb_reader *r = calloc(1, sizeof(*r));

    (void)state;
    assert_non_null(r);
    (void)gdb_feed(r, '$');
    for (unsigned int i = 0; i < 3 * GDB_PACKET_MAX; i++) {
        assert_int_equal(gdb_feed(r, '\0'), GDB_NOTHING);
    }
    assert_int_equal(feed(r, "#00", 3), GDB_BAD);
    assert_int_equal(feed(r, "$g#67", 5), GDB_PACKET);
    free(r);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(registers_are_of_the_chosen_thread),
        CASE(memory_ends_at_a_hole),
        CASE(nothing_is_changed),
        CASE(transfers_are_in_pieces),
        CASE(every_thread_is_listed),
        cmocka_unit_test(frames_are_read),
        cmocka_unit_test(long_packets_are_bad),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
