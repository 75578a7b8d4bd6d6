#!/usr/bin/env python3
"""Turn `nm -n` of the kernel into its own symbol table.

usage: mksymtab.py NM_OUTPUT OUT.S

Written into .symtab_data, which lies behind all text and constants, so that adding the table moves
only data, and its size depends on the names alone: a table made of a link that has a table of the
same names is right. Layout (read by os/ksyms.c): count, offsets from KERNEL_BASE in
ascending order, offsets into the name pool, the pool.
"""
import sys

KERNEL_BASE = 0xFFFFFFFF80000000


def image_symbols(path):
    """Functions and objects of the image as (offset, name), one per address, in order."""
    symbols = {}
    with open(path, encoding="ascii") as lines:
        for line in lines:
            fields = line.split()
            if len(fields) == 3 and fields[1] in "tTrRdDbB" and fields[2] != "ksyms_table":
                symbols.setdefault(int(fields[0], 16) - KERNEL_BASE, fields[2])
    return sorted(symbols.items())


def main():
    symbols = image_symbols(sys.argv[1])
    names, pool = [], 0
    with open(sys.argv[2], "w", encoding="ascii") as out:
        out.write('.section .symtab_data, "a", @progbits\n.balign 8\n')
        out.write(".globl ksyms_table\nksyms_table:\n")
        out.write(f".long {len(symbols)}\n")
        for offset, name in symbols:
            out.write(f".long {offset:#x}\n")
            names.append(pool)
            pool += len(name) + 1
        for offset in names:
            out.write(f".long {offset}\n")
        for _, name in symbols:
            out.write(f'.asciz "{name}"\n')
        out.write('.section .note.GNU-stack, "", @progbits\n')


if __name__ == "__main__":
    main()
