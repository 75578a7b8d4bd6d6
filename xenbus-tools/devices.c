/*
 * Reading the devices of a host: see devices.h.
 *
 * First every backend directory is read, then every frontend directory. The path of the backend
 * joins the two. Frontend directories belong to guests: what they claim is checked against the
 * backend's own `frontend` key, which only the toolstack writes.
 */
#include "devices.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "xenbus.h"

/* What is read once per domain however many devices it has. */
struct domain {
    unsigned int domid;
    char *name;
    /* Drivers have left messages below its error directory. */
    bool has_errors;
    UT_hash_handle hh;
};

struct reader {
    const struct store_view *view;
    const struct device_filter *filter;
    /* The domain that the filter names; only with @one_domain. */
    bool one_domain;
    unsigned int domid;
    struct device *devices;
    struct domain *domains;
};

/* Calls @visit with the joined path and the name of each child of @path. */
static void for_each_child(struct reader *reader, const char *path,
                           void (*visit)(struct reader *, const char *path, const char *name,
                                         void *context),
                           void *context)
{
    unsigned int n = 0;
    char **names = view_children(reader->view, path, &n);

    for (unsigned int i = 0; names != NULL && i < n; i++) {
        char *child = store_join(path, names[i]);

        visit(reader, child, names[i], context);
        free(child);
    }
    free(names);
}

static char *read_key(const struct reader *reader, const char *dir, const char *key)
{
    char *path = store_join(dir, key), *value = view_read(reader->view, path);

    free(path);
    return value;
}

bool parse_domid(const char *text, unsigned int *domid)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    *domid = (unsigned int)value;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && value < 0x7ff0;
}

unsigned int domid_of(const char *path)
{
    static const char homes[] = "/local/domain/";
    char digits[6] = "";
    unsigned int domid = 0;
    size_t n;

    if (strncmp(path, homes, sizeof(homes) - 1) != 0) {
        return 0;
    }
    path += sizeof(homes) - 1;
    n = strspn(path, "0123456789");
    if (n < sizeof(digits)) {
        memcpy(digits, path, n);
    }
    return parse_domid(digits, &domid) ? domid : 0;
}

static struct domain *get_domain(struct reader *reader, unsigned int domid)
{
    struct domain *domain = NULL;
    char path[32], *errors;
    unsigned int n = 0;

    HASH_FIND_INT(reader->domains, &domid, domain);
    if (domain != NULL) {
        return domain;
    }
    snprintf(path, sizeof(path), "/local/domain/%u", domid);
    domain = must_alloc(sizeof(*domain));
    domain->domid = domid;
    domain->name = read_key(reader, path, "name");
    errors = store_join(path, "error");
    free(view_children(reader->view, errors, &n));
    free(errors);
    domain->has_errors = n > 0;
    HASH_ADD_INT(reader->domains, domid, domain);
    return domain;
}

static void free_domains(struct reader *reader)
{
    struct domain *next = reader->domains;

    HASH_CLEAR(hh, reader->domains);
    while (next != NULL) {
        struct domain *domain = next;

        next = domain->hh.next;
        free(domain->name);
        free(domain);
    }
}

static bool domain_wanted(const struct reader *reader, unsigned int domid)
{
    return !reader->one_domain || reader->domid == domid;
}

static struct device *add_device(struct reader *reader, const char *key, const char *class,
                                 const char *name)
{
    struct device *device = must_alloc(sizeof(*device));

    device->key = must_strdup(key);
    device->class = must_strdup(class);
    device->device = must_strdup(name);
    device->front.state = device->back.state = STATE_ABSENT;
    HASH_ADD_KEYPTR(hh, reader->devices, device->key, strlen(device->key), device);
    return device;
}

static int read_state(const struct reader *reader, const char *dir)
{
    char *text = read_key(reader, dir, "state");
    int state = state_parse(text);

    free(text);
    return state;
}

/* The keys that tell devices of a kind apart, joined by spaces into one string. */
static char *read_details(const struct reader *reader, const char *dir, const char *kind)
{
    static const struct {
        const char *kind;
        const char *keys[3];
    } known[] = {
        {"vbd", {"params", "mode"}},   {"vbd3", {"params", "mode"}},
        {"qdisk", {"params", "mode"}}, {"vif", {"mac", "bridge", "vifname"}},
        {"9pfs", {"path", "tag"}},
    };
    char *details = must_strdup("");

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(known[i].kind, kind) != 0) {
            continue;
        }
        for (size_t k = 0; k < 3 && known[i].keys[k] != NULL; k++) {
            char *value = read_key(reader, dir, known[i].keys[k]);
            char *longer = NULL;

            if (value != NULL &&
                asprintf(&longer, "%s%s%s", details, *details ? " " : "", value) > 0) {
                free(details);
                details = longer;
            }
            free(value);
        }
    }
    return details;
}

/* What a driver left in DOMAIN/error/NODE/error, where NODE is the device's path below DOMAIN. */
static char *read_error(struct reader *reader, unsigned int domid, const char *path,
                        char **error_path)
{
    char domain[32], *dir, *error;
    size_t len = (size_t)snprintf(domain, sizeof(domain), "/local/domain/%u", domid);

    if (path == NULL || !get_domain(reader, domid)->has_errors) {
        return NULL;
    }
    if (strncmp(path, domain, len) != 0 || path[len] != '/') {
        return NULL;
    }
    if (asprintf(&dir, "%s/error%s", domain, path + len) < 0) {
        return NULL;
    }
    error = read_key(reader, dir, "error");
    if (error != NULL) {
        *error_path = store_join(dir, "error");
    }
    free(dir);
    return error;
}

struct backend_place {
    unsigned int backend_domid;
    const char *kind;
    unsigned int domid;
};

/* /local/domain/B/backend/KIND/D/N */
static void visit_backend(struct reader *reader, const char *path, const char *name, void *context)
{
    const struct backend_place *place = context;
    struct device *device = add_device(reader, path, place->kind, name);

    device->back_path = must_strdup(path);
    device->kind = must_strdup(place->kind);
    device->domid = place->domid;
    device->backend_domid = place->backend_domid;
    device->back.there = true;
    device->back.state = read_state(reader, path);
    device->details = read_details(reader, path, place->kind);
    device->front_path = read_key(reader, path, "frontend");
}

static void visit_backend_domain(struct reader *reader, const char *path, const char *name,
                                 void *context)
{
    struct backend_place *place = context;

    if (parse_domid(name, &place->domid) && domain_wanted(reader, place->domid)) {
        for_each_child(reader, path, visit_backend, place);
    }
}

static void visit_backend_kind(struct reader *reader, const char *path, const char *name,
                               void *context)
{
    struct backend_place *place = context;

    place->kind = name;
    for_each_child(reader, path, visit_backend_domain, place);
}

static void visit_domain_backends(struct reader *reader, const char *path, const char *name,
                                  void *context)
{
    struct backend_place place;
    char *dir = store_join(path, "backend");

    (void)context;
    if (parse_domid(name, &place.backend_domid)) {
        for_each_child(reader, dir, visit_backend_kind, &place);
    }
    free(dir);
}

/* Joins the frontend at @path to its backend, if that one agrees. */
static struct device *join_frontend(struct reader *reader, const char *path, unsigned int domid,
                                    const char *class, const char *name)
{
    char *backend = read_key(reader, path, "backend");
    struct device *device = NULL;

    if (backend == NULL) {
        return NULL;
    }
    HASH_FIND_STR(reader->devices, backend, device);
    if (device == NULL || device->front_path == NULL || strcmp(device->front_path, path) != 0) {
        char *claimed = device != NULL ? must_strdup("backend serves another frontend") : NULL;

        device = add_device(reader, path, class, name);
        device->domid = domid;
        device->front_path = must_strdup(path);
        device->details = backend;
        device->why = claimed;
        device->backend_domid = domid_of(backend);
    } else {
        free(device->class);
        device->class = must_strdup(class);
        free(backend);
    }
    device->front.there = true;
    return device;
}

struct frontend_place {
    unsigned int domid;
    const char *class;
};

/* /local/domain/D/device/CLASS/N */
static void visit_frontend(struct reader *reader, const char *path, const char *name, void *context)
{
    const struct frontend_place *place = context;
    struct device *device = join_frontend(reader, path, place->domid, place->class, name);

    if (device != NULL) {
        device->front.state = read_state(reader, path);
    }
}

static void visit_frontend_class(struct reader *reader, const char *path, const char *name,
                                 void *context)
{
    struct frontend_place *place = context;

    place->class = name;
    for_each_child(reader, path, visit_frontend, place);
}

/* The primary console has a directory of its own and no handshake. */
static void visit_primary_console(struct reader *reader, const char *domain, unsigned int domid)
{
    char *path = store_join(domain, "console");
    struct device *device = join_frontend(reader, path, domid, "console", "0");

    if (device != NULL && device->back.there) {
        device->stateless = true;
        free(device->details);
        device->details = read_key(reader, path, "tty");
    }
    free(path);
}

static void visit_domain_frontends(struct reader *reader, const char *path, const char *name,
                                   void *context)
{
    struct frontend_place place = {0};
    char *dir = store_join(path, "device");

    (void)context;
    if (parse_domid(name, &place.domid) && domain_wanted(reader, place.domid)) {
        for_each_child(reader, dir, visit_frontend_class, &place);
        visit_primary_console(reader, path, place.domid);
    }
    free(dir);
}

static void device_free(struct device *device)
{
    free(device->key);
    free(device->front_path);
    free(device->back_path);
    free(device->class);
    free(device->kind);
    free(device->name);
    free(device->device);
    free(device->details);
    free(device->front_error);
    free(device->back_error);
    free(device->front_error_path);
    free(device->back_error_path);
    free(device->why);
    free(device);
}

static void judge(struct device *device)
{
    const char *why = NULL;

    if (device->stateless) {
        device->fit =
            device->details != NULL && *device->details != '\0' ? FIT_SETTLED : FIT_MOVING;
        why = device->fit == FIT_SETTLED ? NULL : "no console daemon has taken it";
    } else {
        device->fit = pair_judge(&device->front, &device->back, &why);
    }
    if (device->why == NULL && why != NULL) {
        device->why = must_strdup(why);
    }
    if ((device->front_error != NULL || device->back_error != NULL) && device->fit == FIT_SETTLED) {
        device->fit = FIT_MOVING;
    }
}

/* Fills what is read once a device is known to be wanted; false when it is not. */
static bool complete(struct reader *reader, struct device *device)
{
    const char *class = reader->filter->class, *name;

    if (class != NULL && strcmp(class, device->class) != 0 &&
        (device->kind == NULL || strcmp(class, device->kind) != 0)) {
        return false;
    }
    name = get_domain(reader, device->domid)->name;
    device->name = name != NULL ? must_strdup(name) : NULL;
    device->front_error =
        read_error(reader, device->domid, device->front_path, &device->front_error_path);
    device->back_error =
        read_error(reader, device->backend_domid, device->back_path, &device->back_error_path);
    judge(device);
    return !reader->filter->problems_only || device->fit != FIT_SETTLED;
}

/* Turns the filter's domain, an id or a name, into an id. */
static void visit_domain_name(struct reader *reader, const char *path, const char *name,
                              void *context)
{
    unsigned int domid;

    (void)path;
    (void)context;
    if (parse_domid(name, &domid)) {
        const char *found = get_domain(reader, domid)->name;

        if (found != NULL && strcmp(found, reader->filter->domain) == 0) {
            reader->domid = domid;
        }
    }
}

static void resolve_domain(struct reader *reader)
{
    if (reader->filter->domain == NULL) {
        return;
    }
    reader->one_domain = true;
    if (parse_domid(reader->filter->domain, &reader->domid)) {
        return;
    }
    /* No domain has this id: an unknown name finds nothing. */
    reader->domid = ~0U;
    for_each_child(reader, "/local/domain", visit_domain_name, NULL);
}

static int by_place(const struct device *a, const struct device *b)
{
    int classes = strcmp(a->class, b->class);
    long first = strtol(a->device, NULL, 10), second = strtol(b->device, NULL, 10);

    if (a->domid != b->domid) {
        return a->domid < b->domid ? -1 : 1;
    }
    if (classes != 0) {
        return classes;
    }
    return first < second ? -1 : first > second ? 1 : strcmp(a->device, b->device);
}

struct device *devices_read(const struct store_view *view, const struct device_filter *filter)
{
    struct reader reader = {.view = view, .filter = filter};
    struct device *device, *next;

    resolve_domain(&reader);
    for_each_child(&reader, "/local/domain", visit_domain_backends, NULL);
    for_each_child(&reader, "/local/domain", visit_domain_frontends, NULL);
    HASH_ITER (hh, reader.devices, device, next) {
        if (!complete(&reader, device)) {
            HASH_DEL(reader.devices, device);
            device_free(device);
        }
    }
    free_domains(&reader);
    HASH_SRT(hh, reader.devices, by_place);
    return reader.devices;
}

void devices_free(struct device *list)
{
    struct device *next = list;

    HASH_CLEAR(hh, list);
    while (next != NULL) {
        struct device *device = next;

        next = device->hh.next;
        device_free(device);
    }
}
