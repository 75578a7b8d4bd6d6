# Saving and restoring an idle guest of 64 MiB and of 1 GiB: the file's size, the time of xl save and xl restore,
# and how long the guest itself was away: ours beside the distribution's Linux with the same memory (which does not
# boot with 64 MiB, so it gets 160). For the last figure, Linux runs a loop that looks at its clock each second.
# Each is done RUNS times; the table shows the median.
. ./lib.sh
RUNS=${RUNS:-3}

# now: microseconds since the epoch.
now() {
    echo "${EPOCHREALTIME/./}"
}

# median NUMBER...
median() {
    printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"
}

# measure LABEL NAME: print the row of a guest that runs.
measure() {
    local label=$1 name=$2 file=$WORK/$2.save run began away size=0
    local -a saves=() restores=() aways=()
    for ((run = 1; run <= RUNS; run++)); do
        new_log "$name"
        began=$(now)
        timeout 900 xl save "$name" "$file" > xl.out 2>&1 || fail "xl save $name: $(cat xl.out)"
        saves+=($(($(now) - began)))
        size=$(stat -c %s "$file")
        began=$(now)
        timeout 900 xl restore -e "$file" > xl.out 2>&1 || fail "xl restore $name: $(cat xl.out)"
        restores+=($(($(now) - began)))
        rm "$file"
        away=$(wait_line "$name" 'suspend: away [0-9]+ ms, resumed|^tick-gap [0-9]+' 120)
        [[ $away =~ (away|tick-gap)\ ([0-9]+) ]]
        aways+=("${BASH_REMATCH[2]}")
    done
    printf '%-24s %10d KiB %9d ms %9d ms %9d ms\n' "$label" $((size / 1024)) $(($(median "${saves[@]}") / 1000)) \
        $(($(median "${restores[@]}") / 1000)) "$(median "${aways[@]}")"
    xl destroy "$name"
}

# watch_clock: what the Linux guest runs: each second it looks at its uptime, which counts the time away, and
# tells what is missing. The uptime's two decimals make it hundredths without the dot.
# shellcheck disable=SC2016
watch_clock='l=0; while read -r u _ < /proc/uptime; do n=${u%.*}${u#*.}; [ $((n-l)) -lt 200 -o $l = 0 ] || echo tick-gap $(((n-l)*10-1000)); l=$n; sleep 1; done'

printf '%-24s %14s %12s %12s %12s\n' "" "file" "xl save" "xl restore" "guest away"
for mib in 64 1024; do
    guest "ours$mib" "memory = $mib"
    wait_prompt "ours$mib" 120
    measure "Duet, $mib MiB" "ours$mib"
    [ $mib -ge 160 ] || mib=160
    linux_guest "linux$mib" "memory = $mib" "extra = 'console=hvc0 run=\"$watch_clock\"'"
    wait_line "linux$mib" '^linux: ready' 180 > /dev/null
    measure "Linux, $mib MiB" "linux$mib"
done
