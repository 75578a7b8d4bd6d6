# The worker of a disk is killed (-9, also by the OOM killer), alone and together with its supervisor, while a Linux
# guest writes and reads back what it wrote: the guest sees a pause and no error, and finds every block. After five
# kills in a row the next worker says no: the guest gets an I/O error and does not hang. The service stays up through
# all of it.
# timeout: 500
. ./lib.sh

readonly NAME=block-killed
image=$(image disk.img 8M)
linux_guest $NAME "disk = [ $(disk "$image") ]" "extra = 'console=hvc0 loglevel=4 run=\"$WRITE_ROUNDS\"'"
start=${LOG_START[$NAME]}
domid=$(xl domid $NAME)
state=/local/domain/0/backend/vbd/$domid/51712/state
connections=0

main_pid() {
    systemctl show --value --property MainPID duet-block.service
}

# wait_connection: until the disk is connected once more than at the last call.
wait_connection() {
    local follower
    connections=$((connections + 1))
    exec {lines}< <(exec timeout "$(scaled 120)" journalctl -q -f -o cat --since "@$BEGAN" -n all --unit duet-block)
    follower=$!
    grep -m $connections "vbd $domid/51712: connected" <&"$lines" | tail -n +$connections | grep -q . ||
        fail "the disk was not connected $connections times"
    kill "$follower" 2> /dev/null || true
    exec {lines}<&-
}

# goes_on: the guest ends a round that it began after this call.
goes_on() {
    new_log $NAME
    wait_line $NAME '^round [0-9]+ and$' > /dev/null
    wait_line $NAME '^round [0-9]+ done$' > /dev/null
    same "state of the disk" 4 "$(xenstore-read "$state")"
}

wait_connection
goes_on
first=$(main_pid)
for _ in 1 2 3; do
    pkill -KILL -x duet-block-work
    wait_connection
    goes_on
done

# the supervisor and all of its children at once
systemctl kill --signal KILL duet-block.service
wait_connection
goes_on
main=$(main_pid)
[ "$main" != "$first" ] || fail "the supervisor was not killed"

# by the OOM killer
echo 1000 > "/proc/$(pgrep -x duet-block-work)/oom_score_adj"
echo f > /proc/sysrq-trigger
wait_connection
goes_on
same "supervisor after the OOM killer" "$main" "$(main_pid)"

LOG_START[$NAME]=$start # all that it wrote
payload=$(guest_log $NAME | sed -n 's/^payload //p' | xargs)
for _ in 1 2 3 4; do # with the one before: five
    pkill -KILL -x duet-block-work
    wait_connection
done
wait_line $NAME '^FAILED' 60 > /dev/null
wait_line $NAME 'I/O error|Input/output error' > /dev/null
same "supervisor after all deaths" "$main" "$(main_pid)"
LOG_START[$NAME]=$start
begun=$(guest_log $NAME | sed -n 's/^round \([0-9]*\) and$/\1/p' | tail -n 1)
last=$(guest_log $NAME | sed -n 's/^round \([0-9]*\) done$/\1/p' | tail -n 1)
wait_end $NAME
wait_journal duet-block.service "vbd $domid/51712: removed"
written_check "$image" "$payload" "$begun" "$last" || fail "the blocks on its disk are not right"
