/*
 * A store of any bytes: see fake_store.h.
 */
#include "fake_store.h"

#include <errno.h>
#include <xenstore.h>

#include "input.h"

enum { NODES = 96, PATH_BYTES = 200, VALUE_BYTES = 4096 };

static struct {
    char path[PATH_BYTES]; /* empty: free */
    char *value;
    size_t len;
} nodes[NODES];
static unsigned int nr_nodes; /* no node is behind these */

unsigned int fuzz_store_conflicts;
bool fuzz_store_failing;
void (*fuzz_store_on_write)(const char *path, const char *value);

void fuzz_store_reset(void)
{
    for (unsigned int i = 0; i < nr_nodes; i++) {
        free(nodes[i].value);
        nodes[i].value = NULL;
        nodes[i].path[0] = '\0';
    }
    nr_nodes = 0;
    fuzz_store_conflicts = 0;
    fuzz_store_failing = false;
    fuzz_store_on_write = NULL;
}

/* A node's place, or that of a free one, or the end of the table. */
static unsigned int find(const char *path)
{
    unsigned int i = 0;

    while (i < nr_nodes && strcmp(nodes[i].path, path) != 0) {
        i++;
    }
    return i;
}

void fuzz_store_put(const char *path, const void *value, size_t len)
{
    unsigned int i = find(path);

    if (value == NULL && i == nr_nodes) {
        return;
    }
    if (i == nr_nodes && path[0] != '\0') {
        i = find("");
    }
    require(i < NODES && strlen(path) < PATH_BYTES && len < VALUE_BYTES);
    free(nodes[i].value);
    nodes[i].value = NULL;
    strcpy(nodes[i].path, value != NULL ? path : "");
    nr_nodes += i == nr_nodes ? 1 : 0;
    if (value != NULL) {
        nodes[i].value = malloc(len + 1);
        require(nodes[i].value != NULL);
        memcpy(nodes[i].value, value, len);
        nodes[i].value[len] = '\0';
        nodes[i].len = len;
    }
}

void fuzz_store_put_text(const char *path, const char *text)
{
    fuzz_store_put(path, text, strlen(text));
}

void fuzz_store_keys(struct input *in, const char *const *paths, unsigned int nr)
{
    static uint8_t value[VALUE_BYTES];

    while (in->left != 0) {
        const char *path = paths[input_u8(in) % nr];
        size_t len = input_u8(in);

        len = len >= 0xfd ? (len - 0xfc) * 1100 : len % 40;
        memset(value, '7', len);
        for (size_t i = 0; i < len && in->left != 0; i++) {
            value[i] = input_u8(in);
        }
        fuzz_store_put(path, value, len);
    }
}

bool fuzz_store_harmless(const char *sentence)
{
    for (const char *s = sentence; *s != '\0'; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f) {
            return false;
        }
    }
    return sentence[0] != '\0';
}

const char *fuzz_store_get(const char *path, size_t *len)
{
    unsigned int i = find(path);

    if (i == nr_nodes || nodes[i].value == NULL) {
        return NULL;
    }
    *len = nodes[i].len;
    return nodes[i].value;
}

int fuzz_store_number(const char *dir, const char *key, unsigned long long max,
                      unsigned long long *out)
{
    char path[PATH_BYTES];
    const char *value;
    size_t len;

    snprintf(path, sizeof(path), "%s/%s", dir, key);
    value = fuzz_store_get(path, &len);
    if (value == NULL) {
        return 0;
    }
    *out = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned int digit = (unsigned int)(value[i] - '0');

        if (digit > 9 || digit > max || *out > (max - digit) / 10) {
            return -1;
        }
        *out = *out * 10 + digit;
    }
    return len != 0 && len <= 64 ? 1 : -1;
}

struct xs_handle *xs_open(unsigned long flags)
{
    (void)flags;
    return (struct xs_handle *)nodes;
}

void xs_close(struct xs_handle *h)
{
    (void)h;
}

int xs_fileno(struct xs_handle *h)
{
    (void)h;
    return -1;
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *len)
{
    size_t n = 0;
    const char *value = fuzz_store_get(path, &n);
    char *copy;

    (void)h;
    (void)t;
    if (value == NULL || fuzz_store_failing) {
        errno = fuzz_store_failing ? EIO : ENOENT;
        return NULL;
    }
    copy = malloc(n + 1);
    require(copy != NULL);
    memcpy(copy, value, n + 1);
    if (len != NULL) {
        *len = (unsigned int)n;
    }
    return copy;
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data,
              unsigned int len)
{
    const unsigned char *text = data;

    (void)h;
    (void)t;
    for (unsigned int i = 0; i < len; i++) {
        require(text[i] >= 0x20 && text[i] != 0x7f);
    }
    if (fuzz_store_failing) {
        errno = EIO;
        return false;
    }
    fuzz_store_put(path, data, len);
    if (fuzz_store_on_write != NULL) {
        fuzz_store_on_write(path, fuzz_store_get(path, &(size_t){0}));
    }
    return true;
}

bool xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path)
{
    (void)h;
    (void)t;
    fuzz_store_put(path, NULL, 0);
    return true;
}

char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *num)
{
    (void)h;
    (void)t;
    (void)path;
    *num = 0;
    errno = ENOENT;
    return NULL;
}

xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
    (void)h;
    return 1;
}

bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abandon)
{
    (void)h;
    (void)t;
    if (!abandon && fuzz_store_conflicts != 0) {
        fuzz_store_conflicts--;
        errno = EAGAIN;
        return false;
    }
    return true;
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
    (void)h;
    (void)path;
    (void)token;
    return true;
}

bool xs_unwatch(struct xs_handle *h, const char *path, const char *token)
{
    (void)h;
    (void)path;
    (void)token;
    return true;
}

char **xs_check_watch(struct xs_handle *h)
{
    (void)h;
    errno = EAGAIN;
    return NULL;
}
