/*
 * abi.h - numbers and structures of Linux' system calls on x86-64, as far as they are used here.
 *
 * Errors have Xen's numbers, which are Linux'; below are those that Xen's list lacks. No state.
 */
#ifndef SYSCALL_ABI_H
#define SYSCALL_ABI_H

#include "kern/types.h"

#define LINUX_ENOTTY 25
#define LINUX_ESPIPE 29
#define LINUX_EPIPE  32
#define LINUX_ELOOP  40

#define PATH_SIZE 1024 /* with its NUL; Linux has 4096 */

/* Flags of open() and fcntl(). */
#define O_ACCMODE   3u
#define O_RDONLY    0u
#define O_WRONLY    1u
#define O_RDWR      2u
#define O_CREAT     0100u
#define O_EXCL      0200u
#define O_TRUNC     01000u
#define O_NONBLOCK  04000u
#define O_DIRECTORY 0200000u
#define O_NOFOLLOW  0400000u
#define O_CLOEXEC   02000000u

/* Of poll(). */
#define POLLIN   0x01u
#define POLLOUT  0x04u
#define POLLERR  0x08u
#define POLLHUP  0x10u
#define POLLNVAL 0x20u

#define AT_FDCWD            (-100)
#define AT_SYMLINK_NOFOLLOW 0x100u
#define AT_EMPTY_PATH       0x1000u

#define S_IFCHR 0020000u
#define S_IFDIR 0040000u
#define S_IFIFO 0010000u
#define S_IFREG 0100000u

struct abi_stat {
    uint64_t dev, ino, nlink;
    uint32_t mode, uid, gid, pad0;
    uint64_t rdev;
    int64_t size, blksize, blocks;
    uint64_t atime, atime_nsec, mtime, mtime_nsec, ctime, ctime_nsec;
    int64_t unused[3];
};
_Static_assert(sizeof(struct abi_stat) == 144, "struct stat of x86-64");

struct abi_iovec {
    uint64_t base, len;
};

struct abi_pollfd {
    int32_t fd;
    uint16_t events, revents;
};

struct abi_timespec {
    int64_t sec, nsec;
};

struct abi_timeval {
    int64_t sec, usec;
};

struct abi_utsname {
    char sysname[65], nodename[65], release[65], version[65], machine[65], domainname[65];
};

struct abi_rlimit {
    uint64_t cur, max;
};

struct abi_itimerval {
    struct abi_timeval interval, value;
};

struct abi_termios {
    uint32_t iflag, oflag, cflag, lflag;
    uint8_t line, cc[19];
};
_Static_assert(sizeof(struct abi_termios) == 36, "the kernel's struct termios");

struct abi_winsize {
    uint16_t rows, columns, xpixel, ypixel;
};

struct abi_dirent {
    uint64_t ino;
    int64_t off;
    uint16_t reclen;
    uint8_t type;
    char name[]; /* with its NUL */
} __packed;

#endif /* SYSCALL_ABI_H */
