#!/bin/bash
# The storage of a guest's disk stalls, and the guest is saved and restored meanwhile. xl does not wait until the disk is
# let go of, and the worker is killed in the end, but what it had under way may still reach the storage. So the next
# device's worker waits, and no late write lands on a newer one: when the storage answers again, the guest goes on, and
# every block is the latest.
# timeout: 300
. ./lib.sh

NAME=save-stalled STALLED=duet-test-stalled

cleanup() {
    dmsetup resume $STALLED 2> /dev/null
    dmsetup remove --retry $STALLED 2> /dev/null
    [ -z "${loop:-}" ] || losetup -d "$loop"
}

# stands_still: whether the guest's journal has written nothing since it was last asked.
stands_still() {
    local line
    line=$(ask $NAME 'journal status' '^journal: running: [0-9]+ written')
    [[ $line =~ ([0-9]+)\ written ]]
    [ "${BASH_REMATCH[1]}" != "${written:-}" ] || echo yes
    written=${BASH_REMATCH[1]}
    echo "$written" > written
}

truncate -s 4M "$WORK/disk.img"
loop=$(losetup --find --show --direct-io=on "$WORK/disk.img")
dmsetup create $STALLED --table "0 8192 linear $loop 0"
guest $NAME "disk = [ 'format=raw,vdev=xvda,access=rw,target=/dev/mapper/$STALLED' ]"
wait_prompt $NAME
wait_line $NAME 'xvda: 4 MiB' > /dev/null
type_to $NAME "journal start xvda"
journal_grows $NAME

say "the storage stalls"
dmsetup suspend --nolockfs $STALLED
written=
until [ "$(stands_still)" = yes ]; do
    written=$(cat written)
done
timeout 120 xl save $NAME "$WORK/saved" > xl.out 2>&1 || fail "xl save: $(cat xl.out)"
wait_end $NAME
new_log $NAME
timeout 120 xl restore -e "$WORK/saved" > xl.out 2>&1 || fail "xl restore: $(cat xl.out)"
wait_line $NAME 'suspend: away [0-9]+ ms, resumed as domain' 120 > /dev/null
id=$(xl domid $NAME)

say "its next disk waits for the last one's operations"
wait_journal duet-block.service "vbd $id/51712: connected|waits for the last operations of an earlier worker" 120
same "state of the back end" 2 "$(xenstore-read "/local/domain/0/backend/vbd/$id/51712/state")"

say "the storage answers"
dmsetup resume $STALLED
wait_store "/local/domain/0/backend/vbd/$id/51712/state" '^4$' 120
journal_grows $NAME
journal_ends $NAME "/dev/mapper/$STALLED"
