# What host.sh describes, done in dom0 of the first host. A kind of guest is a set of functions: KIND_start, KIND_line,
# KIND_pause, KIND_stop and KIND_check.
. ./lib.sh

readonly KINDS=(duet linux)
readonly OTHER=host-b DISK=/dev/vdb
master=$WORK/ssh

# One connection for all that is asked there, with xl's own beside it.
on_other() {
    ssh -S "$master" $OTHER "$@"
}

cleanup() {
    on_other "xl list | awk 'NR > 2 { print \$1 }' | xargs -r -n 1 xl destroy"
    ssh -S "$master" -O exit $OTHER 2> /dev/null
}

# watch_clock: what the Linux guest runs beside: it looks at its uptime, which counts the time away, every 10 ms or
# so, and tells of pauses. The uptime's two decimals make it hundredths without the dot.
# shellcheck disable=SC2016
watch_clock='while [ ! -e /tmp/stop ] && read -r u _ < /proc/uptime; do n=${u%.*}${u#*.}; '
# shellcheck disable=SC2016
watch_clock+='[ $((n-${l:-n})) -lt 20 ] || echo pause $(((n-l)*10)) ms; l=$n; usleep 10000; done'

# linux_start NAME: writes numbered blocks, and answers the lines that are typed.
linux_start() {
    linux_guest "$1" "memory = 96" "disk = [ $(disk $DISK) ]" "extra = 'console=hvc0 loglevel=4 nowatchdog run=\"\
$WRITE_ROUNDS & \
$watch_clock & \
while read word number; \
do \
[ \$word = stop ] && touch /tmp/stop && wait; \
echo \$word \$number heard; \
done\"'"
    payload=$(wait_line "$1" '^payload ' 90)
    wait_line "$1" '^round 2 done' 60 > /dev/null
}

# linux_line NUMBER: what is typed, to be answered with `line NUMBER heard`.
linux_line() {
    printf 'line %d' "$1"
}

# linux_pause NAME: the longest pause it told of in what it said since the log's start, in ms.
linux_pause() {
    longest < <(grep -aoE '^pause [0-9]+ ms$' | cut -d ' ' -f 2)
}

# linux_stop: it writes no more once this is answered.
linux_stop() {
    printf '\025stop\r' >&"$to_client"
    hears 'stop heard' 60 || fail "the guest does not stop writing"
}

# linux_check NAME: the guest has stopped writing: rounds and blocks are all there, whichever host looks.
linux_check() {
    local last
    grep -aE '^FAILED|I/O error' said && fail "the guest saw an error"
    last=$(grep -aoE 'round [0-9]+ done' said | tail -n 1 | cut -d ' ' -f 2)
    # What was in the console's ring when the guest was suspended may be in both hosts' logs.
    grep -aoE 'round [0-9]+ done' said | uniq | cut -d ' ' -f 2 | cmp - <(seq "$last") ||
        fail "rounds are missing in the logs"
    on_both written_check $DISK "${payload#payload }" "$last" "$last"
}

# duet_start NAME: at its prompt, with numbered blocks written and a timer ticking.
duet_start() {
    guest "$1" "memory = 96" "disk = [ $(disk $DISK) ]"
    wait_prompt "$1"
    type_to "$1" "journal start xvda"
}

# Two blanks in what is typed and one in the answer tell them apart.
duet_line() {
    printf 'journal status; echo line %d  heard' "$1"
}

duet_pause() {
    longest < <(grep -aoE 'longest pause [0-9]+ ms$' | cut -d ' ' -f 3)
}

# duet_stop: all that was written is read back by the guest.
duet_stop() {
    printf '\025journal stop; echo stop  heard\r' >&"$to_client"
    hears 'stop heard' 120 || fail "the guest does not stop writing"
}

# duet_check NAME: every block is on the disk, whichever host looks.
duet_check() {
    local line
    line=$(grep -a '^journal: stopped: ' said) || fail "no word of the journal's end"
    [[ $line =~ \ 0\ wrong\;\ ([0-9]+)\ slots,\ last\ (.*) ]] || fail "$1: $line"
    # shellcheck disable=SC2086
    on_both journal_check $DISK "${BASH_REMATCH[1]}" ${BASH_REMATCH[2]}
}

# on_both FUNCTION ARGUMENT...: both hosts find the disk right.
on_both() {
    "$@" || fail "the disk differs, seen by host-a"
    { declare -f "$1"; printf '%q ' "$@"; } | on_other bash || fail "the disk differs, seen by $OTHER"
}

# longest: the largest of the numbers in standard input, 0 without.
longest() {
    sort -n | tail -n 1 | grep . || echo 0
}

# holders: who has the disk open, of the host where it runs.
HOLDERS="find /proc/[0-9]*/fd -lname $DISK 2> /dev/null | cut -d / -f 3 | sort -u | xargs -r -n 1 \
    sh -c 'cat /proc/\$0/comm'"

# sit_down COMMAND: at a console, as a person does; who sat at another has left it.
sit_down() {
    coproc CLIENT {
        exec timeout 600 socat - EXEC:"$1",pty,setsid,ctty,raw,echo=0 2> /dev/null
    }
    client=$CLIENT_PID
    exec {from_client}<&"${CLIENT[0]}" {to_client}>&"${CLIENT[1]}"
    ATTACHED+=("$client")
}

# hears TEXT SECONDS: the guest answers that within so many seconds, unless the console ends.
hears() {
    local line end=$((SECONDS + $2))
    while [ $SECONDS -lt $end ] && IFS= read -r -t $((end - SECONDS)) line <&"$from_client"; do
        [[ $line == *"$1"* ]] && return
    done
    return 1
}

# type_next KIND: the next line, until the guest has answered it. Ctrl-U takes back what was typed of it
# before the console ended or the guest was suspended.
type_next() {
    number=$((number + 1))
    local _
    for _ in $(seq 20); do
        printf '\025%s\r' "$("$1_line" $number)" >&"$to_client" 2> /dev/null || true
        hears "line $number heard" 8 && return
        kill -0 "$client" 2> /dev/null || return 0 # the guest is elsewhere: the line is typed again there
    done
    fail "nobody answered line $number"
}

# move KIND NAME CONSOLE MIGRATE-ARGUMENT...: migrate, and type all the while; then sit down at CONSOLE.
move() {
    local kind=$1 name=$2 console=$3 began=$SECONDS before=$number mover
    shift 3
    timeout 300 xl migrate "$@" > migrate.log 2>&1 < /dev/null &
    mover=$!
    while kill -0 $mover 2> /dev/null && kill -0 "$client" 2> /dev/null; do
        type_next "$kind"
        sleep 0.5 # at a person's pace: typing must not take the time of what it watches
    done
    wait $mover || fail "xl migrate $*: $(grep -v Frames migrate.log)"
    say "$name moved in $((SECONDS - began)) s; typed meanwhile: $((number - before)) lines"
    sit_down "$console"
    number=$((number - 1)) # perhaps it was not answered there
    type_next "$kind"
    type_next "$kind"
}

# logs NAME: the guest's console, on both hosts.
logs() {
    cat <(guest_log "$1") <(on_other "cat $CONSOLE_LOGS/$1.log 2> /dev/null" | tr -d '\r')
}

# clocks: by how many ms the second host's clock is ahead, to half the time of asking.
clocks() {
    local before=${EPOCHREALTIME/./} other after
    other=$(on_other 'echo ${EPOCHREALTIME/./}')
    after=${EPOCHREALTIME/./}
    echo $(((other - (before + after) / 2) / 1000))
}

# migrate KIND: the whole life of a guest of that kind.
migrate() {
    local kind=$1 name=migrate-$1 since begin
    number=0
    since=$(date +%s)
    on_other "rm -f $CONSOLE_LOGS/$name.log"
    "${kind}_start" "$name"
    begin=${LOG_START[$name]}
    sit_down "xl console $name"
    type_next "$kind"
    new_log "$name"

    move "$kind" "$name" "xl console $name" -s '' "$name" 'xl migrate-receive'
    same "holders of the disk" "duet-block-work duet-blockd" "$(sh -c "$HOLDERS" | sort | xargs)"
    table+=("$(printf '%-8s %10d ms' "$kind" "$(guest_log "$name" | "${kind}_pause")")")
    new_log "$name"

    move "$kind" "$name" "ssh -tt -S $master $OTHER xl console $name" "$name" $OTHER
    same "who has the disk open on the first host" "" "$(sh -c "$HOLDERS")"
    same "who has it open on the second" "duet-block-work duet-blockd" "$(on_other "$HOLDERS" | sort | xargs)"
    same "times the disk was let go of for a guest that was moved away" 2 \
        "$(journalctl -q -o cat --since "@$since" -u duet-block | grep -c 'lets go of its disk: the guest was moved')"
    xl domid "$name" 2> /dev/null && fail "$name is still on the first host"
    table[-1]+=$(printf ' %10d ms' $(($(logs "$name" | "${kind}_pause") - $(clocks))))

    "${kind}_stop"
    LOG_START[$name]=$begin
    logs "$name" > said
    for n in $(seq "$number"); do
        grep -a "line $n heard" said > /dev/null || fail "line $n was typed and is in no log"
    done
    "${kind}_check" "$name"
    find $CONSOLE_LOGS -name "$name-*" | grep . && fail "the console's log has others beside it"
    on_other xl destroy "$name"
    say "$number lines typed, each heard"
}

trap '' PIPE # a console that ends while somebody types
ssh -M -S "$master" -f -N $OTHER > /dev/null 2>&1 < /dev/null
declare -a table=() # a line for each kind
for kind in "${KINDS[@]}"; do
    migrate "$kind"
done
echo
echo "How long the guest stood still (its own clock, less what the hosts' clocks differ by):"
printf '%-8s %13s %13s\n' "" "same host" "other host"
printf '%s\n' "${table[@]}"
exit 0
