/*
 * Old output made fit to be shown again. A guest's shell may ask the terminal something (where is
 * the cursor, what are you) at every prompt. If that were replayed to a terminal that attaches
 * later, each old question would be answered once more, and the answers would be typed into the
 * guest.
 */
#ifndef DUET_CONSOLE_REPLAY_H
#define DUET_CONSOLE_REPLAY_H

#include <stddef.h>

/*
 * Copies @len bytes from @in to @out (as large, may be the same) without what makes a terminal
 * answer: the control sequences DA, DSR, DECREQTPARM, DECRQM, XTVERSION and window reports, DECID,
 * ENQ, and all device control and operating system commands (ECMA-48, DEC STD 070). A sequence that
 * the end cuts off stays. Controls are known in their 7-bit form, as UTF-8 (U+0080 to U+009F), and
 * as single bytes that are part of no UTF-8 character. Returns the number of bytes in @out.
 */
size_t cons_replay_filter(const char *in, size_t len, char *out);

#endif
