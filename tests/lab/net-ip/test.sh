# Our guest's TCP/IP on duet-netd and a stock bridge: addresses by DHCP and router advertisements, by the
# kernel's command line and by xl's ip=; ping both ways over IPv4 and IPv6, names, iperf both ways with the
# iperf of dom0, files over HTTP both ways with their sha256 equal, ranges, many requests without an
# error; a download goes on across save and restore.
# timeout: 600
. ./lib.sh

UNITS+=(duet-net.service)
NET=192.168.77
NET6=fd00:6475:6970
MAC=00:16:3e:11:33:55
HELPERS=()

cleanup() {
    [ ${#HELPERS[@]} -eq 0 ] || kill "${HELPERS[@]}" 2> /dev/null
    ip -6 addr del $NET6::1/64 dev xenbr0
    ip -6 addr del fe80::1/64 dev xenbr0
}

# helper COMMAND...: run it beside the test, until the test ends.
helper() {
    "$@" > "$WORK/$1.out" 2>&1 < /dev/null &
    HELPERS+=($!)
}

# sum [CURL-OPTION...] PATH: the sha256 of what the guest's server has there.
sum() {
    timeout 120 curl -sS --fail "${@:1:$#-1}" "http://$address/${*: -1}" | sha256sum | cut -d ' ' -f 1
}

cleanup 2> /dev/null || true # of a run that was killed
ip -6 addr add $NET6::1/64 dev xenbr0 nodad
ip -6 addr add fe80::1/64 dev xenbr0 nodad
mkdir -p "$WORK/tree/sub/deep"
head -c 6M /dev/urandom > "$WORK/tree/large"
head -c 100k /dev/urandom > "$WORK/tree/sub/deep/small"
echo hello > "$WORK/tree/hello.txt"
disk=$(image tree.img 16M)
mke2fs -q -F -t ext4 -d "$WORK/tree" "$disk"
target=$(image target.img 8M)

helper dnsmasq --no-daemon --conf-file=/dev/null --interface=xenbr0 --bind-interfaces --no-resolv --no-hosts --no-ping \
    --dhcp-range=$NET.100,$NET.200,1h --dhcp-host=$MAC,$NET.150 --dhcp-leasefile="$WORK/leases" \
    --enable-ra --dhcp-range=$NET6::,ra-only --address=/lab.duet/$NET.1 --address=/lab.duet/$NET6::1
helper busybox httpd -f -p 8080 -h "$WORK/tree"
helper iperf -s

guest net-ip "vcpus = 2" "vif = [ 'bridge=xenbr0,mac=$MAC' ]" \
    "disk = [ $(disk "$disk" xvda r), $(disk "$target" xvdb) ]" \
    "extra = 'run=\"selftest tcpip; dhcp; dig lab.duet; dig lab.duet AAAA; \
wget http://$NET.1:8080/large -O xvdb; iperf -c $NET.1 -n 2M; ls xvda /sub/deep; httpd start xvda\"'"
line=$(wait_line net-ip '^eth0: address [0-9.]+/24, gateway ' 120)
address=$NET.150
[[ $line == "eth0: address $address/24, gateway $NET.1,"* ]] || fail "DHCP: $line"
wait_line net-ip '^lab.duet A 192' > /dev/null
wait_line net-ip '^lab.duet AAAA fd' > /dev/null
line=$(wait_line net-ip '^6291456 bytes, sha256 [0-9a-f]{64}' 120)
same "the fetched file's sha256" "$(sha256sum < "$WORK/tree/large" | cut -d ' ' -f 1)" "${line##* }"
cmp -n 6291456 "$target" "$WORK/tree/large"
wait_line net-ip '^sent 2097152 bytes in ' 120
wait_prompt net-ip 120
same "commands that failed" "" "$(guest_log net-ip | grep -E '^status: [1-9]|^FAIL' || true)"
guest_log net-ip | grep -E 'kept|passed'
guest_pings net-ip $NET.1
guest_pings net-ip $NET.1 -s 4000
guest_pings net-ip $NET6::1
ask net-ip ifconfig ' inet6 fd.* preferred'

say "from outside"
pinged $address 3 -i 0.1 > /dev/null || fail "pings were lost"
ping -q -c 1 -W "$(scaled 20)" -s 4000 $address > /dev/null || fail "a ping of 4000 bytes was lost"
pinged $NET6:0:216:3eff:fe11:3355 3 -i 0.1 > /dev/null || fail "pings over IPv6 were lost"
ask net-ip "iperf -s -P 1" '^serving port 5001' > /dev/null
timeout 100 iperf -c $address -n 2M | grep '2.00 MBytes' > /dev/null || fail "iperf did not send all"
wait_line net-ip '^received [0-9]+ bytes in '

say "the web server"
for name in hello.txt large sub/deep/small; do
    same "sha256 of $name" "$(sha256sum < "$WORK/tree/$name" | cut -d ' ' -f 1)" "$(sum "$name")"
done
same "a range" "$(head -c 1288888 "$WORK/tree/large" | tail -c 54321 | sha256sum | cut -d ' ' -f 1)" \
    "$(sum -r 1234567-1288887 large)"
same "the last bytes, over IPv6" "$(tail -c 777 "$WORK/tree/large" | sha256sum | cut -d ' ' -f 1)" \
    "$(curl -sS -r -777 "http://[$NET6:0:216:3eff:fe11:3355]/large" | sha256sum | cut -d ' ' -f 1)"
same "status of what is not there" 404 "$(curl -sS -o /dev/null -w '%{http_code}' http://$address/nothing)"
same "status past the end" 416 "$(curl -sS -o /dev/null -w '%{http_code}' -r 9999999- http://$address/large)"
same "length told by HEAD" 6291456 "$(curl -sS -I http://$address/large | tr -d '\r' | sed -n 's/^Content-Length: //p')"
curl -sS http://$address/sub/ | grep '<a href="deep">' > /dev/null || fail "the folder's list lacks a name"
wrk -t 1 -c 8 -d 5 --timeout 30 http://$address/hello.txt > "$WORK/wrk"
same "requests that failed" "" "$(grep -E 'Socket errors|Non-2xx' "$WORK/wrk" || true)"
grep -E 'requests in' "$WORK/wrk"
line=$(ask net-ip "httpd status" '^httpd: xvda on port 80: ')
[[ $line == *" 0 errors, "* ]] || fail "$line"

say "save and restore under a download"
curl -sS --limit-rate 500k -o "$WORK/got" http://$address/large &
download=$!
save_restore net-ip
wait $download || fail "the download broke off"
cmp "$WORK/got" "$WORK/tree/large"
line=$(ask net-ip "httpd stop; ifconfig" '^memory [0-9]+ KiB of ')
say "the stack's $line"
xl destroy net-ip

say "configured addresses, 8 MiB"
guest net-ip8 "memory = 8" "vif = [ 'bridge=xenbr0' ]" "extra = 'ip=$NET.60/24,gw=$NET.1'"
guest net-ipx "memory = 8" "vif = [ 'bridge=xenbr0,ip=$NET.61' ]"
for name in net-ip8 net-ipx; do
    wait_prompt $name 90
    guest_pings $name $NET.1
done
for address in $NET.60 $NET.61; do
    pinged $address 2 -i 0.1 > /dev/null || fail "pings of $address were lost"
done

say "an interface goes, another comes"
new_log net-ip8
xl network-detach net-ip8 0
wait_line net-ip8 'eth0: gone' 120 > /dev/null
new_log net-ip8
xl network-attach net-ip8 mac=$MAC bridge=xenbr0
wait_line net-ip8 'eth[0-9]: address ' 120 > /dev/null
guest_pings net-ip8 $NET.1
