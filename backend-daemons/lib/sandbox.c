/*
 * The cage of a worker: see sandbox.h for its stages, which sandbox_enter() follows in order.
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

static int drop_user(uid_t id)
{
    if (setgroups(0, NULL) < 0 || setresgid(id, id, id) < 0 || setresuid(id, id, id) < 0) {
        return -errno;
    }
    return 0;
}

static int drop_privileges(void)
{
    const struct rlimit none = {0, 0};

    capng_clear(CAPNG_SELECT_CAPS);
    if (capng_apply(CAPNG_SELECT_CAPS) < 0) {
        return -EPERM;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
        setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_NOFILE, &none) < 0) {
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

int sandbox_filter(const struct sandbox_rule *rules, unsigned int nr)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int err = -ENOMEM;

    if (ctx != NULL) {
        err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    }
    /* A search tree instead of a list: the filter runs at every call. */
    if (err == 0) {
        err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    }

    for (unsigned int i = 0; i < nr && err == 0; i++) {
        err = add_rule(ctx, &rules[i]);
    }
    if (err == 0) {
        err = seccomp_load(ctx);
    }
    if (ctx != NULL) {
        seccomp_release(ctx);
    }
    return err;
}

int sandbox_enter(uid_t id, const char *root, const struct sandbox_rule *rules, unsigned int nr,
                  const char **stage)
{
    int err;

    *stage = "choosing an unprivileged user";
    if (id == 0 || id == (uid_t)-1) {
        return -EINVAL;
    }
    *stage = "dropping the capability bounding set";
    err = drop_bounding_set();
    if (err == 0) {
        *stage = "changing the root directory";
        err = drop_file_system(root);
    }
    if (err == 0) {
        *stage = "changing the user";
        err = drop_user(id);
    }
    if (err == 0) {
        *stage = "dropping capabilities and limits";
        err = drop_privileges();
    }
    if (err == 0) {
        *stage = "loading the system-call filter";
        err = sandbox_filter(rules, nr);
    }
    return err;
}
