# An upgrade in place, under load: the next version's programs (next.cmake: their logs of what is in flight are of
# another version) are installed as a package does it, new files renamed over the old, and the services restarted. The
# guest sees a pause, and so it does on the way back. Until the restart the daemon that runs starts the workers that
# were there when it was started. A version that cannot read what a killed one left says so and closes the disk; an
# interface goes on. And a guest that goes while no daemon of the network runs leaves no tap, whatever its name is.
# timeout: 200
. ./lib.sh

UNITS+=(duet-net.service)
NEXT=/usr/lib/duet/next
declare -A PLACES=([duet-blockd]=/usr/sbin [duet-netd]=/usr/sbin
    [duet-block-worker]=/usr/libexec/duet [duet-net-worker]=/usr/libexec/duet)

# put FOLDER: install the programs that are there.
put() {
    local program
    for program in "${!PLACES[@]}"; do
        cp "$1/$program" "${PLACES[$program]}/$program.new"
        mv -f "${PLACES[$program]}/$program.new" "${PLACES[$program]}/$program"
    done
}

mkdir "$WORK/this"
for program in "${!PLACES[@]}"; do
    cp "${PLACES[$program]}/$program" "$WORK/this/"
    ! cmp -s "$WORK/this/$program" "$NEXT/$program" || fail "the next version of $program is the same"
done
cleanup() {
    put "$WORK/this"
    systemctl restart duet-block.service duet-net.service
}

disk=$(image disk.img 4M)
guest upgrade "disk = [ $(disk "$disk") ]" "vif = [ 'bridge=xenbr0,vifname=duet-upgrade' ]" "extra = 'run=\"journal start xvda\"'"
domid=$(xl domid upgrade)
back=/local/domain/0/backend
wait_prompt upgrade
journal_grows upgrade
wait_store "$back/vif/$domid/0/state" '^4$'

# serving PROGRAM: the file that the guest's worker runs.
serving() {
    readlink "/proc/$(pgrep -x -U $((0x70000000 + domid)) "${1:0:15}")/exe" || true
}

# upgrade_to FOLDER NTH: install it, restart; both devices go on, for the NTH time after another version.
upgrade_to() {
    local unit device
    put "$1"
    systemctl restart duet-block.service duet-net.service
    for device in "block vbd $domid/51712" "net vif $domid/0"; do
        unit=duet-${device%% *}
        wait_line_of "$unit" "${device#* }: connected" $(($2 + 1 + killed))
        wait_line_of "$unit" "${device#* }: goes on after a daemon of another version" "$2"
    done
    same "states after the restart" "4 4" \
        "$(xenstore-read "$back/vbd/$domid/51712/state" "$back/vif/$domid/0/state" | xargs)"
    journal_grows upgrade
    say "with $1: the guest's longest pause was $JOURNAL_PAUSE"
}

# wait_line_of UNIT REGEX N: until the unit has logged such a line N times.
wait_line_of() {
    local follower
    exec {lines}< <(exec timeout 60 journalctl -q -f -o cat --since "@$BEGAN" -n all --unit "$1")
    follower=$!
    grep -m "$3" -E -- "$2" <&"$lines" | tail -n "+$3" | grep . > /dev/null || fail "$1 did not log '$2' $3 times"
    kill "$follower" 2> /dev/null || true
    exec {lines}<&-
}

put "$NEXT"
for program in duet-block-worker duet-net-worker; do
    pkill -KILL -x -U $((0x70000000 + domid)) "${program:0:15}"
done
killed=1
for device in "block vbd $domid/51712" "net vif $domid/0"; do
    wait_line_of "duet-${device%% *}" "${device#* }: connected" 2
done
journal_grows upgrade
for program in duet-block-worker duet-net-worker; do
    same "what is started until the restart" "${PLACES[$program]}/$program (deleted)" "$(serving $program)"
done

upgrade_to "$NEXT" 1
upgrade_to "$WORK/this" 2
journal_ends upgrade "$disk"

put "$NEXT"
systemctl kill --signal=KILL --kill-whom=all duet-block.service duet-net.service
# Our guest asks for its disk again at once, so neither the state nor the sentence stays in the store.
wait_line_of duet-block "vbd $domid/51712: .*cannot be taken over: the log of requests in flight is of another version" 1
wait_line_of duet-net "vif $domid/0: goes on after a daemon of another version" 3
same "the interface" 4 "$(xenstore-read "$back/vif/$domid/0/state")"

systemctl stop duet-net.service
[ -e /sys/class/net/duet-upgrade ] || fail "the interface has no tap of its name"
timeout 90 xl destroy upgrade
wait_end upgrade
[ -e /sys/class/net/duet-upgrade ] || fail "somebody else has removed the tap"
systemctl start duet-net.service
no_interface duet-upgrade
