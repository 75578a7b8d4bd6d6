# A minute of everything at once (address spaces, objects, timers, interrupts, threads, disk reads) on up to
# four vCPUs, while the toolstack takes vCPUs and memory away and gives them back, also above the size at
# start: nothing fails and no memory is missing afterwards.
# timeout: 400
. ./lib.sh

disk=$(image stress.img 64M)
mkfs.ext4 -q "$disk"
guest stress "vcpus = 4" "memory = 512" "maxmem = 640" "disk = [ $(disk "$disk") ]" \
    "extra = 'run=\"stress 60; mem; halt\"'"
wait_line stress '^memory before' 60 > /dev/null
wait_line stress '4 vCPUs online' > /dev/null

# online N: have the guest run on N vCPUs. The host has fewer than four, which xl must be told to ignore.
online() {
    xl vcpu-set --ignore-host stress "$1"
    wait_last " $1 vCPUs online"
}

# size MIB: have the guest follow a memory target.
size() {
    xl mem-set stress "$1"
    wait_last "balloon: $1 MiB, target $1 MiB"
}

# wait_last TEXT: wait until TEXT is on the console once more than it was before.
wait_last() {
    local text=$1
    seen[$text]=$((${seen[$text]:-0} + 1))
    timeout 60 sh -c 'tail -c "+$1" -F "$2" 2>/dev/null | grep -a -m "$3" -F -- "$4" > /dev/null' - \
        "$((${LOG_START[stress]:-0} + 1))" "$CONSOLE_LOGS/stress.log" "${seen[$text]}" "$text" ||
        fail "no '$text' on the console within 60 s"
}

declare -A seen=([" 4 vCPUs online"]=1)
online 1
size 64
online 4
size 512
size 640
wait_line stress '^stress: ' 180 > /dev/null
guest_log stress | grep -E '^(memory|stress)'
guest_log stress | grep -q '^stress: passed' || fail "$(guest_log stress | tail -n 25)"
wait_end stress
