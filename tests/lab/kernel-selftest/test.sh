# The kernel's own promises hold with one, two, four and forty vCPUs, in 16 MiB and in 2 GiB, and with either
# way of signalling events: `selftest` passes in each.
# timeout: 600
. ./lib.sh

# try LABEL CONFIG-LINE...: boot a guest that runs the self-tests.
try() {
    local name=self-$1
    shift
    guest "$name" "$@"
    wait_line "$name" '^selftest: ' 150 > /dev/null
    local result
    result=$(guest_log "$name" | grep -E '^(FAIL|selftest:)' || true)
    grep -q -E '^selftest: [1-9][0-9]* passed, 0 failed' <<< "$result" || fail "$name: $result"
    say "$name: ${result#selftest: }"
    wait_end "$name"
}

run='run="selftest; halt"'
try one-vcpu "vcpus = 1" "extra = '$run'"
try two-vcpus "vcpus = 2" "memory = 64" "extra = '$run'"
try four-vcpus "vcpus = 4" "memory = 64" "extra = '$run'"
try forty-vcpus "vcpus = 40" "maxvcpus = 40" "memory = 64" "extra = '$run'"
try small "vcpus = 2" "memory = 16" "extra = '$run'"
try large "vcpus = 2" "memory = 2048" "extra = '$run'"
try two-level "vcpus = 2" "memory = 64" "extra = 'evtchn=2l $run'"

# The slow ones take half a minute in the lab, so once; the first takes the longer the longer the kernel has run.
slow='psm-who-asks-meanwhile-gets-the-time hat-a-million-mappings-leak-nothing tcpip-a-hundred-connections-leave-no-memory'
guest slow "vcpus = 4" "memory = 64" "extra = 'run=\"selftest ${slow// /; selftest }; halt\"'"
for test in $slow; do
    wait_line slow "^ok $test" 120 > /dev/null
done
wait_end slow
