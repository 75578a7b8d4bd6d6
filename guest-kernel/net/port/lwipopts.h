/*
 * lwipopts.h - how lwIP is built. docs/tcpip.md says why, where a line does not.
 *
 * Constant.
 */
#ifndef LWIPOPTS_H
#define LWIPOPTS_H

/* Threads: see sys_arch.c. */
#define NO_SYS                        0
#define SYS_LIGHTWEIGHT_PROT          1
#define LWIP_TCPIP_CORE_LOCKING       1
#define LWIP_TCPIP_CORE_LOCKING_INPUT 0
#define TCPIP_THREAD_NAME             "tcpip"
#define TCPIP_MBOX_SIZE               256
#define LWIP_TIMERS_CUSTOM            1 /* timers.c */
#define LWIP_NETCONN                  1
#define LWIP_SOCKET                   0
#define LWIP_SO_RCVTIMEO              1
#define LWIP_SO_SNDTIMEO              1
#define SO_REUSE                      1
#define DEFAULT_TCP_RECVMBOX_SIZE     768 /* a window of Ethernet's segments fits: see stack.c */
#define DEFAULT_UDP_RECVMBOX_SIZE     256
#define DEFAULT_RAW_RECVMBOX_SIZE     16
#define DEFAULT_ACCEPTMBOX_SIZE       64
#define LWIP_ASSERT_CORE_LOCKED()     port_assert_core_locked()
#define LWIP_MPU_COMPATIBLE           0
#define LWIP_NETCONN_SEM_PER_THREAD   0

/* Memory: the kernel's, within a quota (heap.c). No pools: nothing is taken before it is used. */
#define MEM_LIBC_MALLOC          1
#define MEMP_MEM_MALLOC          1
#define MEM_ALIGNMENT            16
#define mem_clib_malloc          heap_alloc
#define mem_clib_free            heap_free
#define mem_clib_calloc          heap_calloc
#define LWIP_SUPPORT_CUSTOM_PBUF 1

/* Interfaces. */
#define ETH_PAD_SIZE                 0
#define LWIP_NETIF_LOOPBACK          1
#define LWIP_HAVE_LOOPIF             1
#define LWIP_LOOPBACK_MAX_PBUFS      256
#define LWIP_NETIF_STATUS_CALLBACK   1
#define LWIP_NETIF_HOSTNAME          0
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1
#define LWIP_SINGLE_NETIF            0

/* IPv4. */
#define LWIP_IPV4                     1
#define LWIP_ARP                      1
#define ARP_QUEUEING                  1
#define ETHARP_SUPPORT_STATIC_ENTRIES 0
#define IP_FORWARD                    0
#define IP_REASSEMBLY                 1
#define IP_REASS_MAX_PBUFS            64
#define IP_FRAG                       1
#define LWIP_ICMP                     1
#define LWIP_BROADCAST_PING           0
#define LWIP_MULTICAST_PING           0
#define LWIP_RAW                      1
#define LWIP_IGMP                     1
#define LWIP_DHCP                     1
#define LWIP_DHCP_DOES_ACD_CHECK      0
#define DHCP_DOES_ARP_CHECK           0 /* costs a second and more of each boot */
#define LWIP_DHCP_MAX_DNS_SERVERS     2
#define LWIP_DNS                      1
#define DNS_MAX_SERVERS               2
#define LWIP_DNS_SECURE               7

/* IPv6. */
#define LWIP_IPV6                      1
#define LWIP_IPV6_AUTOCONFIG           1
#define LWIP_IPV6_DHCP6                0
#define LWIP_IPV6_MLD                  1
#define LWIP_IPV6_REASS                1
#define LWIP_IPV6_FRAG                 1
#define LWIP_IPV6_FORWARD              0
#define IPV6_FRAG_COPYHEADER           1 /* a pointer does not fit into the header */
#define LWIP_IPV6_NUM_ADDRESSES        4
#define LWIP_ND6_RDNSS_MAX_DNS_SERVERS 2
#define LWIP_ICMP6                     1

/* UDP and TCP. */
#define LWIP_UDP                   1
#define LWIP_TCP                   1
#define TCP_MSS                    8960 /* of jumbo frames; the MTU caps it */
#define LWIP_WND_SCALE             1
#define TCP_RCV_SCALE              5
#define TCP_WND                    (1024 * 1024)
#define TCP_SND_BUF                (256 * 1024)
#define TCP_SND_QUEUELEN           1024
#define TCP_SNDLOWAT               (16 * 1024)
#define TCP_SNDQUEUELOWAT          512
#define TCP_OVERSIZE               TCP_MSS
#define TCP_QUEUE_OOSEQ            1
#define LWIP_TCP_SACK_OUT          1
#define LWIP_TCP_KEEPALIVE         1
#define TCP_LISTEN_BACKLOG         1
#define TCP_DEFAULT_LISTEN_BACKLOG 64
#define TCP_MSL                    2000 /* ms: what waits after its end is found in a list */
#define LWIP_TCP_TIMESTAMPS        0

#define LWIP_STATS 0
#define LWIP_DEBUG 0

#define LWIP_CHECKSUM_ON_COPY 0
#define CHECKSUM_CHECK_UDP    1

/* Segments that the interface cuts to size: see ethif.c. */
#define LWIP_TCP_PCB_NUM_EXT_ARGS                        1
#define LWIP_HOOK_TCP_OUT_ADD_TCPOPTS(p, hdr, pcb, opts) ethif_segment((p), (pcb), (opts))

/* No segment that waits is too long for what the window says next: see window.c. */
#define LWIP_HOOK_TCP_INPACKET_PCB(pcb, hdr, optlen, opt1len, opt2, p) window_keep(pcb)

/* RFC 6528: sequence numbers nobody can guess. See random.c. */
#define LWIP_HOOK_FILENAME                  "net/port/hooks.h"
#define LWIP_HOOK_TCP_ISN(lip, lp, rip, rp) random_isn((lip), (lp), (rip), (rp))

#endif /* LWIPOPTS_H */
