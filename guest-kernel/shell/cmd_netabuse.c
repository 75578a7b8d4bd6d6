/*
 * cmd_netabuse.c - netabuse: a front end that breaks the rules, for people who try a back end.
 *
 * What a packet came to is polled for: there is no event for an interface that the other end
 * closed. No state but the running command's. Suspend: ends the command.
 */
#include "hostile/xnf_abuse.h"
#include "hostile/xnf_packets.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "lwip/etharp.h"
#include "lwip/tcpip.h"
#include "net/stack.h"
#include "psm/clock.h"
#include "shell/commands.h"

#define LOOK         NSEC_PER_MSEC
#define PATIENCE     (20 * NSEC_PER_SEC) /* for an answer */
#define COME_BACK    (60 * NSEC_PER_SEC) /* for the interface, after it was closed */
#define SECONDS      10
#define BURST        64 /* slots that a flood publishes at once */
#define HELD_SLOTS   8
#define HELD_AT_ONCE 5

typedef unsigned long ul;

/* What else may become of a packet; never right. */
enum { SILENCE = 8, NONSENSE = 16 };

static const char *outcome_name(unsigned outcome)
{
    return outcome == XNF_TAKEN     ? "taken"
           : outcome == XNF_REFUSED ? "refused"
           : outcome == XNF_CLOSED  ? "the back end closed the interface"
           : outcome == SILENCE     ? "no answer"
                                    : "an answer that makes no sense";
}

struct abuse {
    struct shell *sh;
    struct xnf_abuse ring;
    struct xnf_packet packet;
    nsec_t until;
    bool forever;    /* SECONDS was 0 */
    bool may_stop;   /* a back end that may close the interface may as well ignore it */
    unsigned number; /* of the case to try */
    ul taken, refused, closed, lost, wrong;
};

/* Numbers of fragments: up to this one each, then these. */
#define EACH_FRAGMENT 22
static const unsigned many[] = {32, XNF_PACKET_SLOTS};
#define COUNTS    (EACH_FRAGMENT + ARRAY_SIZE(many))
#define CASE_NAME 24

/* ---- what becomes of them ---- */

static bool over(const struct abuse *a)
{
    return clock_now() >= a->until || sh_interrupted(a->sh);
}

/* Seizes the ring, after the interface came back if need be. */
static int seize(struct abuse *a)
{
    nsec_t deadline = clock_now() + COME_BACK;
    int rc;

    while ((rc = xnf_abuse_seize(&a->ring)) == -EAGAIN || rc == -ENOTCONN) {
        if (clock_now() > deadline) {
            return sh_error(a->sh, "%s: %s", a->ring.dev->name,
                            rc == -EAGAIN ? "the back end answers nothing"
                                          : "the back end does not serve it (again): attach it");
        }
        thread_sleep_until(clock_now() + LOOK);
    }
    return rc != 0 ? sh_error(a->sh, "%s: an unfinished packet is on its ring: attach it anew",
                              a->ring.dev->name)
                   : SH_OK;
}

/* Waits until all slots are answered, the interface is closed, or patience ends. */
static unsigned outcome(struct abuse *a, nsec_t deadline)
{
    struct xnf_answers sum = {0};
    int left;

    while ((left = xnf_abuse_take(&a->ring, &sum)) > 0 && clock_now() < deadline) {
        thread_sleep_until(clock_now() + LOOK);
    }
    return left == -ENOTCONN           ? XNF_CLOSED
           : left < 0 || sum.other > 0 ? NONSENSE
           : left > 0                  ? SILENCE
           : sum.error > 0             ? XNF_REFUSED
                                       : XNF_TAKEN;
}

static void tally(struct abuse *a, unsigned result)
{
    a->taken += result == XNF_TAKEN;
    a->refused += result == XNF_REFUSED;
    a->closed += result == XNF_CLOSED;
    a->lost += result >= SILENCE;
}

static int try_case(struct abuse *a, const struct xnf_packet_case *c, bool say)
{
    int status = seize(a);

    if (status != 0) {
        return status;
    }
    a->packet.n = 0;
    if (c->build != NULL) {
        c->build(&a->packet, c->arg);
    }
    int rc = c->build != NULL ? xnf_abuse_put(&a->ring, a->packet.slots, a->packet.n)
                              : xnf_abuse_index(&a->ring, c->arg);
    unsigned result = rc != 0 ? XNF_CLOSED : outcome(a, clock_now() + PATIENCE);
    bool stopped = a->may_stop && result == SILENCE && (c->right & XNF_CLOSED) != 0;
    bool wrong = (c->right & result) == 0 && !stopped;
    tally(a, result);
    a->wrong += wrong;
    if (say || wrong) {
        sh_printf(a->sh, "%s: %s%s\n", c->name, outcome_name(result), wrong ? ", WRONG" : "");
    }
    return result >= SILENCE ? sh_error(a->sh, "the ring is of no use any more") : SH_OK;
}

/* The case of that number, from 0; @name is for those that have none. False: there are no more. */
static bool nth_case(unsigned i, struct xnf_packet_case *c, char name[CASE_NAME])
{
    if (i >= COUNTS) {
        *c = xnf_packet_cases[i - COUNTS];
        return c->name != NULL;
    }
    unsigned n = i < EACH_FRAGMENT ? i + 1 : many[i - EACH_FRAGMENT];

    *c = (struct xnf_packet_case){
        .name = name,
        .build = xnf_packet_fragments,
        .arg = n,
        .right = n <= XEN_NETIF_NR_SLOTS_MIN ? XNF_TAKEN : XNF_TAKEN | XNF_REFUSED | XNF_CLOSED,
        .origin = n > XEN_NETIF_NR_SLOTS_MIN ? "XSA-39, 432" : NULL};
    snprintf(name, CASE_NAME, "%u fragment%s", n, n == 1 ? "" : "s");
    return true;
}

static int try_all(struct abuse *a, bool say)
{
    struct xnf_packet_case c;
    char name[CASE_NAME];
    int status = SH_OK;

    for (unsigned i = 0; nth_case(i, &c, name) && status == 0 && !sh_interrupted(a->sh); i++) {
        status = try_case(a, &c, say);
    }
    return status;
}

/* ---- the kinds of abuse ---- */

static int do_fragments(struct abuse *a)
{
    int status = try_all(a, true);

    while (status == 0 && !over(a)) {
        status = try_all(a, false);
    }
    if (status == 0 && (seize(a) != 0 || xnf_abuse_release(&a->ring) != 0)) {
        status = SH_FAIL;
    }
    sh_printf(a->sh, "fragments: %lu taken, %lu refused, %lu closed, %lu not answered, %lu wrong\n",
              a->taken, a->refused, a->closed, a->lost, a->wrong);
    return status != 0 ? status : a->wrong != 0 ? SH_FAIL : SH_OK;
}

/* One of them, by its number from 1. */
static int do_case(struct abuse *a)
{
    struct xnf_packet_case c;
    char name[CASE_NAME];

    if (!nth_case(a->number - 1, &c, name)) {
        return sh_error(a->sh, "there is no case %u", a->number);
    }
    a->may_stop = true;
    int status = try_case(a, &c, true);
    if (status == 0 && (seize(a) != 0 || xnf_abuse_release(&a->ring) != 0)) {
        status = SH_FAIL;
    }
    return status != 0 ? status : a->wrong != 0 ? SH_FAIL : SH_OK;
}

static int list_cases(struct shell *sh)
{
    struct xnf_packet_case c;
    char name[CASE_NAME];

    for (unsigned i = 0; nth_case(i, &c, name); i++) {
        sh_printf(sh, "rule net %u: %s [%s]\n", i + 1, c.name,
                  c.origin != NULL ? c.origin : "netif.h");
    }
    return SH_OK;
}

static void sleep_until_over(struct abuse *a)
{
    while (!over(a)) {
        thread_sleep_until(MIN(a->until, clock_now() + 100 * NSEC_PER_MSEC));
    }
}

static int do_unfinished(struct abuse *a)
{
    struct xnf_answers sum = {0};
    int status = seize(a);

    if (status != 0) {
        return status;
    }
    xnf_packet_fragments(&a->packet, HELD_SLOTS);
    int rc = xnf_abuse_put(&a->ring, a->packet.slots, HELD_AT_ONCE);
    sleep_until_over(a);
    int left = rc != 0 ? rc : xnf_abuse_take(&a->ring, &sum);
    if (left != HELD_AT_ONCE) {
        return sh_error(a->sh, left < 0 ? "the back end closed the interface"
                                        : "answered before it was finished");
    }
    if (a->forever) {
        return SH_OK;
    }
    rc = xnf_abuse_put(&a->ring, a->packet.slots + HELD_AT_ONCE, HELD_SLOTS - HELD_AT_ONCE);
    unsigned result = rc != 0 ? XNF_CLOSED : outcome(a, clock_now() + PATIENCE);
    sh_printf(a->sh, "unfinished: waited for, then %s\n", outcome_name(result));
    return result == XNF_TAKEN && xnf_abuse_release(&a->ring) == 0 ? SH_OK : SH_FAIL;
}

/* Without frames, a storm of notifications. */
static int send_much(struct abuse *a, bool frames)
{
    struct xnf_answers sum = {0};
    uint64_t kicks = 0;
    nsec_t start = clock_now();
    int status = seize(a), rc = 0;

    if (status != 0) {
        return status;
    }
    xnf_packet_fragments(&a->packet, 1);
    for (unsigned i = 1; i < BURST; i++) {
        a->packet.slots[i] = a->packet.slots[0];
    }
    while (!over(a) && rc >= 0) {
        rc = frames ? xnf_abuse_put(&a->ring, a->packet.slots, BURST) : xnf_abuse_kick(&a->ring);
        kicks += !frames;
        rc = rc != 0 && rc != -EAGAIN ? rc : xnf_abuse_take(&a->ring, &sum);
    }
    nsec_t took = MAX((clock_now() - start) / NSEC_PER_MSEC, 1);
    bool quiet = rc >= 0 && outcome(a, clock_now() + PATIENCE) != SILENCE;
    ul count = kicks != 0 ? kicks : sum.okay + sum.error;
    sh_printf(a->sh, "flood: %lu %s in %lu ms, %lu/s\n", count, frames ? "frames" : "notifications",
              (ul)took, count * 1000 / (ul)took);
    return quiet && xnf_abuse_release(&a->ring) == 0
               ? SH_OK
               : sh_error(a->sh, "the back end closed the interface or answers nothing");
}

static int do_flood(struct abuse *a)
{
    return send_much(a, true);
}

static int do_kicks(struct abuse *a)
{
    return send_much(a, false);
}

static int do_deaf(struct abuse *a)
{
    int rc = xnf_abuse_deafen(&a->ring, true);

    if (rc >= 0) {
        sleep_until_over(a);
        rc = xnf_abuse_deafen(&a->ring, false);
    }
    if (rc < 0) {
        return sh_error(a->sh, "the interface is not connected");
    }
    sh_printf(a->sh, "deaf: %d buffers waited\n", rc);
    return SH_OK;
}

/* As busy as a flood, without it. */
static int do_spin(struct abuse *a)
{
    while (!over(a)) {
        __builtin_ia32_pause();
    }
    sh_printf(a->sh, "spin: over\n");
    return SH_OK;
}

/* ---- the command ---- */

static const struct {
    const char *name;
    int (*run)(struct abuse *a);
    uint64_t seconds;
} kinds[] = {
    {"fragments", do_fragments, 0}, {"unfinished", do_unfinished, SECONDS},
    {"flood", do_flood, SECONDS},   {"kicks", do_kicks, SECONDS},
    {"deaf", do_deaf, SECONDS},     {"spin", do_spin, SECONDS},
};

/* The MAC behind an address that the stack talked to lately. */
static int find_mac(struct shell *sh, const char *name, const char *text, uint8_t mac[NET_MAC_LEN])
{
    const ip4_addr_t *found_ip;
    struct eth_addr *found;
    ip4_addr_t ip;

    if (ip4addr_aton(text, &ip) == 0) {
        return sh_error(sh, "%s: not an address of IPv4", text);
    }
    if (net_stack_start() != 0) {
        return sh_error(sh, "no memory for the network");
    }
    LOCK_TCPIP_CORE();
    struct netif *netif = net_if_find(name);
    bool known = netif != NULL && etharp_find_addr(netif, &ip, &found, &found_ip) >= 0;
    if (known) {
        memcpy(mac, found->addr, NET_MAC_LEN);
    }
    UNLOCK_TCPIP_CORE();
    return known ? SH_OK : sh_error(sh, "%s: its MAC is not known: ping it first", text);
}

static int run_kind(struct shell *sh, size_t kind, unsigned number, const char *name,
                    uint64_t seconds, const uint8_t *to)
{
    struct abuse *a = kzalloc(sizeof(*a));

    if (a == NULL) {
        return sh_error(sh, "no memory");
    }
    struct net_info info;
    a->sh = sh;
    int rc = xnf_abuse_open(&a->ring, name);
    int status = SH_FAIL;
    if (rc != 0) {
        (void)sh_error(sh, "%s: %s", name,
                       rc == -ENODEV     ? "no such interface; `ifconfig` lists them"
                       : rc == -ENOTCONN ? "it was never connected"
                                         : errno_name(rc));
    } else {
        net_get_info(a->ring.dev, &info);
        xnf_packet_frames(a->ring.page, info.mac, to != NULL ? to : info.mac);
        a->packet.gref = a->ring.gref;
        a->until = clock_now() + seconds * NSEC_PER_SEC;
        a->forever = seconds == 0;
        a->number = number;
        if (number != 0) {
            status = do_case(a);
        } else {
            sh_printf(sh, "%s: begins\n", kinds[kind].name);
            status = kinds[kind].run(a);
        }
        xnf_abuse_close(&a->ring);
        status = sh_interrupted(sh) ? SH_INTERRUPTED : status;
    }
    kfree(a);
    return status;
}

static int cmd_netabuse(struct shell *sh, int argc, char **argv)
{
    uint8_t mac[NET_MAC_LEN];
    uint64_t number = 0;
    size_t kind = 0;

    if (argc < 3 || argc > 5) {
        return SH_USAGE;
    }
    if (strcmp(argv[2], "list") == 0) {
        return list_cases(sh);
    }
    if (parse_u64(argv[2], &number) == 0) {
        if (number == 0 || number > UINT32_MAX) {
            return SH_USAGE;
        }
    } else {
        while (kind < ARRAY_SIZE(kinds) && strcmp(kinds[kind].name, argv[2]) != 0) {
            kind++;
        }
        if (kind == ARRAY_SIZE(kinds)) {
            return SH_USAGE;
        }
    }
    uint64_t seconds = number != 0 ? 0 : kinds[kind].seconds;
    if (argc > 3 && (parse_u64(argv[3], &seconds) != 0 || seconds > 1000000)) {
        return sh_error(sh, "%s: not a number of seconds", argv[3]);
    }
    if (argc > 4 && find_mac(sh, argv[1], argv[4], mac) != 0) {
        return SH_FAIL;
    }
    return run_kind(sh, kind, (unsigned)number, argv[1], seconds, argc > 4 ? mac : NULL);
}

const struct sh_command netabuse_commands[] = {
    {"netabuse", "netabuse INTERFACE KIND [SECONDS [ADDRESS]]",
     "abuse a network back end on purpose",
     "KIND is one of\n"
     "  fragments   packets of 1 to 256 slots, and broken ones of every kind; says what the back\n"
     "              end did with each, and what of that is WRONG. Once, or for SECONDS\n"
     "  unfinished  a packet whose rest comes only after SECONDS (10) or ^C; never if that is 0\n"
     "  flood       frames as fast as it can\n"
     "  kicks       notifications as fast as it can, without a frame\n"
     "  deaf        what is received is not taken\n"
     "  spin        no abuse: a vCPU as busy as in a flood, to compare with\n"
     "  list        what `fragments` tries, numbered\n"
     "  NUMBER      one of these alone; a back end may also ignore the interface from then on\n"
     "Frames go to the station with that IPv4 ADDRESS, pinged before, or to the interface itself,\n"
     "which a bridge drops. Meanwhile the stack sends nothing on the interface's first queue. An\n"
     "interface that the back end closes comes back if it is offered again; else `xl\n"
     "network-detach` and `network-attach` make a new one.\n",
     ARGS_NONE, cmd_netabuse},
    {0},
};
