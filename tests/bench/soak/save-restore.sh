# A thousand save/restore rounds, by turns of our guest in four shapes (1 and 4 vCPUs, 16 MiB; once in 50 rounds 1
# GiB) and of a Linux guest, which write numbered, checksummed blocks all the while: none is lost or wrong, and
# neither our guest's memory, grants and event channels nor dom0's event channels and our daemons' memory and open
# files grow. A guest whose turn it is not is paused, so that the others have the processors. ROUNDS changes the number.
. ./lib.sh
ROUNDS=${ROUNDS:-1000}
NAME=linux

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

# ours_began NAME VCPUS MIB: create the guest, once, and note what it has in use after a first round.
declare -A free=() used=() images=()
ours_began() {
    [ -z "${images[$1]:-}" ] || return 0
    images[$1]=$(image "$1.img" 4M)
    guest "$1" "vcpus = $2" "memory = $3" "disk = [ $(disk "${images[$1]}") ]"
    wait_prompt "$1" 120
    type_to "$1" "journal start xvda"
    journal_grows "$1"
    save_restore "$1" > /dev/null
    free[$1]=$(free_kib "$1")
    used[$1]=$(in_use "$1")
}

# ended NAME: nothing is missing, in the guest and on its disk.
ended() {
    local now
    xl unpause "$1"
    same "$1: free grants, and lines of grants and event channels" "${used[$1]}" "$(in_use "$1")"
    now=$(free_kib "$1")
    echo "$1: ${free[$1]} KiB free at the start, $now KiB at the end"
    [ "$now" -ge $((${free[$1]} - 64)) ] || fail "$1: memory is missing"
    journal_ends "$1" "${images[$1]}"
    xl destroy "$1"
}

# ours_round NAME: save it, restore it, and see it write.
ours_round() {
    local away
    away=$(save_restore "$1")
    [[ $away =~ away\ ([0-9]+) ]]
    [ "${BASH_REMATCH[1]}" -le "$longest" ] || longest=${BASH_REMATCH[1]}
    journal_grows "$1"
}

# linux_began: as ours_began, of the Linux guest.
linux_began() {
    [ -z "${images[$NAME]:-}" ] || return 0
    images[$NAME]=$(image $NAME.img $((WRITE_SLOTS * WRITE_SIZE)))
    linux_guest $NAME "memory = 96" "disk = [ $(disk "${images[$NAME]}") ]" \
        "extra = 'console=hvc0 loglevel=4 nowatchdog run=\"$WRITE_ROUNDS\"'"
    linux_log=${LOG_START[$NAME]}
    payload=$(wait_line $NAME '^payload ' 90)
}

# linux_round: save it, restore it, and see it write; how long it was away is not known.
linux_round() {
    wait_line $NAME '^round [0-9]+ done$' > /dev/null
    timeout 600 xl save $NAME "$WORK/$NAME.save" > $NAME.xl 2>&1 || fail "xl save $NAME: $(cat $NAME.xl)"
    timeout 600 xl restore "$WORK/$NAME.save" > $NAME.xl 2>&1 || fail "xl restore $NAME: $(cat $NAME.xl)"
    rm "$WORK/$NAME.save"
    new_log $NAME
}

# linux_ended: every round that it was told is written is there, and the last blocks are on its disk.
linux_ended() {
    xl unpause $NAME
    wait_line $NAME '^round [0-9]+ done$' > /dev/null
    xl pause $NAME
    LOG_START[$NAME]=$linux_log
    guest_log $NAME > said
    grep -E '^FAILED|I/O error' said && fail "the Linux guest saw an error"
    sed -n 's/^round \([0-9]*\) done$/\1/p' said > ended
    cmp ended <(seq "$(tail -n 1 ended)") || fail "rounds are missing in $NAME.log, or twice"
    written_check "${images[$NAME]}" "${payload#payload }" \
        "$(sed -n 's/^round \([0-9]*\) and$/\1/p' said | tail -n 1)" "$(tail -n 1 ended)" ||
        fail "the blocks on the Linux guest's disk are not right"
    xl destroy $NAME
    unset "images[$NAME]"
}

# memory: what our daemons have in memory, in KiB.
memory() {
    awk '$1 == "VmRSS:" { sum += $2 } END { print sum }' \
        "/proc/$(pgrep -o duet-blockd)/status" "/proc/$(pgrep -o duet-consoled)/status"
}

# files: how many files they have open.
files() {
    find "/proc/$(pgrep -o duet-blockd)/fd" "/proc/$(pgrep -o duet-consoled)/fd" | wc -l
}

# dom0_ports: event channels that dom0 has.
dom0_ports() {
    /usr/lib/xen-4.17/bin/lsevtchn 0 | wc -l
}

# turn ROUNDS KIND NAME [VCPUS MIB]: so many rounds of one guest, as long as there are any left.
turn() {
    local count=$1 kind=$2 name=$3
    [ $round -lt "$ROUNDS" ] || return 0
    [ -z "${images[$name]:-}" ] || xl unpause "$name"
    "${kind}_began" "${@:3}"
    for ((; count > 0 && round < ROUNDS; count--)); do
        "${kind}_round" "$name"
        round=$((round + 1))
        [ $((round % 10)) -ne 0 ] || echo "round $round of $ROUNDS, longest away $longest ms"
    done
    xl pause "$name"
}

ports=$(dom0_ports) open=$(files)
longest=0 round=0
while [ $round -lt "$ROUNDS" ]; do
    turn 22 ours small1 1 16
    turn 22 ours small4 4 16
    turn 5 linux $NAME
    if [ $((round % 100)) -lt 50 ]; then
        turn 1 ours large1 1 1024
    else
        turn 1 ours large4 4 1024
        : "${resident:=$(memory)}" # every guest has been there by now
    fi
done
echo "our daemons' memory: ${resident:=$(memory)} KiB after 100 rounds, now $(memory) KiB"
[ "$(memory)" -le $((resident + 1024)) ] || fail "our daemons' memory grew"
[ -z "${images[$NAME]:-}" ] || linux_ended
for name in "${!images[@]}"; do
    ended "$name"
done
for _ in $(seq 60); do # what the guests had is closed when the store tells
    [ "$(dom0_ports)" != "$ports" ] || break
    timeout 1 xenstore-watch /local/domain/0/backend > /dev/null 2>&1 || true
done
same "dom0's event channels" "$ports" "$(dom0_ports)"
same "files that our daemons have open" "$open" "$(files)"
