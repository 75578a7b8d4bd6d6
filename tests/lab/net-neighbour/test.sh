# A guest that abuses its network back end does not hurt the one beside it. While our guest `netabuse`s its interface,
# its neighbour on the same bridge and daemon answers every ping, about as fast, and takes a TCP stream about as fast as
# without: frames sent as fast as it can (flood), notifications without frames (kicks), a receive ring not given back
# while dom0 floods it (deaf), a packet without its end (unfinished), packets of every number of slots and all kinds
# of broken ones (fragments), each with the right answer. What the back end refuses or closes is said in the journal, and a
# guest whose ring is of no use any more gets a new interface.
#
# flood and kicks keep the guest's vCPU busy, which on a host of two processors slows everybody whatever the back end:
# they are compared with a guest that merely spins. The other kinds are compared with no abuse at all. Kinds take turns
# and medians over all turns are compared, so that what else this machine does hits all alike; if they are not as they
# should be, there are two more rounds, and the medians of all are judged. The limits are wide: Xen shares two processors among
# three domains, so a flood alone leaves the neighbour about half, and what a second carries varies by half again. They find a
# neighbour that is starved; what was seen is in docs/net.md.
# timeout: 900
. ./lib.sh

UNITS+=(duet-net.service)
ABUSER=192.168.77.81
NEIGHBOUR=192.168.77.82
ROUNDS=2
WORKER_KIB=0
DISTURBER= # a process of ours that helps the kind of abuse that is on

cleanup() {
    [ -z "$DISTURBER" ] || kill "$DISTURBER" 2> /dev/null
    ip neigh del $ABUSER dev xenbr0 2> /dev/null
}

# measure KIND: pings of the neighbour, none of which may be lost, to KIND.ping in ms; a stream to KIND.stream in kbit/s.
measure() {
    local out
    out=$(pinged $NEIGHBOUR 40 -i 0.02) || fail "$1: the neighbour lost pings: $(tail -n 3 <<< "$out")"
    sed -n 's/.*time=\([0-9.]*\) ms/\1/p' <<< "$out" >> "$1.ping"
    out=$(timeout 60 iperf -c $NEIGHBOUR -t 1 -y C | awk -F, 'END { print int($NF / 1000) }')
    [ "$out" -gt 0 ] || fail "$1: no stream to the neighbour"
    echo "$out" >> "$1.stream"
}

# nth FILE PERCENT: that percentile of a file's numbers.
nth() {
    sort -n "$1" | awk -v p="$2" '{ v[NR] = $1 } END { i = int((NR - 1) * p / 100 + 0.5) + 1; print v[i] }'
}

# show KIND: its figures as a row.
show() {
    printf '%-12s ping %8.2f ms p50 %8.2f ms p90   TCP %8.0f kbit/s\n' "$1" "$(nth "$1.ping" 50)" \
        "$(nth "$1.ping" 90)" "$(nth "$1.stream" 50)"
}

# within KIND REFERENCE: whether it has at least a quarter of the reference's stream, at most twice its median ping.
within() {
    awk -v s="$(nth "$1.stream" 50)" -v s0="$(nth "$2.stream" 50)" -v p="$(nth "$1.ping" 50)" \
        -v p0="$(nth "$2.ping" 50)" 'BEGIN { exit !(s >= s0 / 4 && p <= p0 * 2) }'
}

# starved: the kinds beside which the neighbour fares worse than it may.
starved() {
    local kind
    for kind in flood kicks; do
        within $kind spin || echo $kind
    done
    for kind in deaf unfinished fragments; do
        within $kind quiet || echo $kind
    done
}

# abuse KIND [ADDRESS]: the abuser does so until abuse_ends; frames go to ADDRESS.
abuse() {
    local command="netabuse eth0 $1 600"
    [ $# -eq 1 ] || command="ping -c 1 $2; $command $2"
    new_log net-abuser
    type_to net-abuser "$command"
    wait_line net-abuser "^$1: begins" > /dev/null
    if [ "$1" = deaf ]; then
        iperf -u -c $ABUSER -b 4M -l 500 -t 600 > /dev/null 2>&1 &
        DISTURBER=$!
    fi
}

abuse_ends() {
    type_to net-abuser $'\003'
    wait_line net-abuser '^netabuse: interrupted' > /dev/null
    [ -z "$DISTURBER" ] || kill "$DISTURBER"
    DISTURBER=
}

# note_memory: the most memory that a worker of the abuser ever had, of those that are looked at, is WORKER_KIB.
note_memory() {
    local pid kib
    pid=$(pgrep -f "/duet-net-worker . vif$(xl domid net-abuser)\.0") || return 0
    kib=$(awk '/^VmHWM/ { print $2 }' "/proc/$pid/status" 2> /dev/null) || return 0
    [ "${kib:-0}" -le "$WORKER_KIB" ] || WORKER_KIB=$kib
}

# said REGEX: the abuser's console says so.
said() {
    guest_log net-abuser | grep -E -- "$1" > /dev/null || fail "no '$1' on the abuser's console"
}

guest net-abuser "memory = 24" "vif = [ 'bridge=xenbr0,mac=00:16:3e:44:81:81' ]" "extra = 'ip=$ABUSER/24'"
guest net-neighbour "vif = [ 'bridge=xenbr0' ]" "extra = 'ip=$NEIGHBOUR/24 run=\"iperf -s\"'"
wait_line net-neighbour '^serving port 5001' > /dev/null
wait_prompt net-abuser
reach $ABUSER
reach $NEIGHBOUR
ip neigh replace $ABUSER lladdr 00:16:3e:44:81:81 dev xenbr0

# rounds COUNT: of all kinds that go on until they are told to end; each round begins elsewhere.
rounds() {
    local kinds=(quiet spin flood kicks deaf unfinished) turn kind
    for ((turn = 0; turn < $1 * ${#kinds[@]}; turn++)); do
        kind=${kinds[(turn + turn / ${#kinds[@]}) % ${#kinds[@]}]}
        case $kind in
            quiet) ;;
            flood) abuse flood 192.168.77.1 ;;
            *) abuse "$kind" ;;
        esac
        measure "$kind"
        note_memory
        [ "$kind" = quiet ] || abuse_ends
        case $kind in
            flood) flood=$(guest_log net-abuser | grep -E '^flood: [1-9][0-9]* frames') ;;
            kicks) kicks=$(guest_log net-abuser | grep -E '^flood: [1-9][0-9]* notifications') ;;
            deaf) said '^deaf: [1-9][0-9]* buffers waited' ;;
            unfinished) said '^unfinished: waited for, then taken' ;;
        esac
    done
}

# fragments: that kind, which ends by itself.
fragments() {
    new_log net-abuser
    type_to net-abuser "netabuse eth0 fragments"
    measure fragments
    until guest_log net-abuser | grep '^fragments: [0-9]* taken' > /dev/null; do
        measure fragments
        note_memory
    done
    said '^fragments: .* 0 not answered, 0 wrong$'
    said '^20 fragments: taken$'
    said '^21 fragments: the back end closed the interface$'
}

rounds $ROUNDS
fragments
if [ -n "$(starved)" ]; then
    say "two more rounds: the neighbour fared badly beside $(starved | xargs)"
    rounds 2
    fragments
    fragments
fi
domid=$(xl domid net-abuser)
wait_journal duet-net.service "vif $domid/0: refused a packet of the guest: "
wait_journal duet-net.service "vif $domid/0: /local/.*: transmit ring of queue 0: .*a packet without an end"
reach $ABUSER

say "an interface that is of no use any more, and another"
new_log net-abuser
type_to net-abuser "netabuse eth0 unfinished 0; netabuse eth0 unfinished 1; echo over-''now"
wait_line net-abuser '^over-now' > /dev/null
said 'an unfinished packet is on its ring'
timeout 60 xl network-detach net-abuser 0
wait_line net-abuser 'eth0: detached' > /dev/null
timeout 60 xl network-attach net-abuser bridge=xenbr0 mac=00:16:3e:44:81:81
reach $ABUSER

for kind in quiet deaf unfinished fragments spin flood kicks; do
    show $kind
done
say "$flood"
say "$kicks"
say "a worker of the abuser had $WORKER_KIB KiB at most"
same "beside what the neighbour is not within a quarter of the stream and twice the ping, which it has beside spin or quiet" "" "$(starved)"
# What it allocates at its start, and no more: 64 buffers of 72 KiB to send from, 48 to receive into (tx.h, rx.h).
[ "$WORKER_KIB" -gt 0 ] && [ "$WORKER_KIB" -le 16384 ] || fail "a worker of the abuser took $WORKER_KIB KiB"
