# Figures are off until the configuration file switches them on; then they are told at sockets that only root may open, and
# count what was done, to the byte where that can be known: what a guest read of its disk and was typed at its console. A
# worker that is stopped does not hold up who asks; one that is killed is replaced, which is counted, and no total goes back.
# `xenbus top` shows it. A line that would have others listen is refused, and without the file all is off again.
# timeout: 240
. ./lib.sh

UNITS+=(duet-net.service)
CONF=/etc/duet/duet.conf
BYTES=$((2 << 20))
cp -p $CONF before.conf
cleanup() {
    pkill -CONT -x duet-block-work
    mv -f before.conf $CONF
    systemctl reload duet-block.service duet-net.service
    systemctl restart duet-console.service
    rm -f /run/duet/console.metrics # which it may not remove itself
}

# ask CLASS: all that its daemon tells.
ask() {
    curl --silent --show-error --fail --max-time "$(scaled 5)" --unix-socket "/run/duet/$1.metrics" http://localhost/metrics
}

# figure CLASS NAME [LABEL]: one of our guest's.
figure() {
    ask "$1" | sed -n "s/^duet_$1_$2{domid=\"$domid\",.*${3:-}[^}]*} //p"
}

# sums CLASS: all totals, each with its name, in order.
sums() {
    ask "$1" | grep -E '^duet_[a-z_]*_(total|count|bucket)\{' | sort
}

# no_less BEFORE AFTER: no total of one file is less in the other, or missing there.
no_less() {
    join -t '|' -a 1 <(sed 's/} /}|/' "$1" | sort) <(sed 's/} /}|/' "$2" | sort) |
        awk -F '|' '$3 == "" || $3 + 0 < $2 + 0 { print; bad = 1 } END { exit bad }' || fail "a total went back"
}

say "off by default"
same "sockets" "" "$(find /run/duet -name '*.metrics')"
cat > $CONF << 'END'
[block]
metrics = /run/duet/block.metrics
[net]
metrics = 0.0.0.0:9731
[console]
metrics = /run/duet/console.metrics
END
systemctl reload duet-block.service duet-net.service
systemctl restart duet-console.service
wait_journal duet-block.service '^metrics: at /run/duet/block.metrics'
wait_journal duet-console.service '^metrics: at /run/duet/console.metrics'
wait_journal duet-net.service '^/etc/duet/duet.conf:4: metrics = 0.0.0.0:9731: others could reach it'
sed -i 's|0.0.0.0:9731|/run/duet/net.metrics|' $CONF
systemctl reload duet-net.service
wait_journal duet-net.service '^metrics: at /run/duet/net.metrics'
same "who may open them" "600 root 600 root 600 root" "$(stat -c '%a %U' /run/duet/{block,net,console}.metrics | xargs)"

say "what a guest does is counted"
disk=$(image disk.img 2M)
guest metrics "disk = [ $(disk "$disk") ]" "vif = [ 'bridge=xenbr0' ]"
wait_prompt metrics
domid=$(xl domid metrics)
settles "disk" 1 figure block up
settles "interface" 1 figure net connected
read_before=$(figure block bytes_total 'op="read"')
typed_before=$(figure console bytes_total 'direction="input"')
new_log metrics
type_to metrics "sha256 xvda"
sum=$(sha256sum < "$disk")
wait_line metrics "${sum%% *}  xvda" > /dev/null
same "bytes read" $BYTES $(($(figure block bytes_total 'op="read"') - read_before))
same "bytes typed" 12 $(($(figure console bytes_total 'direction="input"') - typed_before))
same "errors" "0 0 0 0" "$(figure block errors_total | xargs)"
same "requests in all" "$(figure block requests_total | awk '{ n += $1 } END { print n }')" "$(figure block request_duration_seconds_count)"
same "the domain's name" 1 "$(ask block | grep -c "^duet_block_up{domid=\"$domid\",domain=\"metrics\",device=\"vbd/51712\"} 1$")"
ask net | grep "^duet_net_packets_total{domid=\"$domid\",domain=\"metrics\",device=\"vif/0\",direction=\"from_guest\"} " > /dev/null ||
    fail "nothing is told of the interface"

say "a worker that is stopped holds up nobody"
pkill -STOP -x duet-block-work
same "bytes read by it" $BYTES $(($(figure block bytes_total 'op="read"') - read_before))
pkill -CONT -x duet-block-work

say "one that is killed is replaced"
same "workers that were replaced" 0 "$(figure block worker_restarts_total)"
sums block > before
pid=$(pgrep -x duet-block-work)
kill -KILL "$pid"
settles "disk" 1 figure block up
settles "workers that were replaced" 1 figure block worker_restarts_total
settles "disk" 1 figure block up
sums block > after
no_less before after
new_log metrics
type_to metrics "sha256 xvda"
wait_line metrics "${sum%% *}  xvda" > /dev/null
same "bytes read by both" $((2 * BYTES)) $(($(figure block bytes_total 'op="read"') - read_before))

say "xenbus top"
xenbus top --batch -n 1 -d 1 > top.out
cat top.out
grep -E "^ *$domid metrics +vbd/51712 +up .* 1$" top.out > /dev/null || fail "it does not show the disk"
grep -E "^ *$domid metrics +vif/0 +up .* 0$" top.out > /dev/null || fail "it does not show the interface"
grep -E "^ *$domid metrics +console/0 +up " top.out > /dev/null || fail "it does not show the console"

say "off again"
mv before.conf $CONF
cp -p $CONF before.conf
systemctl reload duet-block.service duet-net.service
wait_journal duet-block.service '^metrics: off'
wait_journal duet-net.service '^metrics: off'
[ ! -e /run/duet/block.metrics ] || fail "the socket is still there"
status=0
xenbus top --batch -n 1 -d 1 -s /run/duet/block.metrics > top.out 2>&1 || status=$?
same "exit status without figures" 1 $status
