# Moving an idle guest: how large its saved file is, how long `xl save` and `xl restore` take, and how long the
# guest was away, by its own clock. Ours beside a small Linux, at the same sizes, on the same daemons. On one
# of two hosts (./lab bench --two-hosts migrate) also `xl migrate`, to the same host and to the other: there
# the guest runs while its memory is copied, and is away for the rest. Debian's own Xen has no live migration
# of PV guests; two hosts run one that has.
. ./lib.sh
readonly OTHER=host-b
saved=$WORK/saved
# The disk is there to be moved too; between two hosts it is the one that they share.
image=/dev/vdb
[ -b $image ] || image=$(image disk.img 16M)

now() {
    echo "${EPOCHREALTIME/./}"
}

cleanup() {
    ! can_migrate || ssh $OTHER "xl list | awk 'NR > 2 { print \$1 }' | xargs -r -n 1 xl destroy"
}

can_migrate() {
    [ "$(hostname)" = host-a ]
}

# Ours says how long it was away. Linux looks at its clock (10 ms) all the time, and tells of gaps.
duet_start() {
    guest "$@" && wait_prompt "$1" 60
}

duet_away() {
    sed -n 's/.*suspend: away \([0-9]*\) ms.*/\1/p' | tail -n 1
}

linux_start() {
    linux_guest "$@" "extra = 'console=hvc0 run=\"\
last=0; \
while read up rest < /proc/uptime; \
do \
up=\${up%.*}\${up#*.}; \
[ \$last -gt 0 ] && [ \$((up - last)) -gt 20 ] && echo away \$((up - last))0 ms; \
last=\$up; \
usleep 5000; \
done\"'"
    wait_line "$1" '^linux: ready' 90 > /dev/null
}

linux_away() {
    awk '/Restarting tasks/ { back = 1 } back && !told && /^away [0-9]+ ms/ { print $2; told = 1 }'
}

# timed LABEL COMMAND...: the beginning of a row: how long it took, how large the file is after a save.
timed() {
    local label=$1 began took size=
    shift
    began=$(now)
    timeout 600 "$@" > xl.out 2>&1 < /dev/null || fail "$*: $(grep -v Frames xl.out)"
    took=$(($(now) - began))
    [ "$2" != save ] || size=$(($(stat -c %s "$saved") / 1048576))
    printf '  %-28s %8d ms %10s' "$label" $((took / 1000)) "$size"
}

# away KIND NAME [HOST]: the end of the row, from what the guest has said since new_log, here or there.
away() {
    local ms='' end=$((SECONDS + 60))
    while [ $SECONDS -lt $end ] && [ -z "$ms" ]; do
        ms=$({
            guest_log "$2"
            [ -z "${3:-}" ] || ssh "$3" cat "$CONSOLE_LOGS/$2.log" | tr -d '\r'
        } | "$1_away")
        [ -n "$ms" ] || sleep 0.2
    done
    printf ' %9s ms\n' "${ms:-?}"
}

# rows LABEL KIND CONFIG...: all that is measured of one guest.
rows() {
    local label=$1 kind=$2 name=bench-$2
    shift 2
    printf '%s\n' "$label"
    "${kind}_start" "$name" "disk = [ $(disk "$image") ]" "$@"
    new_log "$name"
    timed save xl save "$name" "$saved"
    echo
    timed restore xl restore "$saved"
    away "$kind" "$name"
    new_log "$name"
    timed "checkpoint (save -c)" xl save -c "$name" "$saved"
    away "$kind" "$name"
    rm -f "$saved"
    if can_migrate; then
        new_log "$name"
        timed "migrate to the same host" xl migrate -s '' "$name" 'xl migrate-receive'
        away "$kind" "$name"
        new_log "$name"
        ssh $OTHER "rm -f $CONSOLE_LOGS/$name.log; systemctl kill -s HUP duet-console"
        timed "migrate to $OTHER" xl migrate "$name" $OTHER
        away "$kind" "$name" $OTHER
        ssh $OTHER xl destroy "$name"
    else
        xl destroy "$name"
    fi
}

printf '%-30s %11s %10s %12s\n' "" took "file, MiB" "guest away"
rows "Duet guest, 16 MiB" duet "memory = 16"
rows "Duet guest, 96 MiB" duet "memory = 96"
rows "Linux guest, 96 MiB" linux "memory = 96"
rows "Duet guest, 1 GiB" duet "memory = 1024"
rows "Linux guest, 1 GiB" linux "memory = 1024"
