# lwIP as the guest kernel has it, for the kernel and for tests that run its sockets on the host.

# lwip_sources(OUT SRC): what is compiled of lwIP's folder SRC. Sets how its files are compiled, which holds in the
# folder that calls. net/timers.c stands in for its timeouts.
function(lwip_sources out src)
  file(GLOB sources CONFIGURE_DEPENDS
    ${src}/core/*.c ${src}/core/ipv4/*.c ${src}/core/ipv6/*.c ${src}/netif/ethernet.c)
  list(FILTER sources EXCLUDE REGEX "core/timeouts\\.c$")
  # Fragments of IPv6 are copies. As they are by default, the packet that is cut loses its bytes: TCP, which keeps it,
  # sends less the second time, and the loop then runs past its last piece (unit.guest_frag).
  set_source_files_properties(${src}/core/ipv6/ip6_frag.c PROPERTIES COMPILE_DEFINITIONS LWIP_NETIF_TX_SINGLE_PBUF=1)
  set(${out} ${sources} PARENT_SCOPE)
endfunction()

# What stands before a function of lwIP's: see net/pmtu.c.
set(lwip_wrapped -Wl,--wrap=nd6_get_destination_mtu)
