# duet-crash reads a live domain. Under load every command works; many reads change nothing: the guest's disk writer
# goes on, nothing is wrong on its disk, its log has no complaint. Of a paused domain it says what it says of a core dumped
# then. The pause ends with the reader, also when that is killed. Who hangs is named while it hangs; what cannot be read is
# refused with a sentence.
# timeout: 420
. ./lib.sh

READS=${1:-20}

# live NAME COMMAND...: what duet-crash says of the domain while it runs.
live() {
    timeout 30 duet-crash --live "$@"
}

# refused REGEX OPTION...: duet-crash fails with that sentence.
refused() {
    local regex=$1 told status=0
    shift
    told=$(timeout 30 "$@" 2>&1) || status=$?
    [ $status -eq 1 ] || fail "$*: status $status, $told"
    grep -E -- "$regex" <<< "$told" > /dev/null || fail "$*: no '$regex' in: $told"
}

# pause_of NAME: whether xl shows the domain as paused.
pause_of() {
    xl list "$1" | awk 'NR == 2 { print substr($5, 3, 1) == "p" ? "paused" : "runs" }'
}

# is NAME STATE: wait until pause_of says so.
is() {
    settles "$1" "$2" pause_of "$1"
}

disk=$(image live.img 4M)
guest live "memory = 24" "vcpus = 2" "disk = [ $(disk "$disk") ]" "extra = 'run=\"journal start xvda\"'"
guest live-hangs "memory = 16" "vcpus = 2" "extra = 'crashtest=deadlock'"
printf '%s\n' "name = 'live-pvh'" "type = 'pvh'" "kernel = '$LINUX_KERNEL'" "memory = 128" > live-pvh.cfg
GUESTS+=(live-pvh)
timeout 150 xl create -q -p live-pvh.cfg # paused: it has to be there, not to run
journal_grows live
wait_line live-hangs 'taker-a and taker-b wait for each other' > /dev/null

say "what cannot be read"
refused 'no-such-domain: there is no such domain$' duet-crash --live no-such-domain info
refused '4711: there is no such domain$' duet-crash --live 4711 info
refused 'it is an HVM or PVH domain; only PV domains are read$' duet-crash --live live-pvh info
refused 'only root.* may read a live domain$' setpriv --reuid=nobody --clear-groups duet-crash --live "$(xl domid live)" info
xl destroy live-pvh
python3 - "${GUEST_KERNEL%.gz}.debug" "$WORK/other" << 'END'
import sys
kernel = bytearray(open(sys.argv[1], "rb").read())
kernel[kernel.index(b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0") + 16] ^= 1 # its build id's first byte
open(sys.argv[2], "wb").write(kernel)
END
refused 'the domain is of another kernel: .* does not hold this build id$' duet-crash -k "$WORK/other" --live live threads

say "each command, of a domain that runs"
live live info | grep -E '^a running PV domain under Xen [0-9.]+: 2 vCPUs' > /dev/null || fail "$(live live info)"
live live info | grep -E 'agrees by its build id [0-9a-f]{40}$' > /dev/null || fail "$(live live info)"
live live | grep '^nothing found: ' > /dev/null || fail "$(live live)"
live live threads | grep -E ' (blocked|ready|running) .* journal ' > /dev/null || fail "$(live live threads)"
live live bt all | grep -E '[0-9]+ +0x[0-9a-f]+ +thread_entry\(\)' > /dev/null || fail "$(live live bt all)"
live live locks | grep '^no deadlock$' > /dev/null || fail "$(live live locks)"
live live log | grep -F '2 vCPUs online' > /dev/null || fail "$(live live log)"
live live vcpus | grep '^vCPU 1 at ' > /dev/null || fail "$(live live vcpus)"
same "panicking" "panicking = -1" "$(live live print panicking | tr -d '\n')"
live live x panicking 2 | grep -E '^0x[0-9a-f]+ +0x[0-9a-f]+' > /dev/null || fail "$(live live x panicking 2)"
live live pte kernel_main | grep -E '^L1\[.* present' > /dev/null || fail "$(live live pte kernel_main)"
pfn=$(live live vtop kernel_main | grep -o 'pfn 0x[0-9a-f]*' | cut -d ' ' -f 2)
mfn=$(live live vtop kernel_main | grep -o 'mfn 0x[0-9a-f]*' | cut -d ' ' -f 2)
same "pfn2mfn" "pfn $pfn  mfn $mfn" "$(live live pfn2mfn "$pfn")"
same "mfn2pfn" "pfn $pfn  mfn $mfn" "$(live live mfn2pfn "$mfn")"

say "who hangs, while it hangs"
verdict=$(live live-hangs)
grep -E '^deadlock: .*"taker-a" in take_both .* waits for mutex "right", which thread "taker-b" holds' <<< "$verdict" \
    > /dev/null || fail "$verdict"

say "a paused domain is what its core is"
timeout 60 xl pause live
timeout 60 xl dump-core live "$WORK/live.core" > /dev/null
for command in "info" "analyze" "threads" "locks" "log" "vcpus" "bt all" "print cpus" "x panicking 64" "pte kernel_main" \
    "pfn2mfn 5" "vtop all_threads"; do
    # shellcheck disable=SC2086
    live live $command | sed 's/^a paused/a core of a/' > "$WORK/live.txt"
    # shellcheck disable=SC2086
    timeout 30 duet-crash "$WORK/live.core" $command > "$WORK/core.txt"
    cmp -s "$WORK/live.txt" "$WORK/core.txt" \
        || fail "$command: $(diff "$WORK/live.txt" "$WORK/core.txt" | head -n 20)"
done
live live --pause info | grep '^a paused PV domain' > /dev/null || fail "not paused for --pause"
same "after --pause in a pause of xl's" paused "$(pause_of live)"
timeout 60 xl unpause live
is live runs
journal_grows live

say "the pause ends with its reader"
live live --pause info | grep '^a paused PV domain' > /dev/null || fail "not paused for --pause"
same "after --pause" runs "$(pause_of live)"
for signal in INT TERM KILL; do
    mkfifo "$WORK/fifo-$signal"
    # It waits for gdb to speak. What bash starts in the background ignores SIGINT unless told otherwise.
    env --default-signal=INT duet-crash --gdb --pause --live live < "$WORK/fifo-$signal" > /dev/null 2>&1 &
    reader=$!
    exec {gdb}> "$WORK/fifo-$signal"
    is live paused
    kill -s "$signal" $reader
    wait $reader 2> /dev/null || true
    is live runs
    exec {gdb}>&-
done
journal_grows live

say "gdb, with the domain paused"
told=$(timeout 60 gdb -nx -batch -ex 'set remotetimeout 60' \
    -ex "target remote | duet-crash --gdb --pause --live live" -ex 'info threads' -ex 'thread apply all bt' \
    -ex 'print panicking' -ex 'set var panicking = 5' -ex 'print panicking' 2>&1)
# shellcheck disable=SC2016
for regex in '^\* .*"vCPU [01], thread ".*""' 'thread_entry \(\)' 'Cannot access memory' '^\$2 = -1$'; do
    grep -E -- "$regex" <<< "$told" > /dev/null || fail "gdb: no '$regex' in: $told"
done
is live runs

say "$READS reads, of a domain that runs"
before=$(live live x kernel_main 8)
begin=$EPOCHSECONDS
cat > "$WORK/reads.gdb" << END
set remotetimeout 60
target remote | duet-crash --gdb --live live
set \$i = 0
while \$i < $READS
print *cpus[0]->current
set \$i = \$i + 1
end
END
told=$(timeout 240 gdb -nx -batch -x "$WORK/reads.gdb" 2>&1)
same "reads" $READS "$(grep -c '^\$[0-9]* = {' <<< "$told")"
for _ in 1 2 3 4 5; do
    live live threads | grep -E ' journal ' > /dev/null || fail "$(live live threads)"
    live live | grep '^nothing found: ' > /dev/null || fail "$(live live)"
done
say "took $((EPOCHSECONDS - begin)) s"
same "the kernel's code" "$before" "$(live live x kernel_main 8)"
journal_grows live
guest_log live | grep -E '^(panic|WARNING|error)' && fail "the guest complains"
journal_ends live "$disk"
