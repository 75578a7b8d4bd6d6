/*
 * config.c - an interface's addresses, from the words of ip=. See net_configure() in stack.h.
 *
 * Nothing is changed before all words are understood. No state; lwIP's lock. Suspend: addresses
 * stay.
 */
#include "kern/string.h"
#include "lwip/dhcp.h"
#include "lwip/dns.h"
#include "net/stack.h"

#define WORD_MAX  64
#define V4_PREFIX 24 /* where no prefix is given */
#define V6_PREFIX 64
#define V6_SLOT                                                                      \
    (LWIP_IPV6_NUM_ADDRESSES - 1) /* of a static address; SLAAC fills from the front \
                                   */

struct plan {
    bool none, dhcp, have4, have6;
    ip4_addr_t addr, mask, gw;
    ip6_addr_t addr6;
    ip_addr_t dns[DNS_MAX_SERVERS];
    unsigned servers;
};

static void set_mask(ip4_addr_t *mask, uint64_t prefix)
{
    ip4_addr_set_u32(mask, prefix ? lwip_htonl(UINT32_MAX << (32 - prefix)) : 0);
}

/* ADDR[/PREFIX] */
static int plan_address(struct plan *plan, char *word)
{
    char *slash = strchr(word, '/');
    uint64_t prefix = UINT64_MAX;
    ip_addr_t addr;

    if (slash != NULL) {
        *slash = '\0';
        if (parse_u64(slash + 1, &prefix) != 0) {
            return -EINVAL;
        }
    }
    if (ipaddr_aton(word, &addr) == 0) {
        return -EINVAL;
    }
    if (IP_IS_V6(&addr)) {
        if (plan->have6 || (slash != NULL && prefix != V6_PREFIX)) {
            return -EINVAL;
        }
        plan->have6 = true;
        plan->addr6 = *ip_2_ip6(&addr);
        return 0;
    }
    prefix = slash != NULL ? prefix : V4_PREFIX;
    if (plan->have4 || prefix > 32) {
        return -EINVAL;
    }
    plan->have4 = true;
    plan->addr = *ip_2_ip4(&addr);
    set_mask(&plan->mask, prefix);
    return 0;
}

static int plan_word(struct plan *plan, char *word)
{
    ip_addr_t addr;

    if (strcmp(word, "none") == 0) {
        plan->none = true;
        return 0;
    }
    if (strcmp(word, "dhcp") == 0) {
        plan->dhcp = true;
        return 0;
    }
    if (strncmp(word, "gw=", 3) == 0) {
        return ip4addr_aton(word + 3, &plan->gw) != 0 ? 0 : -EINVAL;
    }
    if (strncmp(word, "dns=", 4) == 0) {
        if (plan->servers == DNS_MAX_SERVERS || ipaddr_aton(word + 4, &addr) == 0) {
            return -EINVAL;
        }
        plan->dns[plan->servers++] = addr;
        return 0;
    }
    return plan_address(plan, word);
}

/* The next word into @word. Return: where to go on, NULL at the end. */
static const char *next_word(const char *text, char *word)
{
    size_t len = 0;

    while (*text == ' ' || *text == ',') {
        text++;
    }
    while (text[len] != '\0' && text[len] != ' ' && text[len] != ',') {
        len++;
    }
    strlcpy(word, text, MIN(len + 1, WORD_MAX));
    return len != 0 ? text + len : NULL;
}

static void apply4(struct netif *netif, const struct plan *plan)
{
    dhcp_release_and_stop(netif);
    if (plan->have4) {
        netif_set_addr(netif, &plan->addr, &plan->mask, &plan->gw);
    } else {
        netif_set_addr(netif, IP4_ADDR_ANY4, IP4_ADDR_ANY4, IP4_ADDR_ANY4);
    }
    if (plan->dhcp && netif->hwaddr_len != 0) {
        (void)dhcp_start(netif);
    }
}

static void apply6(struct netif *netif, const struct plan *plan)
{
    if (netif->hwaddr_len == 0) {
        return;
    }
    netif_set_ip6_autoconfig_enabled(netif, !plan->none);
    if (plan->none) {
        for (s8_t i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
            netif_ip6_addr_set_state(netif, i, IP6_ADDR_INVALID);
        }
        return;
    }
    if (ip6_addr_isinvalid(netif_ip6_addr_state(netif, 0))) {
        netif_create_ip6_linklocal_address(netif, 1);
    }
    if (plan->have6) {
        netif_ip6_addr_set(netif, V6_SLOT, &plan->addr6);
        netif_ip6_addr_set_state(netif, V6_SLOT, IP6_ADDR_TENTATIVE);
    }
}

int net_configure(struct netif *netif, const char *text, const char **bad)
{
    struct plan plan = {0};
    char word[WORD_MAX];
    const char *next = text != NULL ? text : "";

    for (;;) {
        const char *end = next_word(next, word);

        if (end == NULL) {
            break;
        }
        if (plan_word(&plan, word) != 0) {
            *bad = next;
            return -EINVAL;
        }
        next = end;
    }
    plan.dhcp = plan.dhcp || (!plan.have4 && !plan.have6 && !plan.none);
    apply4(netif, &plan);
    apply6(netif, &plan);
    for (unsigned i = 0; i < plan.servers; i++) {
        dns_setserver((u8_t)i, &plan.dns[i]);
    }
    return 0;
}
