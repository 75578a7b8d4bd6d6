# A core of our kernel for each of some deliberate bugs: xl dump-core, and duet-crash names verdict, function, line and
# the other party, by the kernel that it finds itself. One that runs is read, too, and a wrong kernel is refused.
# timeout: 240
. ./lib.sh

# bug KIND CONSOLE-REGEX: the guest that commits it says so on its console and stays as it is.
bug() {
    say "$1"
    guest "core-$1" "memory = 16" "vcpus = 2" "on_crash = 'preserve'" "extra = 'crashtest=$1'"
    wait_line "core-$1" "$2" > /dev/null
}

# verdict KIND REGEX...: analyze says it in its first line and in JSON.
verdict() {
    local kind=$1 core=$WORK/$1.core told regex
    shift
    timeout 60 xl dump-core "core-$kind" "$core" > /dev/null
    told=$(timeout 30 duet-crash "$core")
    for regex in "$@"; do
        grep -E -- "$regex" <<< "$told" > /dev/null || fail "$kind: no '$regex' in: $told"
    done
    timeout 30 duet-crash -j "$core" | python3 -c 'import json, sys; sys.exit(json.load(sys.stdin)["text"] == "")'
}

bug null '^ +[0-9a-f]{16} _image_start'
bug double-free '^ +[0-9a-f]{16} _image_start'
bug mutex '^ +[0-9a-f]{16} _image_start'
bug stack '^ +[0-9a-f]{16} _image_start'
bug deadlock 'taker-a and taker-b wait for each other'

verdict null '^null pointer: .*null_pointer \(kdi/crashtest.c:[0-9]+\) tried to read address 0x[0-9a-f]+: a null pointer' \
    'Its caller: crashtest_boot'
verdict double-free '^double free: .*double_free \(kdi/crashtest.c:([0-9]+)\) freed the object' \
    'freed first by double_free \(kdi/crashtest.c:[0-9]+\), in thread "main"' 'point to it: .*object'
verdict mutex '^mutex taken twice: .*mutex_twice \(kdi/crashtest.c:[0-9]+\) took mutex "crashtest", which is held by thread "main" itself'
verdict stack '^stack overflow: .*descend \(kdi/crashtest.c:[0-9]+\) called itself, [0-9]{2,} times' \
    'Its caller: stack_overflow_test'
verdict deadlock '^deadlock: .*"taker-a" in take_both \(kdi/crashtest.c:[0-9]+\) waits for mutex "right", which thread "taker-b" holds' \
    '"taker-b" in take_both .* waits for mutex "left", which thread "taker-a" holds'

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
