/*
 * Answers to GDB's packets: see gdb_stub.h. GDB's manual, appendix "GDB Remote Serial Protocol".
 */
#include "gdb_stub.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SEGMENT_BASE 40 /* of the registers: another feature's */

/* In the order that the features "core" and "segments" of GDB's i386 have. */
static const struct {
    const char *name;
    unsigned int bits;
    const char *type;
} registers[GDB_REGISTERS] = {
    {"rax", 64, "int64"},    {"rbx", 64, "int64"},    {"rcx", 64, "int64"},
    {"rdx", 64, "int64"},    {"rsi", 64, "int64"},    {"rdi", 64, "int64"},
    {"rbp", 64, "data_ptr"}, {"rsp", 64, "data_ptr"}, {"r8", 64, "int64"},
    {"r9", 64, "int64"},     {"r10", 64, "int64"},    {"r11", 64, "int64"},
    {"r12", 64, "int64"},    {"r13", 64, "int64"},    {"r14", 64, "int64"},
    {"r15", 64, "int64"},    {"rip", 64, "code_ptr"}, {"eflags", 32, "int32"},
    {"cs", 32, "int32"},     {"ss", 32, "int32"},     {"ds", 32, "int32"},
    {"es", 32, "int32"},     {"fs", 32, "int32"},     {"gs", 32, "int32"},
    {"st0", 80, "i387_ext"}, {"st1", 80, "i387_ext"}, {"st2", 80, "i387_ext"},
    {"st3", 80, "i387_ext"}, {"st4", 80, "i387_ext"}, {"st5", 80, "i387_ext"},
    {"st6", 80, "i387_ext"}, {"st7", 80, "i387_ext"}, {"fctrl", 32, "int"},
    {"fstat", 32, "int"},    {"ftag", 32, "int"},     {"fiseg", 32, "int"},
    {"fioff", 32, "int"},    {"foseg", 32, "int"},    {"fooff", 32, "int"},
    {"fop", 32, "int"},      {"fs_base", 64, "int"},  {"gs_base", 64, "int"},
};

void gdb_set_register(struct gdb_thread *thread, const char *name, uint64_t value)
{
    for (unsigned int i = 0; i < GDB_REGISTERS; i++) {
        if (strcmp(registers[i].name, name) == 0 && registers[i].bits <= 64) {
            thread->registers[i] = value;
            thread->known |= 1ull << i;
        }
    }
}

/* ---- replies ---- */

static void put(struct gdb_reply *reply, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void put(struct gdb_reply *reply, const char *fmt, ...)
{
    size_t room = sizeof(reply->data) - reply->len;
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(reply->data + reply->len, room, fmt, ap);
    va_end(ap);
    if (n > 0) {
        reply->len += (size_t)n < room ? (size_t)n : room - 1;
    }
}

static void put_bytes(struct gdb_reply *reply, const void *from, size_t n)
{
    const uint8_t *bytes = from;

    for (size_t i = 0; i < n; i++) {
        put(reply, "%02x", bytes[i]);
    }
}

static void put_register(struct gdb_reply *reply, const struct gdb_thread *t, unsigned int i)
{
    unsigned int bytes = registers[i].bits / 8;

    if ((t->known & 1ull << i) != 0) {
        put_bytes(reply, &t->registers[i], bytes);
    } else {
        put(reply, "%.*s", (int)(2 * bytes), "xxxxxxxxxxxxxxxxxxxx");
    }
}

void gdb_answer_stop(const struct gdb_stub *g, struct gdb_reply *reply)
{
    reply->len = 0;
    put(reply, "T05thread:%x;", g->chosen + 1);
}

/* ---- packets ---- */

/* What is left of a packet. */
struct cursor {
    const char *at, *end;
};

static bool take(struct cursor *c, const char *text)
{
    size_t len = strlen(text);

    if ((size_t)(c->end - c->at) < len || memcmp(c->at, text, len) != 0) {
        return false;
    }
    c->at += len;
    return true;
}

static bool take_number(struct cursor *c, uint64_t *number)
{
    unsigned int digits = 0;

    *number = 0;
    while (c->at < c->end && gdb_digit(*c->at) >= 0 && digits < 16) {
        *number = *number << 4 | (unsigned int)gdb_digit(*c->at++);
        digits++;
    }
    return digits > 0;
}

/* Two numbers with a comma between them, up to the packet's end. */
static bool take_pair(struct cursor *c, uint64_t *a, uint64_t *b)
{
    return take_number(c, a) && take(c, ",") && take_number(c, b) && c->at == c->end;
}

/* A thread's number, up to the packet's end; "0" and "-1", which mean any, are the chosen one. */
static const struct gdb_thread *take_thread(const struct gdb_stub *g, struct cursor *c)
{
    uint64_t id = 0;

    if (take(c, "-1")) {
        id = 0;
    } else if (!take_number(c, &id)) {
        return NULL;
    }
    if (c->at != c->end || id > g->target->nthreads) {
        return NULL;
    }
    return &g->target->threads[id != 0 ? id - 1 : g->chosen];
}

static void put_error(struct gdb_reply *reply, const char *why)
{
    put(reply, "E.duet-crash: %s", why);
}

static void read_memory(const struct gdb_stub *g, struct cursor *c, struct gdb_reply *reply)
{
    uint8_t bytes[GDB_PACKET_MAX / 2];
    uint64_t address, count;
    size_t n = 0;

    if (!take_pair(c, &address, &count)) {
        put_error(reply, "a read of memory wants an address and a length");
        return;
    }
    count = count < sizeof(bytes) ? count : sizeof(bytes);
    while (n < count) { /* page by page: what is there before a hole is given */
        size_t part = CORE_PAGE_SIZE - (address + n) % CORE_PAGE_SIZE;

        part = part < count - n ? part : count - n;
        if (space_read(g->target->space, address + n, bytes + n, part) != 0) {
            break;
        }
        n += part;
    }
    if (n == 0 && count > 0) {
        put(reply, "E14"); /* EFAULT; GDB takes a sentence for memory */
    }
    put_bytes(reply, bytes, n);
}

/* A piece of @text: "OFFSET,LENGTH". */
static void put_piece(struct cursor *c, const char *text, struct gdb_reply *reply)
{
    uint64_t offset, count, size = strlen(text);

    if (!take_pair(c, &offset, &count)) {
        put_error(reply, "a transfer wants an offset and a length");
        return;
    }
    uint64_t left = offset < size ? size - offset : 0;
    uint64_t most = GDB_PACKET_MAX - 1;
    count = count < most ? count : most;
    if (left <= count) {
        put(reply, "l%s", text + (size - left));
    } else {
        put(reply, "m%.*s", (int)count, text + offset);
    }
}

static void transfer(const struct gdb_stub *g, struct cursor *c, struct gdb_reply *reply)
{
    uint64_t process;

    if (take(c, "features:read:target.xml:")) {
        put_piece(c, g->features, reply);
    } else if (take(c, "threads:read::")) {
        put_piece(c, g->threads, reply);
    } else if (take(c, "exec-file:read:")) {
        (void)take_number(c, &process); /* there is one only */
        if (take(c, ":")) {
            put_piece(c, g->target->exec_file, reply);
        } else {
            put_error(reply, "a transfer wants an offset and a length");
        }
    }
}

/* As many numbers as fit. */
static void list_threads(struct gdb_stub *g, struct gdb_reply *reply)
{
    if (g->next >= g->target->nthreads) {
        put(reply, "l");
        return;
    }
    while (g->next < g->target->nthreads && reply->len + 16 < sizeof(reply->data)) {
        put(reply, "%s%x", reply->len == 0 ? "m" : ",", g->next + 1);
        g->next++;
    }
}

static void extra_info(const struct gdb_stub *g, struct cursor *c, struct gdb_reply *reply)
{
    const struct gdb_thread *t = take_thread(g, c);

    if (t == NULL) {
        put_error(reply, "there is no such thread");
    } else {
        put_bytes(reply, t->name, strnlen(t->name, sizeof(t->name)));
    }
}

static void query(struct gdb_stub *g, struct cursor *c, struct gdb_reply *reply)
{
    if (take(c, "Supported")) {
        put(reply,
            "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;qXfer:threads:read+;"
            "qXfer:exec-file:read%c",
            GDB_PACKET_MAX, g->target->exec_file[0] != '\0' ? '+' : '-');
    } else if (take(c, "Xfer:")) {
        transfer(g, c, reply);
    } else if (take(c, "fThreadInfo")) {
        g->next = 0;
        list_threads(g, reply);
    } else if (take(c, "sThreadInfo")) {
        list_threads(g, reply);
    } else if (take(c, "ThreadExtraInfo,")) {
        extra_info(g, c, reply);
    } else if (take(c, "Offsets")) {
        put(reply, "Text=0;Data=0;Bss=0"); /* the kernel is where it was linked */
    } else if (take(c, "Attached")) {
        put(reply, "1");
    } else if (take(c, "Symbol:")) {
        put(reply, "OK");
    } else if (c->at + 1 == c->end && *c->at == 'C') {
        put(reply, "QC%x", g->chosen + 1);
    }
}

/* 'H' and 'T': a thread is to be the chosen one, or is there. */
static void thread_packet(struct gdb_stub *g, char kind, struct cursor *c, struct gdb_reply *reply)
{
    bool choose = kind == 'H' && take(c, "g");

    if (kind == 'H' && !choose && !take(c, "c")) {
        return;
    }
    const struct gdb_thread *t = take_thread(g, c);
    if (t == NULL) {
        put_error(reply, "there is no such thread");
        return;
    }
    if (choose) {
        g->chosen = (unsigned int)(t - g->target->threads);
    }
    put(reply, "OK");
}

static void read_registers(const struct gdb_stub *g, struct cursor *c, char kind,
                           struct gdb_reply *reply)
{
    const struct gdb_thread *t = &g->target->threads[g->chosen];
    uint64_t only = 0;

    if (kind == 'p' && (!take_number(c, &only) || c->at != c->end || only >= GDB_REGISTERS)) {
        put_error(reply, "there is no such register");
        return;
    }
    for (unsigned int i = 0; i < GDB_REGISTERS; i++) {
        if (kind == 'g' || i == only) {
            put_register(reply, t, i);
        }
    }
}

static void refuse(char kind, struct gdb_reply *reply)
{
    put_error(reply, strchr("cCsSvR", kind) != NULL
                         ? "this is a core, or is read as one: nothing in it can run"
                         : "this is a core, or is read as one: nothing in it can be changed");
}

/* What begins with a 'v' or a 'Q'. */
static void long_packet(struct gdb_stub *g, char kind, struct cursor *c, struct gdb_reply *reply)
{
    if (kind == 'Q') {
        if (take(c, "StartNoAckMode")) {
            g->no_ack = true;
            put(reply, "OK");
        }
    } else if (take(c, "Kill")) {
        g->ended = true;
        put(reply, "OK");
    } else if (take(c, "Cont;") || take(c, "Run") || take(c, "Attach")) {
        refuse(kind, reply);
    }
}

void gdb_answer(struct gdb_stub *g, const char *packet, size_t len, struct gdb_reply *reply)
{
    struct cursor c = {.at = packet + 1, .end = packet + len};

    reply->len = 0;
    reply->data[0] = '\0';
    if (len == 0) {
        return;
    }
    switch (packet[0]) {
    case '?':
        gdb_answer_stop(g, reply);
        break;
    case 'g':
    case 'p':
        read_registers(g, &c, packet[0], reply);
        break;
    case 'm':
        read_memory(g, &c, reply);
        break;
    case 'H':
    case 'T':
        thread_packet(g, packet[0], &c, reply);
        break;
    case 'q':
        query(g, &c, reply);
        break;
    case 'Q':
    case 'v':
        long_packet(g, packet[0], &c, reply);
        break;
    case 'D':
    case 'k':
        g->ended = true;
        put(reply, "OK");
        break;
    case 'c':
    case 'C':
    case 's':
    case 'S':
    case 'R':
    case 'G':
    case 'P':
    case 'M':
    case 'X':
    case 'Z':
    case 'z':
        refuse(packet[0], reply);
        break;
    default:
        break; /* empty: not known */
    }
}

/* ---- descriptions ---- */

static void put_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("<>&\"'", *text) != NULL) {
            fprintf(out, "&#%d;", *text);
        } else {
            fputc(*text, out);
        }
    }
}

static void describe_features(FILE *out)
{
    fputs("<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>"
          "<architecture>i386:x86-64</architecture><feature name=\"org.gnu.gdb.i386.core\">",
          out);
    for (unsigned int i = 0; i < GDB_REGISTERS; i++) {
        if (i == FIRST_SEGMENT_BASE) {
            fputs("</feature><feature name=\"org.gnu.gdb.i386.segments\">", out);
        }
        fprintf(out, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"/>", registers[i].name,
                registers[i].bits, registers[i].type);
    }
    fputs("</feature></target>", out);
}

static void describe_threads(FILE *out, const struct gdb_target *target)
{
    fputs("<?xml version=\"1.0\"?><threads>", out);
    for (unsigned int i = 0; i < target->nthreads; i++) {
        fprintf(out, "<thread id=\"%x\" name=\"", i + 1);
        put_text(out, target->threads[i].name);
        fputs("\"/>", out);
    }
    fputs("</threads>", out);
}

int gdb_stub_init(struct gdb_stub *g, const struct gdb_target *target)
{
    size_t size;

    *g = (struct gdb_stub){.target = target, .chosen = target->first};
    FILE *features = open_memstream(&g->features, &size);
    FILE *threads = open_memstream(&g->threads, &size);
    if (features != NULL) {
        describe_features(features);
    }
    if (threads != NULL) {
        describe_threads(threads, target);
    }
    bool failed = features == NULL || threads == NULL;
    failed = (features != NULL && fclose(features) != 0) || failed;
    failed = (threads != NULL && fclose(threads) != 0) || failed;
    if (failed) {
        gdb_stub_free(g);
        return -ENOMEM;
    }
    return 0;
}

void gdb_stub_free(struct gdb_stub *g)
{
    free(g->features);
    free(g->threads);
    g->features = g->threads = NULL;
}
