/*
 * What the kernel reads of a program before it runs: the archive that it is in, its headers; and
 * the regions of the space that it gets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <elf.h>

#include "fs/cpio.h"
#include "hat/layout.h"
#include "kern/mem.h"
#include "proc/elf.h"
#include "vm/region.h"

static unsigned held;

void *kmalloc(size_t size)
{
    held++;
    return malloc(size);
}

void kfree(void *p)
{
    held -= p != NULL;
    free(p);
}

/* ---- archives ---- */

static char archive[8192];
static size_t used;

static void add(const char *name, unsigned mode, unsigned ino, unsigned nlink, const char *data)
{
    size_t size = strlen(data);

    used += (size_t)sprintf(archive + used, "070701%08x%08x%08x%08x%08x%08x%08zx%032x%08zx%08x",
                            ino, mode, 0u, 0u, nlink, 7u, size, 0, strlen(name) + 1, 0u);
    memcpy(archive + used, name, strlen(name) + 1);
    used = ROUND_UP(used + strlen(name) + 1, 4u);
    memcpy(archive + used, data, size + 1);
    used = ROUND_UP(used + size, 4u);
}

static void begin(void)
{
    memset(archive, 0, sizeof(archive));
    used = 0;
}

static const char *contents(const struct cpio *c, const char *path)
{
    static char text[64];
    const struct cpio_entry *e = cpio_find(c, path, strlen(path));

    if (e == NULL) {
        return NULL;
    }
    assert_true(e->size < sizeof(text));
    memcpy(text, e->data, e->size);
    text[e->size] = '\0';
    return text;
}

static void names_lead_to_contents(void **state)
{
    struct cpio c;
    const char *why = "";

    (void)state;
    begin();
    add(".", CPIO_DIR | 0755, 1, 2, "");
    add("./bin/prog", CPIO_FILE | 0755, 2, 1, "program");
    add("/etc/motd", CPIO_FILE | 0644, 3, 1, "old");
    add("one", CPIO_FILE | 0644, 4, 2, "");
    add("two", CPIO_FILE | 0644, 4, 2, "shared");
    add("TRAILER!!!", 0, 0, 1, "");
    used += 512; /* between two archives */
    add("etc/motd", CPIO_FILE | 0644, 5, 1, "new");
    add("TRAILER!!!", 0, 0, 1, "");
    assert_int_equal(cpio_open(archive, used, &c, &why), 0);
    assert_int_equal(c.count, 6);
    assert_string_equal(contents(&c, "bin/prog"), "program");
    assert_string_equal(contents(&c, "etc/motd"), "new");
    assert_string_equal(contents(&c, "one"), "shared");
    assert_non_null(cpio_find(&c, "", 0));
    assert_null(contents(&c, "bin"));
    cpio_close(&c);
    assert_int_equal(held, 0);
}

/* Whatever is cut off or changed in it, nothing outside of it is read (the sanitizers look). */
static void broken_archives_are_refused_or_read(void **state)
{
    const char *why = NULL;
    struct cpio c;
    unsigned refused = 0;

    (void)state;
    begin();
    add("some/name", CPIO_FILE | 0644, 2, 1, "contents");
    add("TRAILER!!!", 0, 0, 1, "");
    for (size_t len = 0; len < used; len++) {
        char *copy = malloc(len + (len == 0));

        memcpy(copy, archive, len);
        if (cpio_open(copy, len, &c, &why) == 0) {
            cpio_close(&c);
        } else {
            refused++;
        }
        free(copy);
    }
    assert_true(refused > used / 2);
    for (size_t at = 0; at < used; at++) {
        char *copy = malloc(used);

        memcpy(copy, archive, used);
        copy[at] = 'f';
        if (cpio_open(copy, used, &c, &why) == 0) {
            cpio_close(&c);
        }
        free(copy);
    }
    assert_int_equal(held, 0);
}

/* ---- headers ---- */

static struct {
    Elf64_Ehdr h;
    Elf64_Phdr s[3];
} file;

#define FILE_SIZE 0x5000

static void good_file(void)
{
    memset(&file, 0, sizeof(file));
    memcpy(file.h.e_ident, "\177ELF\2\1\1", 7);
    file.h.e_type = 2;
    file.h.e_machine = 62;
    file.h.e_entry = 0x401010;
    file.h.e_phoff = sizeof(file.h);
    file.h.e_phentsize = sizeof(Elf64_Phdr);
    file.h.e_phnum = 3;
    file.s[0] = (Elf64_Phdr){
        .p_type = 1, .p_flags = 4, .p_vaddr = 0x400000, .p_filesz = 0x300, .p_memsz = 0x300};
    file.s[1] = (Elf64_Phdr){.p_type = 1,
                             .p_flags = 5,
                             .p_offset = 0x1000,
                             .p_vaddr = 0x401000,
                             .p_filesz = 0x2000,
                             .p_memsz = 0x2000};
    file.s[2] = (Elf64_Phdr){.p_type = 1,
                             .p_flags = 6,
                             .p_offset = 0x3f00,
                             .p_vaddr = 0x404f00,
                             .p_filesz = 0x100,
                             .p_memsz = 0x3000};
}

static const char *refusal(void)
{
    static struct elf_image image;
    const char *why = NULL;
    int rc = elf_parse(&file, sizeof(file), FILE_SIZE, &image, &why);

    assert_true(rc == 0 || (rc == -ENOEXEC && why != NULL));
    return rc == 0 ? NULL : why;
}

static void a_program_is_understood(void **state)
{
    struct elf_image image;
    const char *why;

    (void)state;
    good_file();
    assert_int_equal(elf_parse(&file, sizeof(file), FILE_SIZE, &image, &why), 0);
    assert_int_equal(image.nsegments, 3);
    assert_int_equal(image.low, 0x400000);
    assert_int_equal(image.high, 0x408000);
    assert_int_equal(image.phdr, 0x400040);
    assert_int_equal(image.entry, 0x401010);
    assert_false(image.pie);
    assert_true(image.segments[1].executable && !image.segments[1].writable);
    assert_true(image.segments[2].writable && !image.segments[2].executable);
}

#define REFUSED(change, said)                       \
    do {                                            \
        good_file();                                \
        change;                                     \
        assert_non_null(refusal());                 \
        assert_non_null(strstr(refusal(), (said))); \
    } while (0)

static void what_is_wrong_is_refused(void **state)
{
    (void)state;
    REFUSED(file.h.e_ident[0] = 0, "no ELF64");
    REFUSED(file.h.e_ident[4] = 1, "no ELF64");
    REFUSED(file.h.e_machine = 3, "x86-64");
    REFUSED(file.h.e_type = 1, "x86-64");
    REFUSED(file.h.e_phoff = UINT64_MAX, "first page");
    REFUSED(file.h.e_phnum = UINT16_MAX, "first page");
    REFUSED(file.h.e_phnum = 0, "first page");
    REFUSED(file.s[0].p_type = 3, "dynamically");
    REFUSED(file.s[1].p_filesz = 0x2001, "not in the file");
    REFUSED(file.s[1].p_offset = UINT64_MAX - 0xfff, "not in the file");
    REFUSED(file.s[2].p_filesz = 0x2000, "not in the file");
    REFUSED(file.s[1].p_vaddr = 0x401001, "address");
    REFUSED(file.s[0].p_vaddr = 0, "address");
    REFUSED(file.s[2].p_vaddr = USER_END - 0x100, "address");
    REFUSED(file.s[2].p_memsz = UINT64_MAX - 0x404f00, "address");
    REFUSED(file.s[2].p_flags = 7, "writable and executable");
    REFUSED(file.s[1].p_vaddr = 0x400000, "share a page");
    REFUSED(file.s[1].p_flags = 4, "outside of its code");
    REFUSED(file.h.e_entry = 0x403000, "outside of its code");
}

/* ---- regions ---- */

static unsigned sources_freed;

static void source_freed(struct vm_source *s)
{
    (void)s;
    sources_freed++;
}

static void make(struct regions *rs, uint64_t from, uint64_t to, struct vm_source *source)
{
    struct vm_piece piece = {.va = from,
                             .len = to - from,
                             .prot = HAT_WRITE,
                             .source = source,
                             .offset = 0x10000,
                             .bytes = 0x2800};

    assert_int_equal(region_add(rs, &piece), 0);
}

static void regions_are_split_and_placed(void **state)
{
    struct vm_source source = {.refs = 1, .free = source_freed};
    struct regions rs = {0};

    (void)state;
    regions_init(&rs);
    make(&rs, 0x10000, 0x20000, NULL);
    make(&rs, 0x20000, 0x21000, NULL);
    assert_int_equal(rs.count, 1); /* the heap that grew */
    make(&rs, 0x40000, 0x44000, &source);
    assert_int_equal(region_split_at(&rs, 0x41000), 0);
    assert_int_equal(region_split_at(&rs, 0x43000), 0);
    assert_int_equal(region_split_at(&rs, 0x43000), 0);
    assert_int_equal(rs.count, 4);
    assert_int_equal(region_at(&rs, 0x40fff)->bytes, 0x1000);
    assert_int_equal(region_at(&rs, 0x41000)->offset, 0x11000);
    assert_int_equal(region_at(&rs, 0x41000)->bytes, 0x1800);
    assert_int_equal(region_at(&rs, 0x43fff)->bytes, 0);
    assert_null(region_at(&rs, 0x44000));
    assert_null(region_at(&rs, 0x30000));
    assert_int_equal(region_from(&rs, 0x30000)->start, 0x40000);

    assert_int_equal(region_place(&rs, 0x1000, 0x1000, 0x50000), 0x4f000);
    assert_int_equal(region_place(&rs, 0x1000, 0x1000, 0x44000), 0x3f000);
    assert_int_equal(region_place(&rs, 0x1000, 0x1000, 0x42000), 0x3f000);
    assert_int_equal(region_place(&rs, 0x1f000, 0x1000, 0x44000), 0x21000);
    assert_int_equal(region_place(&rs, 0x20000, 0x1000, 0x44000), 0);
    assert_int_equal(region_place(&rs, 0xf000, 0x1000, 0x20000), 0x1000);
    assert_int_equal(region_place(&rs, UINT64_MAX & ~0xfffull, 0x1000, USER_END), 0);

    while (rs.count != 0) {
        region_remove(&rs, region_from(&rs, 0));
    }
    assert_int_equal(sources_freed, 0);
    vm_source_put(&source);
    assert_int_equal(sources_freed, 1);
    assert_int_equal(held, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_lead_to_contents),
        cmocka_unit_test(broken_archives_are_refused_or_read),
        cmocka_unit_test(a_program_is_understood),
        cmocka_unit_test(what_is_wrong_is_refused),
        cmocka_unit_test(regions_are_split_and_placed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
