/*
 * abi.h - numbers and structures of Linux' system calls on x86-64, as far as they are used here.
 *
 * Errors are in kern/errno.h. No state.
 */
#ifndef SYSCALL_ABI_H
#define SYSCALL_ABI_H

#include "kern/types.h"

#define PATH_SIZE 4096 /* with its NUL */

/* Flags of open() and fcntl(). */
#define O_ACCMODE   3u
#define O_RDONLY    0u
#define O_WRONLY    1u
#define O_RDWR      2u
#define O_CREAT     0100u
#define O_EXCL      0200u
#define O_TRUNC     01000u
#define O_APPEND    02000u
#define O_NONBLOCK  04000u
#define O_DIRECTORY 0200000u
#define O_NOFOLLOW  0400000u
#define O_CLOEXEC   02000000u

/* Of poll(). */
#define POLLIN     0x01u
#define POLLOUT    0x04u
#define POLLERR    0x08u
#define POLLHUP    0x10u
#define POLLNVAL   0x20u
#define POLLRDNORM 0x40u
#define POLLWRNORM 0x100u
#define POLLRDHUP  0x2000u

#define AT_FDCWD            (-100)
#define AT_SYMLINK_NOFOLLOW 0x100u
#define AT_REMOVEDIR        0x200u
#define AT_SYMLINK_FOLLOW   0x400u
#define AT_EMPTY_PATH       0x1000u

#define RENAME_NOREPLACE 1u

#define S_IFCHR  0020000u
#define S_IFDIR  0040000u
#define S_IFIFO  0010000u
#define S_IFREG  0100000u
#define S_IFSOCK 0140000u

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

#define AF_UNSPEC 0u
#define AF_UNIX   1u
#define AF_INET   2u
#define AF_INET6  10u

/* Types of sockets, and O_NONBLOCK and O_CLOEXEC with them. */
#define SOCK_STREAM    1u
#define SOCK_DGRAM     2u
#define SOCK_SEQPACKET 5u

/* Flags of calls that send and receive. Others change nothing. */
#define MSG_OOB          0x01u
#define MSG_PEEK         0x02u
#define MSG_CTRUNC       0x08u
#define MSG_TRUNC        0x20u
#define MSG_DONTWAIT     0x40u
#define MSG_WAITALL      0x100u
#define MSG_NOSIGNAL     0x4000u
#define MSG_CMSG_CLOEXEC 0x40000000u

/* With its numbers in the order of the network. */
struct abi_sockaddr_in {
    uint16_t family, port;
    uint32_t addr;
    uint8_t zero[8];
};

struct abi_sockaddr_in6 {
    uint16_t family, port;
    uint32_t flow;
    uint32_t addr[4];
    uint32_t scope;
};
_Static_assert(sizeof(struct abi_sockaddr_in6) == 28, "struct sockaddr_in6");

struct abi_sockaddr_un {
    uint16_t family;
    char path[108];
};

/* Data beside the data, and its kinds. */
#define SOL_SOCKET 1u
#define SCM_RIGHTS 1u
#define CMSG_ALIGN 8u

struct abi_cmsghdr {
    uint64_t len;
    int32_t level, type;
    int32_t fds[]; /* of SCM_RIGHTS */
};

struct abi_ucred {
    int32_t pid;
    uint32_t uid, gid;
};

struct abi_msghdr {
    uint64_t name;
    uint32_t name_len, pad0;
    uint64_t iov, iov_len, control, control_len;
    uint32_t flags, pad1;
};

struct abi_linger {
    int32_t on, seconds;
};

/* Of epoll: POLL* have the same values. */
#define EPOLLONESHOT (1u << 30)
#define EPOLLET      (1u << 31)

struct abi_epoll_event {
    uint32_t events;
    uint64_t data;
} __packed;

struct abi_timespec {
    int64_t sec, nsec;
};

struct abi_itimerspec {
    struct abi_timespec interval, value;
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

struct abi_statfs {
    int64_t type, bsize;
    uint64_t blocks, bfree, bavail, files, ffree;
    int32_t fsid[2];
    int64_t namelen, frsize, flags, spare[4];
};
_Static_assert(sizeof(struct abi_statfs) == 120, "struct statfs of x86-64");

struct abi_sysinfo {
    int64_t uptime;
    uint64_t loads[3], totalram, freeram, sharedram, bufferram, totalswap, freeswap;
    uint16_t procs, pad0;
    uint32_t pad1;
    uint64_t totalhigh, freehigh;
    uint32_t mem_unit, pad2;
};
_Static_assert(sizeof(struct abi_sysinfo) == 112, "struct sysinfo of x86-64");

struct abi_dirent {
    uint64_t ino;
    int64_t off;
    uint16_t reclen;
    uint8_t type;
    char name[]; /* with its NUL */
} __packed;

#endif /* SYSCALL_ABI_H */
