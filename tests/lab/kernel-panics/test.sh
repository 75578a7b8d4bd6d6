# Deliberate bugs, one guest for each kind: the panic names the kind, its backtrace names the function, and the
# domain ends as crashed, which on_crash sees. The two kinds that are no panic leave the kernel running.
# timeout: 600
. ./lib.sh

KINDS=()

# bug KIND FUNCTION REGEX: the guest that commits it panics with a line that matches.
bug() {
    local kind=$1 function=$2 regex=$3 name=panic-$1
    say "$kind"
    guest "$name" "on_crash = 'preserve'" "extra = 'crashtest=$kind'"
    wait_line "$name" "^ +[0-9a-f]{16} $function\\+0x" > /dev/null
    guest_log "$name" | grep -E "^panic: $regex" > /dev/null ||
        fail "the panic is not '$regex' but '$(guest_log "$name" | grep '^panic:')'"
    KINDS+=("$kind")
}

# all_crashed: whether xl shows all of them as crashed.
all_crashed() {
    local list kind
    list=$(xl list)
    for kind in "${KINDS[@]}"; do
        awk -v name="panic-$kind" '$1 == name && $5 ~ /c/ { found = 1 } END { exit !found }' <<< "$list" ||
            return 1
    done
}

bug null        null_pointer       'page fault: cannot read 0x[0-9a-f]+ \(null pointer\): not mapped'
bug stack       descend            'stack overflow of thread "main"'
bug double-free double_free        'kfree: object .* of 128 bytes freed twice'
bug pagetable   write_page_table   'page fault: cannot write 0xffff88[0-9a-f]+ \(a page table\): not allowed'
bug text        write_text         'page fault: cannot write 0xffffffff8[0-9a-f]+ \(kernel text\): not allowed'
bug jump        jump_wild          'page fault: cannot execute 0x[0-9a-f]+ \(kvm\): not mapped'
bug jump-data   jump_data          'page fault: cannot execute 0x[0-9a-f]+ \(kernel image\): not allowed'
bug wild        jump_not_canonical 'general protection fault'
bug spinlock    spinlock_twice     'spinlock "crashtest": taken twice by vCPU 0'
bug mutex       mutex_twice        'mutex "crashtest": taken twice by thread "main"'
bug sleep       sleep_masked       'thread "main" sleeps where it must not'
bug timer-wait  timer_wait         'timer.c:[0-9]+: assertion failed: thread_may_wait\(\)'

say "the toolstack knows that they crashed"
exec {events}< <(exec timeout "$(scaled 60)" xenstore-watch @releaseDomain 2>/dev/null)
until all_crashed; do
    read -r _ <&"$events" || fail "not all are shown as crashed: $(xl list)"
done
exec {events}<&-

say "wild pointers in safe reads"
guest panic-wild-read "extra = 'crashtest=wild-read'"
wait_line panic-wild-read 'safe read at 0x4141414141414141: EFAULT' > /dev/null
wait_line panic-wild-read 'safe read at 0xfffffffffffffff8: EFAULT' > /dev/null
same "safe reads that failed" 5 "$(guest_log panic-wild-read | grep -c 'safe read at .*: EFAULT')"
xl shutdown panic-wild-read
wait_end panic-wild-read

say "a deadlock of two mutexes, found by the debugger"
guest panic-deadlock "extra = 'crashtest=deadlock kdi=\"locks; poweroff\"'"
wait_line panic-deadlock 'crashtest: taker-a and taker-b wait for each other' > /dev/null
xl sysrq panic-deadlock d
wait_line panic-deadlock 'kdi: sysrq d' > /dev/null
wait_line panic-deadlock 'thread "taker-a" waits for mutex "right", held by thread "taker-b"' > /dev/null
wait_line panic-deadlock 'thread "taker-b" waits for mutex "left", held by thread "taker-a"' > /dev/null
wait_end panic-deadlock
