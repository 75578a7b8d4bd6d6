/*
 * The way to an NBD server (nbd.h, opener.c, nbd_connect.c): first with a server that is written
 * out here, and keeps no rule that it is not asked to keep; then with nbdkit and qemu-nbd.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "image.h"
#include "nbd.h"
#include "remote.h"
#include "wire.h"

enum { DEPTH = 80, PENDING = -12345, BYTES = 4096 };

static const struct log_id id = {.class = "vbd", .domid = 1, .device = 51712};
static struct io_uring uring;
static struct blk_nbd nbd;
static int server; /* our end of its connection */
static int results[BLK_NBD_OPS];
static uint8_t data[BLK_NBD_OPS][BYTES];

static void on_done(void *arg, uint64_t tag, int res)
{
    (void)arg;
    assert_true(tag < BLK_NBD_OPS);
    assert_int_equal(results[tag], PENDING);
    results[tag] = res;
}

/* Begins with a connection. */
static void begin(int connection)
{
    nbd = (struct blk_nbd){
        .ring = &uring, .id = &id, .done = on_done, .can_flush = true, .can_fua = true};
    for (unsigned int i = 0; i < BLK_NBD_OPS; i++) {
        results[i] = PENDING;
    }
    assert_int_equal(blk_nbd_open(&nbd, DEPTH, connection, connection), 0);
}

static int setup(void **state)
{
    int sv[2];

    (void)state;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) < 0) {
        return 1;
    }
    server = sv[0];
    begin(sv[1]);
    close(sv[1]);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    io_uring_queue_exit(&uring);
    close(server);
    return 0;
}

/* Works for as long as something comes within `ns`. */
static void work_for(uint64_t ns)
{
    struct uring_event ev;
    bool more = true;

    while (more) {
        more = false;
        blk_nbd_push(&nbd);
        assert_int_equal(uring_submit(&uring, ns), 0);
        while (uring_next(&uring, &ev)) {
            assert_true((ev.tag & BLK_NBD_TAGS) != 0);
            blk_nbd_event(&nbd, &ev);
            more = !nbd.lost;
        }
    }
}

static void work(void)
{
    work_for(20000000);
}

struct request {
    uint32_t magic;
    uint16_t flags, type;
    uint64_t cookie, offset;
    uint32_t length;
} __attribute__((packed));

/* Takes the next request, in the host's byte order. */
static struct request asked(void)
{
    struct request r;

    assert_int_equal(recv(server, &r, sizeof(r), MSG_WAITALL), sizeof(r));
    assert_int_equal(be32toh(r.magic), 0x25609513);
    return (struct request){.flags = be16toh(r.flags),
                            .type = be16toh(r.type),
                            .cookie = be64toh(r.cookie),
                            .offset = be64toh(r.offset),
                            .length = be32toh(r.length)};
}

static void send_bytes(const void *bytes, size_t nr)
{
    assert_int_equal(send(server, bytes, nr, MSG_NOSIGNAL), nr);
}

static void reply_as(uint32_t magic, uint64_t cookie, uint32_t error)
{
    const struct {
        uint32_t magic, error;
        uint64_t cookie;
    } r = {htobe32(magic), htobe32(error), htobe64(cookie)};

    send_bytes(&r, sizeof(r));
}

static void reply(uint64_t cookie, uint32_t error)
{
    reply_as(0x67446698, cookie, error);
}

static void requests_are_as_the_protocol_says(void **state)
{
    uint8_t got[BYTES];
    struct request r;

    (void)state;
    memset(data[1], 0x5a, BYTES);
    blk_nbd_submit(&nbd, BLK_WRITE, data[1], BYTES, 1 << 20, 1);
    blk_nbd_submit(&nbd, BLK_READ, data[2], 512, 0x123456789000, 2);
    blk_nbd_submit(&nbd, BLK_FLUSH, NULL, 0, 0, 64);
    work();
    r = asked();
    assert_true(r.type == 1 && r.flags == 1 && r.offset == 1 << 20 && r.length == BYTES);
    assert_int_equal(recv(server, got, BYTES, MSG_WAITALL), BYTES);
    assert_memory_equal(got, data[1], BYTES);
    reply(r.cookie, 0);
    r = asked();
    assert_true(r.type == 0 && r.flags == 0 && r.offset == 0x123456789000 && r.length == 512);
    reply(r.cookie, 0);
    send_bytes(got, 512);
    r = asked();
    assert_true(r.type == 3 && r.flags == 0 && r.offset == 0 && r.length == 0);
    reply(r.cookie, 0);
    work();
    assert_int_equal(results[1], BYTES);
    assert_int_equal(results[2], 512);
    assert_memory_equal(data[2], got, 512);
    assert_int_equal(results[64], 0);
}

static void answers_come_in_any_order_and_in_pieces(void **state)
{
    uint8_t wire[2 * (16 + BYTES)];
    size_t at = 0;

    (void)state;
    for (unsigned int i = 0; i < 2; i++) {
        blk_nbd_submit(&nbd, BLK_READ, data[i], BYTES, i * BYTES, i);
    }
    work();
    asked();
    asked();
    for (unsigned int i = 2; i-- > 0;) {
        const uint32_t head[4] = {htobe32(0x67446698), 0, 0, htobe32(i)};

        memcpy(wire + at, head, sizeof(head));
        memset(wire + at + sizeof(head), (int)(i + 1), BYTES);
        at += sizeof(head) + BYTES;
    }
    for (size_t sent = 0, nr; sent < at; sent += nr) {
        nr = 1 + sent * 7 % 1500;
        nr = nr < at - sent ? nr : at - sent;
        send_bytes(wire + sent, nr);
        work_for(200000);
    }
    work();
    for (unsigned int i = 0; i < 2; i++) {
        assert_int_equal(results[i], BYTES);
        assert_true(data[i][0] == i + 1 && data[i][BYTES - 1] == i + 1);
    }
}

static void an_error_is_the_requests_own(void **state)
{
    (void)state;
    blk_nbd_submit(&nbd, BLK_WRITE, data[0], 512, 0, 0);
    blk_nbd_submit(&nbd, BLK_READ, data[1], 512, 0, 1);
    blk_nbd_submit(&nbd, BLK_DISCARD, NULL, 512, 0, 2);
    work();
    reply(0, 28);
    reply(1, 4711);
    reply(2, 95);
    work();
    assert_int_equal(results[0], -ENOSPC);
    assert_int_equal(results[1], -EIO);
    assert_int_equal(results[2], -EOPNOTSUPP);
    assert_false(nbd.lost);
}

static void a_long_discard_goes_in_pieces(void **state)
{
    const uint64_t all = (UINT64_C(5) << 30) / 2;
    uint64_t offset = 4096;

    (void)state;
    blk_nbd_submit(&nbd, BLK_DISCARD, NULL, all, offset, 7);
    while (results[7] == PENDING) {
        struct request r;

        work();
        r = asked();
        assert_true(r.type == 4 && r.cookie == 7 && r.offset == offset);
        offset += r.length;
        reply(r.cookie, 0);
        work();
    }
    assert_int_equal(results[7], 0);
    assert_int_equal(offset, 4096 + all);
}

static void more_than_a_socket_takes(void **state)
{
    uint8_t *big = malloc(1 << 20);
    uint8_t got[4096];

    (void)state;
    assert_non_null(big);
    for (unsigned int i = 0; i < 1 << 20; i++) {
        big[i] = (uint8_t)(i / 4096 + i);
    }
    for (unsigned int i = 0; i < 64; i++) {
        blk_nbd_submit(&nbd, BLK_WRITE, big + (size_t)i * 16384, 16384, i, i);
    }
    for (unsigned int i = 0; i < 64; i++) {
        struct request r;

        work_for(1000000);
        r = asked();
        assert_true(r.cookie == i && r.length == 16384);
        for (unsigned int at = 0; at < r.length; at += sizeof(got)) {
            work_for(1000000);
            assert_int_equal(recv(server, got, sizeof(got), MSG_WAITALL), sizeof(got));
            assert_memory_equal(got, big + (size_t)i * 16384 + at, sizeof(got));
        }
    }
    for (unsigned int i = 64; i-- > 0;) {
        reply(i, 0);
    }
    work();
    for (unsigned int i = 0; i < 64; i++) {
        assert_int_equal(results[i], 16384);
    }
    free(big);
}

static void a_flush_that_the_server_does_not_know_is_done(void **state)
{
    (void)state;
    nbd.can_flush = false;
    blk_nbd_submit(&nbd, BLK_FLUSH, NULL, 0, 0, 3);
    assert_int_equal(results[3], 0);
}

static void without_fua_none_is_asked_for(void **state)
{
    (void)state;
    nbd.can_fua = false;
    blk_nbd_submit(&nbd, BLK_WRITE, data[0], 512, 0, 0);
    work();
    assert_int_equal(asked().flags, 0);
}

/* The connection is lost: request 5, which was under way, does not end; and the peer sees it. */
static void is_lost(void)
{
    char rest[64];

    work();
    assert_true(nbd.lost);
    assert_int_equal(results[5], PENDING);
    work_for(1000000);
    while (recv(server, rest, sizeof(rest), 0) > 0) {
    }
    assert_true(send(server, "", 1, MSG_NOSIGNAL) < 0);
    blk_nbd_submit(&nbd, BLK_WRITE, data[0], 512, 0, 9);
    work_for(1000000);
    assert_int_equal(results[9], PENDING);
}

static void ask_for_five(void)
{
    blk_nbd_submit(&nbd, BLK_READ, data[5], 512, 0, 5);
    work();
}

static void a_server_that_closes_is_lost(void **state)
{
    (void)state;
    ask_for_five();
    shutdown(server, SHUT_WR);
    is_lost();
}

static void a_server_that_shuts_down_is_lost(void **state)
{
    (void)state;
    ask_for_five();
    reply(5, 108);
    is_lost();
}

static void a_reply_to_nobody_is_none(void **state)
{
    (void)state;
    ask_for_five();
    reply(6, 0);
    is_lost();
}

static void a_reply_past_the_table_is_none(void **state)
{
    (void)state;
    ask_for_five();
    reply(BLK_NBD_OPS, 0);
    is_lost();
}

static void a_second_reply_is_none(void **state)
{
    (void)state;
    blk_nbd_submit(&nbd, BLK_WRITE, data[4], 512, 0, 4);
    ask_for_five();
    reply(4, 0);
    reply(4, 0);
    is_lost();
    assert_int_equal(results[4], 512);
}

static void what_is_no_reply_is_none(void **state)
{
    (void)state;
    ask_for_five();
    reply_as(0x668e33ef, 5, 0); /* a structured one */
    is_lost();
}

/* A server that says a little now and then does not keep the opener from its orders. */
static void the_end_of_a_connection_has_a_deadline(void **state)
{
    const uint64_t began_ns = loop_now_ns();
    int sv[2];
    pid_t pid;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
    pid = fork();
    if (pid == 0) {
        close(sv[0]);
        while (send(sv[1], "", 1, MSG_NOSIGNAL) == 1) {
            poll(NULL, 0, 10);
        }
        _exit(0);
    }
    close(sv[1]);
    assert_false(remote_end(sv[0]));
    assert_true(loop_now_ns() - began_ns < UINT64_C(6000000000));
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
    close(sv[1]);
    assert_true(remote_end(sv[0]));
}

/* The rest is with real servers. */

static struct image_table table;
static char folder[] = "/tmp/duet-test-nbd-XXXXXX";
static char uri[256], socket_path[128], disk[128], why[512];
static pid_t server_pid;

static struct {
    enum image_event event;
    int err;
    unsigned int count;
} told;

static void on_image(struct image_user *u, enum image_event event, int err, const char *text)
{
    (void)u;
    told.event = event;
    told.err = err;
    told.count++;
    snprintf(why, sizeof(why), "%s", text != NULL ? text : "");
}

static void on_tick(void *arg)
{
    (void)arg;
    loop_stop(table.loop, 0);
}

static void turn(void)
{
    struct loop_timer tick = {0};

    loop_timer_set(table.loop, &tick, 1000000, on_tick, NULL);
    loop_run(table.loop);
}

static void wait_told(enum image_event event)
{
    unsigned int before = told.count;

    for (int i = 0; i < 30000 && told.count == before; i++) {
        turn();
    }
    assert_int_equal(told.count, before + 1);
    if (told.event != event) {
        fail_msg("event %d: %s", told.event, why);
    }
}

/* Starts a server of `disk`; argv[0] is its program. */
static void serve(char *const argv[])
{
    struct stat st;

    unlink(socket_path);
    server_pid = fork();
    if (server_pid == 0) {
        execvp(argv[0], argv);
        _exit(127);
    }
    for (int i = 0; i < 10000 && stat(socket_path, &st) < 0; i++) {
        assert_int_equal(waitpid(server_pid, NULL, WNOHANG), 0);
        usleep(1000);
    }
}

static void serve_by_qemu(void)
{
    char *const argv[] = {"qemu-nbd", "-f",        "raw",   "-t", "-e",        "0",  "-x",
                          "e",        "--discard", "unmap", "-k", socket_path, disk, NULL};

    serve(argv);
}

static void serve_by_nbdkit(void)
{
    char *const argv[] = {"nbdkit", "-f", "-U", socket_path, "-e", "e", "file", disk, NULL};

    serve(argv);
}

static void end_server(void)
{
    kill(server_pid, SIGKILL);
    waitpid(server_pid, NULL, 0);
}

static int setup_real(void **state)
{
    int fd;

    (void)state;
    strcpy(folder, "/tmp/duet-test-nbd-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    snprintf(socket_path, sizeof(socket_path), "%s/socket", folder);
    snprintf(disk, sizeof(disk), "%s/disk", folder);
    snprintf(uri, sizeof(uri), "nbd+unix:///e?socket=%s", socket_path);
    fd = open(disk, O_CREAT | O_RDWR, 0600);
    if (fd < 0 || ftruncate(fd, 8 << 20) < 0) {
        return 1;
    }
    close(fd);
    table = (struct image_table){.loop = loop_new(),
                                 .opener_path = DUET_TEST_OPENER,
                                 .opener_program = -1,
                                 .on_event = on_image,
                                 .patience_ms = 60000};
    return table.loop == NULL;
}

static int teardown_real(void **state)
{
    (void)state;
    for (int i = 0; i < 10000 && !XEN_LIST_EMPTY(&table.openers); i++) {
        turn();
    }
    blk_trail_free(&table.trail);
    loop_free(table.loop);
    unlink(socket_path);
    unlink(disk);
    rmdir(folder);
    return 0;
}

static struct image_user user(void)
{
    return (struct image_user){.id = id};
}

static void open_it(struct image_user *u)
{
    assert_int_equal(image_open(&table, uri, u, why, sizeof(why)), 0);
    wait_told(IMAGE_OPENED);
}

/* What a worker gets: the connection. */
static int take_it(struct image_user *u)
{
    int fds[BLK_WIRE_NR_FDS] = {-1, -1, -1};
    char message[8];
    int sv[2], log;

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
    log = open("/dev/null", O_RDWR);
    assert_int_equal(image_take(u, sv[0], "message", 8, &log, 1, why, sizeof(why)), 0);
    assert_int_equal(child_receive(sv[1], message, sizeof(message), fds, BLK_WIRE_NR_FDS), 8);
    close(fds[BLK_WIRE_FD_LOCK]);
    close(fds[BLK_WIRE_FD_LOG]);
    close(log);
    close(sv[0]);
    close(sv[1]);
    return fds[BLK_WIRE_FD_IMAGE];
}

enum { LOAD_BLOCKS = 2048, LOAD_DEPTH = 16, LOAD_OPS = 3000 };

static void wait_all(unsigned int nr)
{
    for (unsigned int i = 0; i < nr; i++) {
        while (results[i] == PENDING && !nbd.lost) {
            struct uring_event ev;

            blk_nbd_push(&nbd);
            assert_int_equal(uring_submit(&uring, UINT64_MAX), 0);
            while (uring_next(&uring, &ev)) {
                blk_nbd_event(&nbd, &ev);
            }
        }
        assert_false(nbd.lost);
    }
}

/* Writes, reads back, flushes and discards, so many at a time, by a model of what has to be there.
 */
static void load(void)
{
    static uint32_t model[LOAD_BLOCKS];
    static uint32_t blocks[LOAD_DEPTH][BYTES / 4];
    unsigned int at[LOAD_DEPTH];
    enum blk_operation ops[LOAD_DEPTH];

    memset(model, 0, sizeof(model));
    for (unsigned int n = 0; n < LOAD_OPS; n += LOAD_DEPTH) {
        const unsigned int base = (unsigned int)random() % (LOAD_BLOCKS - LOAD_DEPTH);

        for (unsigned int i = 0; i < LOAD_DEPTH; i++) {
            at[i] = base + i;
            ops[i] =
                (enum blk_operation[]){BLK_READ, BLK_WRITE, BLK_WRITE, BLK_FLUSH}[random() % 4];
            results[i] = PENDING;
            for (unsigned int w = 0; ops[i] == BLK_WRITE && w < BYTES / 4; w++) {
                blocks[i][w] = n + i + 1;
            }
            blk_nbd_submit(&nbd, ops[i], (uint8_t *)blocks[i], ops[i] == BLK_FLUSH ? 0 : BYTES,
                           ops[i] == BLK_FLUSH ? 0 : (uint64_t)at[i] * BYTES, i);
        }
        wait_all(LOAD_DEPTH);
        for (unsigned int i = 0; i < LOAD_DEPTH; i++) {
            assert_int_equal(results[i], ops[i] == BLK_FLUSH ? 0 : BYTES);
            if (ops[i] == BLK_WRITE) {
                model[at[i]] = n + i + 1;
            } else if (ops[i] == BLK_READ) {
                assert_int_equal(blocks[i][0], model[at[i]]);
                assert_int_equal(blocks[i][BYTES / 4 - 1], model[at[i]]);
            }
        }
    }
    results[0] = PENDING;
    blk_nbd_submit(&nbd, BLK_DISCARD, NULL, 8 << 20, 0, 0);
    wait_all(1);
    assert_int_equal(results[0], 0);
}

static void serves_a_load(void (*serve_it)(void))
{
    struct image_user u = user();
    int fd;

    serve_it();
    open_it(&u);
    assert_true(u.facts.nbd && u.facts.nbd_flush && u.facts.nbd_fua && !u.facts.dead);
    assert_int_equal(u.facts.sectors, (8 << 20) / 512);
    assert_true(u.facts.discard_granularity > 0);
    fd = take_it(&u);
    begin(fd);
    load();
    io_uring_queue_exit(&uring);
    close(fd);
    image_close(&u);
    end_server();
}

static void qemu_nbd_serves_a_load(void **state)
{
    (void)state;
    serves_a_load(serve_by_qemu);
}

static void nbdkit_serves_a_load(void **state)
{
    (void)state;
    serves_a_load(serve_by_nbdkit);
}

static void without_a_server_there_is_a_sentence(void **state)
{
    struct image_user u = user();

    (void)state;
    assert_int_equal(image_open(&table, uri, &u, why, sizeof(why)), 0);
    wait_told(IMAGE_FAILED);
    assert_non_null(strstr(why, uri));
    assert_non_null(strstr(why, "No such file or directory"));
}

static void an_export_for_reading_is_not_written(void **state)
{
    char *const argv[] = {"nbdkit", "-f", "-r", "-U", socket_path, "-e", "e", "file", disk, NULL};
    struct image_user u = user();

    (void)state;
    serve(argv);
    assert_int_equal(image_open(&table, uri, &u, why, sizeof(why)), 0);
    wait_told(IMAGE_FAILED);
    assert_int_equal(told.err, -EROFS);
    u = user();
    u.read_only = true;
    open_it(&u);
    image_close(&u);
    end_server();
}

static void large_sectors_are_refused(void **state)
{
    char *const argv[] = {"nbdkit",
                          "-f",
                          "-U",
                          socket_path,
                          "-e",
                          "e",
                          "--filter=blocksize-policy",
                          "file",
                          disk,
                          "blocksize-minimum=4096",
                          NULL};
    struct image_user u = user();

    (void)state;
    serve(argv);
    assert_int_equal(image_open(&table, uri, &u, why, sizeof(why)), 0);
    wait_told(IMAGE_FAILED);
    assert_int_equal(told.err, -EINVAL);
    assert_non_null(strstr(why, "blocks of 4096 bytes"));
    end_server();
}

/* A server that goes is told about; who waits for it has it again when it is back. */
static void a_server_that_goes_and_comes(void **state)
{
    struct image_user u = user();

    (void)state;
    serve_by_qemu();
    open_it(&u);
    end_server();
    wait_told(IMAGE_LOST);
    u.patient = true;
    assert_int_equal(image_open(&table, uri, &u, why, sizeof(why)), 0);
    for (int i = 0; i < 1500; i++) {
        turn();
    }
    assert_int_equal(told.event, IMAGE_LOST);
    serve_by_qemu();
    wait_told(IMAGE_OPENED);
    assert_false(u.facts.dead);
    close(take_it(&u));
    image_close(&u);
    end_server();
}

/* One that is away for too long is dead, with all else as it was; and comes back. */
static void a_server_that_stays_away(void **state)
{
    struct image_user u = user();

    (void)state;
    table.server_wait_s = 1;
    serve_by_nbdkit();
    open_it(&u);
    end_server();
    wait_told(IMAGE_LOST);
    u.patient = true;
    open_it(&u);
    assert_true(u.facts.dead);
    assert_int_equal(u.facts.sectors, (8 << 20) / 512);
    close(take_it(&u));
    close(take_it(&u)); /* any number of workers that refuse */
    serve_by_nbdkit();
    wait_told(IMAGE_LOST);
    open_it(&u);
    assert_false(u.facts.dead);
    image_close(&u);
    end_server();
}

/* A worker that died may have left half a request in its connection: the next has another one. */
static void a_connection_is_of_one_worker(void **state)
{
    const int null = open("/dev/null", O_RDWR);
    struct image_user u = user();
    int first, sv[2];

    (void)state;
    serve_by_qemu();
    open_it(&u);
    first = take_it(&u);
    image_drop(&u);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
    assert_int_equal(image_take(&u, sv[0], "message", 8, &null, 1, why, sizeof(why)), 0);
    wait_told(IMAGE_LOST);
    assert_int_equal(send(first, "", 1, MSG_NOSIGNAL), -1);
    u.patient = true;
    open_it(&u);
    close(take_it(&u));
    image_close(&u);
    end_server();
    close(first);
    close(sv[0]);
    close(sv[1]);
    close(null);
}

/* It is known by its name: two guests do not write to it at once. */
static void an_export_has_one_writer(void **state)
{
    struct image_user first = user(), second = user();

    (void)state;
    serve_by_nbdkit();
    open_it(&first);
    second.id.domid = 2;
    assert_int_equal(image_open(&table, uri, &second, why, sizeof(why)), 0);
    wait_told(IMAGE_FAILED);
    assert_int_equal(told.err, -EBUSY);
    image_close(&first);
    end_server();
}

#define FAKE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define REAL(name) cmocka_unit_test_setup_teardown(name, setup_real, teardown_real)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAKE(requests_are_as_the_protocol_says),
        FAKE(answers_come_in_any_order_and_in_pieces),
        FAKE(an_error_is_the_requests_own),
        FAKE(a_long_discard_goes_in_pieces),
        FAKE(more_than_a_socket_takes),
        FAKE(a_flush_that_the_server_does_not_know_is_done),
        FAKE(without_fua_none_is_asked_for),
        FAKE(a_server_that_closes_is_lost),
        FAKE(a_server_that_shuts_down_is_lost),
        FAKE(a_reply_to_nobody_is_none),
        FAKE(a_reply_past_the_table_is_none),
        FAKE(a_second_reply_is_none),
        FAKE(what_is_no_reply_is_none),
        REAL(qemu_nbd_serves_a_load),
        REAL(nbdkit_serves_a_load),
        cmocka_unit_test(the_end_of_a_connection_has_a_deadline),
        REAL(without_a_server_there_is_a_sentence),
        REAL(an_export_for_reading_is_not_written),
        REAL(large_sectors_are_refused),
        REAL(a_server_that_goes_and_comes),
        REAL(a_server_that_stays_away),
        REAL(a_connection_is_of_one_worker),
        REAL(an_export_has_one_writer),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
