/*
 * xenstored: see store.h.
 */
#include "store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <xenstore.h>

#include "host.h"

#define NODES        160U
#define WATCHES      48U
#define EVENTS       128U
#define TRANSACTIONS 6U
#define CHANGES      64U
#define TOUCHED      64U
#define GIVE_WAY     60U /* in a thousand, at each request */

struct node {
    char path[STORE_PATH]; /* empty: free */
    uint32_t hash;
    char value[STORE_VALUE];
};

static struct node nodes[NODES];
static unsigned int nr_nodes;

static struct {
    bool used;
    enum store_client client;
    char path[STORE_PATH], token[STORE_TOKEN];
} watches[WATCHES];

static struct {
    struct store_event events[EVENTS];
    unsigned int head, tail;
} queues[NR_CLIENTS];

/* The latest changes, for transactions to compare with. */
static struct {
    uint32_t hash;
} changes[CHANGES];
static uint64_t generation;

static struct transaction {
    bool used;
    enum store_client client;
    uint64_t began;
    uint32_t touched[TOUCHED];
    unsigned int nr_touched;
    struct {
        char path[STORE_PATH];
        bool removed;
        char value[STORE_VALUE];
    } writes[24];
    unsigned int nr_writes;
} transactions[TRANSACTIONS];

uint32_t sim_store_conflicts, sim_store_fails;
unsigned int sim_store_failed;
void (*sim_store_on_change)(enum store_client c, const char *path, const char *value);

static uint32_t hash_of(const char *path)
{
    uint32_t h = 2166136261U;

    for (; *path != '\0'; path++) {
        h = (h ^ (uint8_t)*path) * 16777619U;
    }
    return h;
}

static struct node *node_find(const char *path)
{
    uint32_t h = hash_of(path);

    for (unsigned int i = 0; i < nr_nodes; i++) {
        if (nodes[i].hash == h && strcmp(nodes[i].path, path) == 0) {
            return &nodes[i];
        }
    }
    return NULL;
}

/* Whether `path` is `dir` or below it. */
static bool is_below(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    return strncmp(path, dir, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static void note_change(const char *path)
{
    changes[generation++ % CHANGES].hash = hash_of(path);
}

static void queue_event(unsigned int watch, const char *path)
{
    enum store_client c = watches[watch].client;
    struct store_event *e;

    for (unsigned int i = queues[c].head; i != queues[c].tail; i++) {
        e = &queues[c].events[i % EVENTS];
        if (strcmp(e->path, path) == 0 && strcmp(e->token, watches[watch].token) == 0) {
            return; /* as xenstored does: one that waits already tells the same */
        }
    }
    sim_require(queues[c].tail - queues[c].head < EVENTS);
    e = &queues[c].events[queues[c].tail++ % EVENTS];
    snprintf(e->path, sizeof(e->path), "%s", path);
    snprintf(e->token, sizeof(e->token), "%s", watches[watch].token);
}

/* `exact`: only who watches this very node, as for what went with the node above it. */
static void fire(const char *path, bool exact)
{
    for (unsigned int i = 0; i < WATCHES; i++) {
        if (watches[i].used &&
            (exact ? strcmp(path, watches[i].path) == 0 : is_below(path, watches[i].path))) {
            queue_event(i, path);
        }
    }
}

static void apply_write(enum store_client c, const char *path, const char *value)
{
    struct node *n = node_find(path);

    sim_require(strlen(path) < STORE_PATH && strlen(value) < STORE_VALUE);
    if (n == NULL) {
        for (n = nodes; n < nodes + nr_nodes && n->path[0] != '\0'; n++) {
        }
        sim_require(n < nodes + NODES);
        nr_nodes += n == nodes + nr_nodes ? 1 : 0;
        strcpy(n->path, path);
        n->hash = hash_of(path);
    }
    strcpy(n->value, value);
    note_change(path);
    if (sim_store_on_change != NULL) {
        sim_store_on_change(c, path, value);
    }
    fire(path, false);
}

static void apply_rm(enum store_client c, const char *path)
{
    for (unsigned int i = 0; i < nr_nodes; i++) {
        if (nodes[i].path[0] == '\0' || !is_below(nodes[i].path, path)) {
            continue;
        }
        note_change(nodes[i].path);
        if (sim_store_on_change != NULL) {
            sim_store_on_change(c, nodes[i].path, NULL);
        }
        if (strcmp(nodes[i].path, path) != 0) {
            fire(nodes[i].path, true);
        }
        nodes[i].path[0] = '\0';
        nodes[i].hash = 0;
    }
    fire(path, false);
}

static struct transaction *transaction_of(uint32_t t)
{
    sim_require(t != 0 && t <= TRANSACTIONS && transactions[t - 1].used);
    return &transactions[t - 1];
}

static void touch(uint32_t t, const char *path)
{
    struct transaction *x;

    if (t != 0) {
        x = transaction_of(t);
        sim_require(x->nr_touched < TOUCHED);
        x->touched[x->nr_touched++] = hash_of(path);
    }
}

/* Others get their turn; then it may fail. */
static int enter(enum store_client c)
{
    task_give_way(GIVE_WAY);
    if (c == CLIENT_SUPERVISOR && sim_chance(sim_store_fails)) {
        sim_store_failed++;
        return sim_chance(500) ? -EIO : -ENOMEM;
    }
    return 0;
}

int sim_store_read(enum store_client c, uint32_t t, const char *path, const char **value)
{
    int err = enter(c);
    struct node *n;

    if (err != 0) {
        return err;
    }
    touch(t, path);
    if (t != 0) {
        struct transaction *x = transaction_of(t);

        for (unsigned int i = x->nr_writes; i-- > 0;) {
            if (strcmp(x->writes[i].path, path) == 0) {
                *value = x->writes[i].value;
                return x->writes[i].removed ? -ENOENT : 0;
            }
        }
    }
    n = node_find(path);
    if (n != NULL) {
        *value = n->value;
        return 0;
    }
    for (unsigned int i = 0; i < nr_nodes; i++) {
        if (nodes[i].path[0] != '\0' && is_below(nodes[i].path, path)) {
            *value = ""; /* a directory */
            return 0;
        }
    }
    return -ENOENT;
}

static void note_write(uint32_t t, const char *path, const char *value)
{
    struct transaction *x = transaction_of(t);

    sim_require(x->nr_writes < sizeof(x->writes) / sizeof(x->writes[0]));
    snprintf(x->writes[x->nr_writes].path, STORE_PATH, "%s", path);
    snprintf(x->writes[x->nr_writes].value, STORE_VALUE, "%s", value != NULL ? value : "");
    x->writes[x->nr_writes++].removed = value == NULL;
}

int sim_store_write(enum store_client c, uint32_t t, const char *path, const char *value)
{
    int err = enter(c);

    if (err != 0) {
        return err;
    }
    touch(t, path);
    if (t != 0) {
        note_write(t, path, value);
    } else {
        apply_write(c, path, value);
    }
    return 0;
}

int sim_store_rm(enum store_client c, uint32_t t, const char *path)
{
    int err = enter(c);

    if (err != 0) {
        return err;
    }
    touch(t, path);
    if (t != 0) {
        note_write(t, path, NULL);
    } else {
        apply_rm(c, path);
    }
    return 0;
}

uint32_t sim_store_begin(enum store_client c)
{
    uint32_t t = 0;

    if (enter(c) != 0) {
        return 0;
    }
    while (transactions[t].used) {
        t++;
        sim_require(t < TRANSACTIONS);
    }
    transactions[t].used = true;
    transactions[t].client = c;
    transactions[t].began = generation;
    transactions[t].nr_touched = transactions[t].nr_writes = 0;
    return t + 1;
}

static bool conflicts(const struct transaction *x)
{
    if (generation - x->began > CHANGES) {
        return true;
    }
    for (uint64_t g = x->began; g != generation; g++) {
        for (unsigned int i = 0; i < x->nr_touched; i++) {
            if (x->touched[i] == changes[g % CHANGES].hash) {
                return true;
            }
        }
    }
    return false;
}

int sim_store_end(enum store_client c, uint32_t t, bool commit)
{
    struct transaction *x = transaction_of(t);

    task_give_way(GIVE_WAY);
    x->used = false;
    if (!commit) {
        return 0;
    }
    if (conflicts(x) || sim_chance(sim_store_conflicts)) {
        return -EAGAIN;
    }
    for (unsigned int i = 0; i < x->nr_writes; i++) {
        if (x->writes[i].removed) {
            apply_rm(c, x->writes[i].path);
        } else {
            apply_write(c, x->writes[i].path, x->writes[i].value);
        }
    }
    return 0;
}

/* Whether a name of `len` bytes is in the list already. */
static bool is_listed(const char *list, size_t bytes, const char *name, size_t len)
{
    for (size_t i = 0; i < bytes; i += strlen(list + i) + 1) {
        if (strlen(list + i) == len && memcmp(list + i, name, len) == 0) {
            return true;
        }
    }
    return false;
}

int sim_store_list(uint32_t t, const char *path, char *out, size_t size)
{
    size_t len = strlen(path), bytes = 0;
    bool there = false;

    (void)t;
    task_give_way(GIVE_WAY);
    for (unsigned int i = 0; i < nr_nodes; i++) {
        const char *name = nodes[i].path + len + 1;
        size_t n;

        if (nodes[i].path[0] == '\0' || !is_below(nodes[i].path, path)) {
            continue;
        }
        there = true;
        if (nodes[i].path[len] == '\0') {
            continue;
        }
        n = strcspn(name, "/");
        if (!is_listed(out, bytes, name, n)) {
            sim_require(bytes + n + 1 <= size);
            memcpy(out + bytes, name, n);
            out[bytes + n] = '\0';
            bytes += n + 1;
        }
    }
    return there ? (int)bytes : -ENOENT;
}

int sim_store_watch(enum store_client c, const char *path, const char *token)
{
    unsigned int i = 0;
    int err = enter(c);

    if (err != 0) {
        return err;
    }
    while (watches[i].used) {
        i++;
        sim_require(i < WATCHES);
    }
    watches[i].used = true;
    watches[i].client = c;
    snprintf(watches[i].path, STORE_PATH, "%s", path);
    snprintf(watches[i].token, STORE_TOKEN, "%s", token);
    queue_event(i, path);
    return 0;
}

int sim_store_unwatch(enum store_client c, const char *path, const char *token)
{
    task_give_way(GIVE_WAY);
    for (unsigned int i = 0; i < WATCHES; i++) {
        if (watches[i].used && watches[i].client == c && strcmp(watches[i].path, path) == 0 &&
            strcmp(watches[i].token, token) == 0) {
            watches[i].used = false;
            return 0;
        }
    }
    return -ENOENT;
}

bool sim_store_has_event(enum store_client c)
{
    return queues[c].head != queues[c].tail;
}

bool sim_store_event(enum store_client c, struct store_event *event)
{
    if (!sim_store_has_event(c)) {
        return false;
    }
    *event = queues[c].events[queues[c].head++ % EVENTS];
    return true;
}

void sim_store_leave(enum store_client c)
{
    for (unsigned int i = 0; i < WATCHES; i++) {
        if (watches[i].client == c) {
            watches[i].used = false;
        }
    }
    for (unsigned int i = 0; i < TRANSACTIONS; i++) {
        if (transactions[i].client == c) {
            transactions[i].used = false;
        }
    }
    queues[c].head = queues[c].tail = 0;
}

/* ---- libxenstore, for the supervisor ---- */

static bool outcome(int err)
{
    errno = -err;
    return err == 0;
}

struct xs_handle *xs_open(unsigned long flags)
{
    (void)flags;
    return (struct xs_handle *)nodes;
}

void xs_close(struct xs_handle *h)
{
    (void)h;
    sim_store_leave(CLIENT_SUPERVISOR);
}

int xs_fileno(struct xs_handle *h)
{
    (void)h;
    return 97;
}

static void *copy_of(const void *bytes, size_t len)
{
    struct process *p = process_current();
    char *copy = heap_alloc(p->heap, len + 1);

    memcpy(copy, bytes, len);
    copy[len] = '\0';
    return copy;
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *len)
{
    const char *value = "";

    (void)h;
    if (!outcome(sim_store_read(CLIENT_SUPERVISOR, t, path, &value))) {
        return NULL;
    }
    if (len != NULL) {
        *len = (unsigned int)strlen(value);
    }
    return copy_of(value, strlen(value));
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data,
              unsigned int len)
{
    char value[STORE_VALUE];

    (void)h;
    snprintf(value, sizeof(value), "%.*s", (int)len, (const char *)data);
    return outcome(sim_store_write(CLIENT_SUPERVISOR, t, path, value));
}

bool xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path)
{
    (void)h;
    return outcome(sim_store_rm(CLIENT_SUPERVISOR, t, path));
}

/* Pointers and names in one piece, as the library does. */
char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *num)
{
    char names[1024];
    int bytes = sim_store_list(t, path, names, sizeof(names));
    unsigned int n = 0;
    char **list;
    char *at;

    (void)h;
    *num = 0;
    if (bytes < 0) {
        errno = -bytes;
        return NULL;
    }
    for (int i = 0; i < bytes; i++) {
        n += names[i] == '\0' ? 1 : 0;
    }
    list = heap_alloc(process_current()->heap, (n + 1) * sizeof(*list) + (size_t)bytes);
    at = (char *)&list[n + 1];
    memcpy(at, names, (size_t)bytes);
    for (unsigned int i = 0; i < n; i++, at += strlen(at) + 1) {
        list[i] = at;
    }
    *num = n;
    return list;
}

xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
    uint32_t t = sim_store_begin(CLIENT_SUPERVISOR);

    (void)h;
    errno = t == 0 ? EIO : 0;
    return t;
}

bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abandon)
{
    (void)h;
    return outcome(sim_store_end(CLIENT_SUPERVISOR, t, !abandon));
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
    (void)h;
    return outcome(sim_store_watch(CLIENT_SUPERVISOR, path, token));
}

bool xs_unwatch(struct xs_handle *h, const char *path, const char *token)
{
    (void)h;
    return outcome(sim_store_unwatch(CLIENT_SUPERVISOR, path, token));
}

char **xs_check_watch(struct xs_handle *h)
{
    struct store_event e;
    char **out;

    (void)h;
    if (!sim_store_event(CLIENT_SUPERVISOR, &e)) {
        errno = EAGAIN;
        return NULL;
    }
    out = heap_alloc(process_current()->heap, 2 * sizeof(*out) + sizeof(e));
    memcpy(&out[2], &e, sizeof(e));
    out[XS_WATCH_PATH] = (char *)&out[2];
    out[XS_WATCH_TOKEN] = (char *)&out[2] + offsetof(struct store_event, token);
    return out;
}

/* ---- the toolstack ---- */

const char *store_look(const char *path)
{
    struct node *n = node_find(path);

    return n != NULL ? n->value : NULL;
}

void store_put(const char *path, const char *value)
{
    apply_write(CLIENT_TOOLS, path, value);
}

void store_remove(const char *path)
{
    apply_rm(CLIENT_TOOLS, path);
}

void store_reset(void)
{
    for (unsigned int i = 0; i < nr_nodes; i++) {
        nodes[i].path[0] = '\0';
        nodes[i].hash = 0;
    }
    nr_nodes = 0;
    memset(watches, 0, sizeof(watches));
    for (unsigned int i = 0; i < NR_CLIENTS; i++) {
        queues[i].head = queues[i].tail = 0;
    }
    for (unsigned int i = 0; i < TRANSACTIONS; i++) {
        transactions[i].used = false;
    }
    generation = 0;
    sim_store_conflicts = sim_store_fails = 0;
    sim_store_failed = 0;
    sim_store_on_change = NULL;
}
