# The worker of a disk is killed (-9, also by the OOM killer), alone and together with its supervisor, while a Linux
# guest writes and reads back what it wrote: the guest sees a pause, no error, and finds every block, however often that
# happens. Killed five times in a row before it has done anything for its guest, it is replaced by one that says no:
# the guest gets an I/O error and does not hang. The service stays up through all of it.
# timeout: 500
. ./lib.sh

readonly NAME=block-killed
image=$(image disk.img 8M)
linux_guest $NAME "disk = [ $(disk "$image") ]" "extra = 'console=hvc0 loglevel=4 run=\"$WRITE_ROUNDS\"'"
start=${LOG_START[$NAME]}
domid=$(xl domid $NAME)
state=/local/domain/0/backend/vbd/$domid/51712/state
connections=0

# wait_connection: until the disk is connected once more than at the last call.
wait_connection() {
    local follower
    connections=$((connections + 1))
    exec {lines}< <(exec timeout "$(scaled 120)" journalctl -q -f -o cat --since "@$BEGAN" -n all --unit duet-block)
    follower=$!
    grep -m $connections "vbd $domid/51712: connected" <&"$lines" | tail -n +$connections | grep . > /dev/null ||
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
first=$(main_pid duet-block.service)
for _ in 1 2 3; do
    pkill -KILL -x duet-block-work
    wait_connection
    goes_on
done

# the supervisor and all of its children at once
systemctl kill --signal KILL duet-block.service
wait_connection
goes_on
main=$(main_pid duet-block.service)
[ "$main" != "$first" ] || fail "the supervisor was not killed"

# by the OOM killer
echo 1000 > "/proc/$(pgrep -x duet-block-work)/oom_score_adj"
echo f > /proc/sysrq-trigger
wait_connection
goes_on
same "supervisor after the OOM killer" "$main" "$(main_pid duet-block.service)"

LOG_START[$NAME]=$start # all that it wrote
payload=$(guest_log $NAME | sed -n 's/^payload //p' | xargs)
# fresh OLD: says yes once there is another worker than that one, in its cage.
fresh() {
    local pid
    pid=$(pgrep -x duet-block-work) && [ "$pid" != "$1" ] && grep -q '^Seccomp:.2' "/proc/$pid/status" && echo yes
}

# refused: whether it was told that from now on a worker says no.
refused() {
    xenstore-read "/local/domain/0/error/backend/vbd/$domid/51712/error" 2> /dev/null | grep -c 'is answered by an error' || true
}

for _ in 1 2 3 4 5 6; do # at work
    pid=$(pgrep -x duet-block-work)
    kill -KILL "$pid"
    settles "a new worker" yes fresh "$pid"
    goes_on
done
same "workers at work may be killed as often as one likes" 0 "$(refused)"
xl pause $NAME
# One may carry out again what was under way, five have nothing to do; a death counts less than ten seconds after the start.
for _ in $(seq 40); do
    pid=$(pgrep -x duet-block-work)
    kill -KILL "$pid"
    settles "a new worker" yes fresh "$pid"
    [ "$(refused)" = 0 ] || break
done
same "told that it says no" 1 "$(refused)"
xl unpause $NAME
wait_line $NAME '^FAILED' 60 > /dev/null
wait_line $NAME 'I/O error|Input/output error' > /dev/null
same "supervisor after all deaths" "$main" "$(main_pid duet-block.service)"
LOG_START[$NAME]=$start
begun=$(guest_log $NAME | sed -n 's/^round \([0-9]*\) and$/\1/p' | tail -n 1)
last=$(guest_log $NAME | sed -n 's/^round \([0-9]*\) done$/\1/p' | tail -n 1)
wait_end $NAME
wait_journal duet-block.service "vbd $domid/51712: removed"
written_check "$image" "$payload" "$begun" "$last" || fail "the blocks on its disk are not right"
