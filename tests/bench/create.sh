# From `xl create` to a guest's first console line and to its prompt: our guest, and a small Linux (the
# distribution's kernel, busybox initramfs) on the same daemons.
# Each is started RUNS times; the table shows the median.
. ./lib.sh
RUNS=5

# now: microseconds since the epoch.
now() {
    echo "${EPOCHREALTIME/./}"
}

# median NUMBER...
median() {
    printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"
}

linux_prompt() {
    wait_line "$1" '^linux: ready' "$2" > /dev/null
}

# measure LABEL KIND FIRST PROMPT CONFIG...: start KIND RUNS times and print a row of the table.
# FIRST is the pattern of the first line, PROMPT the function that waits for the prompt.
measure() {
    local label=$1 kind=$2 first=$3 prompt=$4 run name began creator
    local -a firsts=() prompts=()
    shift 4
    for ((run = 1; run <= RUNS; run++)); do
        name=bench-$kind-$run
        began=$(now)
        "$kind" "$name" "$@" &
        creator=$!
        GUESTS+=("$name")
        LOG_START[$name]=0
        rm -f "$CONSOLE_LOGS/$name.log"
        wait_line "$name" "$first" 120 > /dev/null
        firsts+=($(($(now) - began)))
        "$prompt" "$name" 120
        prompts+=($(($(now) - began)))
        wait "$creator"
        xl destroy "$name"
    done
    printf '%-28s %12d ms %12d ms\n' "$label" $(($(median "${firsts[@]}") / 1000)) \
        $(($(median "${prompts[@]}") / 1000))
}

printf '%-28s %15s %15s\n' "xl create to ..." "first line" "prompt"
measure "Duet guest, 32 MiB" guest 'Duet [0-9]' wait_prompt
measure "Linux guest, 160 MiB" linux_guest 'Linux version' linux_prompt "extra = 'console=hvc0'"
