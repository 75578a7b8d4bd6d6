/*
 * Reports on a host: see bundle.h. The files are made in a folder of /var/tmp, where they may be
 * large, and tar packs them.
 */
#include "bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe.h"
#include "redact.h"
#include "text.h"
#include "xenbus.h"

enum { PACK_SECONDS = 120, TAR_SAYS_MOST = 4096 };

int bundle_begin(struct bundle *bundle, const char *name)
{
    char parent[] = "/var/tmp/duet-bundle.XXXXXX";

    if (mkdtemp(parent) == NULL) {
        return -errno;
    }
    bundle->dir = store_join(parent, name);
    bundle->items = cJSON_CreateArray();
    if (mkdir(bundle->dir, 0700) != 0) {
        int err = -errno;

        rmdir(parent);
        free(bundle->dir);
        cJSON_Delete(bundle->items);
        *bundle = (struct bundle){0};
        return err;
    }
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void bundle_remove(struct bundle *bundle)
{
    if (bundle->dir != NULL) {
        nftw(dirname(bundle->dir), remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
    free(bundle->dir);
    cJSON_Delete(bundle->items);
    *bundle = (struct bundle){0};
}

/* A file of the report; NULL: errno says why. */
static FILE *begin_file(const struct bundle *bundle, const char *name)
{
    char *path = store_join(bundle->dir, name);
    FILE *file = fopen(path, "wxe");

    free(path);
    return file;
}

/* Closes and lists it: @what tells where it comes from, @lacks what is wrong with it, NULL if
 * nothing. 0 or -errno. */
static int end_file(struct bundle *bundle, FILE *file, const char *name, const char *what,
                    const char *lacks)
{
    cJSON *item = cJSON_CreateObject();
    long bytes = ftell(file);
    bool bad = ferror(file) != 0;

    cJSON_AddStringToObject(item, "file", name);
    json_add_text(item, "what", what);
    cJSON_AddNumberToObject(item, "bytes", (double)bytes);
    json_add_text(item, "lacks", lacks);
    cJSON_AddItemToArray(bundle->items, item);
    errno = EIO;
    return fclose(file) != 0 || bad ? -errno : 0;
}

/* The last bytes of a file, as a program would have said them. What /proc has comes in pieces, and
 * has no size. */
static int read_end(const char *path, size_t most, struct probe *probe)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
    struct stat st;
    ssize_t n = -1;

    if (fd < 0) {
        return -errno;
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        off_t from = st.st_size > (off_t)most ? st.st_size - (off_t)most : 0;

        probe->cut = from > 0;
        probe->text = must_alloc(most);
        do {
            n = pread(fd, probe->text + probe->len, most - probe->len, from + (off_t)probe->len);
            probe->len += n > 0 ? (size_t)n : 0;
        } while (n > 0);
    }
    close(fd);
    return n < 0 ? -EINVAL : 0;
}

/* What is wrong with an answer, in words; NULL if nothing is. */
static const char *lacking(int err, const struct probe *probe, char *why, size_t size)
{
    if (err != 0) {
        snprintf(why, size, "%s", strerror(-err));
    } else if (probe->late) {
        snprintf(why, size, "did not end within %lld ms", probe->took_ms);
    } else if (probe->cut) {
        snprintf(why, size, "cut after %zu bytes", probe->len);
    } else if (WIFSIGNALED(probe->status)) {
        snprintf(why, size, "killed by signal %d", WTERMSIG(probe->status));
    } else {
        return NULL; /* its exit status may be its answer: it is in its text */
    }
    return why;
}

static unsigned long count_redacted(const char *text, size_t len)
{
    const char *end = text + len;
    unsigned long count = 0;

    for (; (text = memmem(text, (size_t)(end - text), REDACTED, sizeof(REDACTED) - 1)) != NULL;
         text++) {
        count++;
    }
    return count;
}

/* Writes an answer, without its secrets. */
static int add_answer(struct bundle *bundle, const struct bundle_item *item, const char *what,
                      const struct probe *probe, const char *lacks)
{
    FILE *file = begin_file(bundle, item->name);
    size_t len;
    char *text;

    if (file == NULL) {
        return -errno;
    }
    text = redact_text(probe->text != NULL ? probe->text : "", probe->len, &len);
    bundle->left_out += count_redacted(text, len);
    fwrite(text, 1, len, file);
    free(text);
    if (item->path == NULL && WIFEXITED(probe->status) && WEXITSTATUS(probe->status) != 0) {
        fprintf(file, "\n[exit status %d]\n", WEXITSTATUS(probe->status));
    }
    return end_file(bundle, file, item->name, what, lacks);
}

/* The words of a command, with blanks between, as a user would type it. */
static char *words_of(const char *const argv[])
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    for (unsigned int i = 0; out != NULL && argv[i] != NULL; i++) {
        fprintf(out, "%s%s", i > 0 ? " " : "",
                strcmp(argv[i], BUNDLE_SELF) == 0 ? "xenbus" : argv[i]);
    }
    return out != NULL && fclose(out) == 0 ? text : must_strdup(argv[0]);
}

int bundle_add(struct bundle *bundle, const struct bundle_item *item)
{
    char *what = item->path != NULL ? must_strdup(item->path) : words_of(item->argv);
    size_t most = item->most != 0 ? item->most : bundle->most;
    const struct question question = {.argv = (char *const *)item->argv,
                                      .seconds = bundle->seconds,
                                      .most = most,
                                      .stop = bundle->stop};
    struct probe probe = {0};
    char why[128];
    int err;

    err = item->path != NULL ? read_end(item->path, most, &probe) : probe_run(&question, &probe);
    if (err != -EINTR && !(err == -ENOENT && item->optional)) {
        err = add_answer(bundle, item, what, &probe, lacking(err, &probe, why, sizeof(why)));
    }
    probe_free(&probe);
    free(what);
    return err == -ENOENT ? 0 : err;
}

static int write_list(struct bundle *bundle)
{
    FILE *file = begin_file(bundle, "contents.json");

    if (file == NULL) {
        return -errno;
    }
    json_write(file, cJSON_Duplicate(bundle->items, true), true);
    putc('\n', file);
    return end_file(bundle, file, "contents.json", "this list", NULL);
}

int bundle_pack(struct bundle *bundle, int fd, char *why, size_t why_size)
{
    char *parent = must_strdup(bundle->dir), *name = must_strdup(bundle->dir);
    char *const argv[] = {
        "tar", "--create",      "--gzip",       "--file=-", "--owner=root:0", "--group=root:0",
        "-C",  dirname(parent), basename(name), NULL};
    const struct question question = {
        .argv = argv, .seconds = PACK_SECONDS, .most = TAR_SAYS_MOST, .stop = bundle->stop};
    struct probe probe = {0};
    int err = write_list(bundle);

    err = err != 0 ? err : probe_run_into(fd, &question, &probe);
    if (err != 0) {
        snprintf(why, why_size, "%s", strerror(-err));
    } else if (probe.late || probe.status != 0) {
        snprintf(why, why_size, "tar %s: %.*s", probe.late ? "did not end" : "failed",
                 (int)probe.len, probe.text != NULL ? probe.text : "");
        err = -1;
    }
    probe_free(&probe);
    free(parent);
    free(name);
    return err != 0 ? -1 : 0;
}
