/*
 * Aliases of interfaces: see alias.h. They are set by rtnetlink(7), which answers before send()
 * returns, and read from sysfs.
 */
#include "alias.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the kernel made of a request. Returns 0 or -errno. */
static int alias_answer(int fd)
{
    struct {
        struct nlmsghdr head;
        struct nlmsgerr error;
        char rest[512]; /* the request comes back with an error */
    } answer = {.error.error = -EPROTO};
    ssize_t n = recv(fd, &answer, sizeof(answer), MSG_DONTWAIT);

    if (n < 0) {
        return -errno;
    }
    return (unsigned long)n >= NLMSG_LENGTH(sizeof(answer.error)) &&
                   answer.head.nlmsg_type == NLMSG_ERROR
               ? answer.error.error
               : -EPROTO;
}

static int alias_ask(int fd, unsigned int index, const char *text)
{
    struct {
        struct nlmsghdr head;
        struct ifinfomsg link;
        struct rtattr attr;
        char text[ALIAS_MAX];
    } ask = {.head = {.nlmsg_type = RTM_SETLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
             .link = {.ifi_index = (int)index},
             .attr = {.rta_type = IFLA_IFALIAS}};

    snprintf(ask.text, sizeof(ask.text), "%s", text);
    ask.attr.rta_len = (unsigned short)RTA_LENGTH(strlen(ask.text));
    ask.head.nlmsg_len =
        (unsigned int)(NLMSG_LENGTH(sizeof(ask.link)) + RTA_ALIGN(ask.attr.rta_len));
    return send(fd, &ask, ask.head.nlmsg_len, 0) < 0 ? -errno : alias_answer(fd);
}

int alias_set(const char *interface, const char *text)
{
    unsigned int index;
    int fd, err;

    errno = ENODEV;
    index = if_nametoindex(interface);
    if (index == 0) {
        return -errno;
    }
    fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0) {
        return -errno;
    }
    err = alias_ask(fd, index, text);
    close(fd);
    return err;
}

int alias_get(const char *interface, char *text, unsigned long size)
{
    char path[96];
    FILE *f;

    snprintf(path, sizeof(path), "/sys/class/net/%s/ifalias", interface);
    f = fopen(path, "re");
    if (f == NULL) {
        return -errno;
    }
    if (fgets(text, (int)size, f) == NULL) {
        text[0] = '\0';
    }
    fclose(f);
    text[strcspn(text, "\n")] = '\0';
    return 0;
}
