/*
 * mark.h - what a mark is: an instruction that does nothing, whose operand says that it is one, and
 * the address of a text in rdi. The plugin (ruler.c) sees it executed; a processor without the
 * plugin passes it by.
 */
#ifndef RULER_MARK_H
#define RULER_MARK_H

/* nopl 0x74657544(%rdi); the number's bytes are "Duet". */
#define MARK_CODE                                \
    {                                            \
        0x0f, 0x1f, 0x87, 0x44, 0x75, 0x65, 0x74 \
    }

#define MARK_SIZE 256 /* of a text, its end included */

/* Tells the ruler a text of fewer than MARK_SIZE bytes. */
static inline void ruler_mark(const char *text)
{
    /* The instruction is MARK_CODE. */
    __asm__ volatile("nopl 0x74657544(%0)" : : "D"(text) : "memory");
}

#endif
