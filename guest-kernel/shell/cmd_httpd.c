/*
 * cmd_httpd.c - files of disks: ls, and httpd, which serves them.
 *
 * No state but the server's; no locks.
 */
#include "fs/ext.h"
#include "kern/string.h"
#include "net/httpd/httpd.h"
#include "net/stack.h"
#include "psm/clock.h"
#include "shell/commands.h"
#include "shell/range.h"

typedef unsigned long ul;

struct list {
    struct shell *sh;
    const struct ext_fs *fs;
};

static void show_file(struct shell *sh, const struct ext_file *f, const char *name, int len)
{
    struct date d;

    date_from_wall(f->mtime * NSEC_PER_SEC, &d);
    sh_printf(sh, "%12lu  %04d-%02u-%02u %02u:%02u  %.*s%s\n", (ul)f->size, d.year, d.month, d.day,
              d.hour, d.minute, len, name,
              f->type == EXT_DIR     ? "/"
              : f->type == EXT_OTHER ? " (no file)"
                                     : "");
}

static int show_entry(void *arg, const char *name, size_t len, uint32_t inode)
{
    const struct list *l = arg;
    struct ext_file f;
    char safe[EXT_NAME_MAX];

    for (size_t i = 0; i < len; i++) {
        safe[i] = name[i] >= ' ' && name[i] != 0x7f ? name[i] : '?';
    }
    int rc = ext_inode(l->fs, inode, &f);
    if (rc != 0) {
        return sh_error(l->sh, "%.*s: its inode %u cannot be read: %s", (int)len, safe, inode,
                        errno_name(rc));
    }
    show_file(l->sh, &f, safe, (int)len);
    ext_put(&f);
    return sh_interrupted(l->sh) ? SH_INTERRUPTED : SH_OK;
}

static int list(struct shell *sh, const struct ext_fs *fs, const char *path)
{
    struct ext_file f;
    struct list l = {.sh = sh, .fs = fs};
    int rc = ext_find(fs, path, &f);

    if (rc != 0) {
        return sh_error(sh, "%s: %s", path, rc == -ENOENT ? "no such file" : errno_name(rc));
    }
    if (f.type == EXT_DIR) {
        rc = ext_each(&f, show_entry, &l);
    } else {
        show_file(sh, &f, path, (int)strlen(path));
    }
    ext_put(&f);
    return rc < 0 ? sh_error(sh, "%s: %s", path, errno_name(rc)) : rc;
}

static int cmd_ls(struct shell *sh, int argc, char **argv)
{
    struct range r;
    struct ext_fs fs;
    const char *why = "it cannot be read";

    if (argc < 2 || argc > 3) {
        return SH_USAGE;
    }
    if (range_get(sh, argv[1], &r) != 0) {
        return SH_FAIL;
    }
    int rc = ext_open(r.dev, &fs, &why);
    int status = rc == 0 ? list(sh, &fs, argc > 2 ? argv[2] : "/")
                         : sh_error(sh, "%s: %s (%s)", argv[1], why, errno_name(rc));
    if (rc == 0) {
        ext_close(&fs);
    }
    blk_put(r.dev);
    return status;
}

static int httpd_start_on(struct shell *sh, const char *disk, const char *port_text)
{
    uint64_t port = 80;
    struct range r;
    const char *why;

    if (port_text != NULL && (parse_u64(port_text, &port) != 0 || port == 0 || port > UINT16_MAX)) {
        return sh_error(sh, "%s is no port", port_text);
    }
    if (net_stack_start() != 0) {
        return sh_error(sh, "no memory for the network");
    }
    if (range_get(sh, disk, &r) != 0) {
        return SH_FAIL;
    }
    int rc = httpd_start(r.dev, (uint16_t)port, &why);
    if (rc != 0) {
        blk_put(r.dev);
        return sh_error(sh, "%s, port %lu: %s (%s)", disk, (ul)port, why, errno_name(rc));
    }
    sh_printf(sh, "serving %s on port %lu\n", disk, (ul)port);
    return SH_OK;
}

static int cmd_httpd(struct shell *sh, int argc, char **argv)
{
    struct httpd_stats s;

    if ((argc == 3 || argc == 4) && strcmp(argv[1], "start") == 0) {
        return httpd_start_on(sh, argv[2], argc > 3 ? argv[3] : NULL);
    }
    if (argc == 2 && strcmp(argv[1], "stop") == 0) {
        return httpd_stop() != 0 ? sh_error(sh, "it does not run") : SH_OK;
    }
    if (argc != 2 || strcmp(argv[1], "status") != 0) {
        return SH_USAGE;
    }
    httpd_get_stats(&s);
    if (!s.running) {
        sh_printf(sh, "httpd: not running\n");
        return SH_OK;
    }
    sh_printf(
        sh, "httpd: %s on port %u: %u connections of %lu, %lu requests, %lu errors, %lu bytes\n",
        s.disk, s.port, s.connections, (ul)s.accepted, (ul)s.requests, (ul)s.errors, (ul)s.bytes);
    return SH_OK;
}

const struct sh_command httpd_commands[] = {
    {"ls", "ls DISK [PATH]", "list files of a disk (ext2, ext3, ext4)", NULL, ARGS_DISK, cmd_ls},
    {"httpd", "httpd start DISK [PORT] | stop | status", "serve a disk's files over HTTP",
     "The disk holds an ext2, ext3 or ext4 file system, as `mke2fs -d FOLDER IMAGE SIZE` makes\n"
     "them; it is only read. PORT is 80. Folders show their index.html, else a list.\n",
     ARGS_DISK, cmd_httpd},
    {0},
};
