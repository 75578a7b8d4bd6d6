# Everything at once (address spaces, objects, timers, interrupts, threads, disk reads) on up to four vCPUs, while the
# toolstack takes vCPUs and memory away, gives them back, and lets the domain grow above its size at start: nothing fails,
# no memory is missing afterwards, and each change takes little longer than on an idle guest, although the four vCPUs
# share two processors.
# timeout: 600
. ./lib.sh

disk=$(image stress.img 64M)
mkfs.ext4 -q "$disk"
guest stress "vcpus = 4" "memory = 512" "maxmem = 640" "disk = [ $(disk "$disk") ]" \
    "extra = 'run=\"stress 3600\"'"
wait_line stress '^memory before' 60 > /dev/null
wait_line stress '4 vCPUs online' > /dev/null

# change TEXT COMMAND...: run COMMAND and wait until the guest says TEXT.
change() {
    local text=$1
    shift
    new_log stress
    "$@"
    wait_line stress "$text" 60 > /dev/null
}

# online N: have the guest run on N vCPUs. The host has fewer than four, which xl must be told to ignore.
online() {
    change " $1 vCPUs online" xl vcpu-set --ignore-host stress "$1"
}

# size MIB: have the guest follow a memory target.
size() {
    change "balloon: $1 MiB, target $1 MiB" xl mem-set stress "$1"
}

first=${LOG_START[stress]}
for _ in 1 2 3; do
    online 1
    size 64
    online 4
    size 512
    size 64
    size 640
done
LOG_START[stress]=$first
guest_log stress | grep '^stress: ' > /dev/null && fail "the stress ended before it was told to"
type_to stress $'\003'
wait_line stress '^stress: ' 120 > /dev/null
guest_log stress | grep -E '^(memory|stress)'
guest_log stress | grep '^stress: passed' > /dev/null || fail "$(guest_log stress | tail -n 25)"
