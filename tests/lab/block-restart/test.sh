# duet-blockd goes away and comes back while a Linux guest writes, by systemctl restart and by kill -9 of the
# supervisor: the guest sees a pause and no error, the store's states do not change, and not a byte is lost
# or torn.
# timeout: 600
. ./lib.sh

image=$(image disk.img 6M)
end=$(image end.img 1M)
linux_guest block-restart "disk = [ $(disk "$image") ]" \
    "extra = 'console=hvc0 run=\"set -e; \
dd if=/dev/urandom of=/tmp/random bs=1M count=2; \
sha256sum /tmp/random; \
n=0; \
until [ -b /dev/xvdb ]; do \
n=\$((n + 1)); \
dd if=/tmp/random of=/dev/xvda bs=64k seek=\$((n % 3 * 32)) oflag=direct; \
dd if=/dev/xvda bs=64k skip=\$((n % 3 * 32)) count=32 iflag=direct | cmp - /tmp/random; \
echo round \$n; \
done\"'"
domid=$(xl domid block-restart)
back=/local/domain/0/backend/vbd/$domid/51712

main_pid() {
    systemctl show --value --property MainPID duet-block.service
}

# wait_connection N: until the disk has been connected for the Nth time.
wait_connection() {
    local follower
    exec {lines}< <(exec timeout 120 journalctl -q -f -o cat --since "@$BEGAN" -n all --unit duet-block)
    follower=$!
    grep -m "$1" "vbd $domid/51712: connected" <&"$lines" | tail -n +"$1" | grep -q . ||
        fail "the disk was not connected $1 times"
    kill "$follower" 2> /dev/null || true
    exec {lines}<&-
}

wrote=$(wait_line block-restart '^[0-9a-f]{64}  /tmp/random' 200)
first=${LOG_START[block-restart]}
for n in 2 3 4; do
    LOG_START[block-restart]=$(stat -c %s "$CONSOLE_LOGS/block-restart.log")
    wait_line block-restart '^round ' 200 > /dev/null
    pid=$(main_pid)
    if [ $n -eq 3 ]; then
        kill -KILL "$pid"
    else
        systemctl restart duet-block.service
    fi
    wait_connection $n
    [ "$(main_pid)" != "$pid" ] || fail "the daemon was not restarted"
    same "state of the back end after restart" 4 "$(xenstore-read "$back/state")"
done
LOG_START[block-restart]=$(stat -c %s "$CONSOLE_LOGS/block-restart.log")
round=$(wait_line block-restart '^round ' 200)
[ "${round#round }" -ge 3 ] || wait_line block-restart '^round 3' 200 > /dev/null
timeout 60 xl block-attach block-restart "format=raw,vdev=xvdb,access=ro,target=$end"
same "status of the guest's commands" "status: 0" "$(wait_line block-restart '^status: ' 300)"
wait_end block-restart 200
for part in 0 1 2; do
    found=$(dd if="$image" bs=1M skip=$((part * 2)) count=2 status=none | sha256sum)
    same "sha256 of part $part" "${wrote%% *}" "${found%% *}"
done
LOG_START[block-restart]=$first
guest_log block-restart | grep -i -E 'i/o error|blk_update_request' && fail "the guest saw an error"
exit 0
