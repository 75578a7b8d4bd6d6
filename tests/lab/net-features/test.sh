# What Linux guests can do with duet-netd besides plain traffic: TCP and UDP both ways by iperf3 over four queues, all
# of which are used; an MTU of 9000; a VLAN of an Open vSwitch; one guest to the other through the bridge, and
# multicast between them; and what a guest sends leaves the host by a real interface with every checksum right.
# timeout: 500
. ./lib.sh

UNITS+=(duet-net.service)
IP=192.168.77.51 OTHER=192.168.77.52 VLAN_NET=192.168.79

cleanup() {
    wire_end $IP
    ip link set xenbr0 mtu 1500
    vlan_end
}

# stream LABEL OPTION...: iperf3 with the first guest, 4 MiB unless an option says otherwise, arrive.
stream() {
    local label=$1 tries=0
    shift
    # The one before may not have ended yet.
    until timeout 60 iperf3 -c $IP -n 4M -J "$@" > iperf.json; do
        grep 'server is busy' iperf.json > /dev/null && [ $((tries += 1)) -lt 50 ] || fail "iperf3 $*: $(grep '"error"' iperf.json)"
    done
    python3 - "$label" << 'PYTHON'
import json
import sys
said = json.load(open("iperf.json"))
total = said["end"].get("sum_received") or said["end"].get("sum")
# The last of what came by UDP may lie in the receiver's socket when the sender has ended.
assert total and total["bytes"] > 10000, said.get("error", total)
print(f"{sys.argv[1]}: {total['bits_per_second'] / 1e6:.0f} Mbit/s")
PYTHON
}

vlan_begin $VLAN_NET
initrd=$(linux_initrd iperf3 socat)
create features-a "kernel = '$LINUX_KERNEL'" "ramdisk = '$initrd'" "memory = 220" "vcpus = 4" \
    "vif = [ 'bridge=xenbr0', 'script=vif-openvswitch,bridge=duet-ovs.42' ]" \
    "extra = 'console=hvc0 run=\"ip addr add $IP/24 dev eth0; ip link set eth0 up; \
ip addr add $VLAN_NET.51/24 dev eth1; ip link set eth1 up; iperf3 -s > /dev/null & nc -ll -p 99 -e sh\"'"
create features-b "kernel = '$LINUX_KERNEL'" "ramdisk = '$initrd'" "memory = 220" "vif = [ 'bridge=xenbr0' ]" \
    "extra = 'console=hvc0 run=\"ip addr add $OTHER/24 dev eth0; ip link set eth0 up; nc -ll -p 99 -e sh\"'"
domid=$(xl domid features-a)
reach $IP
reach $OTHER
timeout 60 sh -c "until socat -u OPEN:/dev/null TCP:$IP:5201 && socat -u OPEN:/dev/null TCP:$OTHER:99; do :; done 2> /dev/null" || fail "the guests serve nobody"

say "four queues"
same "queues" 4 "$(xenstore-read "/local/domain/$domid/device/vif/0/multi-queue-num-queues")"
stream "UDP to the guest" -u -n 600k -b 2M
stream "UDP from the guest" -u -n 600k -b 2M -R
# busy_queues: those with many interrupts so far.
busy_queues() {
    in_linux $IP 'cat /proc/interrupts' | awk 'match($NF, /^vif0-q[0-9]+/) {
        queue = substr($NF, 1, RLENGTH); for (i = 2; i <= 5; i++) count[queue] += $i }
        END { for (queue in count) if (count[queue] > 100) print queue }' | sort | xargs
}
used=
for _ in 1 2 3 4; do # what comes together needs one interrupt
    stream "TCP to the guest, sixteen streams" -P 16
    stream "TCP from the guest, sixteen streams" -P 16 -R
    used=$(busy_queues)
    [ "$used" != "vif0-q0 vif0-q1 vif0-q2 vif0-q3" ] || break
done
same "queues with many interrupts" "vif0-q0 vif0-q1 vif0-q2 vif0-q3" "$used"

say "9000 bytes"
ip link set xenbr0 mtu 9000
ip link set "vif$domid.0" mtu 9000
in_linux $IP 'ip link set eth0 mtu 9000' > /dev/null
ping -q -c 3 -M "do" -s 8972 $IP > /dev/null || fail "no answer to a ping of 8972 bytes"
stream "TCP to the guest, MTU 9000"
stream "TCP from the guest, MTU 9000" -R

say "VLAN 42 of an Open vSwitch"
reach $VLAN_NET.51
same "tag of its port" 42 "$(ovs-vsctl get port "vif$domid.1" tag)"

say "guest to guest"
for _ in $(seq 50); do
    in_linux $OTHER "iperf3 -c $IP -n 1M 2>&1" > between
    grep 'server is busy' between > /dev/null || break
done
grep receiver between || fail "iperf3 between the guests: $(cat between)"
in_linux $IP 'socat -u UDP4-RECVFROM:4242,ip-add-membership=239.1.2.3:eth0 CREATE:/tmp/heard > /dev/null 2>&1 & echo' > /dev/null
for _ in $(seq 20); do
    in_linux $OTHER 'ip route replace 239.0.0.0/8 dev eth0; echo multicast | socat - UDP4-DATAGRAM:239.1.2.3:4242' > /dev/null
    [ "$(in_linux $IP 'cat /tmp/heard 2>&1')" != multicast ] || break
done
same "what came by multicast" multicast "$(in_linux $IP 'cat /tmp/heard')"

say "checksums on the wire"
wire_begin $IP
in_linux $IP "ip route add $WIRE_ECHO via 192.168.77.1; dd if=/dev/urandom of=/tmp/1M bs=1M count=1 2> /dev/null" > /dev/null
sum=$(in_linux $IP 'sha256sum < /tmp/1M')
same "sha256 of what came back from beyond eth0" "$sum" \
    "$(in_linux $IP "socat -t 120 - TCP:$WIRE_ECHO:7,readbytes=1048576 < /tmp/1M | sha256sum")"
in_linux $IP "echo hello | socat -u - UDP:$WIRE_ECHO:7; ping -c 1 -W 1 $WIRE_ECHO" > /dev/null || true
wire_check
