/*
 * files.c - what a program may expect of files that can be written.
 *
 * usage: files bytes FOLDER     writing, holes, sizes, appending, what has no name any more
 *        files names FOLDER     folders, links, renaming, descriptors of folders, lists, lies
 *        files memory FOLDER    mappings, shared ones, mremap, madvise
 *        files sockets FOLDER   names of AF_UNIX in the tree
 *        files proc FOLDER      /proc of itself
 *        files full FOLDER      who fills all there is gets errors, and gives it back
 *
 * It says what is wrong, and exits with 1; or "files WHAT: right", and exits with 0. All but full
 * are right on Linux' tmpfs as well, where the test runs them, too: that tells what is right.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM "files"
#include "right.h"

#define FAILS(what, call, error) RIGHT(what, (call) == -1 ? errno : 0, error)

static const char *folder; /* where all is done */

/* ---- bytes ---- */

static long size_of(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (long)st.st_size : -1;
}

static int try_writing(void)
{
    char in[32] = "";
    struct stat st;
    int fd = open("a", O_RDWR | O_CREAT | O_EXCL, 0666);

    RIGHT("create", fd >= 0, 1);
    FAILS("again", open("a", O_RDWR | O_CREAT | O_EXCL, 0666), EEXIST);
    RIGHT("write", write(fd, "hello ", 6) == 6 && write(fd, "there", 5) == 5, 1);
    RIGHT("pwrite", pwrite(fd, "H", 1, 0), 1);
    RIGHT("position", lseek(fd, 0, SEEK_CUR), 11);
    RIGHT("pread", pread(fd, in, sizeof(in), 0) == 11 && strcmp(in, "Hello there") == 0, 1);
    RIGHT("end", read(fd, in, 1), 0);
    RIGHT("hole", lseek(fd, 5 * PAGE - 1, SEEK_SET) >= 0 && write(fd, "x", 1) == 1, 1);
    RIGHT("in it", pread(fd, in, 2, 3 * PAGE - 1) == 2 && in[0] == 0 && in[1] == 0, 1);
    RIGHT("stat",
          fstat(fd, &st) == 0 && st.st_size == 5 * PAGE && S_ISREG(st.st_mode) &&
              st.st_nlink == 1 && st.st_blocks == 16,
          1);
    RIGHT("cut", ftruncate(fd, 3) == 0 && ftruncate(fd, 6) == 0, 1);
    RIGHT("zeroes", pread(fd, in, 9, 0) == 6 && memcmp(in, "Hel\0\0\0", 6) == 0, 1);
    RIGHT("far", ftruncate(fd, 1L << 36) == 0 && size_of("a") == 1L << 36, 1);
    RIGHT("there",
          pwrite(fd, "y", 1, (1L << 36) - 1) == 1 && pread(fd, in, 2, (1L << 36) - 2) == 2 &&
              in[0] == 0 && in[1] == 'y',
          1);
    RIGHT("cut", truncate("a", PAGE + 1) == 0 && size_of("a") == PAGE + 1, 1);
    FAILS("size", ftruncate(fd, -1), EINVAL);
    RIGHT("end", lseek(fd, -1, SEEK_END), PAGE);
    FAILS("before", lseek(fd, -1, SEEK_SET), EINVAL);
    RIGHT("reserve", fallocate(fd, 0, 0, 3 * PAGE) == 0 && size_of("a") == 3 * PAGE, 1);
    RIGHT("keep", fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4 * PAGE) == 0 && size_of("a") == 3 * PAGE,
          1);
    FAILS("nothing", fallocate(fd, 0, 0, 0), EINVAL);
    RIGHT("sync", fsync(fd) == 0 && fdatasync(fd) == 0, 1);
    close(fd);
    RIGHT("truncate", (fd = open("a", O_WRONLY | O_TRUNC)) >= 0 && size_of("a") == 0, 1);
    FAILS("read", read(fd, in, 1), EBADF);
    close(fd);
    fd = open("a", O_RDONLY);
    FAILS("read only", fallocate(fd, 0, 0, 1), EBADF);
    close(fd);
    return 0;
}

static int try_appending(void)
{
    struct iovec iov[2] = {{"one ", 4}, {"two ", 4}};
    int a = open("log", O_WRONLY | O_APPEND | O_CREAT, 0600), b = open("log", O_RDWR);
    char in[32];

    RIGHT("open", a >= 0 && b >= 0, 1);
    RIGHT("vector", writev(a, iov, 2), 8);
    RIGHT("another", write(b, "ONE", 3), 3);
    RIGHT("append", write(a, "three", 5), 5);
    RIGHT("all", pread(b, in, 32, 0) == 13 && memcmp(in, "ONE two three", 13) == 0, 1);
    RIGHT("flag", fcntl(b, F_SETFL, O_APPEND) == 0 && (fcntl(b, F_GETFL) & O_APPEND) != 0, 1);
    RIGHT("at the end", write(b, "!", 1) == 1 && size_of("log") == 14, 1);
    RIGHT("no name", unlink("log") == 0 && size_of("log") == -1, 1);
    RIGHT("still there", pread(b, in, 32, 0) == 14 && write(a, "?", 1) == 1, 1);
    struct stat st;
    RIGHT("links", fstat(a, &st) == 0 && st.st_nlink == 0 && st.st_size == 15, 1);
    close(a);
    close(b);
    return 0;
}

/* Larger than a table of pages, in pieces that are no pages. */
static int try_much(void)
{
    static char piece[5001], in[5001];
    int fd = open("much", O_RDWR | O_CREAT, 0644);
    unsigned n = 600;

    for (unsigned i = 0; i < n; i++) {
        memset(piece, (int)(i % 251), sizeof(piece));
        RIGHT("write", write(fd, piece, sizeof(piece)), sizeof(piece));
    }
    for (unsigned i = 0; i < n; i += 7) {
        memset(piece, (int)(i % 251), sizeof(piece));
        RIGHT("read", pread(fd, in, sizeof(in), (off_t)i * 5001), sizeof(in));
        RIGHT("bytes", memcmp(in, piece, sizeof(in)), 0);
    }
    close(fd);
    RIGHT("unlink", unlink("much"), 0);
    return 0;
}

static int try_bytes(void)
{
    return try_writing() || try_appending() || try_much() || unlink("a") != 0;
}

/* ---- names ---- */

static int try_folders(void)
{
    struct stat st, as;

    umask(027);
    RIGHT("mkdir", mkdir("d", 0777) == 0 && stat("d", &st) == 0 && S_ISDIR(st.st_mode), 1);
    RIGHT("mode", st.st_mode & 07777, 0750);
    RIGHT("mask", umask(022), 027);
    RIGHT("links", mkdir("d/e/", 0755) == 0 && stat("d", &st) == 0 && st.st_nlink == 3, 1);
    FAILS("again", mkdir("d", 0777), EEXIST);
    FAILS("nowhere", mkdir("x/y", 0777), ENOENT);
    FAILS("not empty", rmdir("d"), ENOTEMPTY);
    FAILS("a folder", unlink("d"), EISDIR);
    FAILS("to write", open("d", O_WRONLY), EISDIR);
    FAILS("dot", rmdir("d/."), EINVAL);
    int fd = open("d/f", O_WRONLY | O_CREAT, 0666);
    RIGHT("create", fd >= 0, 1);
    RIGHT("chmod", fchmod(fd, 0741) == 0 && fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0741, 1);
    RIGHT("chmod",
          chmod("d/f", 04600) == 0 && stat("d/f", &st) == 0 && (st.st_mode & 07777) == 04600, 1);
    RIGHT("chown",
          chown("d/f", 7, 8) == 0 && stat("d/f", &st) == 0 && st.st_uid == 7 && st.st_gid == 8, 1);
    RIGHT("chown",
          fchown(fd, -1, 9) == 0 && stat("d/f", &st) == 0 && st.st_uid == 7 && st.st_gid == 9, 1);
    struct timespec times[2] = {{1000, 1}, {.tv_nsec = UTIME_OMIT}};
    RIGHT("times", utimensat(AT_FDCWD, "d/f", times, 0) == 0 && stat("d/f", &as) == 0, 1);
    RIGHT("atime", as.st_atim.tv_sec == 1000 && as.st_atim.tv_nsec == 1, 1);
    RIGHT("mtime", as.st_mtim.tv_sec, st.st_mtim.tv_sec);
    times[1] = (struct timespec){5, 6};
    RIGHT("times", futimens(fd, times) == 0 && stat("d/f", &as) == 0 && as.st_mtim.tv_sec == 5, 1);
    RIGHT("written", write(fd, "x", 1) == 1 && stat("d/f", &as) == 0 && as.st_mtim.tv_sec != 5, 1);
    times[0].tv_nsec = 1000000000;
    FAILS("times", utimensat(AT_FDCWD, "d/f", times, 0), EINVAL);
    FAILS("through a file", open("d/f/x", O_RDONLY), ENOTDIR);
    FAILS("slash", open("d/f/", O_RDONLY), ENOTDIR);
    FAILS("slash", unlink("d/f/"), ENOTDIR);
    FAILS("no folder", rmdir("d/f"), ENOTDIR);
    close(fd);
    RIGHT("remove", unlink("d/f") == 0 && rmdir("d/e") == 0 && rmdir("d/") == 0, 1);
    FAILS("nothing", rmdir("d"), ENOENT);
    return 0;
}

static int touch(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);

    return fd < 0 ? -1 : close(fd);
}

static int try_links(void)
{
    char in[64];
    struct stat st, st2;

    RIGHT("symlink", symlink("t/file", "s"), 0);
    FAILS("dangling", open("s", O_RDONLY), ENOENT);
    RIGHT("made", mkdir("t", 0755) == 0 && touch("t/file") == 0, 1);
    FAILS("exclusive", open("s", O_CREAT | O_EXCL | O_WRONLY, 0644), EEXIST);
    RIGHT("readlink", readlink("s", in, sizeof(in)) == 6 && memcmp(in, "t/file", 6) == 0, 1);
    RIGHT("cut", readlink("s", in, 2), 2);
    FAILS("no link", readlink("t", in, 2), EINVAL);
    RIGHT("lstat", lstat("s", &st) == 0 && S_ISLNK(st.st_mode) && st.st_size == 6, 1);
    RIGHT("to a folder",
          symlink("t", "u") == 0 && stat("u/file", &st) == 0 && lstat("u/", &st) == 0 &&
              S_ISDIR(st.st_mode),
          1);
    FAILS("itself", symlink("loop", "loop") == 0 ? open("loop", O_RDONLY) : 0, ELOOP);
    FAILS("not followed", open("s", O_RDONLY | O_NOFOLLOW), ELOOP);
    FAILS("empty", symlink("", "v"), ENOENT);
    RIGHT("create by a link",
          symlink("t/new", "n") == 0 && close(open("n", O_CREAT | O_WRONLY, 0644)) == 0 &&
              unlink("t/new") == 0,
          1);
    RIGHT("link",
          link("t/file", "hard") == 0 && stat("hard", &st) == 0 && stat("t/file", &st2) == 0, 1);
    RIGHT("the same", st.st_ino == st2.st_ino && st.st_nlink == 2, 1);
    FAILS("of a folder", link("t", "x"), EPERM);
    FAILS("taken", link("hard", "s"), EEXIST);
    RIGHT("of a link", link("s", "s2") == 0 && lstat("s2", &st) == 0 && S_ISLNK(st.st_mode), 1);
    RIGHT("unlink", unlink("t/file") == 0 && stat("hard", &st) == 0 && st.st_nlink == 1, 1);
    RIGHT("clean",
          unlink("s") || unlink("s2") || unlink("u") || unlink("loop") || unlink("n") ||
              unlink("hard") || rmdir("t"),
          0);
    return 0;
}

static int try_renaming(void)
{
    int fd;

    RIGHT("make",
          mkdir("a", 0755) || mkdir("a/b", 0755) || mkdir("c", 0755) || touch("f") || touch("g"),
          0);
    RIGHT("rename", rename("f", "a/f") == 0 && size_of("f") == -1 && size_of("a/f") == 0, 1);
    fd = open("g", O_WRONLY);
    RIGHT("replace", write(fd, "g", 1) == 1 && rename("g", "a/f") == 0 && size_of("a/f") == 1, 1);
    close(fd);
    FAILS("into itself", rename("a", "a/b/a"), EINVAL);
    FAILS("not empty", rename("c", "a"), ENOTEMPTY);
    FAILS("on a file", rename("c", "a/f"), ENOTDIR);
    FAILS("on a folder", rename("a/f", "c"), EISDIR);
    FAILS("nothing", rename("x", "y"), ENOENT);
    FAILS("dot", rename("a/.", "y"), EBUSY);
    RIGHT("a folder", rename("a/b", "c") == 0 && size_of("a/b") == -1, 1);
    RIGHT("moved", rename("c", "a/c/") == 0 && chdir("a/c") == 0 && chdir("../..") == 0, 1);
    RIGHT("itself", rename("a", "a"), 0);
    FAILS("not replaced", renameat2(AT_FDCWD, "a/f", AT_FDCWD, "a/c", RENAME_NOREPLACE), EEXIST);
    RIGHT("free", renameat2(AT_FDCWD, "a/f", AT_FDCWD, "f", RENAME_NOREPLACE), 0);
    FAILS("flag", renameat2(AT_FDCWD, "f", AT_FDCWD, "g", 1u << 30), EINVAL);
    RIGHT("clean", unlink("f") || rmdir("a/c") || rmdir("a"), 0);
    return 0;
}

static int try_descriptors(void)
{
    char in[256], path[300];
    struct stat st;

    RIGHT("mkdir", mkdir("d", 0755), 0);
    int d = open("d", O_RDONLY | O_DIRECTORY);
    RIGHT("openat", close(openat(d, "f", O_CREAT | O_WRONLY, 0644)), 0);
    RIGHT("all",
          mkdirat(d, "e", 0755) || renameat(d, "f", d, "e/f") || fstatat(d, "e/f", &st, 0) ||
              faccessat(d, "e/f", R_OK, 0) || symlinkat("e", d, "s") || linkat(d, "e/f", d, "g", 0),
          0);
    RIGHT("readlinkat", readlinkat(d, "s", in, sizeof(in)), 1);
    RIGHT("empty", fstatat(d, "", &st, AT_EMPTY_PATH) == 0 && S_ISDIR(st.st_mode), 1);
    FAILS("execute", faccessat(d, "g", X_OK, 0), EACCES);
    FAILS("no descriptor", mkdirat(77, "x", 0755), EBADF);
    FAILS("no folder", mkdirat(1, "x", 0755), ENOTDIR);
    RIGHT("fchdir",
          fchdir(d) == 0 && getcwd(in, sizeof(in)) != NULL && strcmp(strrchr(in, '/'), "/d") == 0,
          1);
    RIGHT("moves along",
          rename("../d", "../moved") == 0 && getcwd(in, sizeof(in)) != NULL &&
              strcmp(strrchr(in, '/'), "/moved") == 0,
          1);
    FAILS("flags", unlinkat(d, "e", 77), EINVAL);
    FAILS("a folder", unlinkat(d, "e", 0), EISDIR);
    RIGHT("unlinkat",
          unlinkat(d, "e/f", 0) || unlinkat(d, "g", 0) || unlinkat(d, "s", 0) ||
              unlinkat(d, "e", AT_REMOVEDIR),
          0);
    RIGHT("under one's feet", rmdir("../moved"), 0);
    RIGHT("nowhere", getcwd(in, sizeof(in)) == NULL && errno == ENOENT, 1);
    FAILS("dead", openat(d, "x", O_CREAT | O_WRONLY, 0644), ENOENT);
    FAILS("no file", fchdir(1), ENOTDIR);
    close(d);
    snprintf(path, sizeof(path), "%0255d", 0);
    return chdir("/tmp") || chdir(folder) || touch(path) || unlink(path);
}

/* Who lists a folder while it changes sees each name that stays, once. */
static int try_lists(void)
{
    char path[300], seen[600] = "";
    const struct dirent *e;
    unsigned n = 0;

    RIGHT("mkdir", mkdir("many", 0755), 0);
    for (unsigned i = 0; i < 600; i++) {
        snprintf(path, sizeof(path), "many/name-%u", i);
        RIGHT("touch", touch(path), 0);
    }
    DIR *d = opendir("many");
    while ((e = readdir(d)) != NULL) {
        char *end = NULL;
        unsigned long i =
            strncmp(e->d_name, "name-", 5) == 0 ? strtoul(e->d_name + 5, &end, 10) : 0;

        if (end != NULL && *end == '\0' && i < 600) {
            RIGHT("once", seen[i]++, 0);
            RIGHT("type", e->d_type, DT_REG);
            if (i % 2 == 1) {
                snprintf(path, sizeof(path), "many/%s", e->d_name);
                RIGHT("remove", unlink(path), 0);
            }
            n++;
        }
    }
    RIGHT("all", n, 600);
    rewinddir(d);
    for (n = 0; (e = readdir(d)) != NULL; n++) {
        snprintf(path, sizeof(path), "many/%.16s", e->d_name);
        (void)unlink(path);
    }
    RIGHT("the rest", n, 302);
    closedir(d);
    RIGHT("empty", rmdir("many"), 0);
    return 0;
}

static int try_lies(void)
{
    static char path[5000];
    struct statfs fs;
    char *volatile nowhere = (char *)16, *bad = nowhere; /* the compiler does not look through it */

    memset(path, 'x', sizeof(path) - 1);
    FAILS("long path", touch(path), ENAMETOOLONG);
    path[256] = '\0';
    FAILS("long name", touch(path), ENAMETOOLONG);
    FAILS("long name", mkdir(path, 0755), ENAMETOOLONG);
    FAILS("no path", open("", O_RDONLY), ENOENT);
    FAILS("bad path", mkdir(bad, 0755), EFAULT);
    FAILS("bad path", rename("x", bad), EFAULT);
    FAILS("bad path", symlink(bad, "x"), EFAULT);
    FAILS("bad buffer", stat("/", (struct stat *)bad), EFAULT);
    FAILS("bad buffer", readlink("/proc/self", bad, 9), EFAULT);
    FAILS("bad buffer", statfs("/", (struct statfs *)bad), EFAULT);
    FAILS("bad times", utimensat(AT_FDCWD, "/", (struct timespec *)bad, 0), EFAULT);
    FAILS("the root", rmdir("/"), EBUSY);
    FAILS("in proc",
          open("/proc/nothing", O_CREAT | O_WRONLY, 0644) == -1 &&
                  (errno == EACCES || errno == ENOENT)
              ? (errno = ENOENT, -1)
              : 0,
          ENOENT);
    int ends[2];
    RIGHT("pipe", pipe(ends), 0);
    FAILS("no file", ftruncate(ends[1], 0), EINVAL);
    FAILS("no file", fsync(ends[1]), EINVAL);
    RIGHT("statfs",
          statfs(".", &fs) == 0 && fs.f_type == 0x01021994 && fs.f_bfree <= fs.f_blocks &&
              fs.f_namelen == 255,
          1);
    FAILS("closed", fchmod(99, 0), EBADF);
    int fd = open("/tmp", O_RDONLY);
    FAILS("a folder", read(fd, path, 1), EISDIR);
    FAILS("a folder", write(fd, path, 1), EBADF);
    FAILS("mapped", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0, ENODEV);
    close(fd);
    /* As deep as one likes. */
    unsigned depth = 300;
    for (unsigned i = 0; i < depth; i++) {
        RIGHT("down", mkdir("deeper", 0755) == 0 && chdir("deeper") == 0, 1);
    }
    for (unsigned i = 0; i < depth; i++) {
        RIGHT("up", chdir("..") == 0 && rmdir("deeper") == 0, 1);
    }
    return 0;
}

static int try_names(void)
{
    return try_folders() || try_links() || try_renaming() || try_descriptors() || try_lists() ||
           try_lies();
}

/* ---- memory ---- */

static volatile sig_atomic_t bus;

static void on_bus(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    bus = info->si_code;
    _exit(42);
}

static int in_child(void (*fn)(volatile char *p), volatile char *p)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        fn(p);
        _exit(0);
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void set_seven(volatile char *p)
{
    p[0] = 7;
    p[3 * PAGE] = 8;
}

static void touch_behind(volatile char *p)
{
    act(SIGBUS, on_bus, 0);
    p[2 * PAGE] = 1;
}

static int try_mappings(void)
{
    int fd = open("m", O_RDWR | O_CREAT | O_TRUNC, 0644), ro = open("m", O_RDONLY);
    char in[8] = "";

    RIGHT("size", ftruncate(fd, PAGE + 100), 0);
    volatile char *s = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    volatile char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    RIGHT("map", s != MAP_FAILED && p != MAP_FAILED, 1);
    s[5] = 'a';
    RIGHT("shared", pread(fd, in, 1, 5) == 1 && in[0] == 'a', 1);
    RIGHT("write", pwrite(fd, "b", 1, 5) == 1 && s[5] == 'b', 1);
    RIGHT("private", p[5], 'b');
    p[5] = 'c';
    RIGHT("stays", s[5] == 'b' && pread(fd, in, 1, 5) == 1 && in[0] == 'b', 1);
    RIGHT("behind the end", s[PAGE + 200], 0);
    RIGHT("SIGBUS", in_child(touch_behind, s), 42);
    RIGHT("SIGBUS", in_child(touch_behind, p), 42);
    RIGHT("longer", ftruncate(fd, 4 * PAGE) == 0 && s[2 * PAGE] == 0, 1);
    FAILS("not writable", mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, ro, 0) == MAP_FAILED ? -1 : 0,
          EACCES);
    volatile char *r = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, ro, 0);
    RIGHT("readable", r[5], 'b');
    FAILS("never", mprotect((void *)r, PAGE, PROT_READ | PROT_WRITE), EACCES);
    RIGHT("unlink", unlink("m") == 0 && close(fd) == 0 && close(ro) == 0, 1);
    RIGHT("a child's", in_child(set_seven, s) == 0 && s[0] == 7 && r[0] == 7 && s[3 * PAGE] == 8,
          1);
    RIGHT("not", in_child(set_seven, p) == 0 && p[0] != 7, 1);
    RIGHT("none",
          mprotect((void *)s, PAGE, PROT_NONE) == 0 &&
              mprotect((void *)s, PAGE, PROT_READ | PROT_WRITE) == 0,
          1);
    s[0]++;
    RIGHT("the same", r[0], 8);
    RIGHT("sync", msync((void *)s, 4 * PAGE, MS_SYNC), 0);
    RIGHT("unmap",
          munmap((void *)s, 4 * PAGE) || munmap((void *)p, 4 * PAGE) || munmap((void *)r, PAGE), 0);
    return 0;
}

static int try_anonymous(void)
{
    volatile char *s =
        mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    RIGHT("map", s != MAP_FAILED && s[0] == 0, 1);
    RIGHT("a child's", in_child(set_seven, s) == 0 && s[0] == 7 && s[3 * PAGE] == 8, 1);
    RIGHT("discard", madvise((void *)s, 4 * PAGE, MADV_DONTNEED) == 0 && s[0] == 7, 1);
    RIGHT("unmap", munmap((void *)s, 4 * PAGE), 0);
    return 0;
}

static int try_moving(void)
{
    char *p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    for (unsigned i = 0; i < 8; i++) {
        p[i * PAGE] = (char)(i + 1);
    }
    RIGHT("shorter", mremap(p, 8 * PAGE, 6 * PAGE, 0) == p, 1);
    RIGHT("in place", mremap(p, 6 * PAGE, 8 * PAGE, 0) == p && p[7 * PAGE] == 0 && p[5 * PAGE] == 6,
          1);
    FAILS("no room", mremap(p, PAGE, 2 * PAGE, 0) == MAP_FAILED ? -1 : 0, ENOMEM);
    char *q = mremap(p, 2 * PAGE, 40 * PAGE, MREMAP_MAYMOVE);
    RIGHT("moved", q != MAP_FAILED && q != p && q[0] == 1 && q[PAGE] == 2 && q[39 * PAGE] == 0, 1);
    q[39 * PAGE] = 9;
    RIGHT("the rest", p[2 * PAGE], 3);
    FAILS("gone", mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0, EFAULT);
    FAILS("nothing", mremap(q, PAGE, 0, 0) == MAP_FAILED ? -1 : 0, EINVAL);
    FAILS("not aligned", mremap(q + 1, PAGE, PAGE, 0) == MAP_FAILED ? -1 : 0, EINVAL);
    RIGHT("discard", madvise(q, 40 * PAGE, MADV_DONTNEED) == 0 && q[0] == 0 && q[39 * PAGE] == 0,
          1);
    RIGHT("hints", madvise(q, 40 * PAGE, MADV_WILLNEED) || madvise(q, 40 * PAGE, MADV_NORMAL), 0);
    FAILS("a hint", madvise(q, PAGE, 12345), EINVAL);
    FAILS("not mapped", madvise(p, PAGE, MADV_DONTNEED), ENOMEM);
    RIGHT("unmap", munmap(q, 40 * PAGE) || munmap(p + 2 * PAGE, 6 * PAGE), 0);
    char *m = malloc(300000);
    memset(m, 5, 300000);
    char *more = realloc(m, 900000);
    RIGHT("realloc", more != NULL && more[299999] == 5, 1);
    free(more);
    return 0;
}

static int try_memory(void)
{
    return try_mappings() || try_anonymous() || try_moving();
}

/* ---- names of sockets ---- */

static int try_sockets(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "sock"}, to = at, is;
    socklen_t size = sizeof(is);
    struct stat st;
    int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);

    RIGHT("bind", bind(l, (struct sockaddr *)&at, sizeof(at)), 0);
    RIGHT("a file", stat("sock", &st) == 0 && S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0755,
          1);
    FAILS("open", open("sock", O_RDWR), ENXIO);
    FAILS("again", bind(c, (struct sockaddr *)&at, sizeof(at)), EADDRINUSE);
    RIGHT("name",
          getsockname(l, (struct sockaddr *)&is, &size) == 0 && strcmp(is.sun_path, "sock") == 0,
          1);
    strcpy(to.sun_path, "none");
    FAILS("two names", bind(l, (struct sockaddr *)&to, sizeof(to)), EINVAL);
    FAILS("no file", stat("none", &st), ENOENT);
    RIGHT("a link to nowhere", symlink("nowhere", "none"), 0);
    FAILS("not through it", bind(c, (struct sockaddr *)&to, sizeof(to)), EADDRINUSE);
    FAILS("nowhere", stat("nowhere", &st), ENOENT);
    RIGHT("no link", unlink("none"), 0);
    RIGHT("listen", listen(l, 5), 0);
    RIGHT("rename", rename("sock", "other") == 0 && symlink("other", "sock") == 0, 1);
    RIGHT("by a link", connect(c, (struct sockaddr *)&at, sizeof(at)), 0);
    close(c);
    c = socket(AF_UNIX, SOCK_STREAM, 0);
    FAILS("none", connect(c, (struct sockaddr *)&to, sizeof(to)), ENOENT);
    close(l);
    FAILS("nobody's", connect(c, (struct sockaddr *)&at, sizeof(at)), ECONNREFUSED);
    RIGHT("touch", touch("none"), 0);
    FAILS("no socket", connect(c, (struct sockaddr *)&to, sizeof(to)), ECONNREFUSED);
    RIGHT("unlink", unlink("sock") || unlink("other") || unlink("none"), 0);
    close(c);
    return 0;
}

/* ---- /proc ---- */

static int contents(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

    buf[n < 0 ? 0 : n] = '\0';
    close(fd);
    return (int)n;
}

static int try_proc(void)
{
    static char text[20000];
    char is[300], should[64];
    unsigned long begin, end, here = (unsigned long)text;
    bool found = false;

    RIGHT("stat", contents("/proc/self/stat", text, sizeof(text)) > 0, 1);
    RIGHT("pid", strtol(text, NULL, 10), getpid());
    snprintf(should, sizeof(should), "/proc/%d/cmdline", getpid());
    int n = contents(should, text, sizeof(text));
    RIGHT("arguments", n > 12 && memcmp(text + strlen(text) + 1, "proc", 5) == 0, 1);
    RIGHT("exe", readlink("/proc/self/exe", is, sizeof(is)) > 0 && is[0] == '/', 1);
    RIGHT("cwd",
          (n = (int)readlink("/proc/self/cwd", is, sizeof(is))) > 0 &&
              strncmp(is, folder, (size_t)n) == 0,
          1);
    int fd = open("seen", O_RDWR | O_CREAT, 0644);
    snprintf(should, sizeof(should), "/proc/self/fd/%d", fd);
    RIGHT("fd",
          (n = (int)readlink(should, is, sizeof(is))) > 5 && memcmp(is + n - 5, "/seen", 5) == 0,
          1);
    close(fd);
    RIGHT("closed",
          readlink(should, is, sizeof(is)) == -1 && errno == ENOENT && unlink("seen") == 0, 1);
    FILE *maps = fopen("/proc/self/maps", "r");
    RIGHT("open", maps != NULL, 1);
    while (fgets(text, 300, maps) != NULL) {
        char *at = text;

        begin = strtoul(at, &at, 16);
        end = *at == '-' ? strtoul(at + 1, NULL, 16) : 0;
        found |= here >= begin && here < end && strstr(text, " rw-p ") != NULL;
    }
    fclose(maps);
    RIGHT("maps", found, 1);
    RIGHT("others", contents("/proc/999999/stat", text, sizeof(text)), -1);
    RIGHT("status",
          contents("/proc/self/status", text, sizeof(text)) > 0 &&
              strstr(text, "Threads:\t1") != NULL,
          1);
    RIGHT("meminfo",
          contents("/proc/meminfo", text, sizeof(text)) > 0 && strncmp(text, "MemTotal:", 9) == 0,
          1);
    RIGHT("stat", contents("/proc/stat", text, sizeof(text)) > 0 && strncmp(text, "cpu ", 4) == 0,
          1);
    return 0;
}

/* ---- who takes all ---- */

static long room(void)
{
    struct statfs fs;

    return statfs(".", &fs) == 0 ? (long)fs.f_bfree : -1;
}

static int try_full(void)
{
    static char piece[65536];
    char path[32];
    long before = room();
    int fd = open("big", O_RDWR | O_CREAT, 0644);
    unsigned n = 0;

    while (write(fd, piece, sizeof(piece)) == sizeof(piece)) {
    }
    RIGHT("full", pwrite(fd, piece, sizeof(piece), lseek(fd, 0, SEEK_END)) == -1 ? errno : 0,
          ENOSPC);
    RIGHT("no room", room() < 16, 1);
    FAILS("reserve", fallocate(fd, 0, 0, 1L << 30), ENOSPC);
    RIGHT("cut", ftruncate(fd, lseek(fd, 0, SEEK_END) - 8 * (long)sizeof(piece)), 0);
    RIGHT("some room", room() >= 128 && room() < 160, 1);
    RIGHT("folder", mkdir("names", 0755), 0);
    do {
        snprintf(path, sizeof(path), "names/%u", n);
    } while (touch(path) == 0 && ++n < 20000);
    RIGHT("names", errno == ENOSPC && n > 500, 1);
    while (n-- > 0) {
        snprintf(path, sizeof(path), "names/%u", n);
        RIGHT("remove", unlink(path), 0);
    }
    RIGHT("removed", rmdir("names"), 0);
    RIGHT("still there", unlink("big") == 0 && room() < 160, 1);
    RIGHT("all", close(fd) == 0 && room() == before, 1);
    volatile char *s =
        mmap(NULL, 512L << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    act(SIGBUS, on_bus, 0);
    if (fork() == 0) {
        for (size_t i = 0; i < 512L << 20; i += PAGE) {
            s[i] = 1;
        }
        _exit(0);
    }
    int status;
    RIGHT("SIGBUS", wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 42, 1);
    RIGHT("unmap", munmap((void *)s, 512L << 20), 0);
    RIGHT("all", room(), before);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*fn)(void);
    } kinds[] = {{"bytes", try_bytes},     {"names", try_names}, {"memory", try_memory},
                 {"sockets", try_sockets}, {"proc", try_proc},   {"full", try_full}};

    setvbuf(stdout, NULL, _IOLBF, 0);
    umask(022);
    for (unsigned i = 0; argc == 3 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(argv[1], kinds[i].name) == 0) {
            folder = argv[2];
            if (chdir(argv[2]) != 0 || kinds[i].fn() != 0) {
                return 1;
            }
            printf("files %s: right\n", argv[1]);
            return 0;
        }
    }
    return 2;
}
