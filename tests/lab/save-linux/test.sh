# A Linux guest on duet-consoled and duet-blockd goes and comes by save, restore, checkpoint (also one that
# leaves it paused), pause, dump, trigger and reboot, and writes numbered blocks all the while. Every block whose
# writing was reported to it is there, complete and up to date; the rounds continue in one console log without a gap; and
# dom0 ends as it began, with as many event channels, devices and descriptors and no more memory in use.
# timeout: 500
. ./lib.sh

readonly NAME=save-linux ROUNDS=${ROUNDS:-12}
saved=$WORK/saved
log=$CONSOLE_LOGS/$NAME.log

# Both are what dom0 holds while the guest runs.
event_channels() {
    /usr/lib/xen-4.17/bin/lsevtchn 0 | wc -l
}

descriptors() {
    find "/proc/$(main_pid "$1")/fd" | wc -l
}

memory() {
    awk '$1 == "VmRSS:" { print $2 }' "/proc/$(main_pid "$1")/status"
}

holdings() {
    echo "channels $(event_channels) devices $(xenstore-ls -f /local/domain/0/backend | grep -c '/state = ')" \
        "blockd $(descriptors duet-block) consoled $(descriptors duet-console)" \
        "console worker $(find "/proc/$(pgrep -x duet-console-wo)/fd" | wc -l)"
}

# more_rounds: wait until the guest has begun and ended a round from now on.
more_rounds() {
    new_log $NAME
    wait_line $NAME '^round [0-9]+ and$' 60 > /dev/null
    wait_line $NAME '^round [0-9]+ done$' 60 > /dev/null
}

save_and_restore() {
    timeout 60 xl save $NAME "$saved" 2> xl.err || fail "xl save: $(cat xl.err)"
    timeout 60 xl restore "$saved" 2> xl.err || fail "xl restore: $(cat xl.err)"
}

image=$(image disk.img $((WRITE_SLOTS * WRITE_SIZE)))
linux_guest $NAME "memory = 96" "disk = [ $(disk "$image") ]" \
    "extra = 'console=hvc0 loglevel=4 nowatchdog run=\"$WRITE_ROUNDS\"'"
begin=${LOG_START[$NAME]}
payload=$(wait_line $NAME '^payload ' 90)
payload=${payload#payload }
more_rounds
save_and_restore
more_rounds
settles "workers of the disk" 1 processes duet-block-worker
holds=
until last=$holds holds=$(holdings) && [ "$holds" = "$last" ]; do # the domain that was saved goes in its own time, too
    sleep 0.5
done
resident=$(($(memory duet-block) + $(memory duet-console)))

for _ in $(seq 2 $ROUNDS); do
    save_and_restore
    more_rounds
done
settles "what dom0 holds after the first round, and now" "$holds" holdings # a domain goes in its own time
say "$ROUNDS rounds: $holds; the daemons' memory: first $resident KiB, now" \
    "$(($(memory duet-block) + $(memory duet-console))) KiB"
[ $(($(memory duet-block) + $(memory duet-console))) -le $((resident + 512)) ] ||
    fail "the daemons' memory grew by more than 512 KiB over $ROUNDS rounds"

# The saved file is a checkpoint; the guest goes on under its number, with the ring that it had.
domid=$(xl domid $NAME)
timeout 60 xl save -c $NAME "$saved" 2> xl.err || fail "xl save -c: $(cat xl.err)"
more_rounds
timeout 60 xl save -p $NAME "$saved" 2> xl.err || fail "xl save -p: $(cat xl.err)"
xl list $NAME | tail -n 1 | grep -E ' --p--- +[0-9.]+$' > /dev/null || fail "xl save -p did not leave it paused"
xl unpause $NAME
more_rounds
xl pause $NAME
timeout 60 xl dump-core $NAME "$WORK/core" > /dev/null
[ "$(head -c 4 "$WORK/core")" = $'\177ELF' ] || fail "xl dump-core wrote no ELF file"
xl unpause $NAME
more_rounds
xl trigger $NAME nmi
wait_line $NAME 'NMI received for unknown reason' > /dev/null
more_rounds
same "domain id after checkpoints" "$domid" "$(xl domid $NAME)"

# What the guest believes and what the disk has: paused between two writes or within one.
xl pause $NAME
LOG_START[$NAME]=$begin
guest_log $NAME > said
grep -E '^FAILED|I/O error' said && fail "the guest saw an error"
last=$(sed -n 's/^round \([0-9]*\) done$/\1/p' said | tail -n 1)
sed -n 's/^round \([0-9]*\) done$/\1/p' said | cmp - <(seq "$last") || fail "rounds are missing in $log, or twice"
begun=$(sed -n 's/^round \([0-9]*\) and$/\1/p' said | tail -n 1)
written_check "$image" "$payload" "$begun" "$last" || fail "the blocks on its disk are not right"

# Started anew from its configuration, which came with the saved file: by the xl that restored it, and only
# as long as that has not seen it suspended, which a checkpoint does.
xl unpause $NAME
save_and_restore
new_log $NAME
xl reboot -F $NAME
wait_line $NAME '^payload ' 90 > /dev/null
more_rounds
find $CONSOLE_LOGS -name "$NAME-*" | grep . && fail "the console's log has others beside it"
exit 0
