# Faults of the host while guests live. The disk of the console logs is full: the terminal works, what the log misses
# is counted and told, and when there is room the log is written again. And xenstored does not answer for longer than
# the watchdog waits: disks go on, for their workers need no store; who dies meanwhile is replaced when it answers, and
# no supervisor is ended for having waited.
# timeout: 300
. ./lib.sh

UNITS+=(duet-net.service)
STOPPED=40 # seconds without a store; WatchdogSec= is 30
store=$(pgrep -x xenstored)
cleanup() {
    kill -CONT "$store"
    systemctl stop duet-console.service
    umount "$CONSOLE_LOGS" 2> /dev/null
    systemctl start duet-console.service
}

# A small disk of its own for the logs. The daemon sees it when it starts.
mount -t tmpfs -o size=1m,mode=750 duet-test "$CONSOLE_LOGS"
systemctl restart duet-console.service
declare -A DISKS=()
for name in faults-a faults-b; do
    DISKS[$name]=$(image $name.img 4M)
    guest $name "memory = 16" "disk = [ $(disk "${DISKS[$name]}") ]" "vif = [ 'bridge=xenbr0' ]" \
        "extra = 'run=\"journal start xvda\"'"
done
for name in faults-a faults-b; do
    wait_prompt $name
    journal_grows $name
    wait_store "/local/domain/0/backend/vif/$(xl domid $name)/0/state" '^4$'
done
console_attach faults-a
console_type "echo here-i-am"
console_expect '^here-i-am'

say "the disk of the logs is full"
dd if=/dev/zero of="$CONSOLE_LOGS/filler" bs=1k 2> /dev/null || true
for n in 1 2 3 4; do
    console_type "help"
    console_type "echo full-$n"
    console_expect "^full-$n"
done
wait_journal duet-console.service "$CONSOLE_LOGS/faults-a.log: cannot write: No space left on device"
! grep -q '^full-4' "$CONSOLE_LOGS/faults-a.log" || fail "the log's disk was not full"
rm "$CONSOLE_LOGS/filler"
console_type "echo room-again"
console_expect '^room-again'
wait_line faults-a '^room-again' > /dev/null
wait_journal duet-console.service "faults-a.log: is written again; [1-9][0-9]+ bytes of output are not in it"
journal_grows faults-a

# written: blocks that faults-a has written, by its terminal alone.
written() {
    console_type "journal status"
    console_expect '^journal: running: [0-9]+ written'
    [[ $CONSOLE_LINE =~ running:\ ([0-9]+)\ written,.*\ 0\ wrong ]] || fail "faults-a: $CONSOLE_LINE"
    blocks=${BASH_REMATCH[1]}
}

# worker PROGRAM NAME: the process that serves the guest, by its uid.
declare -A UIDS=()
for name in faults-a faults-b; do
    UIDS[$name]=$((0x70000000 + $(xl domid $name)))
done
worker() {
    pgrep -x -U "${UIDS[$2]}" "${1:0:15}" || true
}

workers_of() {
    echo "$(worker duet-block-worker "$1" | wc -w) $(worker duet-net-worker "$1" | wc -w)"
}

mains() {
    systemctl show --value --property MainPID duet-block.service duet-net.service duet-console.service | xargs
}

say "xenstored does not answer for $STOPPED s"
before=$(mains)
victims="$(worker duet-block-worker faults-b) $(worker duet-net-worker faults-b)"
kill -STOP "$store"
(exec sleep $STOPPED) &
timer=$!
# shellcheck disable=SC2086
kill -KILL $victims # which has both supervisors ask the store
written
for _ in 1 2 3; do
    first=$blocks
    until [ "$blocks" -gt "$first" ]; do written; done
done
say "meanwhile faults-a has come to block $blocks"
kill -0 $timer || fail "the guest was too slow to tell of its disk within $STOPPED s"
wait $timer
same "daemons while the store is stopped" "$before" "$(mains)"
kill -CONT "$store"
console_detach
for unit in duet-block duet-net; do
    wait_journal $unit.service 'xenstored has not answered for [0-9]+ s'
done
for name in faults-a faults-b; do
    journal_grows $name
    say "$name: longest pause $JOURNAL_PAUSE"
done
settles "faults-b's workers" "1 1" workers_of faults-b
same "daemons afterwards" "$before" "$(mains)"
for name in faults-a faults-b; do
    journal_ends $name "${DISKS[$name]}"
done
