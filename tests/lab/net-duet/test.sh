#!/bin/bash
# Our guest's network interface on duet-netd: pings both ways, short and of 60,000 bytes, on two queues; a second
# one, with an MTU of 9000, detached; the worker killed, the daemon restarted, the carrier taken away; a checkpoint,
# a save and restore after which the guest announces where it is. Then the same guest kernel on xen-netback, which is
# unbound and bound again under it. Nothing is left after the guests' end.
# timeout: 500
. ./lib.sh

UNITS+=(duet-net.service)
IP=192.168.77.70

cleanup() {
    modprobe -q -r xen-netback || true
    systemctl start duet-net.service
}

# no_loss: a hundred pings, all answered.
no_loss() {
    pinged $IP 100 -i 0.01 > /dev/null || fail "pings of $IP were lost"
}

# large_pings: one after the other, since the guest's stack puts together one such datagram at a time.
large_pings() {
    local _
    for _ in 1 2; do
        ping -q -c 1 -W "$(scaled 20)" -s 60000 $IP > /dev/null || fail "a ping of 60000 bytes was lost"
    done
}

# tell NAME COMMAND: have the guest at whose console we sit do it; its output is its log's.
tell() {
    new_log "$1"
    type_line "$2; echo that-''is-all"
    wait_line "$1" '^that-is-all' > /dev/null
}

# shows NAME TEXT: lsdev's line of eth0 has TEXT.
shows() {
    tell "$1" lsdev
    guest_log "$1" | grep -F 'eth0 ' | grep -F -- "$2" > /dev/null || fail "lsdev has no '$2': $(guest_log "$1")"
}

worker() {
    pgrep -f "/duet-net-worker . vif$domid\.0" || true
}

# announced ADDRESS: wait for an ARP packet by which its owner tells everybody about it.
announced() {
    timeout 60 python3 -c 'import socket, sys
want = socket.inet_aton(sys.argv[1])
listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
listener.bind(("xenbr0", 0))
print("listening", flush=True)
while True:
    packet = listener.recv(2048)
    if packet[28:32] == want and packet[38:42] == want: break' "$1"
}

say "a guest on duet-netd"
guest net-duet "vcpus = 2" "on_poweroff = 'destroy'" \
    "vif = [ 'bridge=xenbr0,mac=00:16:3e:44:55:66,ip=$IP/24', 'bridge=xenbr0,mac=00:16:3e:44:55:67,mtu=9000' ]"
domid=$(xl domid net-duet)
back=/local/domain/0/backend/vif/$domid/0
wait_prompt net-duet
wait_line net-duet 'eth1: 00:16:3e:44:55:67, MTU 9000' 60 > /dev/null
attach net-duet
wait_store "$back/state" '^4$' 60
reach $IP
no_loss
large_pings
guest_pings net-duet 192.168.77.1
shows net-duet "00:16:3e:44:55:66 up, carrier on, 2 queues"

say "an interface that goes"
new_log net-duet
timeout 60 xl network-detach net-duet 1
wait_line net-duet 'eth1: detached' 30 > /dev/null
xenstore-exists "/local/domain/0/backend/vif/$domid/1" && fail "network-detach left the back end"
reach $IP

say "worker killed, daemon restarted"
old=$(worker)
kill -9 "$old"
reach $IP
[ "$(worker)" != "$old" ] || fail "the worker was not replaced"
systemctl restart duet-net.service
reach $IP
guest_pings net-duet 192.168.77.1
same "state after the restart" 4 "$(xenstore-read "$back/state")"

say "carrier"
new_log net-duet
xenstore-write "$back/carrier" 0
wait_line net-duet 'eth0: carrier off' 20 > /dev/null
shows net-duet "carrier off"
new_log net-duet
xenstore-write "$back/carrier" 1
wait_line net-duet 'eth0: carrier on' 20 > /dev/null
reach $IP

say "checkpoint"
timeout 60 xl save -c net-duet "$WORK/checkpoint" > /dev/null 2>&1
rm "$WORK/checkpoint"
reach $IP
guest_pings net-duet 192.168.77.1

say "save and restore"
timeout 60 xl save net-duet "$WORK/saved" > /dev/null 2>&1
exec {arp}< <(announced $IP && echo announced)
listener=$!
read -r -t "$(scaled 30)" -u "$arp" _ || fail "nobody listens for ARP"
timeout 60 xl restore "$WORK/saved" > /dev/null 2>&1
read -r -t "$(scaled 60)" -u "$arp" line || true
same "what the restored guest says to everybody" announced "${line:-nothing}"
wait $listener
domid=$(xl domid net-duet)
back=/local/domain/0/backend/vif/$domid/0
reach $IP
attach net-duet
no_loss
guest_pings net-duet 192.168.77.1
shows net-duet "00:16:3e:44:55:66 up, carrier on, 2 queues"

say "end"
timeout 60 xl destroy net-duet
wait_end net-duet
wait_journal duet-net.service "vif $domid/0: removed"
no_interface "vif$domid.*"
same "workers" "" "$(worker)"

say "the same on xen-netback"
systemctl stop duet-net.service
modprobe xen-netback
guest net-duet-peer "vcpus = 2" "on_poweroff = 'destroy'" \
    "vif = [ 'bridge=xenbr0,mac=00:16:3e:44:55:68,ip=$IP/24' ]"
domid=$(xl domid net-duet-peer)
back=/local/domain/0/backend/vif/$domid/0
wait_prompt net-duet-peer
attach net-duet-peer
wait_store "$back/state" '^4$' 60
reach $IP
no_loss
large_pings
guest_pings net-duet-peer 192.168.77.1
shows net-duet-peer "up, carrier on, 2 queues"

say "xen-netback goes and comes back"
new_log net-duet-peer
echo "vif-$domid-0" > /sys/bus/xen-backend/drivers/vif/unbind
echo "vif-$domid-0" > /sys/bus/xen-backend/drivers/vif/bind
ip link set "vif$domid.0" up master xenbr0 # what the script does, which nobody runs again
xenstore-write "$back/hotplug-status" connected
wait_line net-duet-peer 'eth0: back end of domain 0 went away' 30 > /dev/null
wait_line net-duet-peer 'eth0: 00:16:3e:44:55:68, MTU' 30 > /dev/null
reach $IP
guest_pings net-duet-peer 192.168.77.1
timeout 60 xl destroy net-duet-peer
wait_end net-duet-peer
no_interface "vif$domid.*"
