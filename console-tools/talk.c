/*
 * Messages to and from the console daemon: see talk.h.
 */
#include "talk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int talk_connect(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd, err;

    if (strlen(path) >= sizeof(name.sun_path)) {
        return -ENAMETOOLONG;
    }
    memcpy(name.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    if (connect(fd, (const struct sockaddr *)&name, sizeof(name)) < 0) {
        err = -errno;
        close(fd);
        return err;
    }
    return fd;
}

int talk_open(const struct command *self, const char *path)
{
    int fd = talk_connect(path);

    if (fd == -EACCES || fd == -EPERM) {
        command_failed(self, "%s: only root may read and write consoles", path);
    } else if (fd < 0) {
        command_failed(self,
                       "%s: duet-consoled does not listen there (%s); 'systemctl status "
                       "duet-console' says why, and 'xl console' does without it",
                       path, strerror(-fd));
    }
    return fd < 0 ? -1 : fd;
}

static int put(int fd, const void *message, size_t len)
{
    ssize_t n;

    do {
        n = send(fd, message, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)len ? 0 : n < 0 ? -errno : -EIO;
}

int talk_ask(int fd, uint32_t kind, unsigned int domid, uint32_t wishes)
{
    const struct cons_talk_ask ask = {
        .kind = kind, .magic = CONS_TALK_MAGIC, .domid = domid, .wishes = wishes};

    return put(fd, &ask, sizeof(ask));
}

int talk_type(int fd, const char *data, size_t len)
{
    struct cons_talk_bytes message = {.kind = CONS_TALK_INPUT};

    memcpy(message.data, data, len);
    return put(fd, &message, CONS_TALK_BYTES(len));
}

/* Returns the bytes of output, 0, or -EPROTO. */
static int check(union talk_message *message, size_t len)
{
    if (len < sizeof(message->kind)) {
        return -EPROTO;
    }
    switch (message->kind) {
    case CONS_TALK_OUTPUT:
        return len > CONS_TALK_BYTES(0) && len <= CONS_TALK_BYTES(CONS_TALK_OUTPUT_MAX)
                   ? (int)(len - CONS_TALK_BYTES(0))
                   : -EPROTO;
    case CONS_TALK_STATE:
        message->state.log[sizeof(message->state.log) - 1] = '\0';
        return len == sizeof(message->state) ? 0 : -EPROTO;
    case CONS_TALK_ROLE:
    case CONS_TALK_MISSED:
    case CONS_TALK_TAKEN:
    case CONS_TALK_END:
        return len == sizeof(message->word) ? 0 : -EPROTO;
    default:
        return -EPROTO;
    }
}

int talk_hear(int fd, union talk_message *message)
{
    struct iovec to = {.iov_base = message, .iov_len = sizeof(*message)};
    struct msghdr header = {.msg_iov = &to, .msg_iovlen = 1};
    ssize_t n;

    do {
        /* No room for descriptors: what comes along is closed by the kernel. */
        n = recvmsg(fd, &header, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n == 0 || (n < 0 && errno == ECONNRESET)) {
        return -EPIPE;
    }
    if (n < 0) {
        return -errno;
    }
    return (header.msg_flags & MSG_TRUNC) != 0 ? -EPROTO : check(message, (size_t)n);
}

char *talk_reason(const struct domain *domain, uint32_t reason)
{
    const char *why =
        "the daemon ended the connection for a reason that this program does not know";
    char *text = NULL;

    if (reason == CONS_TALK_GONE) {
        why = "the domain has gone";
    } else if (reason == CONS_TALK_UNKNOWN) {
        why = domain_has_xenconsoled(domain)
                  ? "duet-consoled does not serve its console; 'journalctl -u duet-console' may "
                    "say why"
                  : "its console is not duet-consoled's but QEMU's; 'xl console' attaches to it";
    } else if (reason == CONS_TALK_FULL) {
        why = "too many are attached already; 'duet-console list' counts them";
    } else if (reason == CONS_TALK_WRONG) {
        why = "the daemon does not understand this program; are both of one version?";
    }
    if (asprintf(&text, "%s (domain %u): %s", domain->name, domain->domid, why) < 0) {
        return must_strdup(why);
    }
    return text;
}
