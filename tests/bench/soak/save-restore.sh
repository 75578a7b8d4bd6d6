# A thousand save/restore rounds of our guest, in four shapes by turns (1 and 4 vCPUs, 16 MiB; every 50th round 1
# GiB), while it writes numbered, checksummed blocks: none is lost or wrong, and neither the guest's memory,
# grants and event channels nor dom0's event channels and our daemons' open files grow. ROUNDS changes the number.
. ./lib.sh
ROUNDS=${ROUNDS:-1000}

# in_use NAME: the guest's free grants and its event channels.
in_use() {
    new_log "$1"
    type_to "$1" "mem; lsevt; echo ready"
    wait_line "$1" '^ready' > /dev/null
    guest_log "$1" | grep -E '^grants|^ +[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+ +[a-z]' | awk '/^grants/ { print $2 } END { print NR }' | xargs
}

# free_kib NAME: the guest's free memory.
free_kib() {
    new_log "$1"
    type_to "$1" "mem; echo ready"
    wait_line "$1" '^ready' > /dev/null
    guest_log "$1" | awk '$1 == "free" { print $2 }'
}

declare -A free=() used=() images=()
add() {
    images[$1]=$(image "$1.img" 4M)
    guest "$1" "vcpus = $2" "memory = $3" "disk = [ $(disk "${images[$1]}") ]"
    wait_prompt "$1" 120
    type_to "$1" "journal start xvda"
    journal_grows "$1"
    save_restore "$1" > /dev/null
    free[$1]=$(free_kib "$1")
    used[$1]=$(in_use "$1")
}
add small1 1 16
add small4 4 16
add large1 1 1024
add large4 4 1024

ports=$(/usr/lib/xen-4.17/bin/lsevtchn 0 | wc -l)
longest=0
for ((round = 1; round <= ROUNDS; round++)); do
    names=(small1 small4)
    [ $((round % 50)) -ne 0 ] || names=(large1 large4)
    name=${names[round / 50 % 2]}
    [ $((round % 50)) -eq 0 ] || name=${names[round % 2]}
    away=$(save_restore "$name")
    [[ $away =~ away\ ([0-9]+) ]]
    [ "${BASH_REMATCH[1]}" -le $longest ] || longest=${BASH_REMATCH[1]}
    journal_grows "$name"
    [ $((round % 10)) -ne 0 ] || echo "round $round of $ROUNDS, longest away $longest ms"
done
same "dom0's event channels" "$ports" "$(/usr/lib/xen-4.17/bin/lsevtchn 0 | wc -l)"
for name in "${!images[@]}"; do
    same "$name: free grants, and lines of grants and event channels" "${used[$name]}" "$(in_use "$name")"
    now=$(free_kib "$name")
    echo "$name: ${free[$name]} KiB free at the start, $now KiB at the end"
    [ "$now" -ge $((${free[$name]} - 64)) ] || fail "$name: memory is missing"
    journal_ends "$name" "${images[$name]}"
done
