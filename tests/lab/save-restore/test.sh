#!/bin/bash
# Our guest is saved to a file and restored, over and over, in four shapes (1 and 4 vCPUs, 16 MiB and 1 GiB)
# side by side, while it writes numbered, checksummed blocks to a disk. Nothing is lost, torn or wrong, for the guest
# or for whoever reads its disk afterwards. It comes back each time, to its prompt, with the vCPUs and devices it had.
# Memory, grants and event channels do not grow, in the guest or in dom0.
# timeout: 900
. ./lib.sh
ROUNDS_SMALL=${ROUNDS_SMALL:-$(rounds 2 5)} # of each 16 MiB guest
ROUNDS_LARGE=${ROUNDS_LARGE:-1}  # of each 1 GiB guest

# resources NAME: what the guest has in use, as far as it must not grow.
resources() {
    new_log "$1"
    type_to "$1" "mem; lsevt; ps; echo ready"
    wait_line "$1" '^ready' > /dev/null
    guest_log "$1" > "$1.resources"
    free=$(awk '$1 == "free" { print $2 }' "$1.resources")
    grants=$(awk '$1 == "grants" { print $2, $4 }' "$1.resources")
    ports=$(grep -c -E '^ +[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+ +[a-z]' "$1.resources")
    vcpus=$(grep -c 'idle/' "$1.resources")
}

# dom0_resources: event channels of dom0, and for each of our daemons its open files and its workers.
dom0_resources() {
    echo "$(/usr/lib/xen-4.17/bin/lsevtchn 0 | wc -l) $(find "/proc/$(pgrep -o duet-blockd)/fd" | wc -l)" \
        "$(find "/proc/$(pgrep -o duet-consoled)/fd" "/proc/$(pgrep -x duet-console-wo)/fd" | wc -l) $(processes duet-block-worker)"
}

# shape NAME VCPUS MIB ROUNDS: the life of one guest.
shape() {
    local name=$1 rounds=$4 round free grants ports vcpus
    local image
    image=$(image "$name.img" 4M)
    guest "$name" "vcpus = $2" "memory = $3" "disk = [ $(disk "$image") ]"
    wait_prompt "$name" 120
    wait_line "$name" 'xvda: 4 MiB' > /dev/null
    [ "$2" = 1 ] || wait_line "$name" " $2 vCPUs online" > /dev/null
    resources "$name"
    local was="$free" was_rest="$grants $ports $vcpus"
    type_to "$name" "journal start xvda"
    for ((round = 1; round <= rounds; round++)); do
        journal_grows "$name"
        echo "$name, round $round of $rounds: $(save_restore "$name")"
    done
    journal_grows "$name"
    journal_ends "$name" "$image"
    resources "$name"
    same "$name: grants free and in all, event channels, vCPUs" "$was_rest" "$grants $ports $vcpus"
    [ "$free" -ge $((was - 64)) ] || fail "$name: $free KiB are free, $was KiB were"
    xl destroy "$name"
}

settles "event channels of dom0 to guests, before" 0 guest_channels
settles "workers, before" 0 processes duet-block-worker
before=$(dom0_resources)
declare -A running=()
for shape in "small1 1 16 $ROUNDS_SMALL" "small4 4 16 $ROUNDS_SMALL" "large1 1 1024 $ROUNDS_LARGE" "large4 4 1024 $ROUNDS_LARGE"; do
    name=${shape%% *}
    GUESTS+=("$name")
    # shellcheck disable=SC2086
    (trap - EXIT; trap 'fail "line $LINENO: $BASH_COMMAND"' ERR; shape $shape) &
    running[$name]=$!
done
for name in "${!running[@]}"; do
    wait "${running[$name]}" || fail "$name did not get through, see above"
done
# The daemons close what a destroyed guest had when the store tells them.
settles "dom0's event channels, our daemons' processes and files" "$before" dom0_resources
same "back ends that are left" "" "$(xenstore-ls -f /local/domain/0/backend 2> /dev/null | grep -E '/(vbd3?|console)/[0-9]+/[0-9]+ ' || true)"
