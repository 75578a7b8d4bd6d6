#!/bin/bash
# The MTU of an interface of our guest goes from 9000 to 1500 while a connection is open whose peer has stopped
# reading, so that the guest holds segments of 9000 bytes, sent and not yet sent: all of it arrives, over IPv4 and
# IPv6. Then somebody tells it that packets of 50 bytes are too big for the way to dom0: it answers as before.
# timeout: 180
. ./lib.sh

UNITS+=(duet-net.service)
NET=192.168.78 NET6=fd00:6475:6971:

cleanup() {
    ip link del duet9000
}

cleanup 2> /dev/null || true # of a run that was killed
ip link add duet9000 mtu 9000 type bridge
ip addr add $NET.1/24 dev duet9000
ip -6 addr add $NET6:1/64 dev duet9000 nodad
ip link set duet9000 up
guest mtu "vif = [ 'bridge=duet9000,mtu=9000' ]" "extra = 'ip=$NET.53/24,$NET6:53'"
wait_prompt mtu
id=$(xl domid mtu)
reach $NET.53
reach $NET6:53

# set_mtu MTU: the back end goes and comes, as when another host serves the interface.
set_mtu() {
    new_log mtu
    xenstore-write "/local/domain/$id/device/vif/0/mtu" "$1"
    xenstore-write "/local/domain/0/backend/vif/$id/0/state" 5
    wait_line mtu "eth0: .*, MTU $1, .* served by domain 0" > /dev/null
}

# A server that says "ready", reads a while, says "half", reads on when it is told to, and says how much came.
cat > server.py << 'PYTHON'
import socket
import sys

with socket.create_server((sys.argv[1], 5003), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET) as server:
    print("ready", flush=True)
    stream, _ = server.accept()
got = len(stream.recv(100000))
print("half", flush=True)
sys.stdin.readline()
while piece := stream.recv(1 << 20):
    got += len(piece)
print(got, flush=True)
PYTHON

for address in $NET.1 $NET6:1; do
    say "from 9000 to 1500 under a connection to $address"
    coproc SERVER { exec timeout "$(scaled 150)" python3 server.py "$address"; }
    exec {to_server}>&"${SERVER[1]}" {from_server}<&"${SERVER[0]}"
    read -r word <&"$from_server"
    same "the server's first word" ready "$word"
    type_to mtu "iperf -c $address -p 5003 -n 4M"
    read -r word <&"$from_server"
    same "the server's next word" half "$word"
    set_mtu 1500
    echo >&"$to_server"
    read -r word <&"$from_server" || fail "the server ended"
    same "bytes that came" "$((4 << 20))" "$word"
    exec {to_server}>&- {from_server}<&-
    wait_line mtu '^sent 4194304 bytes in' > /dev/null
    set_mtu 9000
done

say "a way that takes no packet"
ping -6 -c 1 -s 4000 -W "$(scaled 10)" $NET6:53 > /dev/null || fail "no answer in fragments"
python3 - $NET6:53 $NET6:1 << 'PYTHON'
import socket
import struct
import sys

guest, way = sys.argv[1:]
packet = struct.pack("!IHBB", 6 << 28, 0, socket.IPPROTO_UDP, 64) + socket.inet_pton(socket.AF_INET6, guest) \
    + socket.inet_pton(socket.AF_INET6, way)
with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw:
    raw.sendto(struct.pack("!BBHI", 2, 0, 0, 50) + packet, (guest, 0))  # the kernel sums it
PYTHON
ping -6 -c 1 -s 4000 -W "$(scaled 10)" $NET6:53 > /dev/null || fail "no answer after a packet was called too big"
