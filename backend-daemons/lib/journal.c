/*
 * Messages with fields: see journal.h. The socket is the only state. A datagram that the journal
 * does not take at once, or not at all, goes to standard error.
 */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

/* A line of the log, a name of xl's at its longest, and the rest. */
#define JOURNAL_ENTRY_MAX 8192

static int journal_socket = -1;

/* Whether standard error leads to the journal: systemd.exec(5), $JOURNAL_STREAM. */
static bool journal_is_stderr(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char own[64];
    struct stat st;

    if (stream == NULL || fstat(STDERR_FILENO, &st) < 0) {
        return false;
    }
    snprintf(own, sizeof(own), "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    return strcmp(stream, own) == 0;
}

/* The domain's name as a field, with the bytes of a line. Returns the length, 0 for none. */
static int journal_put_domain(char *entry, unsigned long size, const struct log_id *id)
{
    static const char key[] = "DUET_DOMAIN=";
    unsigned long n = sizeof(key) - 1;

    if (id->domain == NULL || size < sizeof(key) + 1) {
        return 0;
    }
    memcpy(entry, key, n);
    n += log_escape(entry + n, size - n - 1, id->domain);
    entry[n++] = '\n';
    return (int)n;
}

static bool journal_take(int priority, const struct log_id *id, const char *text)
{
    char entry[JOURNAL_ENTRY_MAX], name[64];
    int n;

    if (id == NULL || id->class == NULL || id->domid < 0) {
        return false;
    }
    log_name(name, sizeof(name), id);
    n = snprintf(entry, sizeof(entry),
                 "PRIORITY=%d\nSYSLOG_IDENTIFIER=%s\nDUET_DOMID=%d\nDUET_DEVICE=%s/%d\n"
                 "MESSAGE=%s%s\n",
                 priority, program_invocation_short_name, id->domid, id->class, id->device, name,
                 text);
    n += journal_put_domain(entry + n, sizeof(entry) - n, id);
    return write(journal_socket, entry, n) == n;
}

void journal_begin(const char *path)
{
    struct sockaddr_un journal = {.sun_family = AF_UNIX};
    int fd;

    if (!journal_is_stderr()) {
        return;
    }
    snprintf(journal.sun_path, sizeof(journal.sun_path), "%s", path);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&journal, sizeof(journal)) < 0) {
        log_msg(LOG_NOTICE, NULL, "%s: messages have no fields: %s", path, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    journal_socket = fd;
    log_set_sink(journal_take);
}

void journal_end(void)
{
    if (journal_socket >= 0) {
        log_set_sink(NULL);
        close(journal_socket);
        journal_socket = -1;
    }
}
