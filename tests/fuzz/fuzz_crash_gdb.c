/*
 * Fuzzes duet-crash's stub of GDB's protocol: any bytes, as they come, over a core of two mapped
 * pages. The chosen thread is one that there is; an answer fits a packet and is text; a frame
 * around it is read back as it was; and what the core holds is as it was at the end.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gdb_stub.h"
#include "tests/unit/fake_core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PAGES   6
#define VA      0xffffffff80001000ull
#define THREADS 3

static void require(int condition)
{
    if (!condition) {
        abort();
    }
}

static void check_reply(const struct gdb_reply *reply)
{
    static struct gdb_reader back;
    static char frame[GDB_FRAME_MAX];
    enum gdb_event event = GDB_NOTHING;

    require(reply->len <= GDB_PACKET_MAX && strlen(reply->data) == reply->len);
    for (size_t i = 0; i < reply->len; i++) {
        require(reply->data[i] >= ' ' && reply->data[i] <= '~');
    }
    size_t n = gdb_frame(reply->data, reply->len, frame);
    memset(&back, 0, sizeof(back));
    for (size_t i = 0; i < n; i++) {
        require(event == GDB_NOTHING);
        event = gdb_feed(&back, (uint8_t)frame[i]);
    }
    require(event == GDB_PACKET && back.len == reply->len &&
            memcmp(back.data, reply->data, back.len) == 0);
}

/* Hands over a copy that is no longer than the packet, for ASan. */
static void answer(struct gdb_stub *g, const struct gdb_reader *r)
{
    static struct gdb_reply reply;
    char *copy = malloc(r->len + 1);

    require(copy != NULL && r->len <= GDB_PACKET_MAX);
    memcpy(copy, r->data, r->len + 1);
    gdb_answer(g, copy, r->len, &reply);
    free(copy);
    require(g->chosen < THREADS);
    check_reply(&reply);
}

/* As bytes come; and, since hardly any sum is right, each piece up to a NUL as a packet's data. */
static void talk(struct gdb_stub *g, const uint8_t *data, size_t size)
{
    static struct gdb_reader r;

    memset(&r, 0, sizeof(r));
    for (size_t i = 0; i < size; i++) {
        if (gdb_feed(&r, data[i]) == GDB_PACKET) {
            answer(g, &r);
        }
    }
    while (size > 0) {
        size_t len = strnlen((const char *)data, size);

        r.len = len < GDB_PACKET_MAX ? len : GDB_PACKET_MAX;
        memcpy(r.data, data, r.len);
        r.data[r.len] = '\0';
        answer(g, &r);
        len += len < size;
        data += len;
        size -= len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct gdb_thread threads[THREADS] = {
        {.name = "vCPU 0, thread \"<main>\"", .known = 0x3ffff, .registers = {1, 2, 3}},
        {.name = "thread 2 \"&\"", .known = 0x81},
        {.name = ""}};
    struct fake_core f;
    struct core *core = NULL;
    struct space space;
    struct gdb_stub stub;
    char why[128];

    fake_core_make(&f, 1, PAGES);
    fake_core_map(&f, VA, fake_core_mfn(&f, 4), PTE_PRESENT);
    fake_core_map(&f, VA + 4096, fake_core_mfn(&f, 5), PTE_PRESENT);
    require(core_parse(f.data, f.size, &core, why, sizeof(why)) == 0);
    require(space_of_vcpu(core, 0, &space) == 0);
    const struct gdb_target target = {
        .space = &space, .threads = threads, .nthreads = THREADS, .exec_file = "/kernel"};
    require(gdb_stub_init(&stub, &target) == 0);
    talk(&stub, data, size);
    for (unsigned int i = 0; i < 2 * CORE_PAGE_SIZE; i++) {
        require(fake_core_page(&f, 4)[i] == 0);
    }
    gdb_stub_free(&stub);
    core_close(core);
    fake_core_free(&f);
    return 0;
}
