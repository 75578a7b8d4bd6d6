# duet-blockd goes away and comes back while a Linux guest writes and reads in four lanes at once, with requests
# always in flight, by systemctl restart and by kill -9 of the supervisor: each lane sees a pause and no error, the
# store's states do not change, and not a byte is lost or torn.
# timeout: 600
. ./lib.sh

image=$(image disk.img 16M)
end=$(image end.img 1M)
linux_guest block-restart "disk = [ $(disk "$image") ]" \
    "extra = 'console=hvc0 run=\"set -e; \
dd if=/dev/urandom of=/tmp/random bs=1M count=2; \
sha256sum /tmp/random; \
lane() { n=0; \
until [ -b /dev/xvdb ]; do \
n=\$((n + 1)); at=\$((\$1 * 4 + n % 2 * 2)); \
dd if=/tmp/random of=/dev/xvda bs=1M seek=\$at oflag=direct 2> /dev/null; \
dd if=/dev/xvda bs=1M skip=\$at count=2 iflag=direct 2> /dev/null | cmp - /tmp/random; \
echo lane \$1 round \$n; \
done; }; \
for l in 0 1 2 3; do lane \$l & set -- \$@ \$!; done; \
for p; do wait \$p; done; \
echo stat \$(cat /sys/block/xvda/stat)\"'"
domid=$(xl domid block-restart)
back=/local/domain/0/backend/vbd/$domid/51712

# wait_connection N: until the disk has been connected for the Nth time.
wait_connection() {
    local follower
    exec {lines}< <(exec timeout "$(scaled 120)" journalctl -q -f -o cat --since "@$BEGAN" -n all --unit duet-block)
    follower=$!
    grep -m "$1" "vbd $domid/51712: connected" <&"$lines" | tail -n +"$1" | grep . > /dev/null ||
        fail "the disk was not connected $1 times"
    kill "$follower" 2> /dev/null || true
    exec {lines}<&-
}

# all_lanes: until each lane has read back, from now on, what it wrote.
all_lanes() {
    local lane
    new_log block-restart
    for lane in 0 1 2 3; do
        wait_line block-restart "^lane $lane round" 200 > /dev/null
    done
}

wrote=$(wait_line block-restart '^[0-9a-f]{64}  /tmp/random' 200)
first=${LOG_START[block-restart]}
for n in 2 3 4; do
    all_lanes
    pid=$(main_pid duet-block.service)
    if [ $n -eq 3 ]; then
        kill -KILL "$pid"
    else
        systemctl restart duet-block.service
    fi
    wait_connection $n
    [ "$(main_pid duet-block.service)" != "$pid" ] || fail "the daemon was not restarted"
    same "state of the back end after restart" 4 "$(xenstore-read "$back/state")"
done
all_lanes # at least their fourth rounds, so that each has written both its parts
timeout 60 xl block-attach block-restart "format=raw,vdev=xvdb,access=ro,target=$end"
same "status of the guest's commands" "status: 0" "$(wait_line block-restart '^status: ' 300)"
wait_end block-restart 200
for part in 0 1 2 3 4 5 6 7; do
    found=$(dd if="$image" bs=2M skip=$part count=1 status=none | sha256sum)
    same "sha256 of part $part" "${wrote%% *}" "${found%% *}"
done
LOG_START[block-restart]=$first
guest_log block-restart | grep -i -E 'i/o error|blk_update_request' && fail "the guest saw an error"
# Linux counts for how long there was a request, and for how long each was there: the latter is more only if there were
# several at a time.
read -r busy waited < <(guest_log block-restart | awk '$1 == "stat" { print $11, $12 }')
say "in $busy ms with requests these waited $waited ms"
[ "$waited" -gt "$busy" ] || fail "there was never more than one request in flight"
exit 0
