/*
 * An image that is an NBD server's export: see remote.h.
 */
#include "remote.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/loop.h"
#include "../lib/wire.h"
#include "nbd_connect.h"

#define CONNECT_PROGRAM "duet-nbd-connect" /* beside ours */
#define CONNECT_MS      ((int)NBD_CONNECT_SECONDS * 1000 + 1000)
#define END_MS          3000U
#define NS_PER_MS       UINT64_C(1000000)

#define FNV_BASIS UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

void remote_find(const char *uri, struct image_key *key)
{
    uint64_t hash = FNV_BASIS;

    for (; *uri != '\0'; uri++) {
        hash = (hash ^ (unsigned char)*uri) * FNV_PRIME;
    }
    key->dev = UINT64_MAX; /* no device has that number */
    key->ino = hash;
}

/* Starts the program that connects. Returns our end of its socket, or -errno. */
static int remote_start(const char *uri, bool read_only, pid_t *pid)
{
    static char *const none[] = {NULL};
    char *const argv[] = {(char *)CONNECT_PROGRAM, (char *)uri, (char *)(read_only ? "ro" : "rw"),
                          NULL};
    posix_spawn_file_actions_t actions;
    char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - sizeof(CONNECT_PROGRAM));
    int sv[2];
    int err;

    if (len <= 0) {
        return -errno;
    }
    path[len] = '\0';
    snprintf(strrchr(path, '/') + 1, sizeof(CONNECT_PROGRAM), "%s", CONNECT_PROGRAM);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0) {
        return -errno;
    }
    err = posix_spawn_file_actions_init(&actions);
    if (err == 0) {
        err = posix_spawn_file_actions_adddup2(&actions, sv[1], CHILD_SOCKET_FD);
        err = err != 0 ? err : posix_spawn(pid, path, &actions, NULL, argv, none);
        posix_spawn_file_actions_destroy(&actions);
    }
    close(sv[1]);
    if (err != 0) {
        close(sv[0]);
        return -err;
    }
    return sv[0];
}

/* Waits for what the program tells. Returns the connection or -errno. */
static int remote_hear(int sock, struct nbd_connect_report *r)
{
    struct pollfd p = {.fd = sock, .events = POLLIN};
    unsigned int nr = 0;
    int fd = -1;
    long n;

    snprintf(r->text, sizeof(r->text), "the server does not answer");
    if (poll(&p, 1, CONNECT_MS) <= 0) {
        return -ETIMEDOUT;
    }
    n = child_receive_any(sock, r, sizeof(*r), &fd, 1, &nr);
    r->text[sizeof(r->text) - 1] = '\0';
    if (n == 0) {
        snprintf(r->text, sizeof(r->text), "the server does not answer"); /* killed by its alarm */
        return -ETIMEDOUT;
    }
    if (n != (long)sizeof(*r) || (r->err == 0) != (nr == 1)) {
        if (nr == 1) {
            close(fd);
        }
        snprintf(r->text, sizeof(r->text), CONNECT_PROGRAM " has failed");
        return -EPROTO;
    }
    return r->err != 0 ? wire_errno(r->err) : fd;
}

int remote_connect(const char *uri, bool read_only, struct image_facts *facts, char *why,
                   unsigned long why_size)
{
    struct nbd_connect_report r = {0};
    pid_t pid = 0;
    int sock = remote_start(uri, read_only, &pid);
    int fd;

    if (sock < 0) {
        snprintf(why, why_size, "image %s: cannot start " CONNECT_PROGRAM ": %s", uri,
                 strerror(-sock));
        return sock;
    }
    fd = remote_hear(sock, &r);
    close(sock);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    if (fd < 0) {
        snprintf(why, why_size, "image %s: %s", uri, r.text);
    } else {
        *facts = r.facts;
    }
    return fd;
}

bool remote_end(int fd)
{
    const uint64_t end_ns = loop_now_ns() + END_MS * NS_PER_MS;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char nobody_reads_it[4096];
    uint64_t now;
    ssize_t n = 1;

    shutdown(fd, SHUT_WR);
    /* it may say a little now and then for as long as it likes */
    while (n > 0 && (now = loop_now_ns()) < end_ns &&
           poll(&p, 1, (int)((end_ns - now) / NS_PER_MS) + 1) > 0) {
        n = recv(fd, nobody_reads_it, sizeof(nobody_reads_it), MSG_DONTWAIT);
    }
    close(fd);
    return n <= 0;
}
