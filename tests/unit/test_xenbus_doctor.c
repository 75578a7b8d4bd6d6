/*
 * The checks of `xenbus doctor`: nothing is said about a healthy guest and host; each prepared
 * fault gives exactly its finding with its advice; every code has a case here and a paragraph in
 * the manual; what was only on its way is no finding; advice is safe to paste.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"
#include "doctor_load.h"
#include "fake_xenstore.h"
#include "perms.h"
#include "transact.h"
#include "xenbus.h"

#define FRONT "/local/domain/5/device/vbd/51712"
#define BACK  "/local/domain/0/backend/vbd/5/51712"
#define VIF   "/local/domain/5/device/vif/0"
#define NETB  "/local/domain/0/backend/vif/5/0"
#define CONS  "/local/domain/5/console"

/* Writes a node, the directories above it, and its permissions "n0,r5". */
static void put(const char *path, const char *value, const char *perms)
{
    struct xs_permissions list[4];
    char part[256], *rest = must_strdup(perms), *text = rest, *word;
    unsigned int n = 0;

    for (const char *p = strchr(path + 1, '/'); p != NULL; p = strchr(p + 1, '/')) {
        snprintf(part, sizeof(part), "%.*s", (int)(p - path), path);
        if (fake_get(part) == NULL) {
            fake_set(part, "");
        }
    }
    fake_set(path, value);
    while ((word = strsep(&rest, ",")) != NULL) {
        assert_true(perm_parse(word, &list[n++]));
    }
    free(text);
    assert_true(xs_set_permissions(NULL, XBT_NULL, path, list, n));
}

/* Domain 5 with a disk, an interface and a console, as libxl, our daemons and Linux leave them. */
static void prepare_healthy(void)
{
    static const char *const nodes[][3] = {
        {"/local/domain/0/domid", "0", "n0"},
        {"/local/domain/5/name", "g5", "n0,r5"},
        {"/libxl/5/device/vbd/51712", "", "n0"},
        {"/libxl/5/device/vif/0", "", "n0"},
        {BACK, "", "n0,r5"},
        {BACK "/frontend", FRONT, "n0,r5"},
        {BACK "/state", "4", "n0,r5"},
        {BACK "/params", "/img", "n0,r5"},
        {BACK "/script", "/etc/xen/scripts/block-duet", "n0,r5"},
        {BACK "/hotplug-status", "connected", "n0,r5"},
        {BACK "/max-ring-page-order", "4", "n0,r5"},
        {BACK "/sectors", "2048", "n0,r5"},
        {BACK "/sector-size", "512", "n0,r5"},
        {FRONT, "", "n5,r0"},
        {FRONT "/backend", BACK, "n5,r0"},
        {FRONT "/state", "4", "n5,r0"},
        {FRONT "/ring-ref", "8", "n5,r0"},
        {FRONT "/event-channel", "9", "n5,r0"},
        {NETB, "", "n0,r5"},
        {NETB "/frontend", VIF, "n0,r5"},
        {NETB "/state", "4", "n0,r5"},
        {NETB "/mac", "00:16:3e:00:00:01", "n0,r5"},
        {NETB "/script", "/etc/xen/scripts/vif-bridge", "n0,r5"},
        {NETB "/bridge", "xenbr0", "n0,r5"},
        {NETB "/hotplug-status", "connected", "n0,r5"},
        {VIF, "", "n5,r0"},
        {VIF "/backend", NETB, "n5,r0"},
        {VIF "/state", "4", "n5,r0"},
        {VIF "/mac", "00:16:3e:00:00:01", "n5,r0"},
        {VIF "/tx-ring-ref", "10", "n5,r0"},
        {VIF "/rx-ring-ref", "11", "n5,r0"},
        {VIF "/event-channel-tx", "12", "n5,r0"},
        {VIF "/event-channel-rx", "13", "n5,r0"},
        {VIF "/request-rx-copy", "1", "n5,r0"},
        {"/local/domain/0/backend/console/5/0", "", "n0,r5"},
        {"/local/domain/0/backend/console/5/0/frontend", CONS, "n0,r5"},
        {"/local/domain/0/backend/console/5/0/state", "1", "n0,r5"},
        {CONS, "", "n0,r5"},
        {CONS "/backend", "/local/domain/0/backend/console/5/0", "n0,r5"},
        {CONS "/type", "xenconsoled", "n0,r5"},
        {CONS "/tty", "/dev/pts/0", "n0,r5"},
        {CONS "/port", "2", "n0,r5"},
    };

    fake_reset();
    assert_non_null(xs_open(0));
    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
        put(nodes[i][0], nodes[i][1], nodes[i][2]);
    }
}

/* What xenstored would tell of domain 5. */
static unsigned long nodes_of_5;

static const char *const fact_names[] = {
    [HOST_UNIT_KNOWN] = "known",   [HOST_UNIT_ACTIVE] = "active", [HOST_UNIT_WANTED] = "wanted",
    [HOST_DRIVER] = "driver",      [HOST_DRIVER_BOUND] = "bound", [HOST_FILE] = "file",
    [HOST_EXECUTABLE] = "exec",    [HOST_INTERFACE] = "iface",    [HOST_BRIDGE] = "bridge",
    [HOST_UNIT_FAILED] = "failed", [HOST_BRIDGE_PORT] = "port",   [HOST_UP] = "up",
    [HOST_PROCESS] = "process",    [HOST_PROGRAM] = "program",
};

/* A healthy host, but for the facts in @context, "fact:name fact:name", which are the other way
 * round. */
static bool ask_fake(const struct host *host, enum host_fact fact, const char *name)
{
    bool healthy = fact != HOST_DRIVER && fact != HOST_DRIVER_BOUND && fact != HOST_PROGRAM &&
                   fact != HOST_UNIT_FAILED;
    char wanted[128];

    snprintf(wanted, sizeof(wanted), " %s:%s ", fact_names[fact], name);
    return strstr(host->context, wanted) != NULL ? !healthy : healthy;
}

static unsigned long count_fake(const struct host *host, unsigned int domid)
{
    (void)host;
    return domid == 5 ? nodes_of_5 : 0;
}

static struct snapshot *copy_store(void)
{
    struct snapshot *snapshot = snapshot_new("/");

    assert_int_equal(doctor_load(snapshot, NULL, 0), 0);
    snapshot_finish(snapshot);
    return snapshot;
}

static struct finding *examine(const char *flipped)
{
    struct host host = {.ask = ask_fake,
                        .nodes = count_fake,
                        .node_quota = 100,
                        .context = (void *)(uintptr_t)flipped};
    struct snapshot *snapshot = copy_store();
    struct finding *findings = diagnose(snapshot, &host);

    snapshot_free(snapshot);
    return findings;
}

/* Changes the store by a script of `xenbus transaction`. */
static void change(const char *script)
{
    char path[] = "/tmp/test_xenbus_XXXXXX", name[] = "transaction";
    char *argv[] = {name, path, NULL};
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, script, strlen(script)), strlen(script));
    close(fd);
    assert_int_equal(cmd_transaction.run(&cmd_transaction, 2, argv), EXIT_FOUND);
    unlink(path);
}

/* A fault: what to change, which facts to turn, and the finding: its code, its advice. */
static const struct fault {
    const char *script;
    const char *flipped;
    const char *code;
    const char *advice;
} faults[] = {
    {"write " BACK "/state 1\nwrite " FRONT "/state 1", "", "XB101",
     "systemctl restart duet-block.service"},
    {"write " BACK "/state 2\nwrite " FRONT "/state 1", "", "XB102", "xl console 5"},
    {"write " BACK "/state 2\nwrite " FRONT "/state 3", "", "XB103",
     "systemctl restart duet-block.service"},
    {"write " NETB "/state 2\nwrite " NETB "/hotplug-status \"\"", "", "XB103",
     "systemctl restart duet-net.service"},
    {"write " FRONT "/state 3", "", "XB104", "xl block-detach 5 51712"},
    {"write " BACK "/state 5", "", "XB105", "xl block-detach 5 51712"},
    {"write " FRONT "/state 5", "", "XB105", "systemctl restart duet-block.service"},
    {"write " BACK "/state 6", "", "XB106", "xl block-detach 5 51712"},
    {"write " NETB "/state 6", "", "XB106", "xl network-detach 5 0"},
    {"rm " FRONT, "", "XB107", "xenbus rm " BACK},
    {"rm " BACK, "", "XB108", "xl block-detach 5 51712"},
    {"rm " BACK "\nrm /libxl/5/device/vbd/51712", "", "XB108", "xenbus rm -f " FRONT},
    {"write " FRONT "/backend /local/domain/0/backend/vbd/5/1", "", "XB108",
     "xenbus write " FRONT "/backend " BACK},
    {"write " FRONT "/state four", "", "XB109", "xl block-detach 5 51712"},
    {"rm " BACK "/state", "", "XB109", "xl block-detach 5 51712"},
    {"mkdir /local/domain/0/error\nmkdir /local/domain/0/error/backend\n"
     "mkdir /local/domain/0/error/backend/vbd\nmkdir /local/domain/0/error/backend/vbd/5\n"
     "mkdir /local/domain/0/error/backend/vbd/5/51712\n"
     "write /local/domain/0/error/backend/vbd/5/51712/error \"22 that is wrong\"",
     "", "XB110", "xenbus rm /local/domain/0/error/backend/vbd/5/51712/error"},
    {"rm " CONS "/tty", "", "XB111", "systemctl restart duet-console.service"},
    {"chmod " FRONT "/state n0 r5", "", "XB201", "xenbus chmod " FRONT "/state n5 r0"},
    {"chmod " BACK " n0", "", "XB203", "xenbus chmod " BACK " n0 r5"},
    {"chmod " BACK "/params n0 b5", "", "XB204", "xenbus chmod " BACK "/params n0 r5"},
    {"chmod " BACK "/params b0", "", "XB204", "xenbus chmod " BACK "/params n0 r5"},
    {"chmod " CONS "/tty n5", "", "XB205", "xenbus chmod " CONS "/tty n0 r5"},
    {"", " bound:vbd-5-51712 ", "XB302", "xl block-detach 5 51712"},
    {"", " driver:vif ", "XB303", "modprobe -r xen-netback && systemctl restart duet-net.service"},
    {"", " active:duet-block.service ", "XB401", "systemctl start duet-block.service"},
    {"", " active:duet-block.service failed:duet-block.service ", "XB401",
     "systemctl reset-failed duet-block.service && systemctl start duet-block.service"},
    {"", " file:/dev/net/tun ", "XB402", "modprobe tun"},
    {"", " exec:/etc/xen/scripts/vif-bridge ", "XB403", "chmod +x /etc/xen/scripts/vif-bridge"},
    {"write " NETB "/script \"/etc/a b; rm -rf 'x'\"", " exec:/etc/a b; rm -rf 'x' ", "XB403",
     "chmod +x '/etc/a b; rm -rf '\\''x'\\'''"},
    {"write " NETB "/script \"/etc/\\x1b\"", " exec:/etc/\x1b ", "XB403", NULL},
    {"", " exec:/etc/xen/scripts/vif-bridge file:/etc/xen/scripts/vif-bridge ", "XB403",
     "xl network-detach 5 0"},
    {"", " bridge:xenbr0 ", "XB404", "ip link add xenbr0 type bridge && ip link set xenbr0 up"},
    {"", " up:xenbr0 ", "XB405", "ip link set xenbr0 up"},
    {"", " iface:vif5.0 ", "XB406", "systemctl restart duet-net.service"},
    {"write " NETB "/vifname web", " iface:web ", "XB406", "systemctl restart duet-net.service"},
    {"", " program:xenconsoled ", "XB407",
     "pkill -x xenconsoled && systemctl restart duet-console.service"},
    {"write " NETB "/hotplug-error \"no such bridge\"", "", "XB408", "xl network-detach 5 0"},
    {"", " port:vif5.0 ", "XB410", "ip link set vif5.0 master xenbr0"},
    {"write " FRONT "/ring-page-order 5", "", "XB501", "xl block-detach 5 51712"},
    {"write " VIF "/multi-queue-num-queues x", "", "XB501", "xl network-detach 5 0"},
    {"rm " FRONT "/event-channel", "", "XB502", "xl block-detach 5 51712"},
    {"write " VIF "/mac 00:16:3e:00:00:02", "", "XB503",
     "xenbus write " VIF "/mac 00:16:3e:00:00:01"},
    {"write " BACK "/sectors 0", "", "XB504", "systemctl restart duet-block.service"},
};

#define N_FAULTS (sizeof(faults) / sizeof(faults[0]))

/* Fails unless @findings are one of @code with @advice; frees them. */
static void expect_one(struct finding *findings, const char *script, const char *code,
                       const char *advice)
{
    if (findings == NULL) {
        fail_msg("%s: nothing found, %s expected", script, code);
        return;
    }
    if (findings->next != NULL || strcmp(findings->check->code, code) != 0) {
        const struct finding *last = findings->next != NULL ? findings->next : findings;

        fail_msg("%s: found %s (%s) and %s (%s), only %s expected", script, findings->check->code,
                 findings->what, last->check->code, last->what, code);
    }
    if (advice == NULL) {
        assert_null(findings->advice);
    } else {
        assert_non_null(findings->advice);
        assert_string_equal(findings->advice, advice);
    }
    findings_free(findings);
}

static void a_healthy_host_is_silent(void **state)
{
    struct snapshot *snapshot;

    (void)state;
    prepare_healthy();
    assert_null(examine(""));
    /* Domain 0 needs no permission. */
    change("chmod " FRONT " n5\nchmod " FRONT "/state n5");
    assert_null(examine(""));
    snapshot = copy_store();
    assert_null(diagnose(snapshot, NULL));
    snapshot_free(snapshot);
}

static void each_fault_gives_its_finding(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_FAULTS; i++) {
        prepare_healthy();
        change(faults[i].script);
        expect_one(examine(faults[i].flipped), faults[i].script, faults[i].code, faults[i].advice);
    }
}

/* One bridge for two interfaces is one finding: its advice would fail the second time. */
static void a_bridge_is_told_once(void **state)
{
    (void)state;
    prepare_healthy();
    put("/local/domain/5/device/vif/1/backend", "/local/domain/0/backend/vif/5/1", "n5,r0");
    put("/local/domain/5/device/vif/1/state", "1", "n5,r0");
    put("/local/domain/5/device/vif/1", "", "n5,r0");
    put("/local/domain/0/backend/vif/5/1/frontend", "/local/domain/5/device/vif/1", "n0,r5");
    put("/local/domain/0/backend/vif/5/1/bridge", "xenbr0", "n0,r5");
    put("/local/domain/0/backend/vif/5/1/script", "/etc/xen/scripts/vif-bridge", "n0,r5");
    put("/local/domain/0/backend/vif/5/1/state", "1", "n0,r5");
    put("/local/domain/0/backend/vif/5/1", "", "n0,r5");
    change("write /local/domain/5/device/vif/1/state 6\nwrite "
           "/local/domain/0/backend/vif/5/1/state 6");
    assert_null(examine(""));
    expect_one(examine(" bridge:xenbr0 "), "two interfaces", "XB404",
               "ip link add xenbr0 type bridge && ip link set xenbr0 up");
    expect_one(examine(" up:xenbr0 "), "two interfaces", "XB405", "ip link set xenbr0 up");
    expect_one(examine(" exec:/etc/xen/scripts/vif-bridge "), "two interfaces", "XB403",
               "chmod +x /etc/xen/scripts/vif-bridge");
}

/* The disk is QEMU's, as `xl block-attach format=qcow2` leaves it. */
static void a_disk_for_qemu_wants_a_qemu(void **state)
{
    static const char back[] = "/local/domain/0/backend/qdisk/5/51712";

    (void)state;
    prepare_healthy();
    change("rm " BACK "\nrm " FRONT);
    put(back, "", "n0,r5");
    put("/local/domain/0/backend/qdisk/5/51712/frontend", FRONT, "n0,r5");
    put("/local/domain/0/backend/qdisk/5/51712/state", "1", "n0,r5");
    put(FRONT, "", "n5,r0");
    put(FRONT "/backend", back, "n5,r0");
    put(FRONT "/state", "1", "n5,r0");
    expect_one(examine(""), "no device model", "XB301", "xl block-detach 5 51712");
    put("/local/domain/5/image/device-model-pid", "77", "n0,r5");
    assert_null(examine(""));
    expect_one(examine(" process:77 "), "a dead device model", "XB301", "xl block-detach 5 51712");
}

/* Domain 1 serves the disk: what dom0 is or has does not matter, what 1 may read does. */
static void a_driver_domain_must_read_the_frontend(void **state)
{
    static const char back[] = "/local/domain/1/backend/vbd/5/51712";

    (void)state;
    prepare_healthy();
    change("rm " BACK "\nrm " FRONT);
    put(back, "", "n1,r5");
    put("/local/domain/1/backend/vbd/5/51712/frontend", FRONT, "n1,r5");
    put("/local/domain/1/backend/vbd/5/51712/state", "2", "n1,r5");
    put(FRONT, "", "n5,r1");
    put(FRONT "/backend", back, "n5,r1");
    put(FRONT "/state", "1", "n5");
    put("/local/domain/1/backend/vbd/5/51712/script", "/not/here", "n1,r5");
    findings_free(examine(" exec:/not/here file:/not/here active:duet-block.service "));
    change("write " FRONT "/state 6\nwrite /local/domain/1/backend/vbd/5/51712/state 6");
    expect_one(examine(" exec:/not/here file:/not/here "), "unreadable state", "XB202",
               "xenbus chmod " FRONT "/state n5 r1");
}

static void a_full_quota_is_told(void **state)
{
    struct snapshot *snapshot = snapshot_new("/");

    (void)state;
    prepare_healthy();
    nodes_of_5 = 89;
    assert_null(examine(""));
    nodes_of_5 = 90;
    expect_one(examine(""), "90 nodes", "XB409", "xenstore-control quota set nodes 200");
    nodes_of_5 = 0;
    /* Of an export, its nodes are counted. */
    for (int i = 0; i < 950; i++) {
        static const struct xs_permissions perms[] = {{.id = 5, .perms = XS_PERM_NONE}};
        char path[64];

        snprintf(path, sizeof(path), "/local/domain/5/data/%d", i);
        snapshot_add(snapshot, path, "", 0, perms, 1);
    }
    snapshot_finish(snapshot);
    expect_one(diagnose(snapshot, NULL), "950 nodes", "XB409",
               "xenstore-control quota set nodes 2000");
    snapshot_free(snapshot);
}

/* A sentence is printable, whatever a driver has left and wherever it is cut. */
static void a_sentence_is_printable(void **state)
{
    static const char path[] = "/local/domain/5/error/device/vbd/51712/error";
    char error[1000];
    struct finding *finding;

    (void)state;
    prepare_healthy();
    for (size_t i = 0; i + 2 < sizeof(error); i += 2) {
        memcpy(error + i, "\xc2\x9b", 3);
    }
    put(path, error + 1, "n5");
    finding = examine("");
    assert_non_null(finding);
    assert_string_equal(finding->check->code, "XB110");
    for (const char *p = finding->what; *p != '\0'; p++) {
        assert_in_range(*p, 0x20, 0x7e);
    }
    findings_free(finding);
}

static void note_check(void *context, const struct check *check)
{
    static const char *const elsewhere[] = {"XB202", "XB301", "XB409"};
    const char *manual = context;
    char item[32];
    bool tested = false;

    for (size_t i = 0; i < N_FAULTS; i++) {
        tested = tested || strcmp(faults[i].code, check->code) == 0;
    }
    for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++) {
        tested = tested || strcmp(elsewhere[i], check->code) == 0;
    }
    snprintf(item, sizeof(item), "\n.It %s ", check->code);
    if (!tested || strstr(manual, item) == NULL) {
        fail_msg("%s has no %s", check->code, tested ? "paragraph in the manual" : "case here");
    }
    assert_true((check->device != NULL) != (check->whole != NULL));
}

static void every_code_has_a_case_and_a_paragraph(void **state)
{
    FILE *file = fopen(DUET_TEST_MANUAL, "re");
    char *manual = must_alloc(200000);

    (void)state;
    assert_non_null(file);
    assert_true(fread(manual, 1, 199999, file) > 1000);
    fclose(file);
    checks_visit(note_check, manual);
    free(manual);
}

static void what_settles_is_no_finding(void **state)
{
    struct finding *before, *now;

    (void)state;
    prepare_healthy();
    change("write " BACK "/state 2\nwrite " FRONT "/state 1\nchmod " BACK "/params b0");
    before = examine("");
    change("write " FRONT "/state 3\nwrite " NETB "/hotplug-error x");
    now = findings_persistent(examine(""), before);
    /* The guest has moved on, so its handshake is not stuck; the permissions have stayed. */
    expect_one(now, "one look later", "XB204", "xenbus chmod " BACK "/params n0 r5");
    findings_free(before);
    assert_false(findings_settling(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_healthy_host_is_silent),
        cmocka_unit_test(each_fault_gives_its_finding),
        cmocka_unit_test(a_bridge_is_told_once),
        cmocka_unit_test(a_disk_for_qemu_wants_a_qemu),
        cmocka_unit_test(a_driver_domain_must_read_the_frontend),
        cmocka_unit_test(a_full_quota_is_told),
        cmocka_unit_test(a_sentence_is_printable),
        cmocka_unit_test(every_code_has_a_case_and_a_paragraph),
        cmocka_unit_test(what_settles_is_no_finding),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
