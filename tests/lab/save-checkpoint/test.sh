#!/bin/bash
# What the toolstack does to a running guest of ours leaves it as if nothing had happened: a checkpoint (save -c), a
# save that finds no room, one whose destination cannot be written, a pause; after a save that leaves it paused
# (save -p) it goes on when it is unpaused. It writes numbered, checksummed blocks all the while, and none is
# lost. A checkpoint is taken by the event channel that the guest offers as well as by the word in the store, and
# a guest whose disk stands still is saved with its requests under way, which it sends again.
# timeout: 480
. ./lib.sh

SLOW=duet-test-still
image=$(image data.img 4M)
loop=$(losetup --find --show --direct-io=on "$image")
dmsetup create $SLOW --table "0 8192 linear $loop 0"
mkdir "$WORK/small"
mount -t tmpfs -o size=4m tmpfs "$WORK/small"
cleanup() {
    umount "$WORK/small" 2> /dev/null || true
    dmsetup resume $SLOW 2> /dev/null
    dmsetup remove --retry $SLOW
    losetup -d "$loop"
}
guest steady "vcpus = 2" "memory = 16" "disk = [ $(disk /dev/mapper/$SLOW) ]" "extra = 'run=\"journal start xvda\"'"
wait_prompt steady
id=$(xl domid steady)
port=/local/domain/$id/device/suspend/event-channel
wait_store "$port" '^[0-9]+$'
journal_grows steady

# cancelled WHAT COMMAND...: the command suspends the guest, which goes on in the same domain.
cancelled() {
    say "$1"
    shift
    new_log steady
    "$@" > xl.out 2>&1 || fail "'$*': $(cat xl.out)"
    wait_line steady 'suspend: away [0-9]+ ms, cancelled' > /dev/null
    same "the domain" "$id" "$(xl domid steady)"
    guest_log steady > steady.log
    journal_grows steady
}

# refused COMMAND...: run it, and fail if it does not.
refused() {
    ! "$@" || fail "'$*' did not fail"
}

# In this order: once a domain was suspended by its event channel, Xen tells of a suspend nowhere else.
offered=$(xenstore-read "$port")
xenstore-write "$port" ""
cancelled "checkpoint, asked for by the word" timeout 60 xl save -c steady "$WORK/checkpoint"
grep -q 'control/shutdown: suspend' steady.log || fail "the guest was not asked by the word"
xenstore-write "$port" "$offered"
ask steady starve '^starve: the next suspend finds no memory' > /dev/null
cancelled "checkpoint, asked for by the event channel" timeout 60 xl save -c steady "$WORK/checkpoint"
! grep -q 'control/shutdown: suspend' steady.log || fail "the guest was asked by the word"
cancelled "a save that finds no room" refused timeout 60 xl save steady "$WORK/small/save"

say "a save whose destination cannot be written"
refused timeout 60 xl save steady "$WORK/no/such/folder"
journal_grows steady

say "pause and unpause"
xl pause steady
same "the paused domain's state" "--p---" "$(xl list steady | awk 'NR == 2 { print $5 }')"
xl unpause steady
journal_grows steady

say "a dump of its memory, taken while it runs"
timeout 60 xl dump-core steady "$WORK/core" > xl.out 2>&1 || fail "xl dump-core: $? $(cat xl.out)"
journal_grows steady

say "saved and left paused"
new_log steady
timeout 60 xl save -p steady "$WORK/paused" > xl.out 2>&1
same "the domain's state" "--p---" "$(xl list steady | awk 'NR == 2 { print $5 }')"
xl unpause steady
wait_line steady 'suspend: away [0-9]+ ms' > /dev/null
journal_grows steady

say "a migration that this Xen refuses (it was built without shadow page tables)"
refused timeout 60 xl migrate -s "" steady "xl migrate-receive" > xl.out 2>&1
same "the domain" "$id" "$(xl domid steady)"
journal_grows steady

say "saved while its storage stands still: what was under way is sent again"
ask steady starve '^starve: the next suspend finds no memory' > /dev/null
new_log steady
dmsetup suspend --nolockfs $SLOW
timeout 120 xl save steady "$WORK/stuck" > xl.out 2>&1 &
saver=$!
wait_line steady 'back end of domain 0 has not ended [0-9]+ requests' > /dev/null
until [[ $(xl list steady | awk 'NR == 2 { print $5 }') = *s* ]]; do
    kill -0 $saver || fail "xl save: $(cat xl.out)"
done
dmsetup resume $SLOW
wait $saver || fail "xl save: $(cat xl.out)"
new_log steady
timeout 60 xl restore -e "$WORK/stuck" > xl.out 2>&1 || fail "xl restore: $(cat xl.out)"
wait_line steady 'resumed as domain' > /dev/null
journal_grows steady

say "the checkpoint is good: the guest of then comes back from it"
journal_ends steady "$image"
xl destroy steady
new_log steady
timeout 60 xl restore -e "$WORK/checkpoint" > xl.out 2>&1 || fail "xl restore: $(cat xl.out)"
wait_line steady 'resumed as domain' > /dev/null
type_to steady "lsdev"
wait_line steady 'device/vbd/51712 +vbd' > /dev/null
