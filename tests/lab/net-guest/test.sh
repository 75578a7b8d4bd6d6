# Our guest on duet-netd, as net-features has it of a Linux guest: TCP and UDP both ways with dom0's iperf, at MTU
# 1500 and 9000, over IPv4 and IPv6; four queues, all of which are used; a VLAN of an Open vSwitch; one guest of ours to
# the other through the bridge, by TCP, UDP and multicast. The back end filters multicast for our guests: what nobody
# joined does not come, what was joined does, also with another worker and after a restore. What our guest
# sends leaves the host by a real interface with every checksum right.
# timeout: 900
. ./lib.sh

UNITS+=(duet-net.service)
NET=192.168.77 JUMBO_NET=192.168.78 VLAN_NET=192.168.79
NET6=fd00:6475:6970: JUMBO_NET6=fd00:6475:6971:
IP=$NET.53 OTHER=$NET.54
HELPERS=()

cleanup() {
    [ ${#HELPERS[@]} -eq 0 ] || kill "${HELPERS[@]}" 2> /dev/null
    wire_end $IP
    ip -6 addr del $NET6:1/64 dev xenbr0
    ip route del 239.0.0.0/8 dev xenbr0 2> /dev/null
    ip link set xenbr0 type bridge mcast_snooping 1
    ip link del duet9000
    vlan_end
}

# helper COMMAND...: run it beside the test, until the test ends.
helper() {
    "$@" > "$1.$#.out" 2>&1 < /dev/null &
    HELPERS+=($!)
}

# came LABEL LINE: whether half of a stream of datagrams or more came, by the report in LINE.
came() {
    say "$1: $2"
    [[ $2 =~ ([0-9]+)\ of\ ([0-9]+)\ datagrams ]] && ((BASH_REMATCH[2] > 20 && BASH_REMATCH[1] * 2 >= BASH_REMATCH[2]))
}

# thrice COMMAND...: it has three tries, since a pause of this machine loses datagrams.
thrice() {
    "$@" || "$@" || "$@" || fail "three times in vain: $*"
}

# udp_to LABEL GUEST-ADDRESS LENGTH [IPERF-OPTION]: datagrams from dom0 to the guest, and both say the same of them.
udp_to() {
    local line
    ask net-guest "iperf -u -s -P 1" '^serving port' > /dev/null
    timeout 60 iperf -u -c "$2" -n 400000 -b 2M -l "$3" "${@:4}" > iperf.out || fail "$1: $(cat iperf.out)"
    line=$(wait_line net-guest '^received [0-9]+ bytes in')
    # It asks ten times in two and a half seconds what came.
    ! grep 'did not receive ack' iperf.out || return 1
    [[ $line =~ of\ ([0-9]+)\ datagrams.*\ ([0-9]+)\ lost ]]
    grep -E " ${BASH_REMATCH[2]}/ *${BASH_REMATCH[1]} \(" iperf.out > /dev/null ||
        fail "$1: dom0 was told otherwise than '$line': $(cat iperf.out)"
    came "$1: UDP to the guest" "$line"
}

# udp_from LABEL WHERE [IPERF-OPTION]: datagrams from the guest.
udp_from() {
    came "$1: UDP from the guest" "$(ask net-guest "iperf -u -c $2 -n 400000 -b 2M ${*:3}" '^(of these|iperf:)')"
}

# udp_guests ADDRESS: datagrams from one guest to the other.
udp_guests() {
    ask net-guest-b "iperf -u -s -P 1" '^serving port' > /dev/null
    ask net-guest "iperf -u -c $1 -n 400000 -b 2M" '^(sent|iperf:)' > /dev/null
    came "UDP" "$(wait_line net-guest-b '^(received|iperf:)')"
}

# streams LABEL GUEST-ADDRESS DOM0-ADDRESS LENGTH [IPERF-OPTION]: TCP and UDP with datagrams of LENGTH, both ways.
streams() {
    local label=$1 to=$2 from=$3 line
    ask net-guest "iperf -s -P 1" '^serving port' > /dev/null
    timeout 60 iperf -c "$to" -n 2M "${@:5}" > iperf.out || fail "$label: $(cat iperf.out)"
    line=$(wait_line net-guest '^received [0-9]+ bytes in')
    [[ $line == "received 2097152 bytes in "* ]] || fail "$label: $line"
    say "$label: TCP to the guest: ${line##*, }"
    line=$(ask net-guest "iperf -c $from -n 2M" '^(sent|iperf:)')
    [[ $line == "sent 2097152 bytes in "* ]] || fail "$label: $line"
    say "$label: TCP from the guest: ${line##*, }"
    thrice udp_to "$label" "$to" "$4" "${@:5}"
    thrice udp_from "$label" "$from" -l "$4"
}

# group_hears LABEL SENDER RECEIVER GROUP: a stream of datagrams to a group, from one guest to the other.
group_hears() {
    ask "$3" "iperf -u -s -B $4 -P 1" '^serving port' > /dev/null
    ask "$2" "iperf -u -c $4 -n 100000 -b 100pps" '^(sent|iperf:)' > /dev/null
    came "$1" "$(wait_line "$3" '^(received|iperf:)')"
}

# reach_anew ADDRESS: as reach, but dom0 has to ask for the address' owner, by multicast.
reach_anew() {
    ip -6 neigh flush dev xenbr0
    reach "$1"
}

# frames GUEST: how many its first interface received, as lsdev tells.
frames() {
    ask "$1" lsdev ' eth0 ' | sed 's/.* queues, \([0-9]*\) received.*/\1/'
}

cleanup 2> /dev/null || true # of a run that was killed
vlan_begin $VLAN_NET
ip -6 addr add $NET6:1/64 dev xenbr0 nodad
ip link set xenbr0 type bridge mcast_snooping 0 # so that every port gets all multicast
ip link add duet9000 mtu 9000 type bridge
ip addr add $JUMBO_NET.1/24 dev duet9000
ip -6 addr add $JUMBO_NET6:1/64 dev duet9000 nodad
ip link set duet9000 up
helper iperf -s -V
helper iperf -s -u -V -l 9000 # else it counts 1470 bytes of each datagram

guest net-guest "memory = 64" "vcpus = 4" "vif = [ 'bridge=xenbr0' ]" \
    "extra = 'ip=$IP/24,gw=$NET.1,$NET6:53 ip.eth1=$VLAN_NET.53/24 ip.eth2=$JUMBO_NET.53/24,$JUMBO_NET6:53'"
guest net-guest-b "memory = 32" "vif = [ 'bridge=xenbr0' ]" "extra = 'ip=$OTHER/24,$NET6:54'"
domid=$(xl domid net-guest)
wait_prompt net-guest
wait_prompt net-guest-b
timeout 100 xl network-attach net-guest script=vif-openvswitch bridge=duet-ovs.42
timeout 100 xl network-attach net-guest bridge=duet9000 mtu=9000
for address in $IP $OTHER $NET6:53 $NET6:54 $JUMBO_NET.53 $JUMBO_NET6:53; do
    reach "$address"
done

say "streams"
streams "IPv4, MTU 1500" $IP $NET.1 1470
streams "IPv6, MTU 1500" $NET6:53 $NET6:1 1450 -V
ping -q -c 2 -M "do" -s 8972 $JUMBO_NET.53 > /dev/null || fail "no answer to a ping of 8972 bytes"
streams "IPv4, MTU 9000" $JUMBO_NET.53 $JUMBO_NET.1 8900
streams "IPv6, MTU 9000" $JUMBO_NET6:53 $JUMBO_NET6:1 8900 -V

say "four queues"
same "queues" 4 "$(xenstore-read "/local/domain/$domid/device/vif/0/multi-queue-num-queues")"
ask net-guest "iperf -s -P 64" '^serving port' > /dev/null
python3 -c 'import socket, sys
for _ in range(64):
    with socket.create_connection((sys.argv[1], 5001), 60) as stream: stream.sendall(bytes(200000))' $IP
ask net-guest "lsevt; echo that-''is-all" '^that-is-all' > /dev/null
used=$(guest_log net-guest | awk '$5 ~ /^eth0-[0-9]-rx$/ && $4 > 20 { print $5 }' | sort | xargs)
same "queues with many events" "eth0-0-rx eth0-1-rx eth0-2-rx eth0-3-rx" "$used"

say "VLAN 42 of an Open vSwitch"
reach $VLAN_NET.53
same "tag of its port" 42 "$(ovs-vsctl get port "vif$domid.1" tag)"
thrice udp_from "VLAN" $VLAN_NET.1

say "guest to guest"
ask net-guest-b "iperf -s -P 1" '^serving port' > /dev/null
line=$(ask net-guest "iperf -c $OTHER -n 4M" '^(sent|iperf:)')
wait_line net-guest-b '^received 4194304 bytes in' > /dev/null
say "TCP: ${line##*, }"
thrice udp_guests $NET6:54

say "multicast"
same "multicast control" 1 "$(xenstore-read "/local/domain/$domid/device/vif/0/request-multicast-control")"
thrice group_hears "IPv4" net-guest-b net-guest 239.1.2.3%eth0
thrice group_hears "IPv6" net-guest net-guest-b ff02::4242
before=$(frames net-guest)
sent=$(cat "/sys/class/net/vif$domid.0/statistics/tx_packets")
ip route add 239.0.0.0/8 dev xenbr0
python3 -c 'import socket
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(500): sender.sendto(b"nobody asked", ("239.9.9.9", 4242))'
ip route del 239.0.0.0/8 dev xenbr0
# flooded: whether the back end got most of them.
flooded() {
    [ $(($(cat "/sys/class/net/vif$domid.0/statistics/tx_packets") - sent)) -ge 400 ] && echo yes
}
settles "multicast at the back end" yes flooded
reach $IP
came=$(($(frames net-guest) - before))
[ $came -lt 100 ] || fail "$came frames came to a guest that had not asked for them"
pkill -9 -f "/duet-net-worker . vif$domid\.0"
reach $IP
reach_anew $NET6:53
thrice group_hears "IPv4, another worker" net-guest-b net-guest 239.1.2.3
say "restored: $(save_restore net-guest-b)"
reach_anew $NET6:54
same "multicast control of the restored guest" 1 \
    "$(xenstore-read "/local/domain/$(xl domid net-guest-b)/device/vif/0/request-multicast-control")"
thrice group_hears "IPv4, restored" net-guest net-guest-b 239.1.2.3

say "checksums on the wire"
wire_begin $IP
line=$(ask net-guest "iperf -c $WIRE_ECHO -p 7 -n 2M" '^(sent|iperf:)')
[[ $line == "sent 2097152 bytes in "* ]] || fail "$line"
ask net-guest "iperf -u -c $WIRE_ECHO -n 20000 -b 10M" '^iperf: .* does not say what came' > /dev/null
wire_check
