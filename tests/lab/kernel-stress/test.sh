# Everything at once (address spaces, objects, timers, interrupts, threads, disk reads) on up to four vCPUs, while the
# toolstack takes vCPUs and memory away, gives them back, and lets the domain grow to ten times its size at start: nothing
# fails and no memory is missing afterwards. The balloon is hardly slower when four busy vCPUs share two processors.
# timeout: 600
. ./lib.sh

disk=$(image stress.img 64M)
mkfs.ext4 -q "$disk"
guest stress "vcpus = 4" "memory = 64" "maxmem = 640" "disk = [ $(disk "$disk") ]" \
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

# size MIB: have the guest follow a memory target, until it and Xen say that it did.
size() {
    change "balloon: $1 MiB, target $1 MiB" xl mem-set stress "$1"
    same "what Xen says of the domain's MiB" "$1" "$(xl list stress | awk 'NR == 2 { print $3 }')"
}

# resize: how long it takes on the way between 512 and 64 MiB, in ms.
resize() {
    local start=${EPOCHREALTIME/[.,]/}
    size 64
    size 512
    echo $(((${EPOCHREALTIME/[.,]/} - start) / 1000))
}

# best: the smallest of three times.
best() {
    for _ in 1 2 3; do
        resize
    done | sort -n | head -n 1
}

# stops: ^C ends the stress, which finds nothing wrong.
stops() {
    type_to stress $'\003'
    wait_line stress '^stress: ' 120 > /dev/null
    guest_log stress | grep -E '^(memory|stress)'
    guest_log stress | grep '^stress: passed' > /dev/null || fail "$(guest_log stress | tail -n 25)"
}

first=${LOG_START[stress]}
for mib in 128 256 384 640; do # each time there are no records for so many pages
    size $mib
done
online 1
resize > /dev/null
online 4
busy=$(best)
LOG_START[stress]=$first
guest_log stress | grep '^stress: ' > /dev/null && fail "the stress ended before it was told to"
stops
idle=$(best)
say "512 to 64 MiB and back: idle $idle ms, busy $busy ms"
for _ in 1 2; do # something else may have had the processors while the guest was busy
    [ "$busy" -gt $((10 * idle)) ] || break
    ask stress "stress 3600" '^memory before' > /dev/null
    busy=$(best)
    new_log stress
    stops
    say "again, busy: $busy ms"
done
[ "$busy" -le $((10 * idle)) ] || fail "with four busy vCPUs it takes more than ten times as long"
