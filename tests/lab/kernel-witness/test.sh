# The debug kernel checks the order of its locks all the time (kern/witness.h). It is silent during the self-tests on four
# vCPUs, with a fifth that only they start, and during a minute of stress. And it names both places of each deliberate bug,
# among them waiting for a timer's callback with a lock held that the callback wants.
# timeout: 400
. ./lib.sh

GUEST_KERNEL=/usr/lib/duet/duet-guest-debug.gz

# bug KIND REGEX: the guest that commits it panics with a line that matches.
bug() {
    local kind=$1 regex=$2 name=witness-$1
    guest "$name" "on_crash = 'preserve'" "extra = 'crashtest=$kind'"
    wait_line "$name" '^panic: ' > /dev/null
    guest_log "$name" | grep -E "^panic: lock order: $regex" > /dev/null ||
        fail "the panic of $kind is not '$regex' but '$(guest_log "$name" | grep '^panic:')'"
    say "$(guest_log "$name" | grep '^panic:')"
}

bug lock-order 'wants spinlock "crashtest outer" at take_against_order\+0x[0-9a-f]+, with spinlock "crashtest" held since take_against_order\+0x[0-9a-f]+; the table.s order: "crashtest outer" at take_in_order\+0x[0-9a-f]+, then "crashtest" at take_in_order\+0x[0-9a-f]+'
bug timer-wait 'waits for "timer callback" at timer_cancel_wait\+0x[0-9a-f]+, with spinlock "crashtest" held since timer_wait\+0x[0-9a-f]+; the table.s order: "timer callback" at locking_timer\+0x0, then "crashtest" at locking_timer\+0x[0-9a-f]+'
bug sleep-locked 'may sleep at sleep_locked\+0x[0-9a-f]+, with spinlock "crashtest" held since sleep_locked\+0x[0-9a-f]+'
bug deadlock 'wants mutex "left" at take_both\+0x[0-9a-f]+, with mutex "right" held since take_both\+0x[0-9a-f]+'

disk=$(image witness.img 64M)
mkfs.ext4 -q "$disk"
guest witness "vcpus = 4" "maxvcpus = 5" "memory = 64" "disk = [ $(disk "$disk") ]" \
    "extra = 'run=\"selftest; stress 20; halt\"'"
wait_line witness '^selftest: |^panic:' 150 > /dev/null
result=$(guest_log witness | grep -E '^(FAIL|selftest:|panic:)' || true)
grep -q -E '^selftest: [1-9][0-9]* passed, 0 failed' <<< "$result" || fail "$result"
say "${result#selftest: }"
wait_line witness '^stress: |^panic:' 120 > /dev/null
guest_log witness | grep '^stress: passed' > /dev/null || fail "$(guest_log witness | tail -n 25)"
wait_end witness
