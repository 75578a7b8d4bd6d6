/*
 * The cage of a process: see sandbox.h for its stages, which sandbox_enter() follows in order.
 */
#include "sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* While still root: what exec of a privileged file could give back is ruled out. */
static int drop_bounding_set(void)
{
    capng_clear(CAPNG_SELECT_ALL);
    return capng_apply(CAPNG_SELECT_BOUNDS) < 0 ? -EPERM : 0;
}

static int drop_file_system(const char *root)
{
    return chroot(root) < 0 || chdir("/") < 0 ? -errno : 0;
}

static int drop_user(uid_t uid, gid_t gid)
{
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0) {
        return -errno;
    }
    return 0;
}

static int drop_privileges(unsigned int descriptors)
{
    const struct rlimit none = {0, 0}, some = {descriptors, descriptors};

    capng_clear(CAPNG_SELECT_CAPS);
    if (capng_apply(CAPNG_SELECT_CAPS) < 0) {
        return -EPERM;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
        setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_NOFILE, &some) < 0) {
        return -errno;
    }
    return 0;
}

static int add_rule(scmp_filter_ctx ctx, const struct sandbox_rule *rule)
{
    struct scmp_arg_cmp cmp[2];
    unsigned int n = 0;

    if (rule->fd >= 0) {
        cmp[n++] = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)rule->fd);
    }
    if (rule->cmd != 0) {
        cmp[n++] = SCMP_A1(SCMP_CMP_EQ, rule->cmd);
    }
    return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, rule->nr, n, cmp);
}

static int add_call(scmp_filter_ctx ctx, const struct sandbox_call *call)
{
    struct scmp_arg_cmp cmp[SANDBOX_ARGS_MAX];
    unsigned int n = 0;

    for (unsigned int i = 0; i < SANDBOX_ARGS_MAX; i++) {
        if (call->args[i].mask != 0) {
            cmp[n++] = SCMP_CMP(call->args[i].arg, SCMP_CMP_MASKED_EQ, call->args[i].mask,
                                call->args[i].value);
        }
    }
    return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, call->nr, n, cmp);
}

static int build_filter(scmp_filter_ctx ctx, const struct sandbox_filter *filter)
{
    /* For all threads; a search tree instead of a list, since the filter runs at every call. */
    int err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);

    if (err == 0) {
        err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    }
    for (unsigned int i = 0; i < filter->nr_rules && err == 0; i++) {
        err = add_rule(ctx, &filter->rules[i]);
    }
    for (unsigned int i = 0; i < filter->nr_calls && err == 0; i++) {
        err = add_call(ctx, &filter->calls[i]);
    }
    return err;
}

int sandbox_load(const struct sandbox_filter *filter)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int err;

    if (ctx == NULL) {
        return -ENOMEM;
    }
    err = build_filter(ctx, filter);
    if (err == 0) {
        err = seccomp_load(ctx);
    }
    seccomp_release(ctx);
    return err;
}

int sandbox_drop(const struct sandbox_bounds *bounds, const char **stage)
{
    int err;

    *stage = "choosing an unprivileged user";
    if (bounds->uid == 0 || bounds->uid == (uid_t)-1 || bounds->gid == 0 ||
        bounds->gid == (gid_t)-1) {
        return -EINVAL;
    }
    *stage = "dropping the capability bounding set";
    err = drop_bounding_set();
    if (err == 0 && bounds->root != NULL) {
        *stage = "changing the root directory";
        err = drop_file_system(bounds->root);
    }
    if (err == 0) {
        *stage = "changing the user";
        err = drop_user(bounds->uid, bounds->gid);
    }
    if (err == 0) {
        *stage = "dropping capabilities and limits";
        err = drop_privileges(bounds->descriptors);
    }
    return err;
}

int sandbox_enter(uid_t id, const char *root, const struct sandbox_rule *rules, unsigned int nr,
                  const char **stage)
{
    const struct sandbox_bounds bounds = {.uid = id, .gid = id, .root = root};
    const struct sandbox_filter filter = {.rules = rules, .nr_rules = nr};
    int err = sandbox_drop(&bounds, stage);

    if (err == 0) {
        *stage = "loading the system-call filter";
        err = sandbox_load(&filter);
    }
    return err;
}
