# A core of our kernel for each of some deliberate bugs: xl dump-core, and duet-crash names verdict, function, line and
# the other party, by the kernel that it finds itself, and so does plain gdb at its stub. One that runs is read, too,
# and a wrong kernel is refused.
# timeout: 240
. ./lib.sh

# verdict KIND REGEX...: analyze says it in its first line and in JSON.
verdict() {
    local kind=$1 core=$WORK/$1.core told regex
    shift
    told=$(timeout 30 duet-crash "$core")
    for regex in "$@"; do
        grep -E -- "$regex" <<< "$told" > /dev/null || fail "$kind: no '$regex' in: $told"
    done
    timeout 30 duet-crash -j "$core" | python3 -c 'import json, sys; sys.exit(json.load(sys.stdin)["text"] == "")'
}

# in_gdb KIND REGEX...: plain gdb, told nothing but where the core is, says it; and that nothing can be changed.
in_gdb() {
    local kind=$1 core=$WORK/$1.core told regex
    shift
    told=$(timeout 60 gdb -nx -batch -ex 'set remotetimeout 60' -ex "target remote | duet-crash --gdb $core" \
        -ex 'info threads' \
        -ex 'thread apply all bt' -ex 'continue' -ex 'set var panicking = 5' -ex 'print panicking' 2>&1)
    for regex in "$@" 'Remote failure reply: E.duet-crash: .* nothing in it can run' 'Cannot access memory' '= -?[0-4]$'; do
        grep -E -- "$regex" <<< "$told" > /dev/null || fail "$kind in gdb: no '$regex' in: $told"
    done
}

KINDS=(null double-free mutex stack deadlock)
for kind in "${KINDS[@]}"; do
    say "$kind"
    guest "core-$kind" "memory = 16" "vcpus = 2" "on_crash = 'preserve'" "extra = 'crashtest=$kind'"
done
for kind in null double-free mutex stack; do
    wait_line "core-$kind" '^ +[0-9a-f]{16} _image_start' > /dev/null
done
wait_line core-deadlock 'taker-a and taker-b wait for each other' > /dev/null
for kind in "${KINDS[@]}"; do
    timeout 60 xl dump-core "core-$kind" "$WORK/$kind.core" > /dev/null
done

say "what duet-crash says of each, and gdb"
declare -a TASKS=()
at='\(kdi/crashtest.c:[0-9]+\)'
verdict null "^null pointer: .*null_pointer $at tried to read address 0x[0-9a-f]+: a null pointer" \
    'Its caller: crashtest_boot' & TASKS+=($!)
verdict double-free "^double free: .*double_free $at freed the object" \
    "freed first by double_free $at, in thread \"main\"" 'point to it: .*object' & TASKS+=($!)
verdict mutex "^mutex taken twice: .*mutex_twice $at took mutex \"crashtest\", which is held by thread \"main\" itself" \
    & TASKS+=($!)
verdict stack "^stack overflow: .*descend $at called itself, [0-9]{2,} times" 'Its caller: stack_overflow_test' & TASKS+=($!)
verdict deadlock "^deadlock: .*\"taker-a\" in take_both $at waits for mutex \"right\", which thread \"taker-b\" holds" \
    "\"taker-b\" in take_both .* waits for mutex \"left\", which thread \"taker-a\" holds" & TASKS+=($!)
in_gdb null '^\* .*"vCPU [01], thread "main""' '<signal handler called>' \
    'null_pointer \(\) at .*kdi/crashtest.c:[0-9]+$' 'kernel_main \(\) at .*boot/main.c:[0-9]+$' & TASKS+=($!)
in_gdb stack 'descend \(depth=.*\) at .*kdi/crashtest.c:[0-9]+$' \
    'stack_overflow_test \(\) at .*kdi/crashtest.c:[0-9]+$' & TASKS+=($!)
in_gdb deadlock 'thread [0-9]+ "taker-a"' 'mutex_lock \(m=0x[0-9a-f]+ <right>\) at .*kern/wait.c:[0-9]+$' \
    'take_both \(arg=.* <a>\) at .*kdi/crashtest.c:[0-9]+$' 'thread_entry \(\)' & TASKS+=($!)
for task in "${TASKS[@]}"; do
    wait "$task"
done

say "a core's threads, log and memory; the build id; another kernel is refused"
core=$WORK/deadlock.core
crash() {
    timeout 30 duet-crash "$core" "$@"
}
crash info | grep -E 'agrees by its build id [0-9a-f]{40}$' > /dev/null || fail "info: $(crash info)"
crash threads | grep -E 'blocked .* taker-a .* for mutex "right" of "taker-b"' > /dev/null || fail "$(crash threads)"
crash locks | grep '^deadlock: thread "taker-[ab]" waits for' > /dev/null || fail "$(crash locks)"
crash log | grep -F '2 vCPUs online' > /dev/null || fail "$(crash log)"
crash bt all | grep -E '[0-9]+ +0x[0-9a-f]+ +thread_entry\(\)' > /dev/null || fail "$(crash bt all)"
pfn=$(crash vtop take_both | grep -o 'pfn 0x[0-9a-f]*' | cut -d ' ' -f 2)
mfn=$(crash vtop take_both | grep -o 'mfn 0x[0-9a-f]*' | cut -d ' ' -f 2)
[ "$(crash pfn2mfn "$pfn")" = "pfn $pfn  mfn $mfn" ] || fail "pfn2mfn $pfn: $(crash pfn2mfn "$pfn")"
[ "$(crash mfn2pfn "$mfn")" = "pfn $pfn  mfn $mfn" ] || fail "mfn2pfn $mfn: $(crash mfn2pfn "$mfn")"
python3 - "${GUEST_KERNEL%.gz}.debug" "$WORK/other" << 'END'
import sys
kernel = bytearray(open(sys.argv[1], "rb").read())
kernel[kernel.index(b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0") + 16] ^= 1 # its build id's first byte
open(sys.argv[2], "wb").write(kernel)
END
status=0
told=$(timeout 30 duet-crash -k "$WORK/other" "$core" 2>&1) || status=$?
[ $status -eq 1 ] || fail "another kernel is believed: status $status, $told"
grep "does not hold this build id" <<< "$told" > /dev/null || fail "$told"
head -c 1000000 "$core" > "$WORK/short"
status=0
told=$(timeout 30 duet-crash "$WORK/short" 2>&1) || status=$?
[ $status -eq 1 ] || fail "a core that is cut short: status $status, $told"
grep "cut short" <<< "$told" > /dev/null || fail "$told"
