/*
 * elf.h - what is in the headers of a program: a static ELF64 executable for x86-64.
 *
 * The file is somebody else's: every number is checked before it is used. No state, any context.
 */
#ifndef PROC_ELF_H
#define PROC_ELF_H

#include "kern/types.h"

#define ELF_HEAD_SIZE    4096 /* the headers lie in the file's first page */
#define ELF_SEGMENTS_MAX 16

/* A part of the file that becomes memory; the rest of @memsz is zero. */
struct elf_segment {
    uint64_t vaddr, memsz, offset, filesz; /* vaddr and offset are equal modulo the page size */
    bool writable, executable;
};

struct elf_image {
    bool pie;       /* may lie anywhere: addresses count from the load address */
    uint64_t entry; /* inside an executable segment */
    uint64_t phdr;  /* where the program headers are in memory, 0 if nowhere */
    unsigned phnum;
    uint64_t low, high; /* all segments are inside, page-aligned */
    unsigned nsegments;
    struct elf_segment segments[ELF_SEGMENTS_MAX]; /* in the order of addresses */
};

/**
 * elf_parse() - read the headers
 * @head: the first @len bytes of the file, @size bytes long
 * @why: what is wrong, on an error
 *
 * Return: 0 or -ENOEXEC.
 */
int elf_parse(const void *head, size_t len, uint64_t size, struct elf_image *image,
              const char **why) __must_check;

#endif /* PROC_ELF_H */
