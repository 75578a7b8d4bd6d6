/*
 * cmd_net.c - network interfaces: ifconfig, dhcp.
 *
 * No state; lwIP's lock while it is asked.
 */
#include "kern/string.h"
#include "kern/thread.h"
#include "lwip/dhcp.h"
#include "lwip/dns.h"
#include "lwip/prot/dhcp.h"
#include "lwip/tcpip.h"
#include "net/heap.h"
#include "net/stack.h"
#include "psm/clock.h"
#include "shell/commands.h"

#define DHCP_PATIENCE (20 * NSEC_PER_SEC)
#define DHCP_LOOK     (50 * NSEC_PER_MSEC)

typedef unsigned long ul;

static unsigned prefix_of(const ip4_addr_t *mask)
{
    u32_t host = ~lwip_ntohl(ip4_addr_get_u32(mask));

    return host != 0 ? (unsigned)__builtin_clz(host) : 32;
}

static const char *state_name(u8_t state)
{
    return ip6_addr_ispreferred(state)    ? "preferred"
           : ip6_addr_isdeprecated(state) ? "deprecated"
           : ip6_addr_istentative(state)  ? "tentative"
                                          : "a duplicate";
}

static void show_addresses(struct sh_text *out, const struct netif *netif)
{
    char text[NET_ADDR_TEXT];

    if (ip4_addr_isany(netif_ip4_addr(netif)) == 0) {
        ip4addr_ntoa_r(netif_ip4_addr(netif), text, sizeof(text));
        sh_text_add(out, "      inet %s/%u", text, prefix_of(netif_ip4_netmask(netif)));
        if (ip4_addr_isany(netif_ip4_gw(netif)) == 0) {
            ip4addr_ntoa_r(netif_ip4_gw(netif), text, sizeof(text));
            sh_text_add(out, " gw %s", text);
        }
        sh_text_add(out, "%s\n",
                    netif->hwaddr_len != 0 && dhcp_supplied_address(netif) != 0 ? " by DHCP" : "");
    }
    for (s8_t i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
        if (ip6_addr_isinvalid(netif_ip6_addr_state(netif, i)) == 0) {
            net_addr_text(netif_ip_addr6(netif, i), text, sizeof(text));
            sh_text_add(out, "      inet6 %s/64 %s\n", text,
                        state_name(netif_ip6_addr_state(netif, i)));
        }
    }
}

static void net_show(struct sh_text *out, struct netif *netif)
{
    struct net_info info;

    bool real = net_if_info(netif, &info);
    bool carrier = real ? info.carrier : netif_is_link_up(netif);
    sh_text_add(out, "%-5s %s, %s, MTU %u", net_if_name(netif), netif_is_up(netif) ? "up" : "down",
                carrier ? "carrier" : "no carrier", netif->mtu);
    if (real) {
        sh_text_add(out, ", %02x:%02x:%02x:%02x:%02x:%02x, %u queue%s%s%s\n", info.mac[0],
                    info.mac[1], info.mac[2], info.mac[3], info.mac[4], info.mac[5], info.queues,
                    info.queues == 1 ? "" : "s", info.csum_v4 && info.csum_v6 ? ", checksums" : "",
                    netif == netif_default ? ", default" : "");
        show_addresses(out, netif);
        sh_text_add(out, "      rx %lu frames %lu bytes %lu dropped %lu errors\n",
                    (ul)info.rx_frames, (ul)info.rx_bytes, (ul)info.rx_dropped, (ul)info.rx_errors);
        sh_text_add(out, "      tx %lu frames %lu bytes %lu dropped %lu errors\n",
                    (ul)info.tx_frames, (ul)info.tx_bytes, (ul)info.tx_dropped, (ul)info.tx_errors);
    } else {
        sh_text_add(out, "\n");
        show_addresses(out, netif);
    }
}

static void show_all(struct sh_text *out)
{
    char text[NET_ADDR_TEXT];
    struct netif *netif;

    NETIF_FOREACH(netif)
    {
        net_show(out, netif);
    }
    for (u8_t i = 0; i < DNS_MAX_SERVERS; i++) {
        if (ip_addr_isany(dns_getserver(i)) == 0) {
            net_addr_text(dns_getserver(i), text, sizeof(text));
            sh_text_add(out, "dns   %s\n", text);
        }
    }
    sh_text_add(out, "memory %lu KiB of %lu\n", (ul)heap_used() / 1024, (ul)heap_quota() / 1024);
}

/* What the words behind the interface's name ask for. lwIP's lock is held. */
static int net_change(struct shell *sh, struct netif *netif, const char *what)
{
    const char *bad;

    if (strcmp(what, "up") == 0) {
        netif_set_up(netif);
    } else if (strcmp(what, "down") == 0) {
        netif_set_down(netif);
    } else if (net_configure(netif, what, &bad) != 0) {
        return sh_error(sh, "'%s' is no address, gw=, dns=, dhcp or none", bad);
    }
    return SH_OK;
}

static int cmd_ifconfig(struct shell *sh, int argc, char **argv)
{
    struct sh_text out = {0};
    int status = SH_OK;

    if (argc > 3) {
        return SH_USAGE;
    }
    if (net_stack_start() != 0) {
        return sh_error(sh, "no memory for the network");
    }
    LOCK_TCPIP_CORE();
    struct netif *netif = argc > 1 ? net_if_find(argv[1]) : NULL;
    if (argc > 2 && netif != NULL) {
        status = net_change(sh, netif, argv[2]);
    } else if (netif != NULL) {
        net_show(&out, netif);
    } else if (argc == 1) {
        show_all(&out);
    }
    UNLOCK_TCPIP_CORE();
    if (argc > 1 && netif == NULL) {
        return sh_error(sh, "%s: no such interface; `ifconfig` lists them", argv[1]);
    }
    return status != 0 ? status : sh_text_write(sh, &out);
}

/* The interface a command means: by its name, or the default. lwIP's lock is held. */
static struct netif *chosen(const char *name)
{
    struct netif *netif = name != NULL ? net_if_find(name) : netif_default;

    return netif != NULL && netif->hwaddr_len != 0 ? netif : NULL;
}

/* Asks, unless that goes on already; or gives the address back. */
static int start_dhcp(struct shell *sh, const char *name, bool release)
{
    LOCK_TCPIP_CORE();
    struct netif *netif = chosen(name);
    err_t err = netif != NULL ? ERR_OK : ERR_IF;
    if (netif != NULL && release) {
        dhcp_release_and_stop(netif);
    } else if (netif != NULL && (netif_dhcp_data(netif) == NULL ||
                                 netif_dhcp_data(netif)->state == DHCP_STATE_OFF)) {
        err = dhcp_start(netif);
    }
    UNLOCK_TCPIP_CORE();
    if (netif == NULL) {
        return name != NULL ? sh_error(sh, "%s: no such interface", name)
                            : sh_error(sh, "no interface");
    }
    return err != 0 ? sh_error(sh, "%s", net_strerror(err)) : SH_OK;
}

/* What DHCP has come to: 1 with a lease written to @text, 0 not yet, -ENODEV. */
static int lease(const char *name, char *text, size_t size)
{
    LOCK_TCPIP_CORE();
    struct netif *netif = chosen(name);
    const struct dhcp *dhcp = netif != NULL ? netif_dhcp_data(netif) : NULL;
    bool bound = dhcp != NULL && dhcp_supplied_address(netif) != 0;
    if (bound) {
        char addr[IP4ADDR_STRLEN_MAX], gw[IP4ADDR_STRLEN_MAX];

        ip4addr_ntoa_r(netif_ip4_addr(netif), addr, sizeof(addr));
        ip4addr_ntoa_r(netif_ip4_gw(netif), gw, sizeof(gw));
        snprintf(text, size, "%s: address %s/%u, gateway %s, lease %u s", net_if_name(netif), addr,
                 prefix_of(netif_ip4_netmask(netif)), gw, dhcp->offered_t0_lease);
    }
    UNLOCK_TCPIP_CORE();
    return dhcp != NULL ? bound : -ENODEV;
}

static int cmd_dhcp(struct shell *sh, int argc, char **argv)
{
    bool release = argc > 1 && strcmp(argv[argc - 1], "release") == 0;
    const char *name = argc - release > 1 ? argv[1] : NULL;
    char text[128];

    if (argc - release > 2) {
        return SH_USAGE;
    }
    if (net_stack_start() != 0) {
        return sh_error(sh, "no memory for the network");
    }
    int status = start_dhcp(sh, name, release);
    nsec_t deadline = clock_now() + DHCP_PATIENCE;
    int rc = 0;
    while (status == 0 && !release && (rc = lease(name, text, sizeof(text))) == 0) {
        if (sh_interrupted(sh)) {
            status = SH_INTERRUPTED;
        } else if (clock_now() > deadline) {
            status = sh_error(sh, "no answer within %lu s; asking goes on in the background",
                              (ul)(DHCP_PATIENCE / NSEC_PER_SEC));
        } else {
            thread_sleep_until(clock_now() + DHCP_LOOK);
        }
    }
    if (rc > 0) {
        sh_printf(sh, "%s\n", text);
    }
    return rc < 0 ? sh_error(sh, "the interface is gone") : status;
}

const struct sh_command net_commands[] = {
    {"ifconfig", "ifconfig [INTERFACE [up|down|WORDS]]", "show network interfaces, or change one",
     "WORDS, with ',' between them, are ADDR[/PREFIX] of IPv4 and of IPv6, gw=ADDR, dns=ADDR, "
     "dhcp\n"
     "or none, as in ip= on the kernel's command line: `ifconfig eth0 10.0.0.2/24,gw=10.0.0.1`.\n",
     ARGS_NONE, cmd_ifconfig},
    {"dhcp", "dhcp [INTERFACE] [release]", "ask for an address, or give it back",
     "Waits up to 20 s for a lease of the interface, or of the default one, and shows it.\n",
     ARGS_NONE, cmd_dhcp},
    {0},
};
