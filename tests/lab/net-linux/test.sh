# An unmodified Linux PV guest on duet-netd, on the stock vif-bridge script: ping both ways over IPv4 and
# IPv6, data intact both ways over TCP with segmentation and checksum offload in use, UDP; the worker
# killed and the daemon restarted under it; a second interface with a name of its own attached, used and
# detached; and after the guest's end no interface and no process is left.
# timeout: 600
. ./lib.sh

UNITS+=(duet-net.service)
GUEST_IP=192.168.77.50
SECOND_NET=192.168.78
NET6=fd00:6475:6574

cleanup() {
    ip -6 addr del $NET6::1/64 dev xenbr0 || true
    ip addr del $SECOND_NET.1/24 dev xenbr0 || true
}

in_guest() {
    in_linux $GUEST_IP "$1"
}

# receive_from_guest PORT FILE HERE: a file of the guest, over TCP.
receive_from_guest() {
    local receiver
    timeout 120 socat -u "TCP-LISTEN:$1,reuseaddr" "CREATE:$3" &
    receiver=$!
    in_guest "until nc 192.168.77.1 $1 < $2; do :; done" > /dev/null
    wait $receiver
}

worker() {
    pgrep -f "/duet-net-worker . vif$domid\.0" || true
}

cleanup 2> /dev/null # of a run that was killed
ip -6 addr add $NET6::1/64 dev xenbr0 nodad
ip addr add $SECOND_NET.1/24 dev xenbr0
linux_guest net-linux "vcpus = 2" "vif = [ 'bridge=xenbr0,mac=00:16:3e:11:22:33' ]" \
    "extra = 'console=hvc0 run=\"ip addr add $GUEST_IP/24 dev eth0; \
ip -6 addr add $NET6::50/64 dev eth0; ip link set eth0 up; nc -ll -p 99 -e sh\"'"
domid=$(xl domid net-linux)
back=/local/domain/0/backend/vif/$domid/0
wait_line net-linux '^linux: ready' 250 > /dev/null
wait_store "$back/state" '^4$' 200
same "carrier" 1 "$(xenstore-read "$back/carrier")"
same "the kernel's back end" "" "$(lsmod | grep xen_netback || true)"
[ -e "/sys/class/net/xenbr0/brif/vif$domid.0" ] || fail "vif$domid.0 is not on the bridge"
reach $GUEST_IP
reach $NET6::50 -6

say "data"
in_guest 'ping -c 3 192.168.77.1' | grep '3 packets received' > /dev/null ||
    fail "the guest cannot ping dom0"
head -c 4M /dev/urandom > "$WORK/sent"
in_guest 'nc -l -p 5556 > /tmp/blob & echo listening' > /dev/null
timeout 120 socat -u "FILE:$WORK/sent" TCP:$GUEST_IP:5556,retry=$(scaled 50),interval=0.2
sum=$(sha256sum < "$WORK/sent")
in_guest 'while pidof nc | grep " " > /dev/null; do :; done' # one serves us, the other may still write
same "sha256 of what the guest received" "${sum%% *}" \
    "$(in_guest 'sha256sum /tmp/blob' | cut -d ' ' -f 1)"
receive_from_guest 5557 /tmp/blob "$WORK/back"
back_sum=$(sha256sum < "$WORK/back")
same "sha256 of what came back" "${sum%% *}" "${back_sum%% *}"

say "large datagrams"
ping -q -c 3 -s 60000 $GUEST_IP > /dev/null || fail "no answer to large pings"

say "worker killed, daemon restarted"
old=$(worker)
kill -9 "$old"
reach $GUEST_IP
[ "$(worker)" != "$old" ] || fail "the worker was not replaced"
systemctl restart duet-net.service
reach $GUEST_IP
same "state after the restart" 4 "$(xenstore-read "$back/state")"

say "rate"
# 2 MiB without a limit, then with the limit at which they take eight times as long.
in_guest 'dd if=/dev/zero of=/tmp/2M bs=1M count=2' > /dev/null
took=()
for limit in none eighth; do
    [ $limit = none ] || xenstore-write "$back/rate" "$((2097152 * 50000 / (8 * took[0]))),50000"
    began=${EPOCHREALTIME/./}
    receive_from_guest 5558 /tmp/2M "$WORK/$limit"
    took+=($((${EPOCHREALTIME/./} - began)))
    same "bytes of what arrived" 2097152 "$(stat -c %s "$WORK/$limit")"
done
say "2 MiB: ${took[0]} us, with an eighth of that rate ${took[1]} us"
[ "${took[1]}" -gt $((4 * took[0])) ] || fail "the rate does not limit"
xenstore-rm "$back/rate"

say "second interface"
timeout 60 xl network-attach net-linux bridge=xenbr0 vifname=duet-second
wait_store "/local/domain/0/backend/vif/$domid/1/state" '^4$' 100
[ -e /sys/class/net/xenbr0/brif/duet-second ] || fail "duet-second is not on the bridge"
in_guest "ip addr add $SECOND_NET.50/24 dev eth1; ip link set eth1 up; \
until ping -c 1 -W 2 -I eth1 $SECOND_NET.1; do :; done" > /dev/null
[ "$(cat /sys/class/net/duet-second/statistics/rx_packets)" -gt 0 ] ||
    fail "nothing came through the second interface"
timeout 60 xl network-detach net-linux 1
xenstore-exists "/local/domain/0/backend/vif/$domid/1" && fail "network-detach left the back end"
timeout 30 sh -c 'while [ -e /sys/class/net/duet-second ]; do :; done' || fail "duet-second is left"
reach $GUEST_IP

say "end"
timeout 60 xl destroy net-linux
wait_end net-linux
wait_journal duet-net.service "vif $domid/0: removed"
no_interface "vif$domid.*"
same "workers" "" "$(worker)"
